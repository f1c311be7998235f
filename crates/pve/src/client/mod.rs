//! The one place where requests are sent.

mod dispatch;
mod endpoints;
mod send;
mod upgrade;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

pub(crate) use send::{Payload, Target};

use crate::auth::Authenticator;
use crate::config::{Config, Timeouts};
use crate::error::{Call, Error};
use crate::limits::Gates;
use crate::{ApiPath, Params, Reply};
use endpoints::Endpoints;

/// A connection to a cluster's API. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    endpoints: Endpoints,
    auth: Authenticator,
    gates: Gates,
    config: Config,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.config).finish()
    }
}

impl Client {
    /// A client; sends nothing yet.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that cannot be used.
    pub fn new(config: Config) -> Result<Self, Error> {
        let endpoints = Endpoints::new(config.bases()?, config.set_back);
        let auth = Authenticator::new(config.auth.clone())?;
        let gates = Gates::new(&config.limits)?;
        let http = config.http_client()?;
        Ok(Self(Arc::new(Inner { http, endpoints, auth, gates, config })))
    }

    /// Calls anything below `/api2/json`. GET and DELETE send their parameters
    /// in the query, POST and PUT as a form.
    ///
    /// ```no_run
    /// # async fn example(client: pve::Client) -> Result<(), pve::Error> {
    /// use pve::{Method, Params};
    /// let zones = client.request(Method::GET, "cluster/sdn/zones", ()).await?.value()?;
    /// let lock = Params::new().set("comment", "busy");
    /// client.request(Method::PUT, "pools/p1", lock).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Dropping the future of a write leaves its outcome unknown, like
    /// [`Error::Ambiguous`].
    ///
    /// # Errors
    /// See [`Error`]: every variant says what may be done next.
    pub async fn request(
        &self,
        method: Method,
        path: impl Into<ApiPath>,
        params: impl Into<Params>,
    ) -> Result<Reply, Error> {
        let (path, params) = (path.into(), params.into());
        let call = self.checked(method, &path)?;
        self.dispatch(&call, &params).await
    }

    pub(crate) fn checked(&self, method: Method, path: &ApiPath) -> Result<Call, Error> {
        let call = Call { method, path: path.to_string() };
        match path.check() {
            Ok(_) => Ok(call),
            Err(reason) => Err(Error::InvalidRequest { call, reason }),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.0.config.timeouts
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.0.auth
    }

    fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.config.clock.now()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.0.config.sleep.sleep(duration).await;
    }
}
