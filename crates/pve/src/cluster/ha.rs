//! High availability: `/cluster/ha`.

use super::Cluster;
use crate::lenient::Words;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Error, Params};

/// `/cluster/ha`.
#[derive(Clone, Debug)]
pub struct Ha(pub(super) Resource);

/// `/cluster/ha/resources/SID`.
#[derive(Clone, Debug)]
pub struct HaResourceHandle(Resource);

/// `/cluster/ha/groups/GROUP`, until release 8.
#[derive(Clone, Debug)]
pub struct HaGroupHandle(Resource);

/// `/cluster/ha/rules/RULE`, since release 9.
#[derive(Clone, Debug)]
pub struct HaRuleHandle(Resource);
handle!(Ha, HaResourceHandle, HaGroupHandle, HaRuleHandle);

record! {
    /// A guest that is looked after.
    HaResource {
        /// `vm:100`, `ct:101`.
        sid: String,
        /// `vm` or `ct`.
        #[serde(rename = "type")]
        kind: String,
        /// What is wanted: `started`, `stopped`, `disabled`, `ignored`. Absent
        /// means `started`.
        state: Option<String>,
        /// Its group; until release 8.
        group: Option<String>,
        /// Does it go back to a better node? Since release 9.
        failback: Option<bool>,
        /// Tries to start it on one node.
        max_restart: Option<u32>,
        /// Tries on other nodes.
        max_relocate: Option<u32>,
        /// A comment.
        comment: Option<String>,
        /// Guards a change.
        digest: Option<String>,
    }
}

request! {
    /// How a guest is looked after.
    HaResourceRequest {
        /// What is wanted: `started`, `stopped`, `disabled`, `ignored`.
        state: text "state",
        /// Its group; until release 8.
        group: text "group",
        /// It goes back to a better node; since release 9.
        failback: flag "failback",
        /// Tries to start it on one node; 1 unless set.
        max_restart: uint "max_restart",
        /// Tries on other nodes; 1 unless set.
        max_relocate: uint "max_relocate",
        /// A comment.
        comment: text "comment",
        /// Settings to reset; for changes.
        delete: list "delete",
        /// Guards a change.
        digest: text "digest",
    }
}

record! {
    /// A group of nodes for guests.
    HaGroup {
        /// Its name.
        group: String,
        /// The nodes, each with its priority behind a colon if it has one.
        nodes: Words,
        /// Only on these nodes?
        restricted: bool,
        /// Do guests stay when a better node comes back?
        nofailback: bool,
        /// A comment.
        comment: Option<String>,
        /// Guards a change.
        digest: Option<String>,
    }
}

request! {
    /// A group of nodes to make or to change.
    HaGroupRequest {
        /// The nodes: `pve1:2`, `pve2`.
        nodes: list "nodes",
        /// Only on these nodes.
        restricted: flag "restricted",
        /// Guests stay when a better node comes back.
        nofailback: flag "nofailback",
        /// A comment.
        comment: text "comment",
        /// Settings to reset; for changes.
        delete: list "delete",
        /// Guards a change.
        digest: text "digest",
    }
}

record! {
    /// Where guests may run, or which run together.
    HaRule {
        /// Its name.
        rule: String,
        /// `node-affinity` or `resource-affinity`.
        #[serde(rename = "type")]
        kind: String,
        /// The guests: `vm:100`.
        resources: Words,
        /// The nodes of a node affinity.
        nodes: Words,
        /// Only on these nodes?
        strict: bool,
        /// `positive` (together) or `negative` (apart).
        affinity: Option<String>,
        /// Is it switched off?
        disable: bool,
        /// A comment.
        comment: Option<String>,
        /// Guards a change.
        digest: Option<String>,
    }
}

request! {
    /// A rule to make or to change. Its type is said each time.
    HaRuleRequest(kind: &str = "type") {
        /// The guests: `vm:100`.
        resources: list "resources",
        /// The nodes of a node affinity: `pve1:2`, `pve2`.
        nodes: list "nodes",
        /// Only on these nodes.
        strict: flag "strict",
        /// `positive` (together) or `negative` (apart).
        affinity: text "affinity",
        /// Switched off.
        disable: flag "disable",
        /// A comment.
        comment: text "comment",
        /// Settings to reset; for changes.
        delete: list "delete",
        /// Guards a change.
        digest: text "digest",
    }
}

