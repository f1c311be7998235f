//! The log-in call, and logging in as a step of its own.

use std::time::Duration;

use http::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::{Auth, Challenge, Ticket};
use crate::client::{Client, Payload, Target};
use crate::error::{Call, Error, Transport, TransportKind, with_sources};
use crate::{ApiPath, Config, Params, lenient};

/// What proves who we are in a log-in.
#[derive(Clone, Copy)]
pub(super) enum Credential<'a> {
    Password(&'a SecretString),
    /// A password and a one-time password beside it, as releases before 7.0
    /// want it.
    Otp(&'a SecretString, &'a SecretString),
    /// An old ticket.
    Ticket(&'a SecretString),
    /// The answer to a challenge, and the challenge's ticket.
    Factor(&'a SecretString, &'a SecretString),
}

impl Credential<'_> {
    fn params(self, username: &str) -> Params {
        let params = Params::new().set("username", username);
        match self {
            Self::Password(password) | Self::Ticket(password) => {
                params.secret("password", password.clone())
            }
            Self::Otp(password, otp) => {
                params.secret("password", password.clone()).secret("otp", otp.clone())
            }
            Self::Factor(answer, challenge) => {
                params.secret("password", answer.clone()).secret("tfa-challenge", challenge.clone())
            }
        }
    }

    /// Is it used up by the first try?
    fn is_one_time(self) -> bool {
        matches!(self, Self::Otp(..) | Self::Factor(..))
    }
}

/// The answer to a log-in.
#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(default, deserialize_with = "secret")]
    pub ticket: Option<SecretString>,
    #[serde(rename = "CSRFPreventionToken", default, deserialize_with = "secret")]
    pub csrf: Option<SecretString>,
    #[serde(rename = "NeedTFA", default, deserialize_with = "lenient::bool")]
    need_tfa: bool,
}

fn secret<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SecretString>, D::Error> {
    Ok(lenient::opt_string(d)?.map(SecretString::from))
}

impl Login {
    /// Releases differ in whether they say so beside the ticket.
    pub fn is_challenge(&self) -> bool {
        let marked =
            |ticket: &SecretString| ticket.expose_secret().split(':').nth(1).map(is_challenge);
        self.need_tfa || self.ticket.as_ref().and_then(marked).unwrap_or(false)
    }

    pub fn ticket(self, serial: u64, issued: Duration, call: &Call) -> Result<Ticket, Error> {
        if self.is_challenge() {
            return Err(Error::SecondFactor { call: call.clone() });
        }
        match (self.ticket, self.csrf) {
            (Some(cookie), Some(csrf)) => Ok(Ticket::new(serial, cookie, csrf, issued)),
            _ => Err(login_failed(call, "the log-in's answer holds no ticket".to_owned())),
        }
    }
}

fn is_challenge(part: &str) -> bool {
    part.starts_with("!tfa!")
}

pub(super) fn login_failed(call: &Call, detail: String) -> Error {
    let kind = TransportKind::Login;
    Error::NotSent { call: call.clone(), source: Transport { kind, detail } }
}

pub(super) fn login_call() -> Call {
    Call { method: http::Method::POST, path: ApiPath::from("access/ticket").to_string() }
}

/// Logs in because `target` needs it. Whatever becomes of the log-in, the call
/// itself was not sent.
pub(super) async fn send_login(
    client: &Client,
    target: Target<'_>,
    username: &str,
    credential: Credential<'_>,
) -> Result<Login, Error> {
    let (call, params) = (login_call(), credential.params(username));
    let inner = Target { base: target.base, call: &call };
    exchange(client, inner, &params).await.map_err(|error| match error {
        Error::Unauthenticated(_) => error,
        error => login_failed(target.call, with_sources(&error)),
    })
}

async fn exchange(client: &Client, target: Target<'_>, params: &Params) -> Result<Login, Error> {
    let timeout = client.timeouts().read;
    let reply = client.once(target, Payload::Params(params), HeaderMap::new(), timeout).await?;
    // The details may quote the answer, which holds the ticket.
    reply.data::<Login>().map_err(|_| Error::Malformed {
        call: target.call.clone(),
        reason: "the log-in's answer cannot be read".to_owned(),
    })
}

/// How a log-in ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogIn {
    /// Logged in.
    Done(Client),
    /// The account has a second factor: answer this.
    Challenge(Box<Challenge>),
}

impl Client {
    /// Logs in at once, and says when a second factor is wanted. `config.auth`
    /// must be [`Auth::Ticket`] or [`Auth::Session`] (whose ticket is then
    /// renewed).
    ///
    /// Without this call a client logs in by itself when the first request
    /// needs it, which fails with [`Error::SecondFactor`] for such an account.
    /// After it, the ticket is renewed with itself, for which no second factor
    /// is asked, as long as the client is used at least every two hours.
    ///
    /// ```no_run
    /// # async fn example(config: pve::Config) -> Result<(), pve::Error> {
    /// use pve::{Client, Factor, LogIn};
    /// let client = match Client::log_in(config).await? {
    ///     LogIn::Done(client) => client,
    ///     LogIn::Challenge(challenge) => challenge.answer(&Factor::totp("123456")).await?,
    ///     _ => unreachable!("there are two ways"),
    /// };
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong name or password, which is not
    /// tried again; [`Error::Config`]; the rest as [`Client::request`].
    pub async fn log_in(config: Config) -> Result<LogIn, Error> {
        log_in(config, None).await
    }

    /// The same with a one-time password in the same call, as releases before
    /// 7.0 ask for it (realms with `tfa` set, still).
    ///
    /// # Errors
    /// As [`Client::log_in`]. A lost answer is not repeated: the one-time
    /// password may be used up.
    pub async fn log_in_with_otp(
        config: Config,
        otp: impl Into<SecretString>,
    ) -> Result<LogIn, Error> {
        log_in(config, Some(otp.into())).await
    }
}

async fn log_in(config: Config, otp: Option<SecretString>) -> Result<LogIn, Error> {
    let client = Client::new(config)?;
    let auth = client.authenticator().auth().clone();
    let (username, credential) = match (&auth, &otp) {
        (Auth::Ticket { username, password }, None) => (username, Credential::Password(password)),
        (Auth::Ticket { username, password }, Some(otp)) => {
            (username, Credential::Otp(password, otp))
        }
        (Auth::Session(session), None) => (&session.username, Credential::Ticket(&session.ticket)),
        _ => {
            return Err(Error::Config(
                "auth: a log-in needs a user name and a password, not a token".into(),
            ));
        }
    };
    finish(client, username.clone(), credential).await
}

/// Sends a log-in to the endpoints and takes what comes.
pub(super) async fn finish(
    client: Client,
    username: String,
    credential: Credential<'_>,
) -> Result<LogIn, Error> {
    let (call, params) = (login_call(), credential.params(&username));
    let issued = client.now();
    let once = credential.is_one_time();
    let mut tour = client.tour(&call, once);
    let login = loop {
        let result = exchange(&client, tour.target()?, &params).await;
        if let Some(result) = tour.judge(result) {
            break result?;
        }
    };
    if login.is_challenge() {
        let ticket = login.ticket.ok_or_else(|| Error::Malformed {
            call,
            reason: "a second factor is wanted, and there is no challenge".into(),
        })?;
        return Ok(LogIn::Challenge(Box::new(Challenge::new(client, username, ticket))));
    }
    let Ticket { cookie, csrf, .. } = login.ticket(1, issued, &call)?;
    client.authenticator().adopt(cookie, csrf, issued).await;
    Ok(LogIn::Done(client))
}
