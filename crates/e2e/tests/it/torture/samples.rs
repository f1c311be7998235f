//! One sample for each branch of each workflow: what is there before, and what
//! is asked for.

use std::time::Duration;

use e2e::bench::Bench;
use e2e::world::{At, Trouble, What};
use engine::{Entry, Outcome};
use model::{ByteCount, DiskSpec, InstanceId, Mark, OperationId, Phase};
use provisioner::{
    Accepted, AdoptInstance, CreateInstance, EditInstance, NewSnapshot, PowerChange, ResizeInstance,
};

/// A sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Nothing but a clone.
    CreateBare,
    /// Every action that creating has.
    CreateFull,
    Start,
    Stop,
    Shutdown,
    Reboot,
    DeleteRunning,
    DeleteStopped,
    /// Nothing of it is there.
    DeleteFailed,
    /// A running guest, and its disk.
    Resize,
    Edit,
    /// Of a running guest, with its memory.
    Snapshot,
    Rollback,
    Discard,
    /// Of a running guest, to the other host.
    Migrate,
    /// A guest with our mark whose instance is gone.
    Collect,
    /// Somebody else's guest, to be ours.
    AdoptOwned,
    /// Somebody else's guest, to be watched.
    AdoptObserved,
    /// A running guest that we made, to be nobody's.
    Release,
    /// A guest that is only watched.
    DeleteObserved,
    /// A guest that was somebody else's.
    DeleteAdopted,
    /// The medium of a guest that has read its seed; only where there are media.
    DropSeed,
}

pub const ALL: [Sample; 21] = [
    Sample::CreateBare,
    Sample::CreateFull,
    Sample::Start,
    Sample::Stop,
    Sample::Shutdown,
    Sample::Reboot,
    Sample::DeleteRunning,
    Sample::DeleteStopped,
    Sample::DeleteFailed,
    Sample::Resize,
    Sample::Edit,
    Sample::Snapshot,
    Sample::Rollback,
    Sample::Discard,
    Sample::Migrate,
    Sample::Collect,
    Sample::AdoptOwned,
    Sample::AdoptObserved,
    Sample::Release,
    Sample::DeleteObserved,
    Sample::DeleteAdopted,
];

impl Sample {
    pub fn creates(self) -> bool {
        matches!(self, Self::CreateBare | Self::CreateFull) || self.adopts()
    }

    fn adopts(self) -> bool {
        matches!(self, Self::AdoptOwned | Self::AdoptObserved)
    }

    /// The row is gone at the end.
    pub fn deletes(self) -> bool {
        matches!(
            self,
            Self::DeleteRunning
                | Self::DeleteStopped
                | Self::DeleteFailed
                | Self::Release
                | Self::DeleteObserved
                | Self::DeleteAdopted
        )
    }

    /// Is about a guest that belongs to no instance.
    pub fn has_no_row(self) -> bool {
        self == Self::Collect
    }

    /// Changes a guest that stays: unwound, it is as it was.
    pub fn changes(self) -> bool {
        let power = matches!(self, Self::Start | Self::Stop | Self::Shutdown | Self::Reboot);
        !power && !self.creates() && !self.deletes() && !self.has_no_row()
    }

    fn starts_running(self) -> bool {
        let off = matches!(self, Self::Start | Self::DeleteStopped | Self::Edit | Self::Discard);
        !off
    }

    fn has_snapshot(self) -> bool {
        matches!(self, Self::Rollback | Self::Discard)
    }
}

/// A sample that is ready to be asked for.
pub struct Ready {
    pub sample: Sample,
    /// The instance that it is about; none before a creation.
    pub instance: Option<InstanceId>,
}

/// A request for an instance from the first image that is on every host.
pub fn request(bench: &Bench, name: &str, full: bool) -> CreateInstance {
    let images = bench.house().images(&bench.admin());
    let image = images.iter().max_by_key(|image| image.presence.hosts.len()).expect("an image");
    let disk = DiskSpec { size: ByteCount::gib(8) };
    CreateInstance {
        name: name.to_owned(),
        image: Some(image.id),
        cores: Some(2),
        memory: Some(ByteCount::gib(1)),
        disks: if full { vec![disk] } else { Vec::new() },
        security_groups: if full { vec!["web".to_owned(), "db".to_owned()] } else { Vec::new() },
        start: full,
        ..CreateInstance::default()
    }
}

