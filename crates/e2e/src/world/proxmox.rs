//! The Proxmox provider over the simulator, through real HTTPS, with the
//! simulator's clock following the bench's.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use model::time::{BoxFuture, ManualClock};
use model::{Clock, InstallationId, Mark};
use provider::Provider;
use provider_pve::{ProxmoxProvider, Settings};
use pve_sim::{Effect, Fault, FaultId, GuestSeed, NodeSeed, Simulator, StorageSeed};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

use super::{At, Trouble, What, World};

/// As [`ProxmoxWorld`], with seeds on media.
pub struct MediaWorld;

impl MediaWorld {
    /// As [`ProxmoxWorld::make`].
    pub fn make(clock: &ManualClock) -> BoxFuture<'static, Arc<dyn World>> {
        let clock = clock.clone();
        Box::pin(async move { Arc::new(ProxmoxWorld::start(&clock, true).await) as Arc<dyn World> })
    }
}

/// The simulator and the faults that were planned in it.
pub struct ProxmoxWorld {
    /// The simulator.
    pub simulator: Simulator,
    clock: ManualClock,
    /// Whether seeds come on media.
    media: bool,
    planned: Mutex<Vec<FaultId>>,
    struck: AtomicU32,
}

impl ProxmoxWorld {
    /// Two hosts with a shared storage, a template on it, two security groups,
    /// and a guest of somebody else's, 500.
    ///
    /// # Panics
    /// When the simulator cannot start: a test cannot go on without it.
    pub fn make(clock: &ManualClock) -> BoxFuture<'static, Arc<dyn World>> {
        let clock = clock.clone();
        Box::pin(async move { Arc::new(Self::start(&clock, false).await) as Arc<dyn World> })
    }

    async fn start(clock: &ManualClock, media: bool) -> Self {
        let now = Duration::from_millis(u64::try_from(clock.now().as_millis()).unwrap_or(0));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let started = Simulator::builder()
            .clock(Arc::new(pve_sim::ManualClock::at(now)))
            .stats_interval(Duration::ZERO)
            .node(NodeSeed::new("pve1"))
            .node(NodeSeed::new("pve2"))
            .storage(StorageSeed::new("nfs", "nfs"))
            .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048))
            .guest(GuestSeed::new(500, "somebody-elses").on("pve2").disk("nfs", 2048))
            .firewall_group("web")
            .firewall_group("db")
            .start(any)
            .await;
        let simulator = match started {
            Ok(simulator) => simulator,
            Err(error) => panic!("the simulator does not start: {error}"),
        };
        Self {
            simulator,
            clock: clock.clone(),
            media,
            planned: Mutex::default(),
            struck: AtomicU32::new(0),
        }
    }

    fn client(&self) -> anyhow::Result<pve::Client> {
        let endpoint = self.simulator.url().parse()?;
        let (id, secret) = self.simulator.token().split_once('=').unwrap_or_default();
        let auth = pve::Auth::token(id, secret.to_owned());
        let mut config = pve::Config::new([endpoint], auth);
        config.tls = pve::Tls::pinned([self.simulator.fingerprint().parse()?]);
        Ok(pve::Client::new(config)?)
    }

    fn planned(&self) -> std::sync::MutexGuard<'_, Vec<FaultId>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call that carries an action out.
