//! How to reach a cluster.

mod proxy;
mod timeouts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use proxy::Proxy;
pub use timeouts::Timeouts;

use crate::auth::Auth;
use crate::limits::Limits;
use crate::retry::RetryPolicy;
use crate::time::{Clock, Sleep, SystemClock, TokioSleep};
use crate::tls::Tls;
use crate::{Error, error::with_sources};

/// Idle connections are dropped early: the API proxy closes them after five
/// seconds, and a write that meets a closing connection has an unknown end.
const IDLE: Duration = Duration::from_secs(2);

/// Everything a [`Client`](crate::Client) needs. Build it with
/// [`Config::new`] and change what should differ.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// One or more nodes of one cluster, `https://host:8006`. A call goes on to
    /// the next one when one cannot be reached: a read always, a write only
    /// when it was certainly not sent. Reads begin with the first in this list
    /// that is not set back, writes with the one that answered last.
    pub endpoints: Vec<Url>,
    /// For how long an endpoint that failed is tried last: 30 s. Twice as long
    /// for each further failure in a row, at most 32 times as long.
    pub set_back: Duration,
    /// Who we are.
    pub auth: Auth,
    /// Which servers to trust.
    pub tls: Tls,
    /// How to get there: directly.
    pub proxy: Proxy,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How many requests at once.
    pub limits: Limits,
    /// When and how often to repeat a call by itself: never.
    pub retry: Option<RetryPolicy>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The largest answer that is read, in bytes after decompression.
    pub body_limit: usize,
    /// Monotonic time, for the age of tickets and for waits.
    pub clock: Arc<dyn Clock>,
    /// How waits sleep.
    pub sleep: Arc<dyn Sleep>,
}

impl Config {
    /// A configuration with the system's trusted roots and the usual timeouts.
    pub fn new(endpoints: impl IntoIterator<Item = Url>, auth: Auth) -> Self {
        Self {
            endpoints: endpoints.into_iter().collect(),
            auth,
            set_back: Duration::from_secs(30),
            tls: Tls::default(),
            proxy: Proxy::Direct,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retry: None,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            // The bulk list of a cluster of 10,000 guests is about 5 MiB.
            body_limit: 64 * 1024 * 1024,
            clock: Arc::new(SystemClock::default()),
            sleep: Arc::new(TokioSleep),
        }
    }

    /// The longest time from the beginning of a write (no upload) to the moment
    /// when the client gives up on it: the wait for a place among
    /// [`limits`](Self::limits), a connection to each endpoint, log-ins, the
    /// answer, and retries where they are allowed.
    pub fn longest_write(&self) -> Duration {
        let timeouts = &self.timeouts;
        let endpoints = u32::try_from(self.endpoints.len().max(1)).unwrap_or(u32::MAX);
        let once = match &self.auth {
            Auth::Token { .. } => timeouts.connect.saturating_mul(endpoints),
            // A log-in before each, and once more after a refused ticket.
            _ => {
                let each = timeouts.connect.saturating_add(timeouts.login());
                each.saturating_mul(endpoints.saturating_add(1)).saturating_add(timeouts.task)
            }
        };
        let once = once.saturating_add(timeouts.task);
        let once = once.saturating_add(self.limits.longest_wait.saturating_mul(endpoints));
        let all = match &self.retry {
            None => once,
            Some(retry) => {
                once.saturating_mul(retry.attempts.max(1)).saturating_add(retry.longest_pauses())
            }
        };
        timeouts.whole.map_or(all, |whole| whole.min(all))
    }

    /// The HTTP library's client.
    pub(crate) fn http_client(&self) -> Result<reqwest::Client, Error> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.client_config()?)
            .user_agent(&self.user_agent)
            .connect_timeout(self.timeouts.connect)
            .pool_idle_timeout(IDLE)
            .http1_only()
            .gzip(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        let builder = match self.proxy.resolve()? {
            Some(proxy) => builder.proxy(proxy),
            None => builder.no_proxy(),
        };
        builder.build().map_err(|error| Error::Config(with_sources(&error)))
    }

    /// The base addresses, each ending in `/api2/json`.
    pub(crate) fn bases(&self) -> Result<Vec<String>, Error> {
        if self.endpoints.is_empty() {
            return Err(Error::Config("endpoints: at least one is needed".into()));
        }
        self.endpoints.iter().map(base).collect()
    }
}

fn base(url: &Url) -> Result<String, Error> {
    let fail = |what: &str| Err(Error::Config(format!("endpoints: {what}")));
    if url.scheme() != "https" {
        return fail(&format!("'{}' must begin with https://", host(url)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return fail("credentials belong in auth, not in the address");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return fail(&format!("'{}' must not have a query", host(url)));
    }
    let text = url.as_str().trim_end_matches('/');
    Ok(match text.strip_suffix("/api2/json") {
        Some(_) => text.to_owned(),
        None => format!("{text}/api2/json"),
    })
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<String> = self.endpoints.iter().map(host).collect();
        f.debug_struct("Config")
            .field("endpoints", &endpoints)
            .field("auth", &self.auth)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bases(url: &str) -> Result<Vec<String>, Error> {
        let auth = Auth::token("root@pam!x", "sesame");
        Config::new([Url::parse(url).unwrap()], auth).bases()
    }

    #[test]
    fn addresses_end_in_the_api_path() {
        for url in [
            "https://h:8006",
            "https://h:8006/",
            "https://h:8006/api2/json",
            "https://h:8006/api2/json/",
        ] {
            assert_eq!(bases(url).unwrap(), ["https://h:8006/api2/json"], "{url}");
        }
        assert_eq!(bases("https://gw/pve").unwrap(), ["https://gw/pve/api2/json"]);
    }

    #[test]
    fn unusable_addresses_are_refused() {
        for url in ["http://h:8006", "https://u:secret@h/", "https://h/?a=b"] {
            let error = bases(url).unwrap_err().to_string();
            assert!(error.contains("endpoints") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let config = Config::new(
            [Url::parse("https://u:hush@h/").unwrap()],
            Auth::ticket("root@pam", "sesame"),
        );
        let text = format!("{config:?}");
        assert!(text.contains("root@pam"));
        assert!(!text.contains("sesame") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn the_longest_write_counts_every_wait() {
        let seconds = Duration::from_secs;
        let url = || Url::parse("https://h").unwrap();
        let mut config = Config::new([url()], Auth::token("root@pam!x", "s"));
        config.limits.longest_wait = seconds(1);
        assert_eq!(config.longest_write(), seconds(10 + 45 + 1));
        config.endpoints.push(url());
        assert_eq!(config.longest_write(), seconds(20 + 45 + 2));
        config.timeouts.whole = Some(seconds(31));
        assert_eq!(config.longest_write(), seconds(31));
        config.timeouts.whole = None;
        let retry = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
        let pauses = retry.longest_pauses();
        config.retry = Some(retry);
        assert_eq!(config.longest_write(), seconds(2 * 67) + pauses);
        config.auth = Auth::ticket("root@pam", "s");
        assert!(config.longest_write() > seconds(2 * 67) + pauses);
    }
}
