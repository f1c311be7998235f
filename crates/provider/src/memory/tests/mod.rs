#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod planning;
mod world;

use std::sync::Arc;
use std::time::Duration;

use model::random::SeededRandom;
use model::time::ManualClock;
use model::{
    AttemptId, ByteCount, CreateIntent, HostId, Image, ImageId, ImagePresence, InstallationId,
    InstanceId, Intent, Mark, NicSpec, SeedAccess, Timestamp,
};
use serde_json::{Value, json};

use super::*;
use crate::{Action, ActionContext, Applied, Error, Facts, Handle, Provider, ReservedId};

pub(super) const ID: u64 = 100_000;

/// A cloud, a process, and one guest that the process is to make.
pub(super) struct Rig {
    pub clock: ManualClock,
    pub cloud: Arc<MemoryCloud>,
    pub provider: MemoryProvider,
    pub mark: Mark,
    pub actions: Vec<Action>,
    pub native: Value,
}

pub(super) fn host() -> HostId {
    "host1".parse().unwrap()
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn intent() -> CreateIntent {
    let (clock, random) = (ManualClock::default(), SeededRandom::new(3));
    CreateIntent {
        about: model::EditIntent::default(),
        name: "guest".to_owned(),
        image: ImageId::generate(&clock, &random),
        host: host(),
        cores: 2,
        memory: ByteCount::gib(1),
        root_disk: Some(ByteCount::gib(10)),
        nics: vec![NicSpec { network: Some("lan".to_owned()) }],
        devices: Vec::new(),
        security_groups: vec!["web".to_owned(), "db".to_owned()],
        seed: SeedAccess::Http,
        power_on: true,
    }
}

pub(super) fn facts(intent: &CreateIntent) -> Facts {
    let image = Image {
        id: intent.image,
        name: "debian".to_owned(),
        provider: "lab".parse().unwrap(),
        size: Some(ByteCount::gib(2)),
        presence: ImagePresence { hosts: vec![host()], reason: "local".to_owned() },
        native: json!({"name": "debian"}),
        seen_at: Timestamp::from_millis(0),
    };
    Facts { image: Some(image), ..Facts::default() }
}

pub(super) fn reserved() -> ReservedId {
    ReservedId { pool: "memory/lab/id".to_owned(), value: ID }
}

impl Rig {
    pub fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let random = SeededRandom::new(7);
        let mark = Mark {
            installation: InstallationId::generate(&clock, &random),
            instance: InstanceId::generate(&clock, &random),
            attempt: AttemptId::generate(&clock, &random),
        };
        let cloud = MemoryCloud::sample("lab", Arc::new(clock.clone()));
        let provider = MemoryProvider::new(cloud.clone(), "one");
        let intent = intent();
        let facts = facts(&intent);
        let plan = provider.plan(&Intent::Create(Box::new(intent)), &facts, &[reserved()]).unwrap();
        Self { clock, cloud, provider, mark, actions: plan.actions, native: Value::Null }
    }

    /// A rig whose guest is made, up to the action of this name, exclusive.
    pub async fn before(name: &str) -> Self {
        let mut rig = Self::new();
        for action in rig.actions.clone().iter().take_while(|action| action.name != name) {
            rig.carry_out(action).await;
        }
        rig
    }

    pub fn action(&self, name: &str) -> Action {
        self.actions.iter().find(|action| action.name == name).unwrap().clone()
    }

    pub fn plan(&self, intent: &Intent) -> Vec<Action> {
        let facts = Facts { native: self.native.clone(), ..Facts::default() };
        self.provider.plan(intent, &facts, &[]).unwrap().actions
    }

    pub fn context(&self) -> ActionContext {
        ActionContext {
            mark: self.mark,
            native: self.native.clone(),
            seed_url: Some("http://192.0.2.1/seed/secret/".into()),
            seed_medium: None,
            in_doubt_since: None,
        }
    }

    pub fn in_doubt(&self) -> ActionContext {
        ActionContext { in_doubt_since: Some(Timestamp::from_millis(0)), ..self.context() }
    }

    pub async fn apply(&self, action: &Action) -> Result<Applied, Error> {
        self.provider.apply(action, &self.context()).await
    }

    pub async fn probe(&self, action: &Action) -> Result<crate::Probe, Error> {
        self.provider.probe(action, &self.context()).await
    }

    pub async fn undo(&self, action: &Action) -> Result<crate::Undone, Error> {
        self.provider.undo(action, &self.context()).await
    }

    pub async fn begin(&self, action: &Action) -> Handle {
        match self.apply(action).await.unwrap() {
            Applied::Started(handle) => handle,
            Applied::Done(output) => panic!("{} was done at once: {output}", action.name),
        }
    }

    pub async fn state(&self, handle: &Handle) -> crate::HandleState {
        self.provider.poll(&handle.host, std::slice::from_ref(handle)).await.unwrap().remove(0)
    }

    /// Carries out an action that goes well, and merges its output.
    pub async fn carry_out(&mut self, action: &Action) {
        let mut output = json!({});
        match self.apply(action).await.unwrap() {
            Applied::Done(done) => output = done,
            Applied::Started(handle) => {
                self.rest();
                assert_eq!(self.state(&handle).await, crate::HandleState::Ok, "{}", action.name);
                if let crate::Probe::Done(done) = self.probe(action).await.unwrap() {
                    output = done;
                }
            }
        }
        match (&mut self.native, output) {
            (Value::Object(have), Value::Object(new)) => have.extend(new),
            (have, output) => *have = output,
        }
    }

    /// Lets time pass until nothing goes on in the cloud.
    pub fn rest(&self) {
        while let Some(wait) = self.cloud.next_event() {
            self.clock.advance(wait.max(Duration::from_millis(1)));
        }
    }

    pub fn fault(&self, fault: Fault) -> FaultId {
        self.cloud.faults().add(fault)
    }

    pub fn fired(&self, id: FaultId) -> u32 {
        self.cloud.faults().fired(id)
    }
}
