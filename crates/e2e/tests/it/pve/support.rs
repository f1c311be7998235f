//! A cluster, a client for it, and time that passes when the client sleeps.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pve::{Auth, Client, Config, Tls, VmId};
use pve_sim::{GuestSeed, ManualClock, NodeSeed, Simulator, StorageSeed, Version};
use serde_json::Value;

/// The releases that every test runs on.
pub const RELEASES: [Version; 3] = Version::ALL;

/// A template of a container.
pub const TEMPLATE: &str = "local:vztmpl/debian-12-tiny_12.0_amd64.tar.zst";

/// When the simulated cluster's time begins.
const START: Duration = Duration::from_secs(1_790_000_000);

/// A simulated cluster and a client of it.
pub struct Lab {
    pub simulator: Simulator,
    pub client: Client,
}

/// The simulator's clock as the client's: a sleep carries out what is due.
#[derive(Clone)]
struct SimulatedTime(Simulator);

impl std::fmt::Debug for SimulatedTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedTime")
    }
}

impl pve::Clock for SimulatedTime {
    fn now(&self) -> Duration {
        self.0.now()
    }
}

impl pve::Sleep for SimulatedTime {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.advance(duration))
    }
}

impl Lab {
    /// Two nodes with a shared and two local storages, a template, a stopped
    /// virtual machine, an ISO image, and a template of a container.
    pub async fn start(version: Version) -> Self {
        let simulator = Simulator::builder()
            .version(version)
            .clock(Arc::new(ManualClock::at(START)))
            .stats_interval(Duration::ZERO)
            .root_password("secret-of-root")
            .node(NodeSeed::new("pve1"))
            .node(NodeSeed::new("pve2"))
            .storage(StorageSeed::new("local", "dir"))
            .storage(StorageSeed::new("nfs", "nfs"))
            .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048))
            .guest(GuestSeed::new(500, "old").on("pve1").disk("nfs", 2048))
            .storage(StorageSeed::new("tank", "zfspool"))
            .volume("local:iso/debian.iso", 400)
            .volume(TEMPLATE, 2)
            .start("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let (id, secret) = simulator.token().split_once('=').unwrap();
        let client = connect(&simulator, Auth::token(id, secret.to_owned()));
        Self { simulator, client }
    }

    /// A guest as the simulator's world has it; null when it is not there.
    pub fn guest(&self, vmid: u32) -> Value {
        self.simulator.dump()["guests"][format!("{vmid:09}")].clone()
    }

    /// The ids of all volumes, with their place: `shared/nfs:…`, `pve1/local:…`.
    pub fn volumes(&self) -> Vec<String> {
        let dump = self.simulator.dump();
        dump["volumes"].as_object().unwrap().keys().cloned().collect()
    }

    /// What was asked for, as `METHOD /path`, without log-ins and task polls.
    pub fn calls(&self) -> Vec<String> {
        let requests = self.simulator.requests();
        let line = requests.iter().map(|request| format!("{} {}", request.method, request.path));
        line.filter(|line| !line.contains("/tasks/UPID")).collect()
    }
}

/// A client of the simulator whose time is the simulator's.
pub fn connect(simulator: &Simulator, auth: Auth) -> Client {
    let mut config = Config::new([simulator.url().parse().unwrap()], auth);
    config.tls = Tls::pinned([simulator.fingerprint().parse().unwrap()]);
    let time = Arc::new(SimulatedTime(simulator.clone()));
    config.clock = time.clone();
    config.sleep = time;
    Client::new(config).unwrap()
}

/// A guest's id.
pub fn id(vmid: u32) -> VmId {
    VmId::try_from(vmid).unwrap()
}

/// The parameters as text, whatever their type in the log.
fn texts(parameters: &Value) -> Value {
    let members = parameters.as_object().unwrap().iter().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.clone(), Value::String(text))
    });
    Value::Object(members.collect())
}

impl Lab {
    /// Asserts that this was sent since the last call of this function.
    #[track_caller]
    pub fn sent(&self, seen: &mut usize, line: &str, parameters: Value) {
        let requests = self.simulator.requests();
        let new = &requests[*seen..];
        let lines = new.iter().map(|one| {
            (format!("{} {}", one.method, one.path.trim_start_matches('/')), texts(&one.parameters))
        });
        let lines: Vec<_> = lines.collect();
        let wanted = (line.to_owned(), parameters);
        assert!(lines.contains(&wanted), "{wanted:#?} is not in {lines:#?}");
        *seen = requests.len();
    }
}
