//! The workflows that an executor knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::workflow::{Kind, Workflow};

/// A workflow is registered twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the workflow {0} is registered twice")]
pub struct RegistryError(pub Kind);

/// The workflows that an executor knows, by kind. It takes up no others.
pub struct Registry<C> {
    workflows: BTreeMap<Kind, Arc<dyn Workflow<C>>>,
}

impl<C: Send + 'static> Default for Registry<C> {
    fn default() -> Self {
        Self { workflows: BTreeMap::new() }
    }
}

impl<C: Send + 'static> Registry<C> {
    /// Adds a workflow.
    ///
    /// # Errors
    /// [`RegistryError`] when its kind is there already.
    pub fn add(&mut self, workflow: Arc<dyn Workflow<C>>) -> Result<(), RegistryError> {
        let kind = workflow.kind();
        match self.workflows.insert(kind.clone(), workflow) {
            None => Ok(()),
            Some(_) => Err(RegistryError(kind)),
        }
    }

    /// The workflow of this kind.
    pub fn get(&self, kind: &Kind) -> Option<&Arc<dyn Workflow<C>>> {
        self.workflows.get(kind)
    }

    /// All kinds.
    pub fn kinds(&self) -> Vec<Kind> {
        self.workflows.keys().cloned().collect()
    }

    /// All workflows.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Workflow<C>>> {
        self.workflows.values()
    }
}
