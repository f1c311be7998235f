//! The handle that tests and programs hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::clock::{Clock, WallClock};
use crate::engine::Engine;
use crate::faults::{Change, Fault, Plan};
use crate::http;
use crate::machine::{Backend, Records, Script};
use crate::requests::RequestRecord;
use crate::schema::Version;
use crate::schema::returns::Mismatch;
use crate::seed::{
    self, AclSeed, GuestSeed, NodeSeed, Seed, SeedError, StorageSeed, TokenSeed, UserSeed,
    VolumeSeed,
};
use crate::tasks::TaskDurations;
use crate::world::World;
use crate::world::saved::StateError;

/// Why a simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The description of the cluster cannot be used.
    #[error("the description of the cluster cannot be used")]
    Seed(#[from] SeedError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The certificate cannot be made.
    #[error("{0}")]
    Tls(String),
    /// The saved state cannot be used.
    #[error("the saved state cannot be used")]
    State(#[from] StateError),
}

/// The token that every simulator has.
const TOKEN: &str = "root@pam!simulator";

/// Ids and sizes in bytes.
type Volumes = Vec<(String, u64)>;

/// Describes a simulator before it starts.
pub struct Builder {
    seed: Seed,
    clock: Arc<dyn Clock>,
    backend: Option<Arc<dyn Backend>>,
    script: Script,
    durations: TaskDurations,
    auth_delay: Option<Duration>,
    stats_interval: Duration,
    random: u64,
    state: Option<String>,
    check_answers: bool,
}

impl Builder {
    /// Starts from a whole description; later calls add to it.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// The release that is played; 8.4 unless told otherwise.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.seed.version = version;
        self
    }

    /// Adds a host.
    #[must_use]
    pub fn node(mut self, node: NodeSeed) -> Self {
        self.seed.nodes.push(node);
        self
    }

    /// Adds a storage.
    #[must_use]
    pub fn storage(mut self, storage: StorageSeed) -> Self {
        self.seed.storages.push(storage);
        self
    }

    /// Adds a template.
    #[must_use]
    pub fn template(mut self, template: GuestSeed) -> Self {
        self.seed.templates.push(template);
        self
    }

    /// Adds a guest.
    #[must_use]
    pub fn guest(mut self, guest: GuestSeed) -> Self {
        self.seed.guests.push(guest);
        self
    }

    /// Adds a volume that is no guest's disk.
    #[must_use]
    pub fn volume(mut self, id: &str, size_mib: u64) -> Self {
        self.seed.volumes.push(VolumeSeed { id: id.into(), node: String::new(), size_mib });
        self
    }

    /// Adds a user.
    #[must_use]
    pub fn user(mut self, id: &str, password: &str) -> Self {
        let password = Some(password.into());
        self.seed.users.push(UserSeed { password, ..UserSeed::new(id) });
        self
    }

    /// Adds an API token (`user@realm!name`).
    #[must_use]
    pub fn token(mut self, id: &str, secret: &str, privilege_separation: bool) -> Self {
        self.seed.tokens.push(TokenSeed {
            id: id.into(),
            secret: secret.into(),
            privilege_separation,
        });
        self
    }

    /// Gives a user or token a role on a path and below.
    #[must_use]
    pub fn acl(mut self, path: &str, subject: &str, role: &str) -> Self {
        self.seed.acl.push(AclSeed {
            path: path.into(),
            subject: subject.into(),
            role: role.into(),
            propagate: true,
        });
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn role(mut self, name: &str, privileges: &[&str]) -> Self {
        self.seed
            .roles
            .insert(name.into(), privileges.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Adds a pool.
    #[must_use]
    pub fn pool(mut self, name: &str) -> Self {
        self.seed.pools.push(name.into());
        self
    }

    /// Adds a firewall security group.
    #[must_use]
    pub fn firewall_group(mut self, name: &str) -> Self {
        self.seed.firewall_groups.push(name.into());
        self
    }

    /// Sets `root@pam`'s password.
    #[must_use]
    pub fn root_password(mut self, password: &str) -> Self {
        self.seed.root_password = Some(password.into());
        self
    }

    /// The clock; real time unless told otherwise.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What carries the guests; records unless told otherwise.
    #[must_use]
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// How recorded guests behave (ignored with another backend).
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// How long tasks take.
    #[must_use]
    pub fn durations(mut self, durations: TaskDurations) -> Self {
        self.durations = durations;
        self
    }

    /// How long a 401 is held back: 3 s as on Proxmox (fact 4), with a manual
    /// clock zero, unless told otherwise.
    #[must_use]
    pub fn auth_delay(mut self, delay: Duration) -> Self {
        self.auth_delay = Some(delay);
        self
    }

    /// How often `/cluster/resources` is brought up to date; 10 s as on Proxmox
    /// (facts 65 and 72). Zero shows every change at once.
    #[must_use]
    pub fn stats_interval(mut self, interval: Duration) -> Self {
        self.stats_interval = interval;
        self
    }

    /// Decides generated MACs and UUIDs, and the chances of faults.
    #[must_use]
    pub fn random_seed(mut self, seed: u64) -> Self {
        self.random = seed;
        self
    }

    /// Goes on with a state that [`Simulator::save`] gave, instead of the
    /// description: that is not looked at.
    #[must_use]
    pub fn load(mut self, state: &str) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Compares every successful answer with what the schema says of it;
    /// [`Simulator::mismatches`] has what was found. For tests.
    #[must_use]
    pub fn check_answers(mut self) -> Self {
        self.check_answers = true;
        self
    }

    /// A world out of the description, and the volumes that the backend must make.
    fn planted(&mut self) -> Result<(World, Volumes), StartError> {
        let mut world = World::new(self.seed.version, self.clock.now(), self.random);
        self.seed.tokens.push(TokenSeed {
            id: TOKEN.into(),
            secret: world.uuid(),
            privilege_separation: false,
        });
        for part in 0..2 {
            let bytes = world.random().to_be_bytes();
            world.access.key[part * 8..][..8].copy_from_slice(&bytes);
        }
        let volumes = self.seed.plant(&mut world)?;
        Ok((world, volumes))
    }

    /// Starts listening. Port 0 takes a free one.
    pub async fn start(mut self, address: SocketAddr) -> Result<Simulator, StartError> {
        let (mut world, volumes) = match self.state.take() {
            Some(state) => {
                let world = World::load(&state, self.clock.now())?;
                let volumes = world.kept_volumes();
                (world, volumes)
            }
            None => self.planted()?,
        };
        world.stats_interval = self.stats_interval;
        let identity = http::tls::identity().map_err(StartError::Tls)?;
        world.fingerprint.clone_from(&identity.fingerprint);
        world.certificate.clone_from(&identity.pem);
        let secret = world.secret_of(TOKEN).unwrap_or_default().to_owned();
        let records = Arc::new(Records::new(self.clock.clone(), self.script));
        let backend: Arc<dyn Backend> = self.backend.unwrap_or_else(|| records.clone());
        seed::prepare(backend.as_ref(), &mut world, &volumes).await?;
        let manual = self.clock.set(Duration::ZERO);
        let auth_delay =
            self.auth_delay.unwrap_or(if manual { Duration::ZERO } else { Duration::from_secs(3) });
        let plan = Plan::seeded(self.random);
        let mut engine = Engine::new(world, plan, self.clock, backend, self.durations, auth_delay);
        engine.mismatches = self.check_answers.then(Default::default);
        let engine = Arc::new(engine);
        let listener =
            TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(address, error))?;
        let acceptor = TlsAcceptor::from(identity.config);
        let mut background = vec![tokio::spawn(http::serve(listener, acceptor, engine.clone()))];
        if !manual {
            background.push(tokio::spawn(engine.clone().drive()));
        }
        let shared = Shared {
            engine,
            records,
            address,
            fingerprint: identity.fingerprint,
            pem: identity.pem,
            token: format!("{TOKEN}={secret}"),
            background,
        };
        Ok(Simulator(Arc::new(shared)))
    }
}

struct Shared {
    engine: Arc<Engine>,
    records: Arc<Records>,
    address: SocketAddr,
    fingerprint: String,
    pem: String,
    token: String,
    background: Vec<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
    }
}

/// A running simulator. Clones share it; it stops when the last one is dropped.
#[derive(Clone)]
pub struct Simulator(Arc<Shared>);

/// Names a planned fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

impl Simulator {
    /// Describes a new simulator.
    pub fn builder() -> Builder {
        Builder {
            seed: Seed::default(),
            clock: Arc::new(WallClock::new()),
            backend: None,
            script: Script::default(),
            durations: TaskDurations::default(),
            auth_delay: None,
            stats_interval: Duration::from_secs(10),
            random: 1,
            state: None,
            check_answers: false,
        }
    }

    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("https://{}", self.0.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// SHA-256 of its certificate: `AB:CD:…`, as Proxmox shows it.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// Its certificate in PEM form.
    pub fn certificate_pem(&self) -> &str {
        &self.0.pem
    }

    /// A token that may do everything a token may: `root@pam!simulator=SECRET`,
    /// for `Authorization: PVEAPIToken=…`.
    pub fn token(&self) -> &str {
        &self.0.token
    }

    /// The virtual time since the Unix epoch.
    pub fn now(&self) -> Duration {
        self.0.engine.clock.now()
    }

    /// When the next thing happens by itself: a task ends, a delay is over.
    pub fn next_due(&self) -> Option<Duration> {
        self.0.engine.next_due()
    }

    /// Moves a manual clock and carries out all that is due on the way, in
    /// order, each at its own time. With real time it waits instead.
    pub async fn advance(&self, by: Duration) {
        let engine = &self.0.engine;
        if !engine.manual {
            tokio::time::sleep(by).await;
            return;
        }
        let until = engine.clock.now() + by;
        while let Some((due, event)) = engine.take_due(until) {
            engine.clock.set(due);
            engine.run(event).await;
        }
        engine.clock.set(until);
    }

    /// Moves a manual clock to the next thing that happens and carries it out;
    /// `false` when nothing is due.
    pub async fn step(&self) -> bool {
        match self.next_due() {
            Some(due) => {
                self.advance(due.saturating_sub(self.now())).await;
                true
            }
            None => false,
        }
    }

    /// Steps until nothing is due any more.
    pub async fn settle(&self) {
        while self.step().await {}
    }

    /// The whole world, sorted: guests, volumes, firewall, pools, running tasks,
    /// and what lives in the backend.
    pub fn dump(&self) -> Value {
        let mut world = self.0.engine.world().dump();
        world["backend"] = self.0.engine.backend.dump();
        world["backend"]["name"] = self.0.engine.backend.name().into();
        world
    }

    /// The whole state as text, for [`Builder::load`]. Running tasks are saved
    /// as killed, with the locks that they hold: as when a node loses power.
    /// The content of volumes is the backend's: with [`Records`] there is none.
    pub fn save(&self) -> Result<String, StateError> {
        self.0.engine.world().save()
    }

    /// The requests so far, oldest first (the newest 10,000).
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.0.engine.log().all()
    }

    /// What the answers so far contradict in the schema, each place once. Empty
    /// unless [`Builder::check_answers`] was called.
    pub fn mismatches(&self) -> Vec<Mismatch> {
        self.0.engine.mismatches()
    }

    /// Plans a fault.
    pub fn fault(&self, fault: Fault) -> FaultId {
        FaultId(self.0.engine.plan().add(fault))
    }

    /// How often a fault has fired.
    pub fn fault_hits(&self, id: FaultId) -> u32 {
        self.0.engine.plan().hits(id.0)
    }

    /// Takes a fault back.
    pub fn remove_fault(&self, id: FaultId) {
        self.0.engine.plan().remove(id.0);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.0.engine.plan().clear();
    }

    /// Changes the cluster: a node goes, a storage fills up, quorum is lost.
    pub fn change(&self, change: &Change) {
        self.0.engine.world().change(change);
    }

    /// Puts somebody else's stopped guest at a free id.
    pub fn foreign_guest(&self, node: &str, vmid: u32, name: &str, description: Option<&str>) {
        self.0.engine.world().foreign_guest(node, vmid, name, description);
    }

    /// Sets or removes an option of a guest behind everybody's back (`lock`,
    /// `description`, …). Answers whether the guest is there.
    pub fn set_option(&self, vmid: u32, key: &str, value: Option<&str>) -> bool {
        let mut world = self.0.engine.world();
        let Some(guest) = world.guests.get_mut(&vmid) else { return false };
        match value {
            Some(value) => guest.config.insert(key.into(), value.into()),
            None => guest.config.remove(key),
        };
        true
    }

    /// Makes one recorded guest behave differently (ignored with another backend).
    pub fn script_guest(&self, vmid: u32, script: Script) {
        self.0.records.script(vmid, script);
    }

    /// Ends a guest's process as if it had crashed.
    pub async fn crash_guest(&self, vmid: u32) {
        let _ = self.0.engine.backend.kill(vmid).await;
    }
}
