//! `innkeeper demo`: a real guest from one command, on this machine, with
//! nothing set up before.

pub mod cluster;
mod left;
pub mod ssh;

use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use client::progress::{follow, for_stderr};
use client::wire::{CreateInstance, Instance, OperationState, Secret};
use client::{Client, Endpoint, Settings};
use secrecy::SecretString;

use crate::config::{Config, ExpiryConfig, MetadataDoor, NativeDoor, PlacementConfig, StoreConfig};
use crate::serve::{self, Running};
use crate::state::StateFolder;
use cluster::{Cluster, Guest};
use ssh::DemoKey;

/// Boots a real virtual machine on this computer through a simulated Proxmox VE
/// cluster, and logs in to it.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Delete everything again at the end, and prove that nothing is left
    #[arg(long)]
    pub once: bool,
    /// Boot this cloud image (qcow2, raw, …; with cloud-init) in place of the
    /// tiny guest. Under emulation that takes minutes
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Where the built guest is cached
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

impl Options {
    fn guest(&self) -> Guest {
        self.image.clone().map_or(Guest::Tiny, Guest::Image)
    }
}

/// The demo's instance.
const NAME: &str = "demo-1";
/// What its user-data writes, and where.
const PROOF_FILE: &str = "/root/user-data-has-run";
/// How long the guest may take to run its user-data once it is started: the
/// tiny one, and a whole distribution under emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(180);
const BOOT_OF_AN_IMAGE: Duration = Duration::from_secs(1200);

/// Runs the demo. Its data base and disks are in `state`, which is emptied at
/// the start.
///
/// # Errors
/// What went wrong, with the end of the guest's console when it did not come up.
pub async fn run(options: Options, state: Option<PathBuf>) -> Result<()> {
    let (state, cache) = folders(&options, state)?;
    let _lock = prepare_state(&state)?;
    let mut say = Say::default();
    say.step("preparing the guest and the cluster");
    let guest = options.guest();
    let cluster = Cluster::start(&guest, &cache, &state.join("guests"), note).await?;
    say.done(format!(
        "guests run by {} ({})",
        format!("{:?}", cluster.verdict.accel).to_uppercase(),
        cluster.verdict.reason
    ));
    say.step("opening the house");
    let folder = StateFolder::open(&state)?;
    let running = open_house(&cluster, &folder).await?;
    let client = native_client(&running)?;
    wait_for_image(&client, &guest).await?;
    say.done(format!("API at http://{}", running.native));
    // Whatever ends the demo, its guests go with it.
    let outcome = tokio::select! {
        outcome = show(&options, &cluster, &running, &client, &mut say) => outcome,
        () = serve::asked_to_end() => Err(anyhow::anyhow!("asked to end")),
    };
    if outcome.is_err()
        && let Some(console) = cluster.console(NAME)
    {
        eprintln!("--- the end of the guest's console ---\n{}", tail(&console, 20));
    }
    let stopped = running.stop().await;
    cluster.stop().await;
    outcome.and(stopped)
}

async fn show(
    options: &Options,
    cluster: &Cluster,
    running: &Running,
    client: &Client,
    say: &mut Say,
) -> Result<()> {
    let before = left::look(cluster, running).await?;
    let key_file = running.state.path().join("demo.key");
    let key = DemoKey::new(&*running.core.random, &key_file)?;
    let posted = Instant::now();
    let guest = options.guest();
    let instance = create(client, &guest, &key).await?;
    say.step("waiting until user-data has run");
    let (address, proof) = wait_for_guest(cluster, &guest, &key).await?;
    let took = posted.elapsed();
    say.done(format!("logged in over SSH; the guest says: {}", proof.trim()));
    let instance = client.instance(instance.id).await?;
    if options.once {
        return once(cluster, running, client, &instance, &before, took, say).await;
    }
    let shown = Shown { instance: &instance, address, key_file, took };
    print(running, cluster, &shown);
    serve::asked_to_end().await;
    println!("\nstopping: the guest and everything of the demo goes");
    Ok(())
}

/// Deletes the instance and proves that nothing is left of it.
async fn once(
    cluster: &Cluster,
    running: &Running,
    client: &Client,
    instance: &Instance,
    before: &left::Everything,
    took: Duration,
    say: &mut Say,
) -> Result<()> {
    let deletion = client.delete_instance(instance.id).await?;
    let operation = follow(client, deletion.operation, &mut *for_stderr()).await?;
    if operation.state != OperationState::Succeeded {
        bail!("the deletion ended {}", operation.state);
    }
    say.step("looking for what is left");
    let after = left::look(cluster, running).await?;
    left::compare(before, &after)?;
    say.done("nothing: no process, no disk, no guest, no row, no seed".to_owned());
    println!("from POST to the log-in over SSH: {:.1} s", took.as_secs_f64());
    Ok(())
}

fn folders(options: &Options, state: Option<PathBuf>) -> Result<(PathBuf, PathBuf)> {
    let base = || -> Result<PathBuf> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let base = cache.filter(|path| path.is_absolute()).or(home);
        Ok(base
            .context("HOME is not set: name the folders with --state and --cache")?
            .join("innkeeper"))
    };
    let state = match state {
        Some(state) => state,
        None => base()?.join("demo"),
    };
    let cache = match &options.cache {
        Some(cache) => cache.clone(),
        None => base()?.join("guest"),
    };
    Ok((state, cache))
}

/// A marker, so that only a folder that the demo made is ever emptied.
const MARKER: &str = "innkeeper-demo";

