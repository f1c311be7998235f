//! A family of 500 children under one parent: a test-only workflow of the kind
//! that infrastructures will be. Partial failure, cancel, death, and deletion
//! while it is being made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use e2e::crash::{CrashStore, Moment};
use engine::{
    Applied, ChildEnd, Entry, Executor, ExecutorSettings, HandleState, History, Kind, Mode,
    NewWorkflow, Outcome, Policy, Probed, Recorded, Registry, Spawn, StepContext, StepDef,
    StepError, StoreError, Undone, Wait, WaitResult, Watch, Workflow, WorkflowId,
};
use model::random::SeededRandom;
use model::time::ManualClock;
use model::{Clock, Random, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Change, Settings, Start, Store, Synchronous};

const CHILDREN: u32 = 500;
const AT_MOST: u32 = 20;

/// What the children make.
#[derive(Default)]
struct Village {
    members: BTreeSet<u32>,
    in_the_making: BTreeSet<u32>,
    most_at_once: usize,
    begun: usize,
}

type Shared = Arc<Mutex<Village>>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ParentInput {
    children: u32,
    failing: Vec<u32>,
    policy: Policy,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ChildInput {
    number: u32,
    fails: bool,
}

fn effect(name: &str, mode: Mode) -> StepDef {
    StepDef { effect: true, settle: Duration::from_secs(5), ..StepDef::local(name, mode) }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn done(output: Value) -> Result<Applied<Change>, StepError> {
    Ok(Applied::Done { output, changes: Vec::new() })
}

fn undone() -> Result<Undone<Change>, StepError> {
    Ok(Undone::Done { changes: Vec::new() })
}

struct Parent {
    village: Shared,
    clock: ManualClock,
    random: Arc<SeededRandom>,
}

impl Parent {
    fn child(&self, kind: &str, id: WorkflowId, number: u32, fails: bool) -> NewWorkflow {
        NewWorkflow {
            id,
            kind: Kind::new(kind, 1),
            input: serde_json::to_value(ChildInput { number, fails }).unwrap(),
            deadline: self.clock.now().plus(Duration::from_secs(3600)),
            claim: Some(format!("member/{number}")),
            supersede: kind == "member.remove",
        }
    }
}

#[async_trait]
impl Workflow<Change> for Parent {
    fn kind(&self) -> Kind {
        Kind::new("family", 1)
    }

    fn steps(&self, _history: &History) -> Result<Vec<StepDef>, String> {
        Ok(vec![
            StepDef::local("name", Mode::Reversible),
            StepDef {
                deadline: Duration::from_secs(3600),
                ..StepDef::local("raise", Mode::Reversible)
            },
            StepDef::local("register", Mode::Reversible),
        ])
    }

    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input: ParentInput = read(&context.history.input);
        match context.step.name.as_str() {
            "name" => {
                let id = |_| WorkflowId::generate(&self.clock, &*self.random).to_string();
                done(json!((0..input.children).map(id).collect::<Vec<_>>()))
            }
            "raise" => {
                let ids: Vec<String> = read(context.history.output("name").unwrap());
                let child = |(number, id): (usize, &String)| {
                    let number = number as u32;
                    let fails = input.failing.contains(&number);
                    self.child("member", id.parse().unwrap(), number, fails)
                };
                Ok(Applied::Spawn(Spawn {
                    children: ids.iter().enumerate().map(child).collect(),
                    at_most: AT_MOST,
                    policy: input.policy,
                }))
            }
            _ => done(Value::Null),
        }
    }

    async fn probe(&self, _context: &StepContext<'_>) -> Result<Probed<Change>, StepError> {
        Ok(Probed::NotDone)
    }

    async fn undo(&self, context: &StepContext<'_>) -> Result<Undone<Change>, StepError> {
        if context.step.name != "raise" {
            return undone();
        }
        if let Some(WaitResult::Children { children }) = context.woken_by {
            Policy::All.judge(children)?;
        }
        let left: Vec<u32> = self.village.lock().unwrap().members.iter().copied().collect();
        if left.is_empty() {
            return undone();
        }
        let child = |number| {
            let id = WorkflowId::generate(&self.clock, &*self.random);
            self.child("member.remove", id, number, false)
        };
        Ok(Undone::Spawn(Spawn {
            children: left.into_iter().map(child).collect(),
            at_most: AT_MOST,
            policy: Policy::Collect,
        }))
    }

    fn ended(&self, _history: &History, _outcome: &Outcome, _now: Timestamp) -> Vec<Change> {
        Vec::new()
    }
}

struct Member {
    village: Shared,
}

#[async_trait]
impl Workflow<Change> for Member {
    fn kind(&self) -> Kind {
        Kind::new("member", 1)
    }

    fn steps(&self, _history: &History) -> Result<Vec<StepDef>, String> {
        Ok(vec![effect("make", Mode::Reversible), StepDef::local("grow up", Mode::Reversible)])
    }

    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input: ChildInput = read(&context.history.input);
        let mut village = self.village.lock().unwrap();
        if context.step.name == "make" {
            village.begun += 1;
            if input.fails {
                return Err(StepError::permanent("no room"));
            }
            village.members.insert(input.number);
            village.in_the_making.insert(input.number);
            village.most_at_once = village.most_at_once.max(village.in_the_making.len());
            return done(json!({ "made_at": context.now.as_millis() }));
        }
        let made_at = context.history.output("make").unwrap()["made_at"].as_i64().unwrap();
        let grown = Timestamp::from_millis(made_at).plus(Duration::from_secs(10));
        if context.now < grown {
            return Ok(Applied::Wait { on: Wait::Until { at: grown }, changes: Vec::new() });
        }
        village.in_the_making.remove(&input.number);
        done(Value::Null)
    }

    async fn probe(&self, context: &StepContext<'_>) -> Result<Probed<Change>, StepError> {
        let input: ChildInput = read(&context.history.input);
        if self.village.lock().unwrap().members.contains(&input.number) {
            let output = json!({ "made_at": context.now.as_millis() });
            return Ok(Probed::Done { output, changes: Vec::new() });
        }
        Ok(Probed::NotDone)
    }

    async fn undo(&self, context: &StepContext<'_>) -> Result<Undone<Change>, StepError> {
        let input: ChildInput = read(&context.history.input);
        let mut village = self.village.lock().unwrap();
        village.members.remove(&input.number);
        village.in_the_making.remove(&input.number);
        undone()
    }

    fn ended(&self, _history: &History, _outcome: &Outcome, _now: Timestamp) -> Vec<Change> {
        Vec::new()
    }
}

