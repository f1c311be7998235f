//! An answer with a good status.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Call, Error};
use crate::{Upid, lenient};

/// The answer to a call that succeeded.
#[derive(Clone)]
pub struct Reply {
    pub(crate) call: Call,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Without the body: it may hold a new token's secret.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("call", &self.call)
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    total: Option<u64>,
}

impl Reply {
    /// The HTTP status, 200 to 299.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body's `data`, read into a type. An empty body counts as null.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not fit.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(self.with_total()?.0)
    }

    /// The body's `data`, and the `total` that stands beside pages of a list.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not fit.
    pub fn with_total<T: DeserializeOwned>(&self) -> Result<(T, Option<u64>), Error> {
        let body: &[u8] = if self.body.is_empty() { b"{\"data\":null}" } else { &self.body };
        let envelope: Envelope<T> =
            serde_json::from_slice(body).map_err(|error| self.malformed(error.to_string()))?;
        Ok((envelope.data, envelope.total))
    }

    /// The whole body: some calls have more beside `data`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not fit.
    pub fn whole<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.malformed(error.to_string()))
    }

    /// The body's `data` as it is.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the body is not JSON with a `data` member.
    pub fn value(&self) -> Result<Value, Error> {
        self.data()
    }

    /// The task that the call started; `None` when it was done at once. Which
    /// calls start one differs between releases.
    ///
    /// # Errors
    /// [`Error::Malformed`] when `data` is neither null nor a task id.
    pub fn task(&self) -> Result<Option<Upid>, Error> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => {
                let upid = text.parse::<Upid>();
                upid.map(Some).map_err(|error| self.malformed(error.to_string()))
            }
            _ => Err(self.malformed("expected null or a task id".into())),
        }
    }

    /// The task that the call must have started.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there is none.
    pub fn started(&self) -> Result<Upid, Error> {
        self.task()?.ok_or_else(|| self.malformed("expected a task id, found null".into()))
    }

    fn malformed(&self, reason: String) -> Error {
        Error::Malformed { call: self.call.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reply(body: &'static str) -> Reply {
        Reply {
            call: Call { method: http::Method::PUT, path: "x".into() },
            status: 200,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_task_id_or_null_is_accepted() {
        assert_eq!(reply("").task().unwrap(), None);
        assert_eq!(reply(r#"{"data":null}"#).task().unwrap(), None);
        let task = reply(r#"{"data":"UPID:n:00000001:00000002:00000003:resize:100:a@b:"}"#);
        assert_eq!(task.task().unwrap().unwrap().kind(), "resize");
        assert!(task.started().is_ok());
        let error = reply(r#"{"data":7}"#).task().unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }) && error.may_have_happened());
        assert!(reply(r#"{"data":null}"#).started().is_err());
    }

    #[test]
    fn totals_stand_beside_the_data() {
        let (rows, total) = reply(r#"{"total":"7","data":[1]}"#).with_total::<Vec<u8>>().unwrap();
        assert_eq!((rows, total), (vec![1], Some(7)));
    }
}
