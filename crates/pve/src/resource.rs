//! What all handles are made of: a client and a path.

use http::Method;
use serde::de::DeserializeOwned;

use crate::lenient::List;
use crate::{ApiPath, Client, Error, Params, Reply};

#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub client: Client,
    pub path: ApiPath,
}

impl Resource {
    pub fn new(client: &Client, path: impl Into<ApiPath>) -> Self {
        Self { client: client.clone(), path: path.into() }
    }

    /// The resource below this one; `segment` is data.
    pub fn join(&self, segment: impl std::fmt::Display) -> Self {
        Self::new(&self.client, self.path.join(segment))
    }

    /// The resource below this one; `tail` may have several segments.
    pub fn sub(&self, tail: &str) -> Self {
        Self::new(&self.client, self.path.sub(tail))
    }

    /// The resource above this one.
    pub fn parent(&self) -> Self {
        Self::new(&self.client, self.path.parent())
    }

    /// A list, in whatever form it comes.
    pub async fn list<T: DeserializeOwned>(
        &self,
        params: impl Into<Params>,
    ) -> Result<Vec<T>, Error> {
        let List(items) = self.get(params).await?;
        Ok(items)
    }

    pub async fn get<T: DeserializeOwned>(&self, params: impl Into<Params>) -> Result<T, Error> {
        self.send(Method::GET, params).await?.data()
    }

    pub async fn post(&self, params: impl Into<Params>) -> Result<Reply, Error> {
        self.send(Method::POST, params).await
    }

    pub async fn put(&self, params: impl Into<Params>) -> Result<Reply, Error> {
        self.send(Method::PUT, params).await
    }

    pub async fn delete(&self, params: impl Into<Params>) -> Result<Reply, Error> {
        self.send(Method::DELETE, params).await
    }

    pub async fn send(&self, method: Method, params: impl Into<Params>) -> Result<Reply, Error> {
        self.client.request(method, &self.path, params).await
    }
}

/// Methods that every handle has.
macro_rules! handle {
    ($($name:ident),* $(,)?) => {
        $(impl $name {
            /// Its path below `/api2/json`.
            pub fn path(&self) -> &$crate::ApiPath {
                &self.0.path
            }

            /// Calls anything below this path that has no method of its own
            /// here; `tail` is empty for the path itself.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn request(
                &self,
                method: http::Method,
                tail: &str,
                params: impl Into<$crate::Params>,
            ) -> Result<$crate::Reply, $crate::Error> {
                if tail.is_empty() {
                    return self.0.send(method, params).await;
                }
                self.0.sub(tail).send(method, params).await
            }
        })*
    };
}
pub(crate) use handle;
