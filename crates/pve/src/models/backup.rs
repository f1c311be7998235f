//! Backups of guests.

use std::ops::{Deref, DerefMut};

use super::Volume;
use crate::Error;

/// A backup: a [`Volume`] that guests come back from
/// ([`Guest::restore`](super::Guest::restore) and
/// [`Guest::restore_as`](super::Guest::restore_as) take its id).
#[derive(Clone, Debug)]
pub struct Backup(Volume);

impl Backup {
    /// The backup in a volume; `None` when it holds something else.
    pub fn new(volume: Volume) -> Option<Self> {
        volume.is_backup().then_some(Self(volume))
    }

    /// Is it one of a virtual machine, or (`false`) of a container? `None` when
    /// its name does not say: only `vzdump` and the backup server name them so.
    pub fn is_of_server(&self) -> Option<bool> {
        let name = self.volid().split_once(':').map_or("", |(_, name)| name);
        let name = name.trim_start_matches("backup/");
        let starts = |words: [&str; 2]| words.iter().any(|word| name.starts_with(word));
        match (starts(["vzdump-qemu-", "vm/"]), starts(["vzdump-lxc-", "ct/"])) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// The guest's configuration in it, as text.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn configuration(&self) -> Result<String, Error> {
        self.0.client().node(self.0.node()).backup_config(self.volid()).await
    }

    /// The volume that it is in.
    pub fn into_volume(self) -> Volume {
        self.0
    }
}

impl Deref for Backup {
    type Target = Volume;

    fn deref(&self) -> &Volume {
        &self.0
    }
}

impl DerefMut for Backup {
    fn deref_mut(&mut self) -> &mut Volume {
        &mut self.0
    }
}
