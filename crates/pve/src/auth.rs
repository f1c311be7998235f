//! Tokens, tickets and their renewal.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;

use crate::client::{Client, Payload, Target};
use crate::config::Auth;
use crate::error::{Call, Error, Transport, TransportKind};
use crate::{ApiPath, Params, lenient};

/// A ticket lives two hours; it is renewed, with itself as the password, when
/// it is this old.
const RENEW_AFTER: Duration = Duration::from_secs(3600);
/// Beyond this age only the password helps; the server's clock may be five
/// minutes off.
const DEAD_AFTER: Duration = Duration::from_secs(7200 - 300);

const CSRF: HeaderName = HeaderName::from_static("csrfpreventiontoken");

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
    issued: Duration,
}

/// The headers of one request, and which ticket they hold.
pub(crate) struct Credentials {
    pub headers: HeaderMap,
    pub serial: Option<u64>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default, deserialize_with = "secret")]
    ticket: Option<SecretString>,
    #[serde(rename = "CSRFPreventionToken", default, deserialize_with = "secret")]
    csrf: Option<SecretString>,
    #[serde(rename = "NeedTFA", default, deserialize_with = "lenient::bool")]
    need_tfa: bool,
}

fn secret<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SecretString>, D::Error> {
    Ok(lenient::opt_string(d)?.map(SecretString::from))
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.auth.fmt(f)
    }
}

impl Authenticator {
    pub(crate) fn new(auth: Auth) -> Result<Self, Error> {
        match &auth {
            Auth::Token { id, .. } if !is_token_id(id) => {
                Err(Error::Config("auth: a token id looks like user@realm!name".into()))
            }
            Auth::Ticket { username, .. } if !is_user_id(username) => {
                Err(Error::Config("auth: a user name looks like user@realm".into()))
            }
            _ => Ok(Self { auth, ticket: Mutex::new(None) }),
        }
    }

    /// Headers for a call to `target`; logs in first where that is needed.
    /// `stale` is the ticket that was just refused.
    pub(crate) async fn credentials(
        &self,
        client: &Client,
        target: Target<'_>,
        stale: Option<u64>,
    ) -> Result<Credentials, Error> {
        // Calls queue up for one log-in; when it fails, each tries on its own.
        // Without a limit on the whole, the last one would wait for all.
        let limit = client.timeouts().login();
        let credentials = self.fetch(client, target, stale);
        let result = tokio::time::timeout(limit, credentials).await;
        result.unwrap_or_else(|_| {
            Err(login_failed(target.call, format!("no log-in within {} ms", limit.as_millis())))
        })
    }

    async fn fetch(
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
            Auth::Ticket { username, password } => (username, password),
        };
        // Held while logging in, so that a burst of calls makes one log-in.
        let mut slot = self.ticket.lock().await;
        let now = client.now();
        let serial = slot.as_ref().map_or(0, |ticket| ticket.serial);
        let refused = slot.is_some() && stale == Some(serial);
        let age = slot.as_ref().map(|ticket| now.saturating_sub(ticket.issued));
        let renewable =
            slot.as_ref().filter(|_| !refused && age.is_some_and(|age| age < DEAD_AFTER));
        let young = age.is_some_and(|age| age < RENEW_AFTER);
        let fresh = match renewable {
            Some(ticket) if young => ticket.clone(),
            Some(ticket) => renew(client, target, username, password, ticket).await?,
            None => login(client, target, username, password).await?.ticket(
                serial + 1,
                now,
                target.call,
            )?,
        };
        headers
            .insert(COOKIE, sensitive(&format!("PVEAuthCookie={}", fresh.cookie.expose_secret()))?);
        if target.call.method != http::Method::GET {
            headers.insert(CSRF, sensitive(fresh.csrf.expose_secret())?);
        }
        let serial = Some(fresh.serial);
        *slot = Some(fresh);
        Ok(Credentials { headers, serial })
    }

    /// Is a second try with a new log-in worth it after a 401?
    pub(crate) fn can_log_in_again(&self) -> bool {
        matches!(self.auth, Auth::Ticket { .. })
    }
}

/// A new ticket for one that is getting old.
async fn renew(
    client: &Client,
    target: Target<'_>,
    username: &str,
    password: &SecretString,
    old: &Ticket,
) -> Result<Ticket, Error> {
    let issued = client.now();
    let login = match login(client, target, username, &old.cookie).await {
        Err(Error::Unauthenticated(_)) => login(client, target, username, password).await?,
        Ok(login) => login,
        // The old one is good for a while yet: a proxy that is slow for a
        // moment must not fail a call.
        Err(error) => {
            tracing::warn!(%error, "the ticket could not be renewed yet");
            return Ok(old.clone());
        }
    };
    login.ticket(old.serial + 1, issued, target.call)
}

async fn login(
    client: &Client,
    target: Target<'_>,
    username: &str,
    password: &SecretString,
) -> Result<Login, Error> {
    let path = ApiPath::from("access/ticket");
    let call = Call { method: http::Method::POST, path: path.to_string() };
    let params = Params::new().set("username", username).secret("password", password.clone());
    let inner = Target { base: target.base, call: &call };
    let result = client
        .once(inner, Payload::Params(&params), HeaderMap::new(), client.timeouts().read)
        .await
        .and_then(|reply| reply.data::<Login>());
    // Whatever became of the log-in, the call itself was not sent.
    result.map_err(|error| match error {
        Error::Unauthenticated(_) => error,
        // The details may quote the answer, which holds the ticket.
        Error::Malformed { .. } => {
            login_failed(target.call, "the log-in's answer cannot be read".to_owned())
        }
        error => Error::NotSent {
            call: target.call.clone(),
            source: Transport { kind: TransportKind::Login, detail: with_sources(&error) },
        },
    })
}

fn login_failed(call: &Call, detail: String) -> Error {
    let kind = TransportKind::Login;
    Error::NotSent { call: call.clone(), source: Transport { kind, detail } }
}

impl Login {
    fn ticket(self, serial: u64, issued: Duration, call: &Call) -> Result<Ticket, Error> {
        let fail = |detail: &str| login_failed(call, detail.to_owned());
        if self.need_tfa {
            return Err(fail("the log-in needs a second factor; use an API token"));
        }
        match (self.ticket, self.csrf) {
            (Some(cookie), Some(csrf)) => Ok(Ticket { serial, cookie, csrf, issued }),
            _ => Err(fail("the log-in's answer holds no ticket")),
        }
    }
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

/// An error and everything behind it in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
