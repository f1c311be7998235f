//! A durable workflow executor: journal, leases, waits, children, retry, undo,
//! cancel and deadlines.
//!
//! It knows no instance. A workflow is a list of steps; each outcome of a step
//! is journalled together with the changes that it makes to the store, in one
//! transaction. Whatever dies at whatever moment, another executor reads the
//! journal, asks the outside what has really happened, and goes on.
#![warn(missing_docs)]

mod advance;
mod executor;
mod journal;
mod lease;
mod outcome;
mod progress;
mod registry;
mod store;
mod timeline;
mod unwind;
mod workflow;

pub use executor::{Executor, ExecutorSettings, HandleState, TokioSleep, Watch};
pub use journal::{Cause, ChildEnd, Entry, Outcome, Policy, Spawn, Wait, WaitResult};
pub use lease::Lease;
pub use progress::Progress;
pub use registry::{Registry, RegistryError};
pub use store::{
    Appended, Commit, EpochId, JournalStore, NewWorkflow, OpenHandle, Recorded, Status, StoreError,
    WorkflowRecord,
};
pub use timeline::timeline;
pub use workflow::{
    Applied, History, Kind, Limit, Mode, Probed, Retry, StepContext, StepDef, StepError, Undone,
    Workflow, WorkflowId,
};
