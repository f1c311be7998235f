//! What doors call instances.

use std::collections::{BTreeMap, HashMap};

use model::{Door, InstanceId};
use store::Alias;

/// The names that are in use, by name and by instance.
#[derive(Default)]
pub(crate) struct Names {
    instances: HashMap<(Door, String, String), InstanceId>,
    of: BTreeMap<InstanceId, Vec<Alias>>,
}

impl Names {
    pub(crate) fn of(aliases: Vec<Alias>) -> Self {
        let mut names = Self::default();
        for alias in aliases {
            names.add(alias);
        }
        names
    }

    fn add(&mut self, alias: Alias) {
        let key = (alias.door, alias.scope.clone(), alias.external_id.clone());
        self.instances.insert(key, alias.instance);
        self.of.entry(alias.instance).or_default().push(alias);
    }

    pub(crate) fn has(&self, instance: InstanceId) -> bool {
        self.of.contains_key(&instance)
    }

    /// Replaces an instance's names.
    pub(crate) fn set(&mut self, instance: InstanceId, aliases: Vec<Alias>) {
        for old in self.of.remove(&instance).unwrap_or_default() {
            self.instances.remove(&(old.door, old.scope, old.external_id));
        }
        for alias in aliases {
            self.add(alias);
        }
    }

    pub(crate) fn find(&self, door: Door, scope: &str, name: &str) -> Option<InstanceId> {
        self.instances.get(&(door, scope.to_owned(), name.to_owned())).copied()
    }

    pub(crate) fn of_instance(&self, id: InstanceId, door: Door, scope: &str) -> Option<String> {
        let names = self.of.get(&id)?;
        let found = names.iter().find(|name| name.door == door && name.scope == scope);
        found.map(|name| name.external_id.clone())
    }
}
