//! Asking providers about handles, for the engine.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{HandleState, Watch};
use model::{HostId, ProviderId};
use provider::Handle;
use serde_json::Value;

use crate::house::Core;

/// Polls the handles of a `<provider>/<host>` group with one call.
pub struct ProviderWatch(pub Arc<Core>);

#[async_trait]
impl Watch for ProviderWatch {
    async fn poll(&self, group: &str, handles: &[Value]) -> Result<Vec<HandleState>, String> {
        let (provider, host) = group.split_once('/').ok_or("not a <provider>/<host> group")?;
        let provider: ProviderId = provider.parse().map_err(|error| format!("{error}"))?;
        let host: HostId = host.parse().map_err(|error| format!("{error}"))?;
        let provider = self.0.provider(&provider).map_err(|error| error.to_string())?;
        let handles = handles
            .iter()
            .map(|handle| serde_json::from_value(handle.clone()))
            .collect::<Result<Vec<Handle>, _>>()
            .map_err(|error| format!("a handle in the journal: {error}"))?;
        let states = provider.poll(&host, &handles).await.map_err(|error| error.to_string())?;
        Ok(states.into_iter().map(translate).collect())
    }
}

fn translate(state: provider::HandleState) -> HandleState {
    match state {
        provider::HandleState::Running { percent } => HandleState::Running { percent },
        provider::HandleState::Ok => HandleState::Ok,
        provider::HandleState::Failed { text } => HandleState::Failed { text },
        provider::HandleState::Lost => HandleState::Lost,
    }
}
