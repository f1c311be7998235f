//! The second step of a log-in.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::login::{Credential, LogIn, finish, login_call};
use crate::{Client, Error};

/// A kind of second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FactorKind {
    /// A time-based one-time password, usually of six digits.
    Totp,
    /// One of the recovery keys, each of which works once.
    Recovery,
    /// A one-time password of a YubiKey.
    Yubico,
    /// A security key, by way of a browser.
    WebAuthn,
}

impl fmt::Display for FactorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Totp => "totp",
            Self::Recovery => "recovery",
            Self::Yubico => "yubico",
            Self::WebAuthn => "webauthn",
        })
    }
}

/// The answer to a [`Challenge`].
#[derive(Clone, Debug)]
pub struct Factor {
    kind: FactorKind,
    answer: SecretString,
}

impl Factor {
    /// A time-based one-time password.
    pub fn totp(code: impl Into<SecretString>) -> Self {
        Self { kind: FactorKind::Totp, answer: code.into() }
    }

    /// A recovery key, `xxxx-xxxx-xxxx-xxxx`.
    pub fn recovery(key: impl Into<SecretString>) -> Self {
        Self { kind: FactorKind::Recovery, answer: key.into() }
    }

    /// What a YubiKey types.
    pub fn yubico(otp: impl Into<SecretString>) -> Self {
        Self { kind: FactorKind::Yubico, answer: otp.into() }
    }

    /// The JSON text of the credential that a browser made of
    /// [`Challenge::webauthn`].
    pub fn webauthn(credential: impl Into<SecretString>) -> Self {
        Self { kind: FactorKind::WebAuthn, answer: credential.into() }
    }

    /// Which kind it is.
    pub fn kind(&self) -> FactorKind {
        self.kind
    }
}

/// A log-in whose password was right and that waits for its second factor.
/// Proxmox takes the answer for a few minutes; a wrong one can be followed by
/// another.
pub struct Challenge {
    client: Client,
    username: String,
    ticket: SecretString,
    details: Option<Value>,
}

/// Without the ticket.
impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("username", &self.username)
            .field("kinds", &self.kinds())
            .finish_non_exhaustive()
    }
}

impl Challenge {
    pub(super) fn new(client: Client, username: String, ticket: SecretString) -> Self {
        let details = read_details(ticket.expose_secret());
        Self { client, username, ticket, details }
    }

    /// Whose log-in it is.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// What it may be answered by; empty when the challenge could not be read.
    pub fn kinds(&self) -> Vec<FactorKind> {
        let offered = |name: &str| match self.details.as_ref().and_then(|all| all.get(name)) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            // Recovery keys: a list of those left, or a word.
            Some(Value::Array(left)) => !left.is_empty(),
            Some(Value::String(word)) => word != "unavailable",
            Some(Value::Number(flag)) => flag.as_u64() != Some(0),
            Some(_) => true,
        };
        let all =
            [FactorKind::Totp, FactorKind::Recovery, FactorKind::Yubico, FactorKind::WebAuthn];
        all.into_iter().filter(|kind| offered(&kind.to_string())).collect()
    }

    /// What a browser needs for `navigator.credentials.get`, when a security
    /// key is offered.
    pub fn webauthn(&self) -> Option<&Value> {
        self.details.as_ref()?.get("webauthn").filter(|value| value.is_object())
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when this kind is not offered;
    /// [`Error::Unauthenticated`] when the answer is wrong; the rest as
    /// [`Client::request`]. After a lost answer begin with a new log-in: the
    /// code may be used up.
    pub async fn answer(&self, factor: &Factor) -> Result<Client, Error> {
        let kinds = self.kinds();
        if !kinds.is_empty() && !kinds.contains(&factor.kind) {
            let kinds: Vec<String> = kinds.iter().map(FactorKind::to_string).collect();
            let kinds = kinds.join(", ");
            return Err(Error::InvalidRequest {
                call: login_call(),
                reason: format!("factor: expected one of {kinds}, got {}", factor.kind),
            });
        }
        let text = format!("{}:{}", factor.kind, factor.answer.expose_secret().trim());
        let credential = SecretString::from(text);
        let credential = Credential::Factor(&credential, &self.ticket);
        match finish(self.client.clone(), self.username.clone(), credential).await? {
            LogIn::Done(client) => Ok(client),
            LogIn::Challenge(_) => Err(Error::SecondFactor { call: login_call() }),
        }
    }
}

/// The JSON inside of `PVE:!tfa!JSON:…`, which is percent-encoded or plain.
fn read_details(ticket: &str) -> Option<Value> {
    let (_, rest) = ticket.split_once(":!tfa!")?;
    if rest.starts_with('{') {
        // It holds colons itself: read one value and leave the rest.
        return serde_json::Deserializer::from_str(rest).into_iter().next()?.ok();
    }
    let text = percent_decode_str(rest.split(':').next()?).decode_utf8().ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn challenges_are_read_plain_and_percent_encoded() {
        let plain = read_details("PVE:!tfa!{\"totp\":true,\"recovery\":[0,1]}:68A1::sig").unwrap();
        assert_eq!(plain["recovery"][1], 1);
        let encoded = "PVE:!tfa!%7B%22totp%22%3Atrue%2C%22yubico%22%3Afalse%7D:68A1::sig";
        assert_eq!(read_details(encoded).unwrap()["totp"], true);
        assert_eq!(read_details("PVE:!tfa!gibberish:68A1::sig"), None);
    }
}
