//! Starting something again when its lock could not be had.

use std::future::Future;

use super::{End, RetryPolicy};
use crate::{Client, Error, TaskOutcome, Upid, WaitPolicy};

impl Client {
    /// Starts something by `start`, waits for its task, and begins again after
    /// a pause when a lock was in the way: Proxmox says so in the answer or in
    /// the exit text of the task, and which one differs from call to call
    /// (`VM is locked (clone)`, `can't lock file '…' - got timeout`).
    ///
    /// `None` when the call was done at once, without a task. A task that
    /// fails for another reason is an `Ok` that says so.
    ///
    /// ```no_run
    /// # async fn example(client: pve::Client, id: pve::VmId) -> Result<(), pve::Error> {
    /// use pve::{RetryPolicy, WaitPolicy};
    /// let vm = client.node("pve1").qemu(id);
    /// let (wait, retry) = (WaitPolicy::default(), RetryPolicy::default());
    /// let end = client.start_and_wait(&wait, &retry, || vm.start()).await?;
    /// # let _ = end;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `start` said last, unless [`RetryPolicy::allows`] another try; as
    /// [`Client::wait_task`].
    pub async fn start_and_wait<F, Fut, T>(
        &self,
        wait: &WaitPolicy,
        retry: &RetryPolicy,
        mut start: F,
    ) -> Result<Option<TaskOutcome>, Error>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Error>>,
        T: Into<Option<Upid>>,
    {
        let mut pauses = retry.pauses();
        loop {
            let end = self.to_its_end(start().await, wait).await;
            let again = match &end {
                End::Done(Some(outcome)) => retry.allows_task(&outcome.exit),
                End::Done(None) | End::Lost(_) => false,
                End::Failed(error) => retry.allows(error),
            };
            let pause = again.then(|| pauses.next()).flatten();
            match (end, pause) {
                (_, Some(pause)) => self.sleep(pause).await,
                (End::Done(outcome), None) => return Ok(outcome),
                (End::Failed(error) | End::Lost(error), None) => return Err(error),
            }
        }
    }

    /// Follows the task, if there is one. An error of the wait is no failure
    /// of the start: it is never retried.
    pub(super) async fn to_its_end<T: Into<Option<Upid>>>(
        &self,
        started: Result<T, Error>,
        wait: &WaitPolicy,
    ) -> End {
        match started.map(Into::into) {
            Err(error) => End::Failed(error),
            Ok(None) => End::Done(None),
            Ok(Some(upid)) => match self.wait_task(&upid, wait).await {
                Ok(outcome) => End::Done(Some(outcome)),
                Err(error) => End::Lost(error),
            },
        }
    }
}