async fn create(bench: &mut Bench, name: &str, full: bool) -> InstanceId {
    let request = request(bench, name, full);
    let accepted = bench.house().create_instance(&bench.admin(), request).await.unwrap();
    let outcome = bench.settle(accepted.operation).await.unwrap();
    assert_eq!(outcome, Outcome::Done, "{}", bench.story(accepted.operation).await.unwrap());
    accepted.instance
}

/// Prepares what the sample needs. Another instance stands beside it, which
/// nothing may touch.
pub async fn prepare(bench: &mut Bench, sample: Sample) -> Ready {
    create(bench, "bystander", true).await;
    if sample == Sample::DropSeed {
        // Its medium goes before, so that only one goes at a time.
        bench.rest(Duration::from_secs(30)).await.unwrap();
        bench.ask_addresses().await;
        bench.rest(Duration::from_secs(30)).await.unwrap();
    }
    let instance = match sample {
        creates if creates.creates() => None,
        Sample::DeleteObserved => Some(adopt(bench, false).await),
        Sample::DeleteAdopted => Some(adopt(bench, true).await),
        Sample::DeleteFailed => Some(failed(bench).await),
        Sample::Collect => Some(orphan(bench).await),
        other => Some(create(bench, "subject", other.starts_running()).await),
    };
    if let (Some(id), true) = (instance, sample.has_snapshot()) {
        let (house, admin) = (bench.house(), bench.admin());
        let operation = house.take_snapshot(&admin, id, snapshot()).await.unwrap();
        assert_eq!(bench.settle(operation).await.unwrap(), Outcome::Done);
    }
    bench.rest(Duration::from_secs(30)).await.unwrap();
    Ready { sample, instance }
}

/// The instance, gone by now, whose guest is back.
async fn orphan(bench: &mut Bench) -> InstanceId {
    let id = create(bench, "subject", true).await;
    let row = bench.store().instance(id).await.unwrap().unwrap();
    let key = guest_key(bench, &row.native);
    let (house, admin) = (bench.house(), bench.admin());
    let deletion = house.delete_instance(&admin, id).await.unwrap();
    assert_eq!(bench.settle(deletion).await.unwrap(), Outcome::Done);
    let installation = bench.store().installation_id();
    let mark = Mark { installation, instance: id, attempt: row.attempt };
    bench.world.restore(key.parse().unwrap(), &mark);
    bench.rest(Duration::from_secs(10)).await.unwrap();
    id
}

fn guest_key(bench: &Bench, native: &serde_json::Value) -> String {
    bench.core().providers()[&Bench::provider_id()].guest_key(native).expect("a guest")
}

fn snapshot() -> NewSnapshot {
    NewSnapshot { name: "before".to_owned(), memory: true, ..NewSnapshot::default() }
}

async fn ask_adopt(bench: &Bench, owned: bool) -> Accepted {
    let request = AdoptInstance {
        provider: Bench::provider_id(),
        guest: "500".to_owned(),
        owned,
        expires_at: None,
        project: None,
    };
    bench.house().adopt_instance(&bench.admin(), request).await.unwrap()
}

async fn adopt(bench: &mut Bench, owned: bool) -> InstanceId {
    let accepted = ask_adopt(bench, owned).await;
    let outcome = bench.settle(accepted.operation).await.unwrap();
    assert_eq!(outcome, Outcome::Done, "{}", bench.story(accepted.operation).await.unwrap());
    accepted.instance
}

/// An instance whose creation was refused.
async fn failed(bench: &mut Bench) -> InstanceId {
    let trouble =
        Trouble { action: "clone".to_owned(), at: At::Apply, what: What::Refuse, times: Some(1) };
    assert!(bench.world.trouble(&trouble));
    let request = request(bench, "subject", false);
    let accepted = bench.house().create_instance(&bench.admin(), request).await.unwrap();
    let outcome = bench.settle(accepted.operation).await.unwrap();
    assert!(matches!(outcome, Outcome::Unwound { .. }), "{outcome:?}");
    bench.world.calm();
    accepted.instance
}

