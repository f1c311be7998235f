//! Tokens, tickets and their renewal.

mod check;
mod login;
mod second_factor;

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

pub use check::TokenInfo;
pub use login::LogIn;
pub use second_factor::{Challenge, Factor, FactorKind};

use crate::client::{Client, Target};
use crate::error::Error;
use login::{Credential, login_failed, send_login};

/// A ticket lives two hours; it is renewed, with itself as the password, when
/// it is this old.
const RENEW_AFTER: Duration = Duration::from_secs(3600);
/// Beyond this age only the password helps; the server's clock may be five
/// minutes off.
const DEAD_AFTER: Duration = Duration::from_secs(7200 - 300);

const CSRF: HeaderName = HeaderName::from_static("csrfpreventiontoken");

/// How to prove who we are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Auth {
    /// An API token: needs no renewal and no CSRF protection. A token of
    /// `root@pam` is still not `root@pam`: some calls, and the websockets of
    /// consoles, want a ticket.
    Token {
        /// `user@realm!name`.
        id: String,
        /// The UUID shown when it was created.
        secret: SecretString,
    },
    /// A ticket, got with a password, renewed after an hour. For an account
    /// with a second factor begin with [`Client::log_in`].
    Ticket {
        /// `user@realm`.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A ticket that somebody else got. Nobody knows how old it is, so the
    /// first call renews it; without a password, nothing helps once it is
    /// refused.
    Session(Session),
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

    /// An existing ticket and the CSRF token that belongs to it.
    pub fn session(
        username: impl Into<String>,
        ticket: impl Into<SecretString>,
        csrf: impl Into<SecretString>,
    ) -> Self {
        let (username, ticket, csrf) = (username.into(), ticket.into(), csrf.into());
        Self::Session(Session { username, ticket, csrf })
    }
}

/// A ticket and its CSRF token: what a browser keeps after a log-in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// `user@realm`.
    pub username: String,
    /// `PVE:…`, the value of the cookie `PVEAuthCookie`.
    pub ticket: SecretString,
    /// `CSRFPreventionToken`, which every write carries.
    pub csrf: SecretString,
}

pub(crate) struct Authenticator {
    auth: Auth,
    ticket: Mutex<Option<Ticket>>,
}

#[derive(Clone)]
struct Ticket {
    /// Counts log-ins, to tell whether somebody else renewed it meanwhile.
    serial: u64,
    cookie: SecretString,
    csrf: SecretString,
    /// From when on it should be renewed, and until when it can be, by the
    /// client's clock.
    renew_at: Duration,
    dead_at: Duration,
}

impl Ticket {
    fn new(serial: u64, cookie: SecretString, csrf: SecretString, issued: Duration) -> Self {
        let renew_at = issued.saturating_add(RENEW_AFTER);
        Self { serial, cookie, csrf, renew_at, dead_at: issued.saturating_add(DEAD_AFTER) }
    }
}

/// The headers of one request, and which ticket they hold.
pub(crate) struct Credentials {
    pub headers: HeaderMap,
    pub serial: Option<u64>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.auth.fmt(f)
    }
}

