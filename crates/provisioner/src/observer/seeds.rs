//! Media with seeds go once their guests have read them.

use std::time::Duration;

use engine::{NewWorkflow, WorkflowId};
use model::{
    Instance, Intent, Operation, OperationId, OperationKind, OperationState, Ownership, Phase,
};
use store::Start;

use super::Observer;
use crate::workflows::{IntentInput, edit_kind, instance_claim};

/// How long taking away a medium may take.
const DEADLINE: Duration = Duration::from_secs(3600);

impl Observer {
    /// A guest that tells an address has its network up, and cloud-init reads a
    /// medium before that. So it is taken away now; while something else changes
    /// the instance, at a later answer.
    pub(super) async fn has_booted(&self, instance: &Instance) {
        let Some(provider) = self.provider() else { return };
        let there = instance.phase == Phase::Ready && instance.ownership != Ownership::Observed;
        if !there || instance.operation.is_some() || !provider.has_seed_medium(&instance.native) {
            return;
        }
        if let Err(error) = self.drop_seed(instance).await {
            tracing::warn!(instance = %instance.id, %error, "cannot take its seed's medium away yet");
        }
    }

    async fn drop_seed(&self, instance: &Instance) -> Result<(), store::Error> {
        let core = &self.core;
        let id = OperationId::generate(&*core.clock, &*core.random);
        let input = IntentInput::of(instance, Intent::DropSeed);
        let workflow = NewWorkflow {
            id: WorkflowId::from(id),
            kind: edit_kind(),
            input: serde_json::to_value(&input)
                .map_err(|error| store::Error::Corrupt(error.to_string()))?,
            deadline: core.clock.now().plus(DEADLINE),
            claim: Some(instance_claim(instance.id)),
            supersede: false,
        };
        let operation = Operation {
            id,
            kind: OperationKind::Edit,
            instance: instance.id,
            instance_name: instance.spec.name.clone(),
            project: instance.project.clone(),
            state: OperationState::Running,
            reason: None,
            left: Vec::new(),
            cancel_requested: false,
            asked_by: "house".to_owned(),
            created_at: core.clock.now(),
            ended_at: None,
            steps: Vec::new(),
        };
        let start = Start { workflow, operation: Some(operation), changes: Vec::new() };
        match core.store.start(start).await {
            // Something else changes it now.
            Ok(_) | Err(store::Error::ClaimHeld { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
