//! Words of the API. Each mirrors a word of the house; the matches between them
//! have no wildcard, so that a new word there asks what the API says.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                $variant,
            )*
        }

        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word as it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    let given: String = text.chars().take(40).collect();
                    format!("expected one of {}, got {given:?}", words.join(", "))
                })
            }
        }

        impl From<model::$name> for $name {
            fn from(word: model::$name) -> Self {
                match word {
                    $(model::$name::$variant => Self::$variant,)*
                }
            }
        }

        impl From<$name> for model::$name {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$variant => Self::$variant,)*
                }
            }
        }
    )*};
}

words! {
    /// The one word for an instance's state.
    InstanceState {
        /// Being made.
        Creating = "creating",
        /// Being started.
        Starting = "starting",
        /// Running.
        Running = "running",
        /// Being stopped.
        Stopping = "stopping",
        /// Off.
        Stopped = "stopped",
        /// Being restarted.
        Rebooting = "rebooting",
        /// Suspended.
        Paused = "paused",
        /// Being deleted.
        Deleting = "deleting",
        /// Creation failed, or the last operation is stuck.
        Failed = "failed",
        /// The guest is gone without our doing.
        Lost = "lost",
        /// Not known yet.
        Unknown = "unknown",
    }

    /// Where an instance is in its life.
    Phase {
        /// Its create operation has not ended.
        Creating = "creating",
        /// It exists.
        Ready = "ready",
        /// Its creation failed; nothing is left of it but its row.
        Failed = "failed",
        /// It is being deleted, for good.
        Deleting = "deleting",
        /// Its guest is gone without our doing.
        Lost = "lost",
    }

    /// Whether a guest is powered.
    PowerState {
        /// It runs.
        Running = "running",
        /// It is off.
        Stopped = "stopped",
        /// It is suspended.
        Paused = "paused",
        /// The hypervisor does not say.
        Unknown = "unknown",
    }

    /// What an operation does to its instance.
    OperationKind {
        /// Makes it.
        Create = "create",
        /// Powers it on.
        Start = "start",
        /// Powers it off.
        Stop = "stop",
        /// Asks it to shut down.
        Shutdown = "shutdown",
        /// Restarts it.
        Reboot = "reboot",
        /// Removes it.
        Delete = "delete",
        /// Removes a guest of an unwound creation that appeared late.
        Collect = "collect",
        /// Gives it another size.
        Resize = "resize",
        /// Renames, describes, tags or protects it.
        Edit = "edit",
        /// Takes a snapshot of it.
        Snapshot = "snapshot",
        /// Goes back to a snapshot.
        Rollback = "rollback",
        /// Deletes a snapshot.
        Discard = "discard",
        /// Moves it to another host.
        Migrate = "migrate",
        /// Takes on a guest that is there.
        Adopt = "adopt",
        /// Lets it go: the guest stays.
        Release = "release",
    }

    /// How a guest came to be an instance, and so what may be done to it.
    Ownership {
        /// Innkeeper made it.
        Made = "made",
        /// It was there, and is ours since it was adopted.
        Adopted = "adopted",
        /// It was there and stays somebody else's: it is watched, started and
        /// stopped.
        Observed = "observed",
    }

    /// Where an operation is.
    OperationState {
        /// Accepted; waits for another operation on the same instance to end.
        Queued = "queued",
        /// Going forward.
        Running = "running",
        /// Taking back what it did.
        Unwinding = "unwinding",
        /// Ended as asked for.
        Succeeded = "succeeded",
        /// Ended; what it did has been taken back.
        Failed = "failed",
        /// Ended by a cancel; what it did has been taken back.
        Cancelled = "cancelled",
        /// Cannot go on by itself; can be resumed or abandoned.
        Stuck = "stuck",
        /// Given up by an administrator, with what was left.
        Abandoned = "abandoned",
    }

    /// Where a step is.
    StepState {
        /// Not begun.
        Pending = "pending",
        /// Being carried out.
        Running = "running",
        /// Waiting for something outside.
        Waiting = "waiting",
        /// Done.
        Done = "done",
        /// Failed.
        Failed = "failed",
        /// Being taken back.
        Undoing = "undoing",
        /// Taken back.
        Undone = "undone",
    }

    /// What a token may do. Each role includes the ones before it.
    Role {
        /// Reads.
        Reader = "reader",
        /// Reads and changes what belongs to the project.
        Member = "member",
        /// Everything in every project, and tokens, images and flavours.
        Admin = "admin",
    }

    /// The door that manages an instance.
    Door {
        /// The native HTTP API and the command line.
        Native = "native",
        /// The metadata server.
        Metadata = "metadata",
        /// VISA's cloud web provider.
        Visa = "visa",
        /// PVC's HTTP API.
        Pvc = "pvc",
        /// Infrastructure Manager.
        Im = "im",
        /// The Kubernetes controller.
        Kubernetes = "kubernetes",
        /// Innkeeper itself.
        House = "house",
    }
}

impl OperationState {
    /// Whether nothing happens any more unless somebody asks for it.
    pub fn is_settled(self) -> bool {
        model::OperationState::from(self).is_settled()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Written, described and parsed alike.
    macro_rules! agree {
        ($($name:ident),*) => {$(
            let schema = serde_json::to_value(<$name as utoipa::PartialSchema>::schema()).unwrap();
            let words: Vec<&str> = $name::ALL.iter().map(|word| word.as_str()).collect();
            assert_eq!(schema["enum"], serde_json::json!(words), stringify!($name));
            for word in $name::ALL {
                assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
                assert_eq!(word.as_str().parse::<$name>().unwrap(), *word);
                let ours = serde_json::to_value(model::$name::from(*word)).unwrap();
                assert_eq!(ours, word.as_str(), "the house writes it alike");
            }
        )*};
    }

    #[test]
    fn words_are_written_described_and_parsed_alike() {
        agree!(
            InstanceState,
            Phase,
            PowerState,
            OperationKind,
            OperationState,
            StepState,
            Role,
            Ownership,
            Door
        );
    }

    #[test]
    fn an_unknown_word_lists_the_known_ones() {
        let error = "ready!".parse::<Phase>().unwrap_err();
        let expected = "expected one of creating, ready, failed, deleting, lost, got \"ready!\"";
        assert_eq!(error, expected);
    }
}
