//! What the credentials may do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use provider::Error;
use pve::access::Permissions;

use crate::cluster::Cluster;
use crate::errors;

/// How long an answer is believed. Rights change rarely, and a batch that is
/// called complete for so long after a right was taken away does no harm: an
/// instance is lost only after a direct question.
const BELIEVED: Duration = Duration::from_secs(300);

/// The last answer to whether all guests can be seen.
#[derive(Debug, Default)]
pub(crate) struct PermissionCache(Mutex<Option<(Duration, Option<String>)>>);

impl PermissionCache {
    /// Asks again the next time: other credentials may see more, or less.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Cluster {
    /// The privileges on one path, as they are in effect there.
    pub async fn privileges(&self, path: &str) -> Result<Vec<String>, Error> {
        let access = self.client().access();
        let mut table = self.read(access.permissions(Some(path))).await?;
        let here = table.0.remove(path).unwrap_or_default();
        Ok(here.into_keys().collect())
    }

    /// `None` when the credentials see every guest that can be ours; otherwise
    /// the privilege that they lack, with its path.
    pub async fn sees_guests(&self) -> Result<Option<String>, Error> {
        let now = self.clock.monotonic();
        {
            let cache = self.permissions.0.lock();
            let cache = cache.unwrap_or_else(PoisonError::into_inner);
            if let Some((at, missing)) = cache.as_ref()
                && now.saturating_sub(*at) < BELIEVED
            {
                return Ok(missing.clone());
            }
        }
        let access = self.client().access();
        let table = self.read(access.permissions(None)).await?;
        let pool = self.settings.pool.as_ref().map(|pool| format!("/pool/{pool}"));
        let seen = passes_on(&table, "/vms", "VM.Audit")
            || pool.is_some_and(|pool| passes_on(&table, &pool, "VM.Audit"));
        let missing = (!seen).then(|| match &self.settings.pool {
            Some(pool) => errors::privilege(&format!("/vms or /pool/{pool}"), "VM.Audit"),
            None => errors::privilege("/vms", "VM.Audit"),
        });
        let mut cache = self.permissions.0.lock().unwrap_or_else(PoisonError::into_inner);
        *cache = Some((now, missing.clone()));
        Ok(missing)
    }
}

/// Whether a privilege holds on `path` and below it. The most specific path of
/// the table counts.
pub(crate) fn passes_on(table: &Permissions, path: &str, privilege: &str) -> bool {
    let mut at = path;
    loop {
        if let Some(privileges) = table.0.get(at) {
            return privileges.get(privilege) == Some(&true);
        }
        match at.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => at = parent,
            _ if at != "/" => at = "/",
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_most_specific_path_counts_and_must_pass_on() {
        let table: Permissions = serde_json::from_str(
            r#"{"/":{"VM.Audit":1},"/vms":{"VM.Clone":"1"},"/pool/p":{"VM.Audit":0}}"#,
        )
        .unwrap();
        assert!(passes_on(&table, "/nodes", "VM.Audit"));
        assert!(!passes_on(&table, "/vms", "VM.Audit"));
        assert!(passes_on(&table, "/vms/100", "VM.Clone"));
        assert!(!passes_on(&table, "/pool/p", "VM.Audit"));
        assert!(!passes_on(&Permissions::default(), "/vms", "VM.Audit"));
    }
}
