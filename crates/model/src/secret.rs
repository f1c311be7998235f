//! Secrets as references.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SecretId;

/// A reference to a secret that is sealed in the store. The secret itself is
/// never in a journal, a log, an error or a debug print: this is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub SecretId);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.0)
    }
}