impl Authenticator {
    pub(crate) fn new(auth: Auth) -> Result<Self, Error> {
        let user = "auth: a user name looks like user@realm";
        let ticket = match &auth {
            Auth::Token { id, .. } if !is_token_id(id) => {
                return Err(Error::Config("auth: a token id looks like user@realm!name".into()));
            }
            Auth::Ticket { username, .. } if !is_user_id(username) => {
                return Err(Error::Config(user.into()));
            }
            Auth::Session(session) if !is_user_id(&session.username) => {
                return Err(Error::Config(user.into()));
            }
            Auth::Session(session) => Some(Ticket {
                serial: 1,
                cookie: session.ticket.clone(),
                csrf: session.csrf.clone(),
                renew_at: Duration::ZERO,
                dead_at: Duration::MAX,
            }),
            _ => None,
        };
        Ok(Self { auth, ticket: Mutex::new(ticket) })
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Headers for a call to `target`; logs in first where that is needed.
    /// `stale` is the ticket that was just refused.
    pub(crate) async fn credentials(
        &self,
        client: &Client,
        target: Target<'_>,
        stale: Option<u64>,
    ) -> Result<Credentials, Error> {
        let mut headers = HeaderMap::new();
        let (username, password) = match &self.auth {
            Auth::Token { id, secret } => {
                let value = format!("PVEAPIToken={id}={}", secret.expose_secret());
                headers.insert(AUTHORIZATION, sensitive(&value)?);
                return Ok(Credentials { headers, serial: None });
            }
            Auth::Ticket { username, password } => (username, Some(password)),
            Auth::Session(session) => (&session.username, None),
        };
        // Calls queue up for one log-in; when it fails, each tries on its own.
        // Without a limit on the whole, the last one would wait for all.
        let limit = client.timeouts().login();
        let fresh = self.fresh(client, target, stale, username, password);
        let fresh = tokio::time::timeout(limit, fresh).await.unwrap_or_else(|_| {
            Err(login_failed(target.call, format!("no log-in within {} ms", limit.as_millis())))
        })?;
        headers
            .insert(COOKIE, sensitive(&format!("PVEAuthCookie={}", fresh.cookie.expose_secret()))?);
        if target.call.method != http::Method::GET {
            headers.insert(CSRF, sensitive(fresh.csrf.expose_secret())?);
        }
        Ok(Credentials { headers, serial: Some(fresh.serial) })
    }

    /// A ticket that will be good for a while.
    async fn fresh(
        &self,
        client: &Client,
        target: Target<'_>,
        stale: Option<u64>,
        username: &str,
        password: Option<&SecretString>,
    ) -> Result<Ticket, Error> {
        // Held while logging in, so that a burst of calls makes one log-in.
        let mut slot = self.ticket.lock().await;
        let now = client.now();
        let serial = slot.as_ref().map_or(0, |ticket| ticket.serial);
        let refused = slot.is_some() && stale == Some(serial);
        let usable = slot.as_ref().filter(|ticket| !refused && now < ticket.dead_at);
        let fresh = match (usable, password) {
            (Some(ticket), _) if now < ticket.renew_at => return Ok(ticket.clone()),
            (Some(ticket), _) => renew(client, target, username, password, ticket).await?,
            (None, Some(password)) => {
                let login = send_login(client, target, username, Credential::Password(password));
                login.await?.ticket(serial + 1, now, target.call)?
            }
            (None, None) => {
                return Err(login_failed(
                    target.call,
                    "the ticket has expired, and there is no password to get another".into(),
                ));
            }
        };
        *slot = Some(fresh.clone());
        Ok(fresh)
    }

    /// Is a second try with a new log-in worth it after a 401?
    pub(crate) fn can_log_in_again(&self) -> bool {
        matches!(self.auth, Auth::Ticket { .. })
    }

    /// Takes a ticket that was got by a log-in of its own.
    async fn adopt(&self, cookie: SecretString, csrf: SecretString, issued: Duration) {
        let mut slot = self.ticket.lock().await;
        let serial = slot.as_ref().map_or(1, |ticket| ticket.serial + 1);
        *slot = Some(Ticket::new(serial, cookie, csrf, issued));
    }

    async fn current(&self) -> Option<Session> {
        let slot = self.ticket.lock().await;
        let username = match &self.auth {
            Auth::Token { .. } => return None,
            Auth::Ticket { username, .. } => username,
            Auth::Session(session) => &session.username,
        };
        let Ticket { cookie, csrf, .. } = slot.clone()?;
        Some(Session { username: username.clone(), ticket: cookie, csrf })
    }
}

impl Client {
    /// The ticket that is in use, to go on with elsewhere
    /// ([`Auth::session`]); `None` with an API token, and before the first
    /// call.
    pub async fn session(&self) -> Option<Session> {
        self.authenticator().current().await
    }
}

/// A new ticket for one that is getting old.
async fn renew(
    client: &Client,
    target: Target<'_>,
    username: &str,
    password: Option<&SecretString>,
    old: &Ticket,
) -> Result<Ticket, Error> {
    let issued = client.now();
    let renewed = send_login(client, target, username, Credential::Ticket(&old.cookie)).await;
    let login = match (renewed, password) {
        (Ok(login), _) => login,
        (Err(Error::Unauthenticated(_)), Some(password)) => {
            send_login(client, target, username, Credential::Password(password)).await?
        }
        (Err(error @ Error::Unauthenticated(_)), None) => return Err(error),
        // The old one is good for a while yet: a proxy that is slow for a
        // moment must not fail a call.
        (Err(error), _) => {
            tracing::warn!(%error, "the ticket could not be renewed yet");
            return Ok(old.clone());
        }
    };
    login.ticket(old.serial + 1, issued, target.call)
}

fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::Config("auth: holds characters that no header can carry".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_user_id(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(user, realm)| !user.is_empty() && !realm.is_empty())
}

fn is_token_id(text: &str) -> bool {
    let parts = text.split_once('!');
    parts.is_some_and(|(user, name)| is_user_id(user) && !name.is_empty() && !name.contains('='))
}