/// Asks for it.
pub async fn ask(bench: &mut Bench, ready: &Ready) -> (InstanceId, OperationId) {
    let (house, admin) = (bench.house(), bench.admin());
    let power = |change: PowerChange| {
        let (house, admin, id) = (house.clone(), admin.clone(), ready.instance);
        async move {
            let id = id.expect("a prepared instance");
            (id, house.change_power(&admin, id, change).await.unwrap())
        }
    };
    let timeout = Duration::from_secs(60);
    match ready.sample {
        Sample::CreateBare | Sample::CreateFull => {
            let full = ready.sample == Sample::CreateFull;
            let request = request(bench, "subject", full);
            let accepted = house.create_instance(&admin, request).await.unwrap();
            (accepted.instance, accepted.operation)
        }
        Sample::Start => power(PowerChange::Start).await,
        Sample::Stop => power(PowerChange::Stop).await,
        Sample::Shutdown => power(PowerChange::Shutdown { timeout, force: true }).await,
        Sample::Reboot => power(PowerChange::Reboot { timeout }).await,
        Sample::AdoptOwned | Sample::AdoptObserved => {
            let accepted = ask_adopt(bench, ready.sample == Sample::AdoptOwned).await;
            (accepted.instance, accepted.operation)
        }
        Sample::Release => {
            let id = ready.instance.expect("a prepared instance");
            (id, house.release_instance(&admin, id).await.unwrap())
        }
        deletes if deletes.deletes() => {
            let id = ready.instance.expect("a prepared instance");
            (id, house.delete_instance(&admin, id).await.unwrap())
        }
        Sample::Collect => {
            let orphan = house.orphans(&admin).await.unwrap().orphans.remove(0);
            let asked = house.collect_orphan(&admin, &orphan.provider, &orphan.guest).await;
            (orphan.instance, asked.unwrap())
        }
        change => ask_change(bench, change, ready.instance.expect("a prepared instance")).await,
    }
}

async fn ask_change(bench: &Bench, sample: Sample, id: InstanceId) -> (InstanceId, OperationId) {
    let (house, admin) = (bench.house(), bench.admin());
    let operation = match sample {
        Sample::Resize => {
            let request = ResizeInstance {
                cores: Some(4),
                memory: Some(ByteCount::gib(2)),
                root_disk: Some(ByteCount::gib(12)),
                flavour: None,
            };
            house.resize_instance(&admin, id, request).await
        }
        Sample::Edit => {
            let request = EditInstance {
                name: Some("renamed".to_owned()),
                description: Some("a text".to_owned()),
                tags: Some(["web".to_owned()].into()),
                protected: Some(false),
                expires_at: Some(None),
                security_groups: Some(vec!["web".to_owned()]),
            };
            house.edit_instance(&admin, id, request).await
        }
        Sample::Snapshot => house.take_snapshot(&admin, id, snapshot()).await,
        Sample::DropSeed => {
            bench.ask_addresses().await;
            let row = bench.store().instance(id).await.unwrap().unwrap();
            Ok(row.operation.expect("the house takes the medium away").0)
        }
        Sample::Rollback => house.roll_back(&admin, id, "before").await,
        Sample::Discard => house.discard_snapshot(&admin, id, "before").await,
        _ => house.migrate_instance(&admin, id, None, true).await,
    };
    (id, operation.unwrap())
}

/// The steps with an effect that the journal of an operation shows.
pub async fn effects(bench: &Bench, id: OperationId) -> Vec<String> {
    let journal = bench.journal(id).await.unwrap();
    let mut names: Vec<String> = Vec::new();
    for recorded in journal {
        if let Entry::Begun { step } = recorded.entry
            && !names.contains(&step)
        {
            names.push(step);
        }
    }
    names
}

/// Whether the instance's row is as the sample asked for.
pub async fn is_as_asked(bench: &Bench, sample: Sample, id: InstanceId) -> bool {
    let row = bench.store().instance(id).await.unwrap();
    match row {
        None => sample.deletes() || sample.has_no_row(),
        Some(row) => !sample.deletes() && row.phase == Phase::Ready && row.fault.is_none(),
    }
}