/// Removes a member; with the number `u32::MAX`, all of them.
struct Remove {
    village: Shared,
}

#[async_trait]
impl Workflow<Change> for Remove {
    fn kind(&self) -> Kind {
        Kind::new("member.remove", 1)
    }

    fn steps(&self, _history: &History) -> Result<Vec<StepDef>, String> {
        Ok(vec![effect("remove", Mode::Pivot)])
    }

    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input: ChildInput = read(&context.history.input);
        self.village
            .lock()
            .unwrap()
            .members
            .retain(|n| *n != input.number && input.number != u32::MAX);
        done(Value::Null)
    }

    async fn probe(&self, context: &StepContext<'_>) -> Result<Probed<Change>, StepError> {
        let input: ChildInput = read(&context.history.input);
        if self.village.lock().unwrap().members.contains(&input.number) {
            return Ok(Probed::NotDone);
        }
        Ok(Probed::Done { output: Value::Null, changes: Vec::new() })
    }

    async fn undo(&self, _context: &StepContext<'_>) -> Result<Undone<Change>, StepError> {
        undone()
    }

    fn ended(&self, _history: &History, _outcome: &Outcome, _now: Timestamp) -> Vec<Change> {
        Vec::new()
    }
}

struct NoHandles;

#[async_trait]
impl Watch for NoHandles {
    async fn poll(&self, _group: &str, handles: &[Value]) -> Result<Vec<HandleState>, String> {
        Ok(vec![HandleState::Lost; handles.len()])
    }
}

