//! A PostgreSQL server of the tests' own: `initdb` and `postgres` in a folder
//! that goes away with the process.
#![allow(clippy::expect_used, reason = "a test cannot go on without its data base")]

mod copies;

pub use copies::{InstanceCopy, native_of, replace_by_copies};

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;

/// Keeps the server running, also after it was killed, until the process that
/// started it has died; then removes its folder.
const KEEPER: &str = r#"
folder=$1; shift
over=
trap 'over=1; [ -z "$pid" ] || kill -QUIT $pid 2>/dev/null' TERM INT HUP
while [ -z "$over" ]; do
    if [ -e "$folder/down" ]; then sleep 0.05; continue; fi
    "$@" >>"$folder/log" 2>&1 </dev/null &
    pid=$!
    wait $pid
    wait $pid 2>/dev/null
    [ -n "$over" ] || sleep 0.1
done
rm -rf "$folder"
"#;

const STARTING: Duration = Duration::from_secs(60);

/// A server.
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<(String, u32, u32)>,
    made: AtomicU64,
    /// Data bases that nobody uses any more, with what they were copied from.
    left: Mutex<Vec<(String, String)>>,
}

/// A data base that is given to somebody else when this is dropped.
pub struct DataBase {
    cluster: &'static Cluster,
    name: String,
    copy_of: String,
}

/// Empties a store and sends away who still uses it. It stays the installation
/// that it was; a version that a test invented (99) goes.
const EMPTY: &str = "
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    DO $$ DECLARE name TEXT; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
            AND tablename NOT IN ('schema_versions', 'installation')
        LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
    END $$;
    DELETE FROM schema_versions WHERE version >= 99;";

/// Where `initdb` and `postgres` are: on the path, or where Debian puts them.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort_by_key(|bin| {
        let version = bin.parent().and_then(|folder| folder.file_name()?.to_str()?.parse().ok());
        std::cmp::Reverse(version.unwrap_or(0u32))
    });
    folders.extend(versions);
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_ctl", "psql"]
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    folders.into_iter().find(complete).expect(
        "PostgreSQL is missing (initdb, postgres, pg_ctl and psql, on the path or in \
         /usr/lib/postgresql/*/bin): install the package postgresql",
    )
}

/// Whom the server runs as, when this process is root: it refuses to be root.
fn user() -> Option<(String, u32, u32)> {
    let root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = |name: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [user, _, uid, gid, ..] = fields[..] else { return None };
            (user == name).then(|| Some((name.to_owned(), uid.parse().ok()?, gid.parse().ok()?)))?
        })
    };
    root.then(|| {
        named("postgres").or_else(|| named("nobody")).expect("a user postgres or nobody to run as")
    })
}

