//! Making a guest at an id that nobody else takes meanwhile.

use std::future::Future;

use super::{End, RetryPolicy};
use crate::{Client, Error, TaskOutcome, Upid, VmId, WaitPolicy};

/// A guest that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allocated {
    /// Its id.
    pub id: VmId,
    /// How its task ended; `None` when there was none. It may have failed, for
    /// another reason than the id.
    pub outcome: Option<TaskOutcome>,
}

/// Why no guest was made, or why nobody knows.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", match id { Some(id) => format!("making guest {id}"), None => "looking for a free guest id".to_owned() })]
#[non_exhaustive]
pub struct AllocationError {
    /// The id of the last try; `None` when no free id was learnt. After
    /// [`Error::Ambiguous`] look at this one before anything else.
    pub id: Option<VmId>,
    /// What went wrong.
    pub source: Error,
}

impl Client {
    /// Asks for a free id and makes a guest there; when somebody else was
    /// faster, does so again with the next one. `GET /cluster/nextid` reserves
    /// nothing, and the loser of such a race learns it from the answer (`VM 790
    /// already exists on node 'pve1'`), from the parameter's error, or from the
    /// exit text of its task (`unable to create VM 791: config file already
    /// exists`).
    ///
    /// Locks that are held are waited for, too, as in
    /// [`Client::start_and_wait`]. `retry.attempts` bounds both together.
    ///
    /// ```no_run
    /// # async fn example(client: pve::Client, template: pve::VmId) -> Result<(), Box<dyn std::error::Error>> {
    /// use pve::qemu::CloneRequest;
    /// use pve::{RetryPolicy, WaitPolicy};
    /// let template = client.node("pve1").qemu(template);
    /// let clone = async |id| template.clone_to(&CloneRequest::new(id)).await;
    /// let (wait, retry) = (WaitPolicy::default(), RetryPolicy::default());
    /// let made = client.allocate(&wait, &retry, clone).await?;
    /// println!("{}", made.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`AllocationError`] with the id that was tried last.
    pub async fn allocate<F, Fut, T>(
        &self,
        wait: &WaitPolicy,
        retry: &RetryPolicy,
        mut create: F,
    ) -> Result<Allocated, AllocationError>
    where
        F: FnMut(VmId) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
        T: Into<Option<Upid>>,
    {
        let mut pauses = retry.pauses();
        let mut last = None;
        loop {
            let found = self.cluster().next_id().await;
            let id = found.map_err(|source| AllocationError { id: last, source })?;
            last = Some(id);
            let end = self.to_its_end(create(id).await, wait).await;
            let taken = is_taken(&end.failure(), id);
            let again = match &end {
                _ if taken => true,
                End::Done(Some(outcome)) => retry.allows_task(&outcome.exit),
                End::Done(None) | End::Lost(_) => false,
                End::Failed(error) => retry.allows(error),
            };
            let pause = again.then(|| pauses.next()).flatten();
            match (end, pause) {
                (_, Some(pause)) => {
                    tracing::debug!(%id, taken, "another guest id is tried");
                    self.sleep(pause).await;
                }
                (End::Done(outcome), None) => return Ok(Allocated { id, outcome }),
                (End::Failed(source) | End::Lost(source), None) => {
                    return Err(AllocationError { id: Some(id), source });
                }
            }
        }
    }
}

/// Does the text say that this id is somebody else's? Other things exist
/// already, too: volumes, snapshots, pool members.
fn is_taken(text: &str, id: VmId) -> bool {
    let number = id.to_string();
    let names_it = |kind: &str| {
        text.match_indices(kind).any(|(at, _)| {
            let rest = text[at + kind.len()..].strip_prefix(&number);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    text.contains("already exists") && (names_it("VM ") || names_it("CT "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_texts_about_the_id_mean_that_it_is_taken() {
        let id = VmId::new(790).unwrap();
        for text in [
            "unable to create VM 790 - VM 790 already exists on node 'pve1'",
            "unable to create VM 790: config file already exists",
            "unable to create CT 790 - CT 790 already exists on node 'pve2'",
            "Parameter verification failed.\nVM 790 already exists",
        ] {
            assert!(is_taken(text, id), "{text}");
        }
        for text in [
            "VM 7901 already exists",
            "unable to create VM 790: disk full",
            "disk image '/x/images/790/vm-790-disk-0.raw' already exists",
            "",
        ] {
            assert!(!is_taken(text, id), "{text}");
        }
    }
}
