//! Plans carried out by hand, as an engine would.

use std::time::Duration;

use model::{CreateIntent, Intent, Mark, SeedAccess, Timestamp};
use secrecy::SecretString;
use serde_json::Value;

use super::Harness;
use crate::{
    Action, ActionContext, Applied, Error, Facts, Handle, HandleState, Plan, Probe, ReservedId,
    Undone,
};

/// How often is asked whether something is done.
const PACE: Duration = Duration::from_secs(1);

/// A guest of the suite.
pub(super) struct Made {
    pub intent: CreateIntent,
    pub facts: Facts,
    pub mark: Mark,
    pub ids: Vec<ReservedId>,
    pub plan: Plan,
    pub native: Value,
}

/// Fails unless two dumps are the same.
pub(super) fn same(before: &Value, after: &Value, fact: &str) {
    assert!(before == after, "{fact}\nexpected: {before:#}\nfound: {after:#}");
}

impl Made {
    /// A guest that is planned and not begun.
    pub async fn planned(harness: &dyn Harness) -> Self {
        let (intent, mut facts) = harness.create().await;
        let mark = harness.mark();
        facts.mark = Some(mark);
        let wish = Intent::Create(Box::new(intent.clone()));
        let requests = harness
            .provider()
            .ids_needed(&wish, &facts)
            .unwrap_or_else(|error| panic!("a create intent says which ids it needs: {error}"));
        let ids: Vec<_> = requests.iter().map(|request| harness.reserve(request)).collect();
        let plan = harness
            .provider()
            .plan(&wish, &facts, &ids)
            .unwrap_or_else(|error| panic!("a create intent can be planned: {error}"));
        assert!(!plan.actions.is_empty(), "a create plan has actions");
        Self { intent, facts, mark, ids, plan, native: Value::Null }
    }

    /// A guest that is made.
    pub async fn made(harness: &dyn Harness) -> Self {
        let mut made = Self::planned(harness).await;
        for action in made.plan.actions.clone() {
            made.carry_out(harness, &action).await;
        }
        made
    }

    pub fn context(&self) -> ActionContext {
        ActionContext {
            mark: self.mark,
            native: self.native.clone(),
            seed_url: (self.intent.seed == SeedAccess::Http)
                .then(|| SecretString::from("http://192.0.2.1/seed/0123456789/")),
            seed_medium: None,
            in_doubt_since: None,
        }
    }

    /// Carries out an action and remembers its output.
    pub async fn carry_out(&mut self, harness: &dyn Harness, action: &Action) {
        let name = &action.name;
        let mut waited = Duration::ZERO;
        let output = loop {
            match harness.provider().apply(action, &self.context()).await {
                Ok(Applied::Done(output)) => break output,
                Ok(Applied::Started(handle)) => {
                    let end = follow(harness, &handle, action.deadline).await;
                    assert!(end == HandleState::Ok, "{name} ends well, not as {end:?}");
                    match harness.provider().probe(action, &self.context()).await {
                        Ok(Probe::Done(output)) => break output,
                        Ok(Probe::NotDone | Probe::InProgress(_)) => {}
                        other => panic!("{name} is done when its handle says so, not {other:?}"),
                    }
                }
                Err(Error::Busy(_)) => {}
                Err(error) => panic!("{name} can be applied: {error}"),
            }
            waited += PACE;
            assert!(waited < action.deadline, "{name} comes to an end before its deadline");
            harness.advance(PACE).await;
        };
        self.merge(&output);
        // A note is only read; reading it back says nothing.
        if !self.is_note(action) {
            let probe = harness.provider().probe(action, &self.context()).await;
            assert!(
                matches!(&probe, Ok(Probe::Done(again)) if action_output_agrees(&output, again)),
                "the probe of {name} says done once it is, with the output {output}: {probe:?}"
            );
        }
    }

    /// Before the pivot of a plan that changes nothing before it.
    fn is_note(&self, action: &Action) -> bool {
        action.reversible && !self.plan.actions.iter().any(|planned| planned == action)
    }

