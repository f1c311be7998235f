//! Users, tokens, roles and access control, and what a caller may do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::World;
use crate::schema::Version;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub user: String,
    pub token: Option<String>,
}

impl Caller {
    /// `user@realm` or `user@realm!token`.
    pub fn id(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }

    /// Whether it is root with a ticket, who may do what no token may.
    pub fn is_root(&self) -> bool {
        self.user == "root@pam" && self.token.is_none()
    }
}

/// An API token.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Token {
    pub secret: String,
    pub privilege_separation: bool,
    pub expire: u64,
    pub comment: Option<String>,
}

/// A user.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct User {
    pub enabled: bool,
    pub expire: u64,
    pub password: Option<String>,
    pub comment: Option<String>,
    pub email: Option<String>,
    pub firstname: Option<String>,
    pub lastname: Option<String>,
    pub keys: Option<String>,
    pub groups: BTreeSet<String>,
    pub tokens: BTreeMap<String, Token>,
    pub factors: Vec<Factor>,
}

/// A second factor of a user.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Factor {
    pub id: String,
    pub description: String,
    pub created: u64,
    pub enabled: bool,
    pub secret: Secret,
}

/// What a second factor is checked against.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Secret {
    /// The `otpauth://` address with the shared secret.
    Totp(String),
    /// Recovery keys; a used one is `None`.
    Recovery(Vec<Option<String>>),
}

impl Factor {
    /// `totp` or `recovery`.
    pub fn kind(&self) -> &'static str {
        match self.secret {
            Secret::Totp(_) => "totp",
            Secret::Recovery(_) => "recovery",
        }
    }
}

/// An entry of the access control list: what `role` a user, group or token has on a path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entry {
    pub path: String,
    /// `user@realm`, `user@realm!token`, or `@group` as in Proxmox's own file.
    pub subject: String,
    pub role: String,
    pub propagate: bool,
}

/// Users, roles and the access control list.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Access {
    pub users: BTreeMap<String, User>,
    /// The groups with their comments; the members are with the users.
    pub groups: BTreeMap<String, Option<String>>,
    pub roles: BTreeMap<String, BTreeSet<String>>,
    pub entries: Vec<Entry>,
    /// Privileges that nobody has any more, root's ticket excepted (a fault).
    pub withdrawn: BTreeSet<String>,
    pub privileges: BTreeSet<String>,
    pub key: [u8; 20],
}

const COMMON: &str = "Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit \
    Group.Allocate Permissions.Modify Pool.Allocate Pool.Audit \
    Realm.Allocate Realm.AllocateUser SDN.Allocate SDN.Audit Sys.Audit Sys.Console \
    Sys.Incoming Sys.Modify Sys.PowerMgmt Sys.Syslog User.Modify VM.Allocate VM.Audit VM.Backup VM.Clone \
    VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType VM.Config.Memory \
    VM.Config.Network VM.Config.Options VM.Console VM.Migrate VM.PowerMgmt VM.Snapshot VM.Snapshot.Rollback";
/// What came with 8. From memory; no list of 7.4 was compared.
const SINCE_8: &str = "Mapping.Audit Mapping.Modify Mapping.Use SDN.Use Sys.AccessNetwork";
const UNTIL_8: &str = "VM.Monitor";
const ONLY_9: &str = "VM.GuestAgent.Audit VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt \
    VM.GuestAgent.FileWrite VM.GuestAgent.Unrestricted VM.Replicate";
/// Privileges that `PVEAdmin` lacks.
const NOT_ADMIN: &str = "Mapping.Modify Permissions.Modify Realm.Allocate Sys.AccessNetwork Sys.Incoming Sys.Modify Sys.PowerMgmt";

