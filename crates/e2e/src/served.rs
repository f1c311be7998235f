//! The real binary as people run it: found (or built), configured for a
//! simulator, served as a process of its own, and killed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use client::{Client, Endpoint, Settings};
use pve_sim::Simulator;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::process::Child;

/// How long a server may take to open its doors, on a machine that is busy with
/// other things.
const OPENING: Duration = Duration::from_secs(120);
/// How long `serve` takes at most to come to rest, and how much a busy machine
/// may add to that.
const DRAIN: Duration = Duration::from_secs(30 + 30);

/// One build at a time, however many tests ask.
static BUILDING: Mutex<()> = Mutex::new(());

/// The `innkeeper` binary of the profile that this program was built with. Built
/// when it is missing or older than its sources.
///
/// # Errors
/// When it cannot be built.
pub fn binary() -> Result<PathBuf> {
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let program = std::env::current_exe().context("where is this program?")?;
    let folder = program.parent().context("a program lies in its profile's folder")?;
    // A test lies in deps/ of it.
    let folder = folder.parent().filter(|_| folder.ends_with("deps")).unwrap_or(folder);
    let path = folder.join("innkeeper");
    if is_current(&path) {
        return Ok(path);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "innkeeper", "--bin", "innkeeper"]);
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => drop(build.args(["--profile", profile])),
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = build.current_dir(workspace).status().context("cannot run cargo")?;
    ensure!(status.success() && path.exists(), "`cargo build --package innkeeper`: {status}");
    Ok(path)
}

/// Whether the binary is there and no source that it was built from is newer.
/// Cargo lists the sources beside it: `binary: source source …`.
fn is_current(binary: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    let (Some(built), Ok(listed)) =
        (changed(binary), fs::read_to_string(binary.with_extension("d")))
    else {
        return false;
    };
    let sources = listed.split_once(": ").map_or("", |(_, sources)| sources);
    let newest: Option<SystemTime> =
        sources.split_whitespace().filter_map(|source| changed(Path::new(source))).max();
    newest.is_some_and(|newest| newest <= built)
}

/// A folder with a configuration for a simulator, and what `serve` keeps in it.
pub struct Site {
    folder: TempDir,
    config: &'static str,
    binary: PathBuf,
    native: SocketAddr,
    metadata: SocketAddr,
}

impl Site {
    /// Writes a configuration for this simulator. `token` is `id=secret`;
    /// `settings` are more lines of the provider's table.
    ///
    /// # Errors
    /// When the binary cannot be built or a file cannot be written.
    pub fn new(simulator: &Simulator, token: &str, settings: &str) -> Result<Self> {
        Self::with_store(simulator, token, settings, "")
    }

