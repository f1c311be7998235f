//! How to reach a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::Error;
use crate::time::{Clock, Sleep, SystemClock, TokioSleep};
use crate::tls::Tls;

/// Everything a [`Client`](crate::Client) needs. Build it with
/// [`Config::new`] and change what should differ.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// One or more nodes of one cluster, `https://host:8006`. Calls that only
    /// read go on to the next one when one cannot be reached; a write is sent
    /// once, to the one that answered last.
    pub endpoints: Vec<Url>,
    /// Who we are.
    pub auth: Auth,
    /// Which servers to trust.
    pub tls: Tls,
    /// How long to wait.
    pub timeouts: Timeouts,
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
            tls: Tls::default(),
            timeouts: Timeouts::default(),
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            // The bulk list of a cluster of 10,000 guests is about 5 MiB.
            body_limit: 64 * 1024 * 1024,
            clock: Arc::new(SystemClock::default()),
            sleep: Arc::new(TokioSleep),
        }
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
            .field("timeouts", &self.timeouts)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

/// How to prove who we are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Auth {
    /// An API token: needs no renewal and no CSRF protection. A token of
    /// `root@pam` is still not `root@pam`: some calls want a ticket.
    Token {
        /// `user@realm!name`.
        id: String,
        /// The UUID shown when it was created.
        secret: SecretString,
    },
    /// A ticket, got with a password, renewed after an hour.
    Ticket {
        /// `user@realm`.
        username: String,
        /// The password.
        password: SecretString,
    },
}

impl Auth {
    /// An API token.
    pub fn token(id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        Self::Token { id: id.into(), secret: secret.into() }
    }

    /// A user with a password.
    pub fn ticket(username: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self::Ticket { username: username.into(), password: password.into() }
    }
}

/// How long to wait for what. Connecting and answering are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To resolve, connect and shake hands: 10 s.
    pub connect: Duration,
    /// For the whole answer of a call that reads: 45 s. The API proxy gives up
    /// on its node after 30 s, and delays each refused log-in by 3 s; less
    /// than that makes sense only in tests.
    pub read: Duration,
    /// For the whole answer of a call that changes something or starts a task
    /// (not for the task itself): 45 s.
    pub task: Duration,
    /// For a whole upload: 1 h.
    pub upload: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(45),
            task: Duration::from_secs(45),
            upload: Duration::from_secs(3600),
        }
    }
}

impl Timeouts {
    /// The longest time from the beginning of a write (no upload) to the moment
    /// when the client gives up on it. With a token it is a single connection
    /// and a single answer.
    pub fn longest_write(&self, auth: &Auth) -> Duration {
        let call = self.connect.saturating_add(self.task);
        match auth {
            Auth::Token { .. } => call,
            // A log-in, the call; once more after a refused ticket.
            Auth::Ticket { .. } => call.saturating_add(self.login()).saturating_mul(2),
        }
    }

    /// For a log-in, the wait for another call's log-in included.
    pub(crate) fn login(&self) -> Duration {
        self.connect.saturating_add(self.read)
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
}