/// The built-in roles: name, then privileges; `VM.*` means all that begin so.
/// Source: the role list of a running 8.4.21 and 9.2.11.
const ROLES: &[(&str, &str)] = &[
    ("NoAccess", ""),
    (
        "PVEAuditor",
        "Datastore.Audit Mapping.Audit Pool.Audit SDN.Audit Sys.Audit VM.Audit VM.GuestAgent.Audit",
    ),
    ("PVEDatastoreAdmin", "Datastore.*"),
    ("PVEDatastoreUser", "Datastore.AllocateSpace Datastore.Audit"),
    ("PVEMappingAdmin", "Mapping.*"),
    ("PVEMappingUser", "Mapping.Audit Mapping.Use"),
    ("PVEPoolAdmin", "Pool.*"),
    ("PVEPoolUser", "Pool.Audit"),
    ("PVESDNAdmin", "SDN.*"),
    ("PVESDNUser", "SDN.Audit SDN.Use"),
    ("PVESysAdmin", "Sys.Audit Sys.Console Sys.Syslog"),
    ("PVETemplateUser", "VM.Audit VM.Clone"),
    ("PVEUserAdmin", "Group.Allocate Realm.AllocateUser User.Modify"),
    ("PVEVMAdmin", "VM.*"),
    (
        "PVEVMUser",
        "VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.GuestAgent.Audit \
         VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.PowerMgmt",
    ),
];

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

impl Access {
    /// root and the built-in roles of a release.
    pub fn new(version: Version) -> Self {
        let special = if version < Version::V9_2 { UNTIL_8 } else { ONLY_9 };
        let mut privileges: BTreeSet<String> = words(COMMON).chain(words(special)).collect();
        if version >= Version::V8_4 {
            privileges.extend(words(SINCE_8));
        }
        let mut roles = BTreeMap::new();
        roles.insert("Administrator".to_owned(), privileges.clone());
        let not_admin: BTreeSet<String> = words(NOT_ADMIN).collect();
        roles.insert("PVEAdmin".to_owned(), privileges.difference(&not_admin).cloned().collect());
        let since_8 = ["PVEMappingAdmin", "PVEMappingUser", "PVESDNUser"];
        let of_7 = |name: &str| !since_8.contains(&name);
        for (name, list) in ROLES.iter().filter(|(name, _)| version > Version::V7_4 || of_7(name)) {
            let of_role = privileges.iter().filter(|privilege| {
                list.split_whitespace().any(|word| match word.strip_suffix('*') {
                    Some(stem) => privilege.starts_with(stem),
                    None => *privilege == word,
                })
            });
            roles.insert((*name).to_owned(), of_role.cloned().collect());
        }
        let root = User { enabled: true, ..User::default() };
        Self {
            users: BTreeMap::from([("root@pam".to_owned(), root)]),
            groups: BTreeMap::new(),
            roles,
            entries: Vec::new(),
            withdrawn: BTreeSet::new(),
            privileges,
            key: [0; 20],
        }
    }

    /// Whether a role comes with Proxmox.
    pub fn is_builtin(role: &str) -> bool {
        matches!(role, "Administrator" | "PVEAdmin") || ROLES.iter().any(|(name, _)| *name == role)
    }

    /// Whether a user exists, is enabled and has not expired.
    pub fn is_active(&self, user: &str, now: Duration) -> bool {
        let alive = |user: &User| user.enabled && (user.expire == 0 || user.expire > now.as_secs());
        self.users.get(user).is_some_and(alive)
    }

    /// The entries that count for a subject on a path: those nearest to it. At
    /// the same path a user's own entries hide those of the user's groups.
    fn nearest(&self, subject: &str, path: &str) -> Vec<&Entry> {
        let groups = self.users.get(subject).map(|user| &user.groups);
        let in_group = |name: &str| groups.is_some_and(|groups| groups.contains(name));
        let mut best = (0, false);
        let mut found: Vec<&Entry> = Vec::new();
        for entry in &self.entries {
            let own = entry.subject == subject;
            if !own && !entry.subject.strip_prefix('@').is_some_and(in_group) {
                continue;
            }
            let above = entry.path == "/"
                || path.strip_prefix(&entry.path).is_some_and(|rest| rest.starts_with('/'));
            if entry.path != path && !(above && entry.propagate) {
                continue;
            }
            let rank = (entry.path.trim_end_matches('/').len(), own);
            if found.is_empty() || rank > best {
                found = vec![entry];
                best = rank;
            } else if rank == best {
                found.push(entry);
            }
        }
        if found.iter().any(|entry| entry.role == "NoAccess") {
            found.clear();
        }
        found
    }

