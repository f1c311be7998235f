//! A simulated cluster, the provider on it, and plans carried out by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::random::SeededRandom;
use model::time::SystemClock;
use model::{
    AttemptId, ByteCount, CreateIntent, HostId, Image, ImageId, InstallationId, InstanceId, Intent,
    Mark, SeedAccess, Timestamp,
};
use provider::{
    Action, ActionContext, Applied, Error, Facts, Handle, HandleState, Plan, Probe, Provider,
    ReservedId, Undone,
};
use provider_pve::{ProxmoxProvider, Settings};
use pve_sim::{Builder, GuestSeed, ManualClock, NodeSeed, Seed, Simulator, StorageSeed, Version};
use serde_json::{Value, json};

/// The house's clock that shows the simulator's time.
struct SimulatedClock(Simulator);

impl model::Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0.now().as_millis()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.0.now()
    }
}

/// The template of every lab.
pub const TEMPLATE: u32 = 9000;

/// The fault path of the template's clone call.
pub const CLONE: &str = "nodes/*/qemu/*/clone";

pub struct Lab {
    pub sim: Simulator,
    pub provider: ProxmoxProvider,
    pub installation: InstallationId,
    next: AtomicU64,
}

/// Three nodes of a cluster; the template's disk is shared.
pub fn cluster() -> Builder {
    Simulator::builder()
        .seed(Seed { cluster: Some("lab".into()), ..Seed::default() })
        .clock(Arc::new(ManualClock::new()))
        .stats_interval(Duration::ZERO)
        .node(NodeSeed::new("pve1"))
        .node(NodeSeed::new("pve2"))
        .node(NodeSeed::new("pve3"))
        .storage(StorageSeed::new("local", "dir"))
        .storage(StorageSeed::new("ceph", "rbd").shared())
        .firewall_group("web")
        .firewall_group("ssh")
        .template(GuestSeed::new(TEMPLATE, "debian-12").on("pve1").disk("ceph", 2048))
}

impl Lab {
    pub async fn new() -> Self {
        Self::of(cluster(), |_| {}).await
    }

    pub async fn of(builder: Builder, change: impl FnOnce(&mut Settings)) -> Self {
        let sim = builder.start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let seed = SeededRandom::new(7);
        let installation = InstallationId::generate(&SystemClock::new(), &seed);
        let mut settings = settings();
        change(&mut settings);
        let token = sim.token().to_owned();
        let provider = provider(&sim, settings, &token, installation);
        Self { sim, provider, installation, next: AtomicU64::new(1) }
    }

    /// Another process of the same house: it remembers nothing of this one.
    pub fn another_process(&self) -> ProxmoxProvider {
        provider(&self.sim, settings(), self.sim.token(), self.installation)
    }

    pub async fn advance(&self, seconds: u64) {
        self.sim.advance(Duration::from_secs(seconds)).await;
    }

    pub fn mark(&self) -> Mark {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (clock, random) = (SystemClock::new(), SeededRandom::new(1_000 + number));
        Mark {
            installation: self.installation,
            instance: InstanceId::generate(&clock, &random),
            attempt: AttemptId::generate(&clock, &random),
        }
    }

    /// The facts that the house would plan with: those of an observation.
    pub async fn facts(&self, host: &HostId) -> Facts {
        let batch = self.provider.observe().await.unwrap();
        let view = batch.images.iter().find(|image| image.name == "debian-12").unwrap();
        let image = Image {
            id: ImageId::generate(&SystemClock::new(), &SeededRandom::new(3)),
            name: view.name.clone(),
            provider: "lab".parse().unwrap(),
            size: view.size,
            presence: view.presence.clone(),
            native: view.native.clone(),
            seen_at: Timestamp::default(),
        };
        let host = batch.hosts.into_iter().find(|view| view.id == *host);
        Facts { image: Some(image), host, ..Facts::default() }
    }

    /// A guest that is planned on `pve1` and not begun.
    pub async fn planned(&self) -> Made {
        self.planned_as(intent()).await
    }

    pub async fn planned_as(&self, intent: CreateIntent) -> Made {
        let facts = self.facts(&intent.host).await;
        let vmid = 100_000 + self.next.fetch_add(1, Ordering::Relaxed);
        let ids = [ReservedId { pool: "proxmox/lab/vmid".into(), value: vmid }];
        let wish = Intent::Create(Box::new(intent));
        let plan = self.provider.plan(&wish, &facts, &ids).unwrap();
        let native = plan.reference.clone();
        Made { mark: self.mark(), vmid: u32::try_from(vmid).unwrap(), plan, native }
    }

    /// A guest that is made.
    pub async fn made(&self) -> Made {
        self.made_as(intent()).await
    }

    pub async fn made_as(&self, intent: CreateIntent) -> Made {
        let mut made = self.planned_as(intent).await;
        for action in made.plan.actions.clone() {
            self.carry_out(&mut made, &action).await;
        }
        made
    }

    /// Carries out an action to its end and remembers its output.
    pub async fn carry_out(&self, made: &mut Made, action: &Action) {
        for _ in 0..600 {
            match self.provider.apply(action, &made.context()).await {
                Ok(Applied::Done(output)) => return made.merge(&output),
                Ok(Applied::Started(handle)) => {
                    let end = self.follow(&handle).await;
                    assert_eq!(end, HandleState::Ok, "{}", action.name);
                    if let Probe::Done(output) = self.probe(action, &made.context()).await {
                        return made.merge(&output);
                    }
                }
                Err(Error::Busy(_)) => {}
                Err(error) => panic!("{}: {error}", action.name),
            }
            self.advance(1).await;
        }
        panic!("{} does not end", action.name);
    }