struct Family {
    village: Shared,
    clock: ManualClock,
    random: Arc<SeededRandom>,
    folder: tempfile::TempDir,
    store: Arc<Store>,
    journal: Arc<CrashStore>,
    executor: Executor<CrashStore>,
}

impl Family {
    async fn new(crash: Option<(u64, Moment)>) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
        let random = Arc::new(SeededRandom::new(5));
        let folder = tempfile::tempdir().unwrap();
        let village = Shared::default();
        Self::open(village, clock, random, folder, crash).await
    }

    async fn open(
        village: Shared,
        clock: ManualClock,
        random: Arc<SeededRandom>,
        folder: tempfile::TempDir,
        crash: Option<(u64, Moment)>,
    ) -> Self {
        let settings = Settings { synchronous: Synchronous::Off, ..Settings::default() };
        let path = folder.path().join("family.db");
        let clocked: Arc<dyn Clock> = Arc::new(clock.clone());
        let chance: Arc<dyn Random> = random.clone();
        let store =
            Store::open_sqlite(&path, settings, Arc::clone(&clocked), chance).await.unwrap();
        let journal = CrashStore::new(Arc::clone(&store), crash);
        let mut registry: Registry<Change> = Registry::default();
        let parent =
            Parent { village: village.clone(), clock: clock.clone(), random: random.clone() };
        registry.add(Arc::new(parent)).unwrap();
        registry.add(Arc::new(Member { village: village.clone() })).unwrap();
        registry.add(Arc::new(Remove { village: village.clone() })).unwrap();
        let sleep = Arc::new(clock.clone());
        let executor = Executor::begin(
            Arc::clone(&journal),
            Arc::new(registry),
            Arc::new(NoHandles),
            clocked,
            sleep,
            ExecutorSettings::default(),
        )
        .await
        .unwrap();
        Self { village, clock, random, folder, store, journal, executor }
    }

    async fn reopen(self) -> Self {
        let Self { village, clock, random, folder, store, executor, journal } = self;
        drop((executor, journal));
        store.close().await;
        drop(store);
        Self::open(village, clock, random, folder, None).await
    }

    async fn start(&self, kind: &str, input: Value, supersede: bool) -> WorkflowId {
        let id = WorkflowId::generate(&self.clock, &*self.random);
        let workflow = NewWorkflow {
            id,
            kind: Kind::new(kind, 1),
            input,
            deadline: self.clock.now().plus(Duration::from_secs(36_000)),
            claim: Some("family/1".to_owned()),
            supersede,
        };
        self.store.start(Start { workflow, operation: None, changes: Vec::new() }).await.unwrap();
        id
    }

    async fn raise(&self, children: u32, policy: Policy, failing: &[u32]) -> WorkflowId {
        let input = ParentInput { children, failing: failing.to_vec(), policy };
        self.start("family", serde_json::to_value(input).unwrap(), false).await
    }

    async fn outcome(&self, id: WorkflowId) -> Option<Outcome> {
        match self.journal(id).await.last().map(|recorded| recorded.entry.clone()) {
            Some(Entry::Ended { outcome }) => Some(outcome),
            Some(Entry::Stuck { reason, left }) => Some(Outcome::Stuck { reason, left }),
            _ => None,
        }
    }

    /// Goes on until the workflow has ended; a process that dies is followed by
    /// another.
    async fn settle(mut self, id: WorkflowId) -> (Self, Outcome) {
        for _ in 0..10_000 {
            match self.executor.drive().await {
                Ok(_) => {}
                Err(StoreError::Fenced) if self.journal.is_dead() => self = self.reopen().await,
                Err(error) => panic!("{error}"),
            }
            if let Some(outcome) = self.outcome(id).await {
                return (self, outcome);
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("does not settle");
    }

    async fn journal(&self, id: WorkflowId) -> Vec<Recorded> {
        let journal = self.store.operation_journal(id.as_operation()).await.unwrap();
        journal.map(|journal| journal.entries).unwrap_or_default()
    }

    fn members(&self) -> usize {
        self.village.lock().unwrap().members.len()
    }

    async fn ends_of_children(&self, id: WorkflowId) -> Vec<ChildEnd> {
        let output = self.journal(id).await.into_iter().find_map(|recorded| match recorded.entry {
            Entry::Done { step, output } if step == "raise" => Some(output["children"].clone()),
            _ => None,
        });
        read(&output.unwrap())
    }
}

#[tokio::test]
async fn what_fails_of_500_children_does_not_touch_the_others() {
    let family = Family::new(None).await;
    let failing = [3, 77, 499];
    let id = family.raise(CHILDREN, Policy::Collect, &failing).await;
    let (family, outcome) = family.settle(id).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(family.members(), CHILDREN as usize - failing.len());
    assert_eq!(family.village.lock().unwrap().most_at_once, AT_MOST as usize);
    let ends = family.ends_of_children(id).await;
    let failed: Vec<usize> =
        ends.iter().enumerate().filter(|(_, end)| !end.outcome.is_done()).map(|(n, _)| n).collect();
    assert_eq!(failed, [3, 77, 499]);
}

#[tokio::test]
async fn one_failure_under_the_policy_all_takes_everything_back_and_begins_no_more() {
    let family = Family::new(None).await;
    let id = family.raise(CHILDREN, Policy::All, &[130]).await;
    let (family, outcome) = family.settle(id).await;
    assert!(matches!(outcome, Outcome::Unwound { .. }), "{outcome:?}");
    assert_eq!(family.members(), 0);
    let begun = family.village.lock().unwrap().begun;
    assert!(begun < CHILDREN as usize / 2, "{begun} were begun");
}

#[tokio::test]
async fn one_success_is_enough_under_the_policy_at_least_one() {
    for (failing, members) in [(vec![0, 1, 3], 2), (vec![0, 1, 2, 3, 4], 0)] {
        let family = Family::new(None).await;
        let id = family.raise(5, Policy::AtLeastOne, &failing).await;
        let (family, outcome) = family.settle(id).await;
        assert_eq!(outcome.is_done(), members > 0, "{outcome:?}");
        assert_eq!(family.members(), members);
    }
}

#[tokio::test]
async fn a_cancel_reaches_the_children_first() {
    let family = Family::new(None).await;
    let id = family.raise(CHILDREN, Policy::Collect, &[]).await;
    for _ in 0..35 {
        family.executor.drive().await.unwrap();
        family.clock.advance(Duration::from_secs(1));
    }
    let made = family.members();
    assert!((40..200).contains(&made), "{made} made when the cancel comes");
    family.store.request_cancel(id.as_operation()).await.unwrap();
    let (family, outcome) = family.settle(id).await;
    assert!(matches!(outcome, Outcome::Unwound { .. }), "{outcome:?}");
    assert_eq!(family.members(), 0);
    assert!(family.village.lock().unwrap().begun < 200);
}

#[tokio::test]
async fn a_deletion_while_it_is_made_waits_for_the_unwinding_and_then_runs() {
    let family = Family::new(None).await;
    let id = family.raise(60, Policy::Collect, &[]).await;
    for _ in 0..15 {
        family.executor.drive().await.unwrap();
        family.clock.advance(Duration::from_secs(1));
    }
    let everything = serde_json::to_value(ChildInput { number: u32::MAX, fails: false }).unwrap();
    let deletion = family.start("member.remove", everything, true).await;
    let (family, outcome) = family.settle(deletion).await;
    assert_eq!(outcome, Outcome::Done);
    let made = family.outcome(id).await.unwrap();
    assert!(matches!(made, Outcome::Unwound { .. }), "{made:?}");
    assert_eq!(family.members(), 0);
}

#[tokio::test]
async fn a_family_survives_its_process_at_sampled_lines() {
    for at in [1, 2, 3, 4, 5, 8, 13, 21, 34, 55, 89, 144] {
        for moment in [Moment::Before, Moment::After] {
            let family = Family::new(Some((at, moment))).await;
            let id = family.raise(40, Policy::Collect, &[7]).await;
            let (family, outcome) = family.settle(id).await;
            assert_eq!(outcome, Outcome::Done, "died at {at} {moment:?}");
            assert_eq!(family.members(), 39, "died at {at} {moment:?}");
        }
    }
}