    fn merge(&mut self, output: &Value) {
        match (&mut self.native, output) {
            (Value::Object(have), Value::Object(new)) => {
                have.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            (have, Value::Object(_)) => *have = output.clone(),
            _ => {}
        }
    }

    /// Takes an action back, until it is.
    pub async fn undo(&self, harness: &dyn Harness, action: &Action) {
        let name = &action.name;
        let mut waited = Duration::ZERO;
        loop {
            match harness.provider().undo(action, &self.context()).await {
                Ok(Undone::Done) => return,
                Ok(Undone::Started(handle)) => {
                    let end = follow(harness, &handle, action.deadline).await;
                    assert!(end == HandleState::Ok, "undoing {name} ends well, not as {end:?}");
                }
                Ok(Undone::InProgress) | Err(Error::Busy(_)) => {}
                other => panic!("{name} can be taken back: {other:?}"),
            }
            waited += PACE;
            assert!(waited < action.deadline, "undoing {name} comes to an end");
            harness.advance(PACE).await;
        }
    }

    /// Takes back the first actions of the create plan, the last first.
    pub async fn undo_first(&self, harness: &dyn Harness, count: usize) {
        for action in self.plan.actions.iter().take(count).rev() {
            self.undo(harness, action).await;
        }
    }

    /// The plan of another intent about this guest.
    pub async fn other_plan(&self, harness: &dyn Harness, intent: &Intent) -> Plan {
        let provider = harness.provider();
        let batch = provider
            .observe()
            .await
            .unwrap_or_else(|error| panic!("the cloud can be observed: {error}"));
        let key = provider.guest_key(&self.native);
        let facts = Facts {
            image: None,
            host: self.facts.host.clone(),
            native: self.native.clone(),
            guest: batch.guests.into_iter().find(|guest| Some(&guest.key) == key.as_ref()),
            mark: Some(self.mark),
        };
        let name = intent.name();
        let needed = provider.ids_needed(intent, &facts);
        assert!(needed.as_ref().is_ok_and(Vec::is_empty), "{name} needs no ids: {needed:?}");
        provider
            .plan(intent, &facts, &[])
            .unwrap_or_else(|error| panic!("{name} can be planned: {error}"))
    }

    /// Plans another intent about this guest and carries it out.
    pub async fn fulfil(&mut self, harness: &dyn Harness, intent: &Intent) {
        let plan = self.other_plan(harness, intent).await;
        for action in &plan.actions {
            self.carry_out(harness, action).await;
        }
    }

    /// Removes the guest.
    pub async fn destroy(&mut self, harness: &dyn Harness) {
        self.fulfil(harness, &Intent::Destroy).await;
    }

    /// A context in which an earlier try may have had an effect.
    pub fn in_doubt(&self) -> ActionContext {
        ActionContext { in_doubt_since: Some(Timestamp::from_millis(0)), ..self.context() }
    }
}

/// Whether two outputs of one action say the same about the guest. The probe of
/// a done action may say less: what it said was merged already.
fn action_output_agrees(first: &Value, again: &Value) -> bool {
    match (first.as_object(), again.as_object()) {
        (Some(first), Some(again)) => {
            again.iter().all(|(key, value)| first.get(key).is_none_or(|have| have == value))
        }
        _ => first == again,
    }
}

/// Follows a handle to its end.
pub(super) async fn follow(
    harness: &dyn Harness,
    handle: &Handle,
    deadline: Duration,
) -> HandleState {
    let mut waited = Duration::ZERO;
    loop {
        let states = harness.provider().poll(&handle.host, std::slice::from_ref(handle)).await;
        match states.as_deref() {
            Ok([HandleState::Running { .. }]) => {}
            Ok([end]) => return end.clone(),
            other => panic!("a poll answers each handle: {other:?}"),
        }
        waited += PACE;
        assert!(waited < deadline, "what was begun ends before the action's deadline");
        harness.advance(PACE).await;
    }
}