impl Cluster {
    /// The server that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of its own, for tests that stop it.
    pub fn own() -> &'static Self {
        Box::leak(Box::new(Self::start()))
    }

    fn start() -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("innkeeper-pg-").tempdir_in(parent);
        let folder = folder.expect("a folder for the data base").keep();
        let user = user();
        if let Some((_, uid, gid)) = &user {
            chown(&folder, Some(*uid), Some(*gid)).expect("a folder for another user");
        }
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&folder, mode).expect("a folder of one's own");
        let cluster = Self {
            folder,
            programs: programs(),
            user,
            made: AtomicU64::new(0),
            left: Mutex::default(),
        };
        cluster.make();
        cluster.keep();
        cluster.wait();
        cluster
    }

    /// A command as the server's user; that of a process that dies with ours.
    fn command(&self, dies_with_us: bool) -> Command {
        let mut command = Command::new("setpriv");
        if dies_with_us {
            command.arg("--pdeathsig=TERM");
        }
        if let Some((_, uid, gid)) = &self.user {
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
            command.arg("--clear-groups");
        }
        command.arg("--").current_dir("/").stdin(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn make(&self) {
        let mut initdb = self.command(false);
        initdb.arg(self.programs.join("initdb")).arg("-D").arg(self.data());
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]);
        let made = initdb.output().expect("setpriv (package util-linux) and initdb can be run");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {}\n{said}", made.status);
    }

    /// Starts the server in the hands of its keeper. A thread that does not end
    /// starts it: the signal of a parent's death comes when its thread ends.
    fn keep(&self) {
        let mut command = self.command(true);
        command.args(["sh", "-c", KEEPER, "keeper"]).arg(&self.folder);
        command.arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        command.arg("-k").arg(&self.folder);
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=400",
            "shared_buffers=64MB",
            "autovacuum=off",
            "jit=off",
        ] {
            command.args(["-c", setting]);
        }
        std::thread::spawn(move || command.spawn().and_then(|mut keeper| keeper.wait()));
    }

    /// Waits until the server answers.
    pub fn wait(&self) {
        let begun = Instant::now();
        while !self.psql("postgres", "SELECT 1") {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < STARTING, "PostgreSQL does not start:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn session(&self, data_base: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-t", "-A", "-U", "postgres", "-d", data_base]);
        psql.arg("-h").arg(&self.folder);
        psql
    }

    fn psql(&self, data_base: &str, sql: &str) -> bool {
        let ran = self.session(data_base).args(["-c", sql]).output();
        ran.is_ok_and(|ran| ran.status.success())
    }

    /// The folder with the server's socket, `.s.PGSQL.5432`.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// Stops the server as a crash does, until [`Cluster::up`].
    pub fn down(&self) {
        let down = self.folder.join("down");
        fs::write(&down, "").expect("a file in the server's folder");
        let mut stop = self.command(false);
        stop.arg(self.programs.join("pg_ctl")).arg("-D").arg(self.data());
        stop.args(["-m", "immediate", "-w", "stop"]).stdout(Stdio::null());
        stop.status().expect("pg_ctl can be run");
    }

    /// Starts the server again.
    pub fn up(&self) {
        let _ = fs::remove_file(self.folder.join("down"));
        self.wait();
    }

    /// An empty data base, without a schema.
    pub fn data_base(&'static self) -> DataBase {
        self.copy_of("template1")
    }

    /// A data base as another one is, which nobody uses and which holds an empty
    /// store.
    pub fn copy_of(&'static self, other: &str) -> DataBase {
        let copy_of = other.to_owned();
        let mut left = self.left();
        if let Some(index) = left.iter().position(|(_, of)| of == other && of != "template1") {
            let (name, _) = left.swap_remove(index);
            drop(left);
            assert!(self.psql(&name, EMPTY), "{EMPTY}");
            return DataBase { cluster: self, name, copy_of };
        }
        drop(left);
        let name = format!("house_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let made = format!("CREATE DATABASE {name} TEMPLATE {other}");
        let begun = Instant::now();
        // Whoever has closed the other one may not be gone yet, and would go on
        // this thread.
        let away = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{other}'"
        );
        while !(self.psql("postgres", &away) && self.psql("postgres", &made)) {
            assert!(begun.elapsed() < STARTING, "{made}");
            std::thread::sleep(Duration::from_millis(50));
        }
        DataBase { cluster: self, name, copy_of }
    }

    fn left(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DataBase {
    /// How it is reached.
    pub fn url(&self) -> SecretString {
        let folder = self.cluster.folder.display();
        SecretString::from(format!("postgres://postgres@localhost/{}?host={folder}", self.name))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Carries out a statement as an administrator.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn sql(&self, sql: &str) {
        assert!(self.cluster.psql(&self.name, sql), "{sql}");
    }

    /// What a query answers, as text: rows by lines, columns by `|`.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn ask(&self, sql: &str) -> String {
        let ran = self.cluster.session(&self.name).args(["-c", sql]).output();
        let ran = ran.expect("psql can be run");
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// The server.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }
}

impl Drop for DataBase {
    fn drop(&mut self) {
        let names = (std::mem::take(&mut self.name), std::mem::take(&mut self.copy_of));
        self.cluster.left().push(names);
    }
}
