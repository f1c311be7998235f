//! The one place where requests are sent and answers are judged.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::auth::{Authenticator, with_sources};
use crate::config::{Config, Timeouts};
use crate::error::{Call, Error, Transport, TransportKind};
use crate::judge::{judge, lost};
use crate::wire::exchange;
use crate::{ApiPath, Params, Reply};

/// Idle connections are dropped early: the API proxy closes them after five
/// seconds, and a write that meets a closing connection has an unknown end.
const IDLE: Duration = Duration::from_secs(2);

/// The API proxy reads at most 8 KiB of headers, the first line included.
const QUERY_LIMIT: usize = 6 * 1024;
/// The API proxy refuses longer bodies, uploads excepted.
const FORM_LIMIT: usize = 512 * 1024;

/// A connection to a cluster's API. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    bases: Vec<String>,
    /// Index of the endpoint that answered last.
    preferred: AtomicUsize,
    auth: Authenticator,
    config: Config,
}

/// Where a request goes and what it is.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub base: &'a str,
    pub call: &'a Call,
}

/// What a request carries.
pub(crate) enum Payload<'a> {
    Params(&'a Params),
    /// A multipart form of known length.
    Multipart(reqwest::multipart::Form),
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
        let bases = config.bases()?;
        let auth = Authenticator::new(config.auth.clone())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(config.tls.client_config()?)
            .user_agent(&config.user_agent)
            .connect_timeout(config.timeouts.connect)
            .pool_idle_timeout(IDLE)
            .http1_only()
            .gzip(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| Error::Config(with_sources(&error)))?;
        Ok(Self(Arc::new(Inner { http, bases, preferred: AtomicUsize::new(0), auth, config })))
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
        let call = self.call(method, &path)?;
        let timeout = match call.is_read() {
            true => self.timeouts().read,
            false => self.timeouts().task,
        };
        let count = self.0.bases.len();
        let first = self.0.preferred.load(Ordering::Relaxed) % count;
        // A write is sent once: another try is the caller's decision.
        let tries = if call.is_read() { count } else { 1 };
        let mut last = None;
        for index in (0..tries).map(|step| (first + step) % count) {
            let target = Target { base: &self.0.bases[index], call: &call };
            let result = self.authenticated(target, &params, timeout).await;
            match result {
                Err(error) if error.is_endpoint_fault() => {
                    tracing::debug!(endpoint = target.base, %error, "endpoint failed");
                    // The next call, a write included, begins with another.
                    self.0.preferred.store((index + 1) % count, Ordering::Relaxed);
                    last = Some(error);
                }
                result => {
                    self.0.preferred.store(index, Ordering::Relaxed);
                    return result;
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::Config("endpoints: at least one is needed".into())))
    }

    /// Sends a call once, and a second time after a new log-in if the ticket
    /// was refused: a call that gets a 401 was not carried out.
    async fn authenticated(
        &self,
        target: Target<'_>,
        params: &Params,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let auth = &self.0.auth;
        let credentials = auth.credentials(self, target, None).await?;
        let first = self.once(target, Payload::Params(params), credentials.headers, timeout).await;
        if !(matches!(first, Err(Error::Unauthenticated(_))) && auth.can_log_in_again()) {
            return first;
        }
        let again = auth.credentials(self, target, credentials.serial).await?;
        self.once(target, Payload::Params(params), again.headers, timeout).await
    }

    /// Sends a multipart form. It is streamed, so it cannot be sent again.
    pub(crate) async fn send_multipart(
        &self,
        path: &ApiPath,
        form: reqwest::multipart::Form,
    ) -> Result<Reply, Error> {
        let call = self.call(Method::POST, path)?;
        let index = self.0.preferred.load(Ordering::Relaxed) % self.0.bases.len();
        let target = Target { base: &self.0.bases[index], call: &call };
        let credentials = self.0.auth.credentials(self, target, None).await?;
        let timeout = self.timeouts().upload;
        self.once(target, Payload::Multipart(form), credentials.headers, timeout).await
    }

    fn call(&self, method: Method, path: &ApiPath) -> Result<Call, Error> {
        let call = Call { method, path: path.to_string() };
        match path.check() {
            Ok(_) => Ok(call),
            Err(reason) => Err(Error::InvalidRequest { call, reason }),
        }
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.0.config.timeouts
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.config.clock.now()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.0.config.sleep.sleep(duration).await;
    }

    /// One request, one answer.
    pub(crate) async fn once(
        &self,
        target: Target<'_>,
        payload: Payload<'_>,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let call = target.call;
        let params = match &payload {
            Payload::Params(params) => (*params).clone(),
            Payload::Multipart(_) => Params::new(),
        };
        let request = self.build(target, payload, headers)?;
        let limit = self.0.config.body_limit;
        // Connecting has a timeout of its own, which is shorter than this one:
        // when this one strikes, the request is on its way.
        let timeout = self.timeouts().connect.saturating_add(timeout);
        let exchange = exchange(&self.0.http, call, request, limit);
        let answer = match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer?,
            Err(_) => {
                let transport = Transport {
                    kind: TransportKind::Timeout,
                    detail: format!("no whole answer within {} ms", timeout.as_millis()),
                };
                return Err(lost(call, transport));
            }
        };
        tracing::trace!(%call, status = answer.status, "answered");
        judge(call, answer, &params)
    }

    fn build(
        &self,
        target: Target<'_>,
        payload: Payload<'_>,
        headers: HeaderMap,
    ) -> Result<reqwest::Request, Error> {
        let Target { base, call } = target;
        let invalid = |error: &dyn std::error::Error| Error::InvalidRequest {
            call: call.clone(),
            reason: with_sources(error),
        };
        let mut address = format!("{base}/{}", call.path);
        let mut form = None;
        if let Payload::Params(params) = &payload {
            let encoded = params.encode();
            let in_query = matches!(call.method, Method::GET | Method::DELETE);
            let limit = if in_query { QUERY_LIMIT } else { FORM_LIMIT };
            if encoded.len() > limit {
                let size = encoded.len();
                return Err(Error::InvalidRequest {
                    call: call.clone(),
                    reason: format!("{size} bytes of parameters, Proxmox takes at most {limit}"),
                });
            }
            if in_query {
                // A body would be refused (501).
                if !encoded.is_empty() {
                    address = format!("{address}?{encoded}");
                }
            } else {
                form = Some(encoded);
            }
        }
        let url = url::Url::parse(&address).map_err(|error| invalid(&error))?;
        let mut request = self.0.http.request(call.method.clone(), url).headers(headers);
        match (payload, form) {
            (Payload::Multipart(multipart), _) => request = request.multipart(multipart),
            // Proxmox wants a length, and no type, on an empty form.
            (_, Some(form)) if form.is_empty() => {
                request = request.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            (_, Some(form)) => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                request = request.header(CONTENT_TYPE, kind).body(form);
            }
            (_, None) => {}
        }
        request.build().map_err(|error| invalid(&error.without_url()))
    }
}
