//! Backups, realms, nodes, and the options of the data centre.

use super::{PropertyError, PropertyString, of_default, typed};

typed! {
    /// Which backups are kept, `prune-backups`: `keep-last=3,keep-weekly=2`.
    PruneBackups = "backup/prune-backups" {
        /// All?
        keep_all: flag "keep-all",
        /// The last so many.
        keep_last: uint "keep-last",
        /// One for each of the last so many hours that have one.
        keep_hourly: uint "keep-hourly",
        /// The same for days.
        keep_daily: uint "keep-daily",
        /// The same for weeks.
        keep_weekly: uint "keep-weekly",
        /// The same for months.
        keep_monthly: uint "keep-monthly",
        /// The same for years.
        keep_yearly: uint "keep-yearly",
    }
}

impl PruneBackups {
    /// Keeps the last so many.
    ///
    /// # Errors
    /// Never; alike with the others.
    pub fn last(count: u32) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set("keep-last", count)?;
        Ok(Self(properties))
    }

    /// Is everything kept? That is so as well when all counts are 0; the
    /// other keys exclude `keep-all`.
    pub fn keeps_all(&self) -> bool {
        let counted = |(name, value): (Option<&str>, &str)| {
            name.is_some_and(|name| name != "keep-all") && value.trim() != "0"
        };
        self.keep_all().unwrap_or(false) || !self.0.iter().any(counted)
    }
}

typed! {
    /// Where blocks go that a guest overwrites during its backup, `fleecing`:
    /// `enabled=1,storage=local-lvm`; since release 8.2.
    Fleecing = "backup/fleecing" {
        /// Is it on?
        enabled: flag "enabled",
        /// The storage; required when it is on.
        storage: text "storage",
    }
}

typed! {
    /// How hard a backup works, `performance`.
    Performance = "backup/performance" {
        /// Requests at once, 1 to 256.
        max_workers: uint "max-workers",
        /// Entries in memory for a backup server.
        pbs_entries_max: uint "pbs-entries-max",
    }
}

typed! {
    /// The second factor that a realm requires, `tfa`:
    /// `type=oath,step=30,digits=8`.
    DomainTfa = "access/tfa" {
        /// `oath` or `yubico`.
        kind: text "type",
        /// Seconds for which a code counts.
        step: uint "step",
        /// Digits of a code.
        digits: uint "digits",
        /// The id at the server of Yubico.
        id: text "id",
        /// The server.
        url: text "url",
    }
}

typed! {
    /// Limits in KiB/s, `bwlimit`: `clone=1000,default=500`.
    BandwidthLimits = "storage/bwlimit" {
        /// Of clones.
        clone_limit: number "clone",
        /// Of all that has none.
        default_limit: number "default",
        /// Of moves of guests.
        migration: number "migration",
        /// Of moves of disks.
        move_limit: number "move",
        /// Of restores.
        restore: number "restore",
    }
}

typed! {
    /// The account for a node's certificate, `acme`.
    Acme = "node/acme" {
        /// The account.
        account: text "account",
        /// The domains.
        domains: list "domains",
    }
}

typed! {
    /// A domain of a node's certificate, `acmedomain0`:
    /// `example.org,plugin=dns`.
    AcmeDomain = "node/acmedomain" {
        /// The domain.
        domain: text "domain",
        /// The domain that is asked instead.
        alias_domain: text "alias",
        /// How it is proven.
        plugin: text "plugin",
    }
}

impl AcmeDomain {
    /// This domain.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn new(domain: &str) -> Result<Self, PropertyError> {
        of_default!(domain)
    }
}

typed! {
    /// How a node is woken, `wakeonlan`; more than the MAC address since
    /// release 8.
    WakeOnLan = "node/wakeonlan" {
        /// The MAC address.
        mac: text "mac",
        /// The interface that calls.
        bind_interface: text "bind-interface",
        /// The address that is called.
        broadcast_address: text "broadcast-address",
    }
}

typed! {
    /// Where a node is on earth, `location`; since release 9.
    Location = "node/location" {
        /// Degrees.
        latitude: number "latitude",
        /// Degrees.
        longitude: number "longitude",
        /// What the place is called.
        name: text "name",
    }
}

typed! {
    /// How guests are spread, `crs`: `ha=static`.
    Crs = "cluster/crs" {
        /// `basic`, `static` or `dynamic`.
        ha: text "ha",
        /// Is the node chosen at each start?
        rebalance_on_start: flag "ha-rebalance-on-start",
    }
}

typed! {
    /// What high availability does when a node shuts down, `ha`.
    HaSettings = "cluster/ha" {
        /// `freeze`, `failover`, `conditional` or `migrate`.
        shutdown_policy: text "shutdown_policy",
    }
}

typed! {
    /// How guests move, `migration`: `secure,network=10.1.0.0/24`.
    Migration = "cluster/migration" {
        /// `secure` or `insecure`.
        kind: text "type",
        /// The network.
        network: text "network",
    }
}

typed! {
    /// How volumes are replicated, `replication`: `secure,network=10.1.0.0/24`;
    /// since release 9.
    ReplicationSettings = "cluster/replication" {
        /// `secure` or `insecure`.
        kind: text "type",
        /// The network.
        network: text "network",
    }
}

typed! {
    /// Which ids are given out, `next-id`: `lower=1000,upper=2000`.
    NextId = "cluster/next-id" {
        /// The first one.
        lower: uint "lower",
        /// The first one that is not given out any more.
        upper: uint "upper",
    }
}

typed! {
    /// What people are told of, `notify`.
    Notify = "cluster/notify" {
        /// Updates: `auto`, `always` or `never`.
        package_updates: text "package-updates",
        /// Fencing: `always` or `never`.
        fencing: text "fencing",
        /// Failed replication: `always` or `never`.
        replication: text "replication",
    }
}

typed! {
    /// What tags look like, `tag-style`.
    TagStyle = "cluster/tag-style" {
        /// Are capitals different?
        case_sensitive: flag "case-sensitive",
        /// `tag:RRGGBB[:RRGGBB]` each.
        color_map: list "color-map",
        /// `config` or `alphabetical`.
        ordering: text "ordering",
        /// `full`, `circle`, `dense` or `none`.
        shape: text "shape",
    }
}

typed! {
    /// Which tags users may set, `user-tag-access`.
    UserTagAccess = "cluster/user-tag-access" {
        /// `none`, `list`, `existing` or `free`.
        user_allow: text "user-allow",
        /// The tags of `list`.
        user_allow_list: list "user-allow-list",
    }
}

typed! {
    /// Second factors by U2F, `u2f`.
    U2f = "cluster/u2f" {
        /// The application's address.
        appid: text "appid",
        /// The origin.
        origin: text "origin",
    }
}

typed! {
    /// Second factors by WebAuthn, `webauthn`.
    WebAuthn = "cluster/webauthn" {
        /// The domain.
        id: text "id",
        /// The origin.
        origin: text "origin",
        /// What the service is called.
        rp: text "rp",
        /// Do sub-domains count? Yes unless set.
        allow_subdomains: flag "allow-subdomains",
    }
}
