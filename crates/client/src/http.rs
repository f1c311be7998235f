//! The typed client.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::Error;
use crate::wire::{ErrorBody, ErrorDetail, IDEMPOTENCY_KEY_HEADER, REQUEST_ID_HEADER};

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// At this address (`http` or `https`).
    Url(Url),
    /// Behind this Unix socket.
    Socket(PathBuf),
}

impl Endpoint {
    /// The endpoint at a URL.
    ///
    /// # Errors
    /// [`Error::Settings`] that says what was expected.
    pub fn parse_url(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let shown: String = text.chars().take(100).collect();
            let help = "expected a URL such as http://127.0.0.1:8006";
            Error::Settings(format!("{help}, got {shown:?}: {why}"))
        };
        if !text.contains("://") {
            return Err(refuse("it does not begin with http:// or https://"));
        }
        let mut url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("not http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Settings("the URL must not hold credentials".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it must end with its path"));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self::Url(url))
    }

    /// The URL that requests are made of.
    fn base(&self) -> Result<Url, Error> {
        match self {
            Self::Url(url) => Ok(url.clone()),
            Self::Socket(_) => {
                Url::parse("http://innkeeper/").map_err(|error| Error::Settings(error.to_string()))
            }
        }
    }

    /// Whether a proxy of the environment must not be asked.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Url(url) => match url.host() {
                Some(Host::Domain(name)) => name == "localhost",
                Some(Host::Ipv4(ip)) => ip.is_loopback(),
                Some(Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            },
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Socket(path) => write!(f, "the socket {}", path.display()),
        }
    }
}

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The bearer token.
    pub token: Option<SecretString>,
    /// How long one call may take. No call of this API waits for a hypervisor.
    pub timeout: Duration,
}

impl Settings {
    /// Settings with the usual timeout (30 s).
    pub fn new(endpoint: Endpoint, token: Option<SecretString>) -> Self {
        Self { endpoint, token, timeout: Duration::from_secs(30) }
    }
}

/// The largest answer that is read. A full page of instances is a tenth of it.
const BODY_MOST: usize = 32 << 20;
/// Servers close idle connections after some seconds; this client lets go of
/// them first, so that no request is sent into a closing connection.
const IDLE_MOST: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of the native API. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    endpoint: Arc<Endpoint>,
    token: Option<SecretString>,
    idempotency_key: Option<Arc<str>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

pub(crate) fn tls(endpoint: &Endpoint) -> Result<ClientConfig, Error> {
    let refuse = |error: rustls::Error| Error::Settings(format!("tls: {error}"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refuse)?;
    let verified = match endpoint {
        Endpoint::Url(url) if url.scheme() == "https" => {
            builder.with_platform_verifier().map_err(refuse)?
        }
        // Nothing is encrypted, so that nothing is trusted.
        _ => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(verified.with_no_client_auth())
}

impl Client {
    /// A client with these settings. Connects when it is used.
    ///
    /// # Errors
    /// [`Error::Settings`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(&settings.endpoint)?)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("innkeeper/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_MOST)
            .timeout(settings.timeout);
        if settings.endpoint.is_local() {
            builder = builder.no_proxy();
        }
        if let Endpoint::Socket(path) = &settings.endpoint {
            builder = builder.unix_socket(path.as_path());
        }
        Ok(Self {
            http: builder.build().map_err(|error| Error::Settings(error.to_string()))?,
            base: settings.endpoint.base()?,
            endpoint: Arc::new(settings.endpoint),
            token: settings.token,
            idempotency_key: None,
        })
    }

    /// This client for one changing call under a key of the caller's own: made
    /// again with the same key within 24 hours, for example after
    /// [`Error::Interrupted`], the call is answered as it was answered first, and
    /// nothing is done twice.
    #[must_use]
    pub fn with_idempotency_key(&self, key: &str) -> Self {
        Self { idempotency_key: Some(Arc::from(key)), ..self.clone() }
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|error| Error::Settings(error.to_string()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Error> {
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.malformed(error.to_string()))
    }

    /// Sends a request and answers the body of a success.
    pub(crate) async fn send(
        &self,
        mut request: reqwest::RequestBuilder,
    ) -> Result<Vec<u8>, Error> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY_HEADER, &**key);
        }
        let response = request.send().await.map_err(|error| self.broken(error))?;
        let (status, request_id) = (response.status(), request_id(&response));
        let body = self.read(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        Err(self.refused(status, request_id, &body))
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + chunk.len() > BODY_MOST {
                return Err(self.malformed(format!("an answer of more than {BODY_MOST} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn refused(&self, status: StatusCode, request_id: String, body: &[u8]) -> Error {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => {
                Error::Refused { status: status.as_u16(), detail: Box::new(error) }
            }
            // A proxy in between answers for a server that is away.
            Err(_) if matches!(status.as_u16(), 502..=504) => Error::Refused {
                status: status.as_u16(),
                detail: Box::new(ErrorDetail {
                    code: "unavailable".to_owned(),
                    message: format!("{} answers {status}", self.endpoint),
                    field: None,
                    operation: None,
                    request_id,
                }),
            },
            Err(_) => self.malformed(format!("status {status} without an error in JSON")),
        }
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let endpoint = self.endpoint.to_string();
        // The endpoint is named once, and without what a path may hold.
        let source = error.without_url();
        if source.is_connect() {
            return Error::Connect { endpoint, source };
        }
        Error::Interrupted { endpoint, source }
    }

    pub(crate) fn malformed(&self, message: String) -> Error {
        Error::Malformed { endpoint: self.endpoint.to_string(), message }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(self.http.get(self.url(path)?)).await
    }

    pub(crate) async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, Error> {
        self.call(self.http.get(self.url(path)?).query(query)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(self.http.post(self.url(path)?)).await
    }

    pub(crate) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.call(self.http.post(self.url(path)?).json(body)).await
    }

    pub(crate) async fn patch_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.call(self.http.patch(self.url(path)?).json(body)).await
    }

    pub(crate) async fn put_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.call(self.http.put(self.url(path)?).json(body)).await
    }

    /// A call whose answer does not matter beyond its success.
    pub(crate) async fn probe(&self, path: &str) -> Result<(), Error> {
        self.send(self.http.get(self.url(path)?)).await.map(drop)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.send(self.http.request(Method::DELETE, self.url(path)?)).await
    }
}

fn request_id(response: &reqwest::Response) -> String {
    let id = response.headers().get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
    id.unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
