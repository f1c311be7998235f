//! Operations: get, list, log, cancel, resume, abandon; and the seed of a guest.

use std::time::Duration;

use engine::{Entry, Outcome, Recorded, timeline};
use model::{
    Caller, Error, Fault, InstanceId, Operation, OperationId, OperationKind, OperationState, Phase,
    ProjectId, Role, Timestamp,
};
use secrecy::ExposeSecret;
use store::{CancelAnswer, Change, InstanceUpdate};

use super::audit::{Asked, accepted};
use super::public;
use crate::guest::SeedDocuments;
use crate::house::House;
use crate::use_cases::instances::token_hash;

/// Which operations to list.
#[derive(Clone, Debug, Default)]
pub struct OperationFilter {
    /// Only those of this instance.
    pub instance: Option<InstanceId>,
    /// Only those that have (or have not) settled.
    pub settled: Option<bool>,
    /// Only those in this state.
    pub state: Option<OperationState>,
    /// Only those that do this.
    pub kind: Option<OperationKind>,
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those before this one (ids sort by age).
    pub before: Option<OperationId>,
    /// At most this many.
    pub limit: usize,
}

/// A line of an operation's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// How long a resumed operation may take.
const RESUMED_DEADLINE: Duration = Duration::from_secs(3600);

impl House {
    /// An operation with its steps.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an operation of another project.
    pub async fn operation(&self, caller: &Caller, id: OperationId) -> Result<Operation, Error> {
        let mut operation = self.visible_operation(caller, id).await?;
        let journal = self.journal(id).await?;
        operation.steps = timeline(&journal, &planned(&journal));
        Ok(operation)
    }

    /// Operations, newest first, without their steps.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn operations(
        &self,
        caller: &Caller,
        filter: &OperationFilter,
    ) -> Result<Vec<Operation>, Error> {
        let Ok(project) = self.visible_project(caller, filter.project.as_ref()) else {
            return Ok(Vec::new());
        };
        let filter = store::OperationFilter {
            project,
            instance: filter.instance,
            settled: filter.settled,
            state: filter.state,
            kind: filter.kind,
            before: filter.before,
            limit: u32::try_from(filter.limit).unwrap_or(u32::MAX),
        };
        self.core.store.operations(&filter).await.map_err(public)
    }

    /// An operation's journal in words.
    ///
    /// # Errors
    /// As [`House::operation`].
    pub async fn operation_log(
        &self,
        caller: &Caller,
        id: OperationId,
    ) -> Result<Vec<LogLine>, Error> {
        self.visible_operation(caller, id).await?;
        Ok(self.journal(id).await?.iter().map(log_line).collect())
    }

    /// Asks an operation to take back what it did. It does so unless it is past
    /// its point of no return.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it has ended or is past that point.
    pub async fn cancel_operation(&self, caller: &Caller, id: OperationId) -> Result<(), Error> {
        caller.require(Role::Member)?;
        self.visible_operation(caller, id).await?;
        let conflict =
            |message: &str| Error::Conflict { message: message.to_owned(), operation: Some(id) };
        match self.core.store.request_cancel(id).await.map_err(public)? {
            CancelAnswer::Requested => {
                let target = id.to_string();
                let asked = asked("operation.cancel", &target, id);
                if let Err(error) = self.commit(caller, asked, Vec::new()).await {
                    tracing::warn!(%error, operation = %id, "a cancel is not audited");
                }
                self.caught_up().await;
                Ok(())
            }
            CancelAnswer::AlreadyEnded => Err(conflict("the operation has ended")),
            CancelAnswer::NotCancellable => {
                Err(conflict("the operation is past its point of no return"))
            }
        }
    }

    /// Lets a stuck operation go on.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not stuck.
    pub async fn resume_operation(&self, caller: &Caller, id: OperationId) -> Result<(), Error> {
        caller.require(Role::Member)?;
        let operation = self.visible_operation(caller, id).await?;
        let deadline = self.core.clock.now().plus(RESUMED_DEADLINE);
        let update = InstanceUpdate { fault: Some(None), ..InstanceUpdate::default() };
        let changes = vec![
            Change::UpdateInstance { id: operation.instance, update: Box::new(update) },
            accepted(caller, asked("operation.resume", &id.to_string(), id)),
        ];
        if !self.core.store.resume(id, deadline, changes).await.map_err(public)? {
            return Err(not_stuck(&operation));
        }
        self.caught_up().await;
        Ok(())
    }

    /// Gives a stuck operation up, with what it has left behind.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not stuck.
    pub async fn abandon_operation(&self, caller: &Caller, id: OperationId) -> Result<(), Error> {
        caller.require(Role::Admin)?;
        let operation = self.visible_operation(caller, id).await?;
        let reason = operation.reason.as_deref().unwrap_or("stuck");
        let fault = Fault {
            message: format!("{} was abandoned: {reason}", operation.kind),
            at: self.core.clock.now(),
            operation: Some(id),
            stuck: false,
        };
        let instance = self.core.store.instance(operation.instance).await.map_err(public)?;
        let phase = match instance.map(|instance| instance.phase) {
            Some(Phase::Creating | Phase::Deleting) => Some(Phase::Failed),
            _ => None,
        };
        let update =
            InstanceUpdate { phase, fault: Some(Some(fault)), ..InstanceUpdate::default() };
        let changes = vec![
            Change::UpdateInstance { id: operation.instance, update: Box::new(update) },
            accepted(caller, asked("operation.abandon", &id.to_string(), id)),
        ];
        if !self.core.store.abandon(id, changes).await.map_err(public)? {
            return Err(not_stuck(&operation));
        }
        self.caught_up().await;
        Ok(())
    }

    /// The documents of the guest that this token belongs to.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a token that is not in use.
    pub async fn seed(&self, token: &str) -> Result<SeedDocuments, Error> {
        let unknown = || Error::not_found("seed", "for this token");
        let seed = self.core.store.seed_by_token(&token_hash(token)).await.map_err(public)?;
        let seed = seed.ok_or_else(unknown)?;
        let documents = self.core.store.secret(seed.documents).await.map_err(public)?;
        serde_json::from_str(documents.expose_secret()).map_err(Error::internal)
    }

    async fn journal(&self, id: OperationId) -> Result<Vec<Recorded>, Error> {
        let journal = self.core.store.operation_journal(id).await.map_err(public)?;
        // One that has been compacted keeps its row, without its steps.
        Ok(journal.map(|journal| journal.entries).unwrap_or_default())
    }

    /// Lets reads show what was just written. It is written whether or not they
    /// do: an answer that says otherwise would make the caller ask again.
    pub(super) async fn caught_up(&self) {
        if let Err(error) = self.core.read_model.catch_up(&self.core.store).await {
            tracing::warn!(%error, "reads do not show the last change yet");
        }
    }

    async fn visible_operation(
        &self,
        caller: &Caller,
        id: OperationId,
    ) -> Result<Operation, Error> {
        let operation = self.core.store.operation(id).await.map_err(public)?;
        operation
            .filter(|operation| caller.sees(&operation.project))
            .ok_or_else(|| Error::not_found("operation", id))
    }
}