    /// The privileges that the list gives a subject on a path; `true` marks what propagates.
    fn listed(&self, subject: &str, path: &str) -> BTreeMap<String, bool> {
        let mut found = BTreeMap::new();
        for entry in self.nearest(subject, path) {
            for privilege in self.roles.get(&entry.role).into_iter().flatten() {
                *found.entry(privilege.clone()).or_insert(false) |= entry.propagate;
            }
        }
        found
    }

    /// Whether the list gives a subject one privilege on a path.
    fn gives(&self, subject: &str, path: &str, privilege: &str) -> bool {
        let has = |entry: &Entry| {
            self.roles.get(&entry.role).is_some_and(|role| role.contains(privilege))
        };
        self.nearest(subject, path).into_iter().any(has)
    }
}

impl World {
    /// The secret of a token (`user@realm!name`).
    pub fn secret_of(&self, token: &str) -> Option<&str> {
        let (user, name) = token.split_once('!')?;
        Some(&self.access.users.get(user)?.tokens.get(name)?.secret)
    }

    fn raw_privileges(&self, subject: &str, path: &str) -> BTreeMap<String, bool> {
        let mut found = self.access.listed(subject, path);
        for pool in self.pools_of(path) {
            for (privilege, propagates) in self.access.listed(subject, &format!("/pool/{pool}")) {
                if propagates {
                    found.entry(privilege).or_insert(true);
                }
            }
        }
        found
    }

    /// The pools whose rights also count on this path.
    fn pools_of(&self, path: &str) -> Vec<&str> {
        if let Some(vmid) = path.strip_prefix("/vms/").and_then(|vmid| vmid.parse::<u32>().ok()) {
            return self
                .guests
                .get(&vmid)
                .and_then(|guest| guest.pool.as_deref())
                .into_iter()
                .collect();
        }
        let Some(storage) = path.strip_prefix("/storage/") else { return Vec::new() };
        self.pools
            .iter()
            .filter(|(_, pool)| pool.storages.contains(storage))
            .map(|(id, _)| id.as_str())
            .collect()
    }

    /// What a caller may do on a path; `true` marks what propagates.
    pub fn privileges(&self, caller: &Caller, path: &str) -> BTreeMap<String, bool> {
        let of_user = if caller.user == "root@pam" {
            self.access.privileges.iter().map(|privilege| (privilege.clone(), true)).collect()
        } else {
            self.raw_privileges(&caller.user, path)
        };
        let mut found = of_user;
        if self.is_separated(caller) {
            let own = self.raw_privileges(&caller.id(), path);
            found.retain(|privilege, _| own.contains_key(privilege));
        }
        if !caller.is_root() {
            found.retain(|privilege, _| !self.access.withdrawn.contains(privilege));
        }
        found
    }

    /// Whether a caller has a privilege on a path. Cheap: lists ask it per guest.
    pub fn may(&self, caller: &Caller, path: &str, privilege: &str) -> bool {
        if !caller.is_root() && self.access.withdrawn.contains(privilege) {
            return false;
        }
        let gives = |subject: &str| {
            self.access.gives(subject, path, privilege)
                || self
                    .pools_of(path)
                    .iter()
                    .any(|pool| self.access.gives(subject, &format!("/pool/{pool}"), privilege))
        };
        if caller.user == "root@pam" {
            if !self.access.privileges.contains(privilege) {
                return false;
            }
        } else if !gives(&caller.user) {
            return false;
        }
        !self.is_separated(caller) || gives(&caller.id())
    }

    /// Whether a caller is a token with rights of its own.
    fn is_separated(&self, caller: &Caller) -> bool {
        let Some(token) = &caller.token else { return false };
        let user = self.access.users.get(&caller.user);
        user.and_then(|user| user.tokens.get(token)).is_some_and(|token| token.privilege_separation)
    }

    /// Whether a caller has at least one of the privileges on a path.
    pub fn may_any(&self, caller: &Caller, path: &str, privileges: &[&str]) -> bool {
        privileges.iter().any(|privilege| self.may(caller, path, privilege))
    }
}