    /// Plans an intent about a guest and carries it out.
    pub async fn fulfil(&self, made: &mut Made, intent: &Intent) {
        for action in self.plan(made, intent).actions {
            self.carry_out(made, &action).await;
        }
    }

    pub fn plan(&self, made: &Made, intent: &Intent) -> Plan {
        let facts = Facts { native: made.native.clone(), ..Facts::default() };
        self.provider.plan(intent, &facts, &[]).unwrap()
    }

    pub async fn follow(&self, handle: &Handle) -> HandleState {
        for _ in 0..600 {
            let states = self.provider.poll(&handle.host, std::slice::from_ref(handle)).await;
            match states.unwrap().pop().unwrap() {
                HandleState::Running { .. } => self.advance(1).await,
                end => return end,
            }
        }
        panic!("{} does not end", handle.reference);
    }

    pub async fn probe(&self, action: &Action, context: &ActionContext) -> Probe {
        self.provider.probe(action, context).await.unwrap()
    }

    /// Takes an action back, as often as it takes.
    pub async fn undo(&self, action: &Action, context: &ActionContext) -> Undone {
        for _ in 0..600 {
            match self.provider.undo(action, context).await.unwrap() {
                Undone::Started(handle) => drop(self.follow(&handle).await),
                Undone::InProgress => self.advance(1).await,
                end => return end,
            }
        }
        panic!("undoing {} does not end", action.name);
    }

    /// An option of a guest's configuration.
    pub fn option(&self, vmid: u32, key: &str) -> Option<String> {
        let dump = self.sim.dump();
        let value = &dump["guests"][format!("{vmid:09}")]["config"][key];
        value.as_str().map(str::to_owned)
    }

    pub fn exists(&self, vmid: u32) -> bool {
        !self.sim.dump()["guests"][format!("{vmid:09}")].is_null()
    }

    /// What could leak: everything but the clock.
    pub fn world(&self) -> Value {
        let mut dump = self.sim.dump();
        dump["tasks"] = json!([]);
        dump
    }

    /// The requests since the first `skip` that were sent with one of these
    /// methods, as `METHOD path`.
    pub fn sent(&self, skip: usize, methods: &[&str]) -> Vec<String> {
        let requests = self.sim.requests();
        let new = requests.iter().skip(skip);
        new.filter(|request| methods.contains(&request.method.as_str()))
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.sim.now().as_millis()).unwrap())
    }
}

/// A guest of a test.
pub struct Made {
    pub mark: Mark,
    pub vmid: u32,
    pub plan: Plan,
    pub native: Value,
}

impl Made {
    pub fn context(&self) -> ActionContext {
        ActionContext {
            mark: self.mark,
            native: self.native.clone(),
            seed_url: Some("http://192.0.2.1/seed/0123456789/".into()),
            seed_medium: None,
            in_doubt_since: None,
        }
    }

    pub fn in_doubt(&self, since: Timestamp) -> ActionContext {
        ActionContext { in_doubt_since: Some(since), ..self.context() }
    }

    pub fn action(&self, name: &str) -> &Action {
        self.plan.actions.iter().find(|action| action.name == name).unwrap()
    }

    pub fn merge(&mut self, output: &Value) {
        let (Some(have), Some(new)) = (self.native.as_object_mut(), output.as_object()) else {
            return;
        };
        have.extend(new.clone());
    }
}

pub fn settings() -> Settings {
    Settings::new("lab".parse().unwrap())
}

/// Everything that a create plan can have.
pub fn intent() -> CreateIntent {
    CreateIntent {
        about: model::EditIntent::default(),
        name: "web-1".into(),
        image: ImageId::generate(&SystemClock::new(), &SeededRandom::new(3)),
        host: "pve1".parse().unwrap(),
        cores: 2,
        memory: ByteCount::gib(1),
        root_disk: Some(ByteCount::gib(5)),
        nics: vec![],
        devices: Vec::new(),
        security_groups: vec!["web".into(), "ssh".into()],
        seed: SeedAccess::Http,
        power_on: true,
    }
}

/// A client that pins the simulator's certificate. `token` is `id=secret`.
pub fn client(sim: &Simulator, token: &str) -> pve::Client {
    let (id, secret) = token.split_once('=').unwrap();
    let auth = pve::Auth::token(id, secret);
    let mut config = pve::Config::new([sim.url().parse().unwrap()], auth);
    config.tls = pve::Tls::pinned([sim.fingerprint().parse().unwrap()]);
    pve::Client::new(config).unwrap()
}

pub fn provider(
    sim: &Simulator,
    settings: Settings,
    token: &str,
    installation: InstallationId,
) -> ProxmoxProvider {
    let clock = Arc::new(SimulatedClock(sim.clone()));
    ProxmoxProvider::new(settings, client(sim, token), clock, installation).unwrap()
}

/// Both releases that are supported.
pub const RELEASES: [Version; 2] = [Version::V8_4, Version::V9_2];
