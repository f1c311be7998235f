//! A call that Proxmox may carry out in a task.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::Task;
use crate::{Client, Error, Upid, WaitPolicy};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A call that has not been sent yet.
///
/// - `operation.await` sends it, waits for its task, and brings the model up to
///   date. A task that ends badly is [`Error::TaskFailed`].
/// - `operation.policy(policy).await` waits like that.
/// - `operation.begin().await` sends it and hands over the task. The model
///   keeps what it last read: `reload` it afterwards.
///
/// Which calls start a task differs between releases: where there is none, the
/// call was carried out when it was answered. Dropping the future of a call
/// that was sent leaves its outcome unknown; dropping it while it waits leaves
/// the task running.
#[must_use = "nothing is sent before it is awaited"]
pub struct Operation<'a, T = ()> {
    client: Client,
    begin: Boxed<'a, Option<Upid>>,
    finish: Box<dyn FnOnce() -> Boxed<'a, T> + Send + 'a>,
    policy: WaitPolicy,
}

impl<'a, T> Operation<'a, T> {
    /// `begin` sends the call, `finish` reads what has become of it.
    pub(crate) fn new<F>(
        client: &Client,
        begin: impl Future<Output = Result<Option<Upid>, Error>> + Send + 'a,
        finish: impl FnOnce() -> F + Send + 'a,
    ) -> Self
    where
        F: Future<Output = Result<T, Error>> + Send + 'a,
    {
        Self {
            client: client.clone(),
            begin: Box::pin(begin),
            finish: Box::new(move || Box::pin(finish())),
            policy: WaitPolicy::default(),
        }
    }

    /// Waits like this; without a deadline unless told otherwise.
    pub fn policy(mut self, policy: WaitPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sends the call and does not wait: the task, or `None` when the call was
    /// carried out at once.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn begin(self) -> Result<Option<Task>, Error> {
        let upid = self.begin.await?;
        Ok(upid.map(|upid| Task::new(&self.client, upid)))
    }
}

impl<'a, T: 'a> IntoFuture for Operation<'a, T> {
    type Output = Result<T, Error>;
    type IntoFuture = Boxed<'a, T>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if let Some(upid) = self.begin.await? {
                self.client.wait_task(&upid, &self.policy).await?.into_result()?;
            }
            (self.finish)().await
        })
    }
}

impl<T> fmt::Debug for Operation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("policy", &self.policy).finish_non_exhaustive()
    }
}
