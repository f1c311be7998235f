//! Who calls.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, ProjectId};

/// Through which door a call came. Also says who manages an instance: a change
/// through another door than the manager's is a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The native HTTP API and the command line.
    Native,
    /// The metadata server that guests ask.
    Metadata,
    /// VISA's cloud web provider.
    Visa,
    /// PVC's HTTP API.
    Pvc,
    /// Infrastructure Manager, REST and XML-RPC.
    Im,
    /// The Kubernetes controller.
    Kubernetes,
    /// Innkeeper itself: the observer and its clean-up.
    House,
}

impl Door {
    /// The door's name, as it is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Metadata => "metadata",
            Self::Visa => "visa",
            Self::Pvc => "pvc",
            Self::Im => "im",
            Self::Kubernetes => "kubernetes",
            Self::House => "house",
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a principal may do inside its project. Each role includes the ones
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Reader,
    /// Reads and changes what belongs to the project.
    Member,
    /// Everything in every project, and tokens, images and flavours.
    Admin,
}

/// Who a caller is, for logs, audit and `managed_by`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// A stable id within its door, for example a token's id.
    pub id: String,
    /// A name for people.
    pub name: String,
}

/// What a caller says about one request, beside what it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTerms {
    /// The request's id, for logs and audit; empty when the door gives none.
    pub id: String,
    /// By which the caller can ask again without asking twice.
    pub key: Option<IdempotencyKey>,
    /// The instance that is changed must stand at one of these change sequences
    /// ([`crate::Instance::sequence`]); `None` takes it as it is.
    pub if_sequence: Option<Vec<u64>>,
}

/// A key that a caller gives a changing request: the same one again is answered
/// with what the first one was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// The key: unique among those of its principal and project.
    pub key: String,
    /// A digest of everything that the request says, by which another request
    /// with the same key is recognised.
    pub fingerprint: String,
}

/// The first argument of every use case: who asks, for which project, through
/// which door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// For which project. Lists and look-ups see this project only, unless the
    /// role is [`Role::Admin`].
    pub project: ProjectId,
    /// Through which door.
    pub door: Door,
    /// With which rights.
    pub role: Role,
    /// What it says about this one request.
    pub request: RequestTerms,
}

impl Caller {
    /// A caller that says nothing about its request.
    pub fn new(principal: Principal, project: ProjectId, door: Door, role: Role) -> Self {
        Self { principal, project, door, role, request: RequestTerms::default() }
    }

    /// Refuses a caller whose role is below `needed`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] that names both roles.
    pub fn require(&self, needed: Role) -> Result<(), Error> {
        if self.role >= needed {
            return Ok(());
        }
        let (has, needed) = (role_name(self.role), role_name(needed));
        Err(Error::Forbidden {
            message: format!("this needs the role {needed}; {} has {has}", self.principal.name),
        })
    }

    /// Whether what belongs to `project` is visible to this caller.
    pub fn sees(&self, project: &ProjectId) -> bool {
        self.role == Role::Admin || &self.project == project
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Member => "member",
        Role::Admin => "admin",
    }
}
