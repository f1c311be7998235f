//! Which rights are missing for what somebody wants to do.
//!
//! Proxmox VE checks rights call by call, on different paths, and its releases
//! differ: what a token lacks shows in the middle of the work. Ask before:
//!
//! ```no_run
//! # async fn example(client: pve::Client) -> Result<(), pve::Error> {
//! use pve::diagnose::{Operation, Scope};
//! let scope = Scope::new().node("pve1").pool("ci").storage("local-lvm").bridge("vmbr0");
//! let wanted = [Operation::CreateVm, Operation::Power, Operation::DeleteGuest];
//! let diagnosis = client.diagnose(&wanted, &scope).await?;
//! if !diagnosis.is_complete() {
//!     eprintln!("{diagnosis}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Where the rules come from:
//!
//! - The API's schemas of 8.4 and 9.2, where they hold a rule that a machine can
//!   read; a test compares them. That is so for power, snapshots, templates,
//!   deletion, migration, consoles, growing disks, cloud-init, the firewall,
//!   the agent and the monitor, storages, nodes, pools and high availability,
//!   and for `VM.Clone` and `VM.Allocate` of a clone.
//! - Observed on 8.4 and 9.2, where the schema only has prose: the privilege of
//!   each group of options (`VM.Config.…`), `VM.Allocate` on guest or pool, and
//!   `Datastore.AllocateSpace` on each storage of a new disk.
//! - From memory, seen on no server: `SDN.Use` on bridges since release 8; what
//!   a restore, a backup and moving a disk need of storages; that a container
//!   is made with the options of [`Operation::CreateContainer`]; and everything
//!   about 7.4, which is taken to be as 8.4, without `SDN.Use` and
//!   `Sys.AccessNetwork`.
//!
//! A right on a path says nothing about what is in
//! the way for other reasons: `root@pam` alone may set some options, whatever
//! the rights of others are.

mod operation;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use http::Method;

pub use operation::{Operation, needs};
pub use scope::Scope;

use crate::access::Permissions;
use crate::{Client, Error, Params};

/// A privilege on a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// The ACL path: `/vms/101`.
    pub path: String,
    /// The privilege: `VM.PowerMgmt`.
    pub privilege: &'static str,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.privilege, self.path)
    }
}

/// One right that an operation needs. It is there when all grants of one of the
/// alternatives are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// The alternatives; at least one.
    pub alternatives: Vec<Vec<Grant>>,
}

impl Need {
    /// The same with what is there left out of each alternative; `None` when
    /// one of them is there as a whole.
    fn missing(&self, held: &BTreeSet<Grant>) -> Option<Self> {
        let alternatives: Vec<Vec<Grant>> = self
            .alternatives
            .iter()
            .map(|grants| grants.iter().filter(|grant| !held.contains(grant)).cloned().collect())
            .collect();
        let whole = alternatives.iter().any(Vec::is_empty);
        (!whole).then_some(Self { alternatives })
    }
}

/// `A on P and B on Q, or C on R`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, grants) in self.alternatives.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", or " })?;
            for (index, grant) in grants.iter().enumerate() {
                write!(f, "{}{grant}", if index == 0 { "" } else { " and " })?;
            }
        }
        Ok(())
    }
}

/// What is missing for one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The operation.
    pub operation: Operation,
    /// What is missing, all of it; empty when nothing is.
    pub missing: Vec<Need>,
}

/// What a user or token may do, of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The release that was asked, major and minor number.
    pub release: (u32, u32),
    /// One for each operation, in the order asked for.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// May all of it be done?
    pub fn is_complete(&self) -> bool {
        self.findings.iter().all(|finding| finding.missing.is_empty())
    }

    /// May this be done? False for what was not asked for.
    pub fn allows(&self, operation: Operation) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.operation == operation && finding.missing.is_empty())
    }

    /// What to grant, by path, so that the first alternative of everything that
    /// is missing is there: what an administrator puts into a role.
    pub fn to_grant(&self) -> BTreeMap<String, BTreeSet<&'static str>> {
        let mut grants: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
        let needs = self.findings.iter().flat_map(|finding| &finding.missing);
        for grant in needs.filter_map(|need| need.alternatives.first()).flatten() {
            grants.entry(grant.path.clone()).or_default().insert(grant.privilege);
        }
        grants
    }
}

/// One line for each operation that lacks something, or that nothing is
/// missing.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return f.write_str("nothing is missing");
        }
        let lacking = self.findings.iter().filter(|finding| !finding.missing.is_empty());
        for (index, finding) in lacking.enumerate() {
            f.write_str(if index == 0 { "" } else { "\n" })?;
            write!(f, "to {}: ", finding.operation)?;
            for (index, need) in finding.missing.iter().enumerate() {
                write!(f, "{}{need}", if index == 0 { "" } else { "; " })?;
            }
        }
        Ok(())
    }
}

impl Client {
    /// What is missing for these operations, of the user or token that this
    /// client is. Asks for the release, and once for each path that matters.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::Malformed`] when the release cannot be
    /// read.
    pub async fn diagnose(
        &self,
        operations: &[Operation],
        scope: &Scope,
    ) -> Result<Diagnosis, Error> {
        self.diagnose_as(None, operations, scope).await
    }

    /// The same for somebody else: `user@realm` or `user@realm!token`. Needs
    /// `Sys.Audit` on `/access`.
    ///
    /// # Errors
    /// As [`Client::diagnose`].
    pub async fn diagnose_user(
        &self,
        user: &str,
        operations: &[Operation],
        scope: &Scope,
    ) -> Result<Diagnosis, Error> {
        self.diagnose_as(Some(user), operations, scope).await
    }

    async fn diagnose_as(
        &self,
        user: Option<&str>,
        operations: &[Operation],
        scope: &Scope,
    ) -> Result<Diagnosis, Error> {
        let reply = self.request(Method::GET, "version", ()).await?;
        let version: crate::access::Version = reply.data()?;
        let release = version.numbers().ok_or_else(|| Error::Malformed {
            call: reply.call.clone(),
            reason: format!("version: expected numbers, found '{}'", version.version),
        })?;
        let all: Vec<(Operation, Vec<Need>)> = operations
            .iter()
            .map(|operation| (*operation, needs(*operation, scope, release)))
            .collect();
        let grants = all.iter().flat_map(|(_, needs)| needs);
        let grants = grants.flat_map(|need| need.alternatives.iter().flatten());
        let mut wanted: BTreeMap<&str, BTreeSet<&Grant>> = BTreeMap::new();
        for grant in grants {
            wanted.entry(&grant.path).or_default().insert(grant);
        }
        let mut held = BTreeSet::new();
        for (path, grants) in wanted {
            let params = Params::new().set("path", path).opt("userid", user);
            let reply = self.request(Method::GET, "access/permissions", params).await?;
            let permissions: Permissions = reply.data()?;
            let there = grants.into_iter().filter(|grant| permissions.has(path, grant.privilege));
            held.extend(there.cloned());
        }
        let findings = all.into_iter().map(|(operation, needs)| Finding {
            operation,
            missing: needs.iter().filter_map(|need| need.missing(&held)).collect(),
        });
        Ok(Diagnosis { release, findings: findings.collect() })
    }
}
