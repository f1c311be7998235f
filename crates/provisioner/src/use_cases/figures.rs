//! Numbers of the whole house, for whoever watches over it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{Error, ProviderId};

use super::public;
use crate::house::House;

/// Calls of providers' actions: by provider, verb and outcome.
pub type CallCounts = BTreeMap<(String, &'static str, &'static str), u64>;

/// Counts what is sent to providers.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<CallCounts>);

impl Calls {
    pub(crate) fn count(&self, provider: &ProviderId, verb: &'static str, good: bool) {
        let outcome = if good { "ok" } else { "failed" };
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((provider.to_string(), verb, outcome)).or_default() += 1;
    }
}

/// Numbers of the whole house, without names of what is in it.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Operations that are kept, by state.
    pub operations: Vec<(String, u64)>,
    /// Instances, by state.
    pub instances: BTreeMap<String, u64>,
    /// Calls of providers' actions since the start.
    pub calls: CallCounts,
    /// How long ago each provider was seen completely; `None`: never.
    pub looks: Vec<(String, Option<Duration>)>,
    /// Changes that reads do not show yet.
    pub behind: u64,
}

impl House {
    /// Numbers of the whole house. They name nothing of any project, so that
    /// whoever may call at all may see them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn figures(&self) -> Result<Figures, Error> {
        let core = &self.core;
        let operations = core.store.operation_counts().await.map_err(public)?;
        let sequence = core.store.sequence().await.map_err(public)?;
        let now = core.clock.now();
        let looks = core.providers().keys().map(|provider| {
            let seen = core.read_model.provider_view(provider).complete_at;
            (provider.to_string(), seen.map(|at| now.since(at)))
        });
        Ok(Figures {
            operations,
            instances: core.read_model.count_by_state(),
            calls: core.calls.0.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            looks: looks.collect(),
            behind: sequence.saturating_sub(core.read_model.sequence()),
        })
    }
}