fn asked<'a>(action: &'a str, target: &'a str, id: OperationId) -> Asked<'a> {
    Asked { action, target, operation: Some(id) }
}

fn not_stuck(operation: &Operation) -> Error {
    Error::Conflict {
        message: format!("the operation is not stuck, it is {}", operation.state),
        operation: Some(operation.id),
    }
}

/// The names of the actions that the journalled plan holds.
fn planned(journal: &[Recorded]) -> Vec<String> {
    let mut names = Vec::new();
    for recorded in journal {
        match &recorded.entry {
            Entry::Restarted => names.clear(),
            Entry::Done { step, output } if step == "plan" => {
                let actions = output.pointer("/plan/actions").and_then(|value| value.as_array());
                let name = |action: &serde_json::Value| action["name"].as_str().map(str::to_owned);
                names.extend(actions.into_iter().flatten().filter_map(name));
            }
            _ => {}
        }
    }
    names
}

fn log_line(recorded: &Recorded) -> LogLine {
    let text = match &recorded.entry {
        Entry::Begun { step } => format!("{step}: begun"),
        Entry::Waiting { step, .. } => format!("{step}: waiting"),
        Entry::Done { step, output } if step == "place" => {
            let host = output["host"].as_str().unwrap_or("?");
            let explanation: Vec<&str> = output["explanation"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str())
                .collect();
            format!("place: {host} ({})", explanation.join("; "))
        }
        Entry::Done { step, .. } => format!("{step}: done"),
        Entry::InDoubt { step, reason, .. } => format!("{step}: in doubt: {reason}"),
        Entry::Retry { step, reason, .. } => format!("{step}: trying again: {reason}"),
        Entry::Unwinding { cause } => format!("taking everything back: {}", cause.reason()),
        Entry::UndoRetry { step, reason, .. } => format!("{step}: undoing again: {reason}"),
        Entry::Undone { step } => format!("{step}: undone"),
        Entry::Restarted => "beginning again".to_owned(),
        Entry::Stuck { reason, .. } => format!("stuck: {reason}"),
        Entry::Resumed { .. } => "resumed".to_owned(),
        Entry::Ended { outcome } => match outcome {
            Outcome::Unwound { cause } => format!("ended: unwound ({})", cause.reason()),
            other => format!("ended: {}", other.name()),
        },
    };
    LogLine { at: recorded.at, text }
}
