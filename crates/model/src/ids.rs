//! Newtype ids. Generated ones are UUIDs of version 7 (they sort by time);
//! named ones are short texts that an administrator chose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Clock, Random};

/// A text that is not an id of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} expected, got {text:?}")]
pub struct ParseIdError {
    /// What was expected, for example `an instance id (a UUID)`.
    pub what: &'static str,
    /// The beginning of what was given.
    pub text: String,
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A UUID of version 7 from the given sources of time and chance.
fn uuid_v7(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    let mut tail = [0u8; 10];
    random.fill(&mut tail);
    let millis = u64::try_from(clock.now().as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, unique for all practical purposes, sorting by time.
            pub fn generate(clock: &dyn Clock, random: &dyn Random) -> Self {
                Self(uuid_v7(clock, random))
            }

            /// The id with this UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| ParseIdError { what: $what, text: shortened(text) })
            }
        }
    )*};
}

uuid_ids! {
    /// An instance: one guest that Innkeeper owns or has adopted.
    InstanceId, "an instance id (a UUID)";
    /// An operation: what a caller asked for and can follow, cancel, resume.
    OperationId, "an operation id (a UUID)";
    /// An image that instances are made from.
    ImageId, "an image id (a UUID)";
    /// A flavour: a named size.
    FlavourId, "a flavour id (a UUID)";
    /// A bearer token of the native door (its id, never its secret).
    TokenId, "a token id (a UUID)";
    /// Identifies somebody who is told of events.
    WebhookId, "a webhook id (a UUID)";
    /// A sealed secret in the store.
    SecretId, "a secret id (a UUID)";
    /// One attempt to make an instance; part of the mark on the guest.
    AttemptId, "an attempt id (a UUID)";
    /// This installation of Innkeeper; part of the mark on every guest.
    InstallationId, "an installation id (a UUID)";
}

macro_rules! name_ids {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
                    return Err(ParseIdError { what: $what, text: shortened(text) });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

name_ids! {
    /// A project: whose instances these are, and whose quota they use.
    ProjectId, "a project name (1 to 63 letters, digits, '-', '_', '.')";
    /// A configured provider: one cluster or cloud.
    ProviderId, "a provider name (1 to 63 letters, digits, '-', '_', '.')";
    /// A host of a provider: a machine that carries guests.
    HostId, "a host name (1 to 63 letters, digits, '-', '_', '.')";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::SeededRandom;
    use crate::time::{ManualClock, Timestamp};

    #[test]
    fn generated_ids_sort_by_time() {
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        let random = SeededRandom::new(7);
        let first = InstanceId::generate(&clock, &random);
        clock.advance(std::time::Duration::from_millis(1));
        let second = InstanceId::generate(&clock, &random);
        assert!(first < second);
        assert_eq!(first.as_uuid().get_version_num(), 7);
        assert_eq!(first.to_string().parse::<InstanceId>().unwrap(), first);
    }

    #[test]
    fn a_bad_id_says_what_was_expected() {
        let error = "nope".parse::<InstanceId>().unwrap_err();
        assert_eq!(error.to_string(), "an instance id (a UUID) expected, got \"nope\"");
        assert!("a b".parse::<HostId>().is_err());
        assert!("".parse::<ProjectId>().is_err());
        assert!(serde_json::from_str::<HostId>("\"../etc\"").is_err());
    }
}