    /// As [`Site::new`], with more tables of the configuration: `[store]`.
    ///
    /// # Errors
    /// As for [`Site::new`].
    pub fn with_store(
        simulator: &Simulator,
        token: &str,
        settings: &str,
        store: &str,
    ) -> Result<Self> {
        let binary = binary()?;
        let folder = tempfile::Builder::new().prefix("innkeeper-e2e-").tempdir()?;
        let (token_id, secret) = token.split_once('=').context("a token is id=secret")?;
        let secret_file = folder.path().join("lab.secret");
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret_file)?;
        writeln!(file, "{secret}")?;
        // The doors keep their ports over all restarts.
        let (native, metadata) = (free_port()?, free_port()?);
        let config = format!(
            "state = {state:?}\n{store}\n\
             [native]\nlisten = \"{native}\"\n\
             [metadata]\nlisten = \"{metadata}\"\nurl = \"http://{metadata}/\"\n\
             [[provider]]\nkind = \"proxmox\"\nname = \"lab\"\nendpoints = [{url:?}]\n\
             token_id = {token_id:?}\ntoken_secret_file = {secret_file:?}\n\
             fingerprints = [{fingerprint:?}]\n{settings}\n",
            state = folder.path().join("state"),
            url = simulator.url(),
            fingerprint = simulator.fingerprint(),
        );
        fs::write(folder.path().join("innkeeper.toml"), config)?;
        Ok(Self { folder, config: "innkeeper.toml", binary, native, metadata })
    }

    /// Writes the environment file of VISA's web provider for this simulator.
    /// `door` is where the VISA door listens; `more` are more lines.
    ///
    /// # Errors
    /// As for [`Site::new`].
    pub fn with_environment(
        simulator: &Simulator,
        door: SocketAddr,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let binary = binary()?;
        let folder = tempfile::Builder::new().prefix("innkeeper-e2e-").tempdir()?;
        let (user, password) = simulator.token().split_once('=').context("a token is id=secret")?;
        let (native, metadata) = (free_port()?, free_port()?);
        let mut text = format!(
            "INNKEEPER__STATE={state}\nINNKEEPER__NATIVE__LISTEN={native}\n",
            state = folder.path().join("state").display()
        );
        let variables = [
            ("SERVER_HOST", door.ip().to_string()),
            ("SERVER_PORT", door.port().to_string()),
            ("ENDPOINT", format!("{}/api2/json/", simulator.url())),
            ("USER", user.to_owned()),
            ("PASSWORD", password.to_owned()),
            ("FINGERPRINTS", simulator.fingerprint().to_owned()),
            ("METADATA_SERVER", format!("http://{metadata}/ci/")),
            ("METADATA_LISTEN", metadata.to_string()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        for (name, value) in variables.into_iter().chain(more) {
            text.push_str(&format!("VISA_WEB_PROVIDER_PROXMOX_{name}={value}\n"));
        }
        fs::write(folder.path().join(".env"), text)?;
        Ok(Self { folder, config: ".env", binary, native, metadata })
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join(self.config)
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Where the native door listens.
    pub fn native(&self) -> SocketAddr {
        self.native
    }

    /// Where the metadata door listens.
    pub fn metadata(&self) -> SocketAddr {
        self.metadata
    }

    /// The binary with these arguments, in an environment that says nothing
    /// about other servers.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.folder.path());
        for name in ["SERVER", "TOKEN", "STATE", "LOG"] {
            command.env_remove(format!("INNKEEPER_{name}"));
        }
        command
    }

    /// Starts `serve`. Its log goes to a file that all starts share.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn serve(&self) -> Result<Server> {
        let mut command = self.command(&["serve", "--config"]);
        let log = || -> Result<File> {
            Ok(OpenOptions::new().create(true).append(true).open(self.log_file())?)
        };
        command.arg(self.config()).stdin(Stdio::null()).stdout(log()?).stderr(log()?);
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        Ok(Server { child })
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("serve.log")
    }

    /// The last lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(self.log_file()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// How many lines of the log hold this text.
    pub fn log_count(&self, text: &str) -> usize {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count()
    }

    /// Keeps the folder for whoever looks into a failure, and says where it is.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// A client with the first administrator's token: over TCP, or over the
    /// Unix socket in the state folder.
    ///
    /// # Errors
    /// When there is no token yet.
    pub fn client(&self, over_socket: bool) -> Result<Client> {
        let token = fs::read_to_string(self.state().join("admin.token"))?;
        let token = SecretString::from(token.trim().to_owned());
        let endpoint = match over_socket {
            true => Endpoint::Socket(self.state().join("innkeeper.sock")),
            false => Endpoint::parse_url(&format!("http://{}", self.native))?,
        };
        Ok(Client::new(Settings::new(endpoint, Some(token)))?)
    }

    /// Waits until the server answers; answers a client.
    ///
    /// # Errors
    /// When the server has ended, or does not answer in time.
    pub async fn open(&self, server: &mut Server) -> Result<Client> {
        let begun = Instant::now();
        loop {
            if let Some(status) = server.ended()? {
                bail!("the server has ended by itself ({status}):\n{}", self.log_tail(30));
            }
            if let Ok(client) = self.client(false)
                && client.ready().await.is_ok()
            {
                return Ok(client);
            }
            let log = || self.log_tail(30);
            ensure!(begun.elapsed() < OPENING, "the server does not answer:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A process that serves. Killed when it is dropped.
pub struct Server {
    child: Child,
}

impl Server {
    /// How it has ended, if it has.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// When it had ended by itself before.
    pub async fn kill(mut self) -> Result<()> {
        use std::os::unix::process::ExitStatusExt as _;
        self.child.start_kill().context("it had ended before")?;
        let status = self.child.wait().await?;
        ensure!(status.signal() == Some(9), "it had ended by itself before: {status}");
        Ok(())
    }

    /// Sends it a signal: `STOP` and `CONT` make it stand still and go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().context("it has ended")?;
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status()?;
        ensure!(sent.success(), "cannot send {name}: {sent}");
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not end in its time, or not with success.
    pub async fn terminate(mut self) -> Result<Duration> {
        let id = self.child.id().context("it had ended before")?;
        let begun = Instant::now();
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status()?;
        ensure!(asked.success(), "cannot send SIGTERM: {asked}");
        let waited = tokio::time::timeout(DRAIN, self.child.wait()).await;
        let status = waited.context("it does not end after SIGTERM")??;
        ensure!(status.success(), "ended with {status} after SIGTERM");
        Ok(begun.elapsed())
    }
}