record! {
    /// A line of the state: of the quorum, the master, a node's manager, a
    /// guest, the fencing.
    HaStatusEntry {
        /// `quorum`, `master`, `lrm:pve1`, `service:vm:100`, `fencing`.
        id: String,
        /// `quorum`, `master`, `lrm`, `service`, `fencing`.
        #[serde(rename = "type")]
        kind: String,
        /// The node.
        node: Option<String>,
        /// The state, for people.
        status: String,
        /// Is there a majority?
        quorate: Option<bool>,
        /// The guest.
        sid: Option<String>,
        /// The guest's state: `started`, `stopped`, `error`, …
        state: Option<String>,
        /// What is wanted.
        request_state: Option<String>,
        /// What the master makes of it.
        crm_state: Option<String>,
        /// When it was said, in seconds since the epoch.
        timestamp: Option<u64>,
        /// Is fencing armed? Since release 9.
        #[serde(rename = "armed-state")]
        armed_state: Option<String>,
    }
}

impl Cluster {
    /// High availability.
    pub fn ha(&self) -> Ha {
        Ha(self.resource().sub("ha"))
    }
}

impl Ha {
    /// The guests that are looked after.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn resources(&self) -> Result<Vec<HaResource>, Error> {
        self.0.sub("resources").list(()).await
    }

    /// A guest: `vm:100`, `ct:101`.
    pub fn resource(&self, sid: &str) -> HaResourceHandle {
        HaResourceHandle(self.0.sub("resources").join(sid))
    }

    /// The groups of nodes; refused since release 9.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn groups(&self) -> Result<Vec<HaGroup>, Error> {
        self.0.sub("groups").list(()).await
    }

    /// A group of nodes.
    pub fn group(&self, name: &str) -> HaGroupHandle {
        HaGroupHandle(self.0.sub("groups").join(name))
    }

    /// The rules; not known before release 9.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn rules(&self) -> Result<Vec<HaRule>, Error> {
        self.0.sub("rules").list(()).await
    }

    /// A rule.
    pub fn rule(&self, name: &str) -> HaRuleHandle {
        HaRuleHandle(self.0.sub("rules").join(name))
    }

    /// The state of everything.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn status(&self) -> Result<Vec<HaStatusEntry>, Error> {
        self.0.sub("status/current").list(()).await
    }

    /// The master's own view, as it is.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn manager_status(&self) -> Result<serde_json::Value, Error> {
        self.0.sub("status/manager_status").get(()).await
    }
}

impl HaResourceHandle {
    /// How it is looked after.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_not_found`].
    pub async fn get(&self) -> Result<HaResource, Error> {
        self.0.get(()).await
    }

    /// Looks after it from now on.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::already_exists`].
    pub async fn create(&self, request: &HaResourceRequest) -> Result<(), Error> {
        let params = Params::new().set("sid", self.0.path.last()).and(request);
        self.0.parent().post(params).await.map(drop)
    }

    /// Changes how it is looked after.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, request: &HaResourceRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Looks after it no more.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }

    /// Asks for a move of the running guest to another node.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn migrate(&self, node: &str) -> Result<(), Error> {
        self.0.sub("migrate").post(Params::new().set("node", node)).await.map(drop)
    }

    /// Asks for a stop here and a start on another node.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn relocate(&self, node: &str) -> Result<(), Error> {
        self.0.sub("relocate").post(Params::new().set("node", node)).await.map(drop)
    }
}

/// What groups and rules have in common.
macro_rules! named {
    ($handle:ident, $record:ident, $request:ident, $wire:literal, $what:literal) => {
        impl $handle {
            #[doc = concat!("The ", $what, ".")]
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn get(&self) -> Result<$record, Error> {
                self.0.get(()).await
            }

            #[doc = concat!("Makes the ", $what, ".")]
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn create(&self, request: &$request) -> Result<(), Error> {
                let params = Params::new().set($wire, self.0.path.last()).and(request);
                self.0.parent().post(params).await.map(drop)
            }

            #[doc = concat!("Changes the ", $what, ".")]
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn update(&self, request: &$request) -> Result<(), Error> {
                self.0.put(request).await.map(drop)
            }

            #[doc = concat!("Deletes the ", $what, ".")]
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn delete(&self) -> Result<(), Error> {
                self.0.delete(()).await.map(drop)
            }
        }
    };
}
named!(HaGroupHandle, HaGroup, HaGroupRequest, "group", "group of nodes");
named!(HaRuleHandle, HaRule, HaRuleRequest, "rule", "rule");
