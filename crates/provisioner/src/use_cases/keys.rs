//! What a caller says about one request: a key by which it can ask again, and
//! the state in which it wants to find what it changes.

use model::{Caller, Error};
use secrecy::SecretString;
use store::{Change, RequestKey};

use super::audit::{Asked, accepted};
use super::{Accepted, public};
use crate::house::House;

/// What came of an earlier request with the same key.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The operation that it began, if it began one.
    pub begun: Option<Accepted>,
    /// What it was answered; `None` when the process ended in between.
    pub answer: Option<SecretString>,
}

impl House {
    /// What came of an earlier request with the caller's key, if there was one
    /// less than a day ago. Without a key there was none.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key was used for another request;
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn answered(&self, caller: &Caller) -> Result<Option<Answered>, Error> {
        let Some(key) = request_key(caller) else { return Ok(None) };
        let used = self.core.store.used_key(&key.scope, &key.key).await.map_err(public)?;
        let Some(used) = used else { return Ok(None) };
        let begun = used.begun.map(|(operation, instance)| Accepted { instance, operation });
        if used.fingerprint != key.fingerprint {
            return Err(Error::Conflict {
                message: "this idempotency key was used for another request".to_owned(),
                operation: begun.map(|begun| begun.operation),
            });
        }
        Ok(Some(Answered { begun, answer: used.answer }))
    }

    /// Keeps what the caller's request was answered, for whoever asks again with
    /// its key. Sealed, because an answer can hold a secret.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn keep_answer(&self, caller: &Caller, answer: SecretString) -> Result<(), Error> {
        let Some(key) = request_key(caller) else { return Ok(()) };
        self.core.store.commit(vec![Change::KeepAnswer { key, answer }]).await.map_err(public)?;
        Ok(())
    }

    /// Commits what a caller asked for and what begins no operation.
    pub(super) async fn commit(
        &self,
        caller: &Caller,
        asked: Asked<'_>,
        mut changes: Vec<Change>,
    ) -> Result<(), store::Error> {
        changes.extend(terms(caller, None));
        changes.push(accepted(caller, asked));
        self.core.store.commit(changes).await.map(drop)
    }
}

/// What has to hold for a request of this caller, and what it uses up.
pub(super) fn terms(caller: &Caller, begun: Option<Accepted>) -> Vec<Change> {
    let begun = begun.map(|accepted| (accepted.operation, accepted.instance));
    request_key(caller).map(|key| Change::TakeKey { key, begun }).into_iter().collect()
}

fn request_key(caller: &Caller) -> Option<RequestKey> {
    let key = caller.request.key.as_ref()?;
    Some(RequestKey {
        scope: format!("{} {}", caller.principal.id, caller.project),
        key: key.key.clone(),
        fingerprint: key.fingerprint.clone(),
    })
}