/// Empties the folder, unless another demo uses it. The lock lasts as long as
/// what is answered.
fn prepare_state(state: &PathBuf) -> Result<File> {
    let marker = state.join(MARKER);
    if state.exists() {
        let empty = std::fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_none());
        if !marker.exists() && !empty {
            bail!("--state {}: the folder is not empty and not the demo's", state.display());
        }
    }
    let folder = StateFolder::open(state)?;
    let lock = File::create(&marker).context("cannot write to the state folder")?;
    if lock.try_lock().is_err() {
        bail!(
            "another demo runs in {}: end it, or name another folder with --state",
            state.display()
        );
    }
    for entry in std::fs::read_dir(folder.path()).context("cannot read the state folder")? {
        let path = entry?.path();
        // The folder with the guests' disks is emptied by its owner, which also
        // ends what a killed demo may have left running.
        if !path.ends_with(MARKER) && !path.is_dir() {
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(lock)
}

async fn open_house(cluster: &Cluster, state: &StateFolder) -> Result<Running> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // Guests reach the host's loopback at 10.0.2.2, so the port must be known
    // before the door is opened.
    let port = tokio::net::TcpListener::bind(any).await?.local_addr()?.port();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = Config {
        visa: None,
        expiry: ExpiryConfig::default(),
        placement: PlacementConfig::default(),
        store: StoreConfig::default(),
        state: state.path().to_owned(),
        native: NativeDoor { listen: any },
        metadata: Some(MetadataDoor { listen, url: format!("http://10.0.2.2:{port}/") }),
        providers: vec![cluster.provider(state)?],
    };
    serve::open(&config).await
}

fn native_client(running: &Running) -> Result<Client> {
    let token = std::fs::read_to_string(running.state.admin_token())?;
    let endpoint = Endpoint::parse_url(&format!("http://{}", running.native))?;
    let token = SecretString::from(token.trim().to_owned());
    Ok(Client::new(Settings::new(endpoint, Some(token)))?)
}

async fn wait_for_image(client: &Client, guest: &Guest) -> Result<()> {
    for _ in 0..100 {
        if client.images().await?.iter().any(|image| image.name == guest.name()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the cluster shows no image named {}", guest.name())
}

async fn create(client: &Client, guest: &Guest, key: &DemoKey) -> Result<Instance> {
    let mut request = CreateInstance::new(NAME, guest.name());
    let (cores, memory_mib) = match guest {
        Guest::Tiny => (1, 256),
        Guest::Image(_) => (2, 1024),
    };
    request.cores = Some(cores);
    request.memory_bytes = Some(memory_mib << 20);
    request.user_data = Some(Secret::from(user_data(&key.public)));
    let accepted = client.create_instance(&request).await?;
    let operation = follow(client, accepted.operation, &mut *for_stderr()).await?;
    if operation.state != OperationState::Succeeded {
        let reason = operation.reason.unwrap_or_default();
        bail!("the creation ended {}: {reason}", operation.state);
    }
    Ok(client.instance(accepted.instance).await?)
}

/// Most cloud images refuse root and name another user; the demo logs in as
/// root everywhere.
fn user_data(key: &str) -> String {
    format!(
        "#cloud-config\n\
         disable_root: false\n\
         ssh_authorized_keys:\n  - {key}\n\
         runcmd:\n  - echo \"user-data has run on $(hostname)\" > {PROOF_FILE}\n"
    )
}

/// Logs in as soon as the guest lets us, and reads what its user-data wrote.
async fn wait_for_guest(
    cluster: &Cluster,
    guest: &Guest,
    key: &DemoKey,
) -> Result<(SocketAddr, String)> {
    let boot = match guest {
        Guest::Tiny => BOOT,
        Guest::Image(_) => BOOT_OF_AN_IMAGE,
    };
    let give_up = Instant::now() + boot;
    let command = format!("cat {PROOF_FILE}");
    loop {
        let tried = match cluster.ssh(NAME) {
            Some(address) if ssh::answers(address).await => {
                ssh::run(address, key, &command).await.map(|proof| (address, proof))
            }
            Some(_) => Err(anyhow::anyhow!("the guest's SSH server does not answer")),
            None => Err(anyhow::anyhow!("the guest does not run")),
        };
        match tried {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > give_up => {
                return Err(error.context("the guest did not run its user-data in time"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

struct Shown<'a> {
    instance: &'a Instance,
    address: SocketAddr,
    key_file: PathBuf,
    took: Duration,
}

fn print(running: &Running, cluster: &Cluster, shown: &Shown<'_>) {
    let addresses: Vec<String> =
        shown.instance.addresses.iter().map(|a| a.ip.to_string()).collect();
    println!("\n{NAME} runs; from POST to the log-in over SSH: {:.1} s", shown.took.as_secs_f64());
    println!("  address    {} (inside the guest's own network)", addresses.join(", "));
    println!(
        "  log in     ssh -i {} -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@{}",
        shown.key_file.display(),
        shown.address.port(),
        shown.address.ip()
    );
    println!("  API        http://{}/v1/instances", running.native);
    let file = running.state.admin_token();
    let token = std::fs::read_to_string(&file).unwrap_or_default();
    println!("  token      {} (in {})", token.trim(), file.display());
    println!("  try        innkeeper --state {} instance list", running.state.path().display());
    println!("  cluster    {} (fingerprint {})", cluster.url(), cluster.fingerprint());
    println!("\nCtrl-C ends the demo and removes the guest.");
}

fn note(line: &str) {
    eprintln!("    {line}");
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// One line per step, with the time that it took.
#[derive(Default)]
struct Say {
    since: Option<Instant>,
}

impl Say {
    fn step(&mut self, what: &str) {
        self.since = Some(Instant::now());
        eprintln!("==> {what}");
        let _ = std::io::stderr().flush();
    }

    fn done(&mut self, what: impl Display) {
        let took = self.since.take().map(|since| since.elapsed()).unwrap_or_default();
        eprintln!("    {what} ({:.1} s)", took.as_secs_f64());
    }
}