fn call_of(action: &str) -> Option<(&'static str, &'static str)> {
    Some(match action {
        "clone" => ("POST", "/nodes/*/qemu/*/clone"),
        "configure" | "resize" | "edit" | "mark" | "unmark" => ("PUT", "/nodes/*/qemu/*/config"),
        "eject" => ("PUT", "/nodes/*/qemu/*/config"),
        "seed" => ("POST", "/nodes/*/storage/*/upload"),
        "unseed" => ("DELETE", "/nodes/*/storage/*/content/*"),
        "snapshot" => ("POST", "/nodes/*/qemu/*/snapshot"),
        "rollback" => ("POST", "/nodes/*/qemu/*/snapshot/*/rollback"),
        "discard" => ("DELETE", "/nodes/*/qemu/*/snapshot/*"),
        "migrate" => ("POST", "/nodes/*/qemu/*/migrate"),
        "grow" => ("PUT", "/nodes/*/qemu/*/resize"),
        "firewall" => ("POST", "/nodes/*/qemu/*/firewall/rules"),
        "start" => ("POST", "/nodes/*/qemu/*/status/start"),
        "stop" => ("POST", "/nodes/*/qemu/*/status/stop"),
        "shutdown" => ("POST", "/nodes/*/qemu/*/status/shutdown"),
        "reboot" => ("POST", "/nodes/*/qemu/*/status/reboot"),
        "destroy" => ("DELETE", "/nodes/*/qemu/*"),
        _ => return None,
    })
}

/// Whether the call answers with a task.
fn has_task(action: &str) -> bool {
    !matches!(action, "configure" | "firewall" | "resize" | "edit" | "eject" | "mark" | "unmark")
}

fn effect(action: &str, what: What) -> Option<Effect> {
    let text = |text: &str| text.to_owned();
    Some(match what {
        What::Refuse => {
            Effect::Refuse { status: 400, text: text("Parameter verification failed.") }
        }
        What::Partial if has_task(action) => Effect::TaskFailsPartly(text("out of space")),
        What::TaskFails if has_task(action) => Effect::TaskFails(text("out of space")),
        What::TaskLost if has_task(action) => Effect::TaskVanishes { done: true },
        What::Partial | What::TaskFails | What::TaskLost => return None,
        What::LostReply => Effect::LoseReply,
        What::Late(after) => Effect::Later { after, answers_596: true },
        What::NotSent | What::Unavailable => Effect::Gateway { status: 595, done: false },
        What::Busy => Effect::LockTimeout,
        What::Foreign if action == "clone" => {
            Effect::ForeignGuest { name: text("foreign"), description: None }
        }
        What::Foreign => return None,
    })
}

