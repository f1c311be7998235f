//! The cluster's security groups, for those who choose among them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cluster::Cluster;

/// How long what was seen is as good as new: groups change seldom.
const FRESH: Duration = Duration::from_secs(30);

/// What was seen last, and when (monotonic).
#[derive(Default)]
pub(crate) struct GroupCache(Mutex<Option<(Duration, Vec<String>)>>);

impl Cluster {
    /// The names of the cluster's security groups, sorted; `None` when they
    /// cannot be had, which is no reason to do without the rest.
    pub async fn security_groups(&self) -> Option<Vec<String>> {
        let cache = || self.groups.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if let Some((at, names)) = &*cache()
            && now.saturating_sub(*at) < FRESH
        {
            return Some(names.clone());
        }
        match self.read(self.client().cluster().firewall().groups()).await {
            Ok(groups) => {
                let mut names: Vec<String> = groups.into_iter().map(|row| row.group).collect();
                names.sort_unstable();
                names.dedup();
                *cache() = Some((now, names.clone()));
                Some(names)
            }
            Err(error) => {
                tracing::debug!(%error, "the security groups cannot be seen");
                None
            }
        }
    }
}
