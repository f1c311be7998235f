//! Snapshots of an instance.

use serde::{Deserialize, Serialize};

use crate::{Error, InstanceSpec, Timestamp};

/// A snapshot of an instance, as we have taken it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name, unique within the instance; see [`check_snapshot_name`].
    pub name: String,
    /// What people say about it.
    pub description: String,
    /// Whether it holds the guest's memory.
    pub memory: bool,
    /// The snapshot that the guest stood on when it was taken.
    pub parent: Option<String>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// What the instance was when it was taken: rolling back goes back to that.
    pub spec: Box<InstanceSpec>,
}

/// The snapshots of an instance: a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshots {
    /// All of them, the oldest first.
    pub taken: Vec<Snapshot>,
    /// The one that the guest stands on now.
    pub current: Option<String>,
}

impl Snapshots {
    /// How many an instance may have: chains of disks get slow, and storages
    /// have limits of their own.
    pub const MOST: usize = 32;

    /// The snapshot of this name.
    pub fn get(&self, name: &str) -> Option<&Snapshot> {
        self.taken.iter().find(|snapshot| snapshot.name == name)
    }

    /// With one more, on which the guest stands then.
    pub fn add(&mut self, mut snapshot: Snapshot) {
        snapshot.parent = self.current.replace(snapshot.name.clone());
        self.taken.push(snapshot);
    }

    /// Without this one: those that stood on it stand on what it stood on.
    pub fn remove(&mut self, name: &str) {
        let Some(index) = self.taken.iter().position(|snapshot| snapshot.name == name) else {
            return;
        };
        let gone = self.taken.remove(index);
        let parents = self.taken.iter_mut().map(|snapshot| &mut snapshot.parent);
        for parent in parents.chain([&mut self.current]) {
            if parent.as_deref() == Some(name) {
                parent.clone_from(&gone.parent);
            }
        }
    }
}

/// Refuses a name that a snapshot cannot have: the rules of Proxmox VE, the
/// narrowest of the providers.
///
/// # Errors
/// [`Error::InvalidRequest`] for `field` unless the name has 2 to 40 letters,
/// digits, `-` and `_`, begins with a letter, and is not reserved.
pub fn check_snapshot_name(field: &str, name: &str) -> Result<(), Error> {
    let fits = (2..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !matches!(name, "current" | "pending");
    if fits {
        return Ok(());
    }
    let given: String = name.chars().take(80).collect();
    Err(Error::invalid(
        field,
        format!(
            "expected 2 to 40 letters, digits, '-', '_', beginning with a letter, and not \
             current or pending, got {given:?}"
        ),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::SeededRandom;
    use crate::time::ManualClock;
    use crate::{ByteCount, ImageId};

    fn snapshot(name: &str) -> Snapshot {
        let image = ImageId::generate(&ManualClock::default(), &SeededRandom::new(1));
        let spec = InstanceSpec::new("web", image, 1, ByteCount::gib(1));
        Snapshot {
            name: name.to_owned(),
            description: String::new(),
            memory: false,
            parent: None,
            created_at: Timestamp::default(),
            spec: Box::new(spec),
        }
    }

    #[test]
    fn what_stood_on_a_removed_snapshot_stands_on_its_parent() {
        let mut snapshots = Snapshots::default();
        for name in ["a1", "b1", "c1"] {
            snapshots.add(snapshot(name));
        }
        assert_eq!(snapshots.get("c1").unwrap().parent.as_deref(), Some("b1"));
        snapshots.remove("b1");
        assert_eq!(snapshots.get("c1").unwrap().parent.as_deref(), Some("a1"));
        snapshots.remove("c1");
        assert_eq!(snapshots.current.as_deref(), Some("a1"));
        snapshots.remove("nothing");
        snapshots.remove("a1");
        assert_eq!(snapshots, Snapshots::default());
    }

    #[test]
    fn names_follow_the_narrowest_hypervisor() {
        for good in ["before-upgrade", "s1", "A_b"] {
            check_snapshot_name("name", good).unwrap();
        }
        let long = "a".repeat(41);
        for bad in ["", "a", "1a", "a b", "current", "pending", "a.b", "ä1", long.as_str()] {
            check_snapshot_name("name", bad).unwrap_err();
        }
    }
}