#[async_trait]
impl World for ProxmoxWorld {
    fn name(&self) -> &'static str {
        "proxmox"
    }

    fn provider(&self, _process: &str, installation: InstallationId) -> Arc<dyn Provider> {
        #[allow(clippy::expect_used, reason = "a constant that is a valid name")]
        let mut settings = Settings::new("lab".parse().expect("lab is a name"));
        settings.seed_storage = self.media.then(|| "nfs".to_owned());
        match self.client() {
            Ok(client) => {
                let clock = Arc::new(self.clock.clone());
                match ProxmoxProvider::new(settings, client, clock, installation) {
                    Ok(provider) => Arc::new(provider),
                    Err(error) => panic!("settings by default: {error}"),
                }
            }
            Err(error) => panic!("no client for the simulator: {error}"),
        }
    }

    fn dump(&self) -> Value {
        let mut world = self.simulator.dump();
        strip(&mut world);
        world
    }

    fn next_event(&self) -> Option<Duration> {
        self.simulator.next_due().map(|due| due.saturating_sub(self.simulator.now()))
    }

    async fn advanced(&self, by: Duration) {
        self.simulator.advance(by).await;
    }

    fn trouble(&self, trouble: &Trouble) -> bool {
        let call = match trouble.at {
            At::Apply => call_of(&trouble.action),
            At::Undo if trouble.action == "clone" => call_of("destroy"),
            At::Undo if trouble.action == "snapshot" => call_of("discard"),
            At::Undo if trouble.action == "seed" => call_of("unseed"),
            At::Undo if trouble.action == "mark" => call_of("unmark"),
            At::Probe => Some(("GET", "/nodes/*/qemu/*/config")),
            At::Undo => None,
        };
        let Some((method, path)) = call else { return false };
        let action = match trouble.at {
            At::Undo if trouble.action != "mark" => "destroy",
            _ => trouble.action.as_str(),
        };
        let Some(effect) = effect(action, trouble.what) else { return false };
        let fault = Fault::on(method, path).times(trouble.times.unwrap_or(u32::MAX)).then(effect);
        let id = self.simulator.fault(fault);
        self.planned().push(id);
        true
    }

    fn struck(&self) -> u32 {
        let now: u32 = self.planned().iter().map(|id| self.simulator.fault_hits(*id)).sum();
        self.struck.load(Ordering::SeqCst) + now
    }

    fn calm(&self) {
        self.struck.store(self.struck(), Ordering::SeqCst);
        self.planned().clear();
        self.simulator.clear_faults();
    }

    fn restore(&self, id: u32, mark: &Mark) {
        self.simulator.foreign_guest("pve1", id, "restored", Some(&mark.to_string()));
        self.simulator.set_option(id, "tags", Some("innkeeper"));
    }

    fn plant(&self, id: u32) {
        self.simulator.foreign_guest("pve1", id, "planted", None);
    }

    async fn remove(&self, id: u32) {
        if let Err(error) = self.destroy(id).await {
            panic!("{id} cannot be removed: {error}");
        }
    }

    fn put_back(&self, id: u32, mark: &Mark, uuid: &str) {
        self.restore(id, mark);
        self.simulator.set_option(id, "smbios1", Some(&format!("uuid={uuid}")));
    }

    async fn obey(&self, left: &[String]) {
        for command in left {
            let words: Vec<&str> = command.split(' ').collect();
            let done = match words[..] {
                ["qm", "unlock", vmid] => match vmid.parse() {
                    Ok(vmid) => Ok(self.simulator.set_option(vmid, "lock", None)),
                    Err(error) => Err(anyhow::Error::from(error)),
                },
                ["qm", "destroy", vmid, "--purge", "--destroy-unreferenced-disks", "1"] => {
                    match vmid.parse() {
                        Ok(vmid) => self.destroy(vmid).await.map(|()| true),
                        Err(error) => Err(error.into()),
                    }
                }
                ["qm", ..] => Err(anyhow::anyhow!("an unknown command")),
                _ => Ok(true),
            };
            if !matches!(done, Ok(true)) {
                panic!("{command:?} cannot be obeyed: {done:?}");
            }
        }
    }
}

impl ProxmoxWorld {
    /// `qm destroy V --purge --destroy-unreferenced-disks 1`, as root would.
    async fn destroy(&self, vmid: u32) -> anyhow::Result<()> {
        let client = self.client()?;
        let vmid = pve::VmId::try_from(vmid)?;
        let guests = client.cluster().resources(None).await?;
        let guest = guests.iter().find(|guest| guest.vmid == Some(vmid));
        let node = guest.and_then(|guest| guest.node.clone()).context("the guest is not there")?;
        let request = pve::qemu::DeleteRequest {
            purge: true,
            destroy_unreferenced_disks: Some(true),
            ..Default::default()
        };
        client.node(&node).qemu(vmid).delete(request).await?;
        self.clock.advance(Duration::from_secs(5));
        self.simulator.advance(Duration::from_secs(5)).await;
        Ok(())
    }
}

/// Takes out what chance and time give: MAC addresses, UUIDs other than that of
/// the instance's own row, digests, process ids, times, boots.
fn strip(value: &mut Value) {
    const CHANCE: [&str; 9] =
        ["vmgenid", "digest", "pid", "uptime", "meta", "creation", "starttime", "started", "upid"];
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !CHANCE.contains(&key.as_str()));
            for (key, inner) in map.iter_mut() {
                if key.starts_with("net") && inner.is_string() {
                    let text = inner.as_str().unwrap_or_default();
                    *inner = without_mac(text).into();
                }
                strip(inner);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// `virtio=BC:24:11:…,bridge=vmbr0` without the address.
fn without_mac(net: &str) -> String {
    let parts = net.split(',').map(|part| match part.split_once('=') {
        Some((key, value)) if value.len() == 17 && value.matches(':').count() == 5 => {
            format!("{key}=MAC")
        }
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}
