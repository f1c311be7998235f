//! How containers begin, move and end.

use super::Lxc;
use crate::requests::request;
use crate::{Error, Params, Upid, VmId};

request! {
    /// A new container.
    ///
    /// ```
    /// use pve::lxc::CreateRequest;
    /// let request = CreateRequest::new("local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst")
    ///     .rootfs("local-lvm:8")
    ///     .net(0, "name=eth0,bridge=vmbr0,ip=dhcp")
    ///     .memory(512)
    ///     .unprivileged(true);
    /// # let _ = request;
    /// ```
    CreateRequest(template: &str = "ostemplate") {
        /// The host name.
        hostname: text "hostname",
        /// The root file system: `STORAGE:GIB` makes one.
        rootfs: value "rootfs",
        /// A mount point, 0 to 255.
        mp: indexed "mp",
        /// A network interface, 0 to 31.
        net: indexed "net",
        /// A device of the node, 0 to 255; since release 8.
        dev: indexed "dev",
        /// The storage where `rootfs` goes when it is not set: `local`.
        storage: text "storage",
        /// Cores; all of the node unless set.
        cores: uint "cores",
        /// The limit of processor time, in cores; 0 is none.
        cpulimit: number "cpulimit",
        /// The weight of processor time.
        cpuunits: uint "cpuunits",
        /// Memory in MiB; 512 unless set.
        memory: uint "memory",
        /// Swap in MiB; 512 unless set.
        swap: uint "swap",
        /// Runs as a user of the node without rights. Proxmox's default for a
        /// new container is no.
        unprivileged: flag "unprivileged",
        /// What it may do beyond the usual: `nesting=1`.
        features: value "features",
        /// The password of root inside.
        password: secret "password",
        /// SSH keys of root inside, one per line. Sent as they are, other than
        /// a machine's `sshkeys`.
        ssh_public_keys: text "ssh-public-keys",
        /// Name servers, separated by blanks.
        nameserver: text "nameserver",
        /// The search domain.
        searchdomain: text "searchdomain",
        /// Notes.
        description: text "description",
        /// Tags, separated by `;`.
        tags: text "tags",
        /// The pool it goes into.
        pool: text "pool",
        /// Starts with its node.
        onboot: flag "onboot",
        /// Its place in the order of starts.
        startup: value "startup",
        /// Starts when it is made.
        start: flag "start",
        /// Cannot be deleted, nor its disks.
        protection: flag "protection",
        /// Makes a template.
        is_template: flag "template",
        /// `amd64`, `arm64`, …
        arch: text "arch",
        /// `debian`, `alpine`, …; found out from the template unless set.
        ostype: text "ostype",
        /// The time zone; `host` is the node's.
        timezone: text "timezone",
        /// A script that is run at the steps of its life, a volume id.
        hookscript: text "hookscript",
        /// The limit in KiB/s.
        bwlimit: number "bwlimit",
        /// Look after it by high availability; since release 9.
        ha_managed: flag "ha-managed",
    }
}

request! {
    /// A container from a backup.
    RestoreRequest(backup: &str = "ostemplate") {
        /// Replace the container that has the id; it must be stopped.
        force: flag "force",
        /// The storage where volumes go that the request does not name.
        storage: text "storage",
        /// The root file system, other than in the backup.
        rootfs: value "rootfs",
        /// A mount point, other than in the backup.
        mp: indexed "mp",
        /// New MAC addresses.
        unique: flag "unique",
        /// Runs as a user of the node without rights.
        unprivileged: flag "unprivileged",
        /// Go on over errors of unpacking.
        ignore_unpack_errors: flag "ignore-unpack-errors",
        /// The pool it goes into.
        pool: text "pool",
        /// Starts when it is there.
        start: flag "start",
        /// The limit in KiB/s.
        bwlimit: number "bwlimit",
    }
}

request! {
    /// A clone of a container.
    CloneRequest(newid: VmId = "newid") {
        /// The new host name.
        hostname: text "hostname",
        /// Its notes.
        description: text "description",
        /// A copy of all volumes instead of linked ones. Unset means: linked
        /// for a template, a copy otherwise.
        full: flag "full",
        /// Where the copies go; refused for linked clones.
        storage: text "storage",
        /// The node it is for, if it is another one: needs shared storage.
        target: text "target",
        /// The pool it goes into.
        pool: text "pool",
        /// The state that is cloned.
        snapname: text "snapname",
        /// The limit in KiB/s.
        bwlimit: number "bwlimit",
    }
}

request! {
    /// A move of a container to another node.
    MigrateRequest(target: &str = "target") {
        /// Stop it, move it, start it there: what works for a running one.
        restart: flag "restart",
        /// While it runs; not implemented by Proxmox.
        online: flag "online",
        /// Seconds that the shutdown before a restart may take; 180 unless set.
        timeout: uint "timeout",
        /// Where volumes go: `a:b` maps storages, `c` takes all others.
        target_storage: text "target-storage",
        /// The limit in KiB/s.
        bwlimit: number "bwlimit",
    }
}

request! {
    /// The end of a container.
    DeleteRequest {
        /// Also while it runs.
        force: flag "force",
        /// Take it out of backup jobs, replication and high availability, too.
        purge: flag "purge",
        /// Delete volumes that carry its id but are not in its configuration.
        destroy_unreferenced_disks: flag "destroy-unreferenced-disks",
    }
}

impl Lxc {
    /// Makes the container. The id may be taken by somebody else in the
    /// meantime: [`Error::already_exists`]. Most faults of the template show
    /// only in the task.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create(&self, request: &CreateRequest) -> Result<Upid, Error> {
        let params = Params::new().set("vmid", self.vmid()).and(request);
        self.0.parent().post(params).await?.started()
    }

    /// Makes the container from a backup, or puts it back
    /// ([`RestoreRequest::force`]).
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn restore(&self, request: &RestoreRequest) -> Result<Upid, Error> {
        let params = Params::new().set("vmid", self.vmid()).set("restore", true).and(request);
        self.0.parent().post(params).await?.started()
    }

    /// Clones it. The task's id names **this** container, not the new one.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); [`Error::Busy`].
    pub async fn clone_to(&self, request: &CloneRequest) -> Result<Upid, Error> {
        self.0.sub("clone").post(request).await?.started()
    }

    /// Makes it a template, for ever. Releases up to 9 answer null, although a
    /// task works behind it: wait until the configuration says `template`.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn make_template(&self) -> Result<Option<Upid>, Error> {
        self.0.sub("template").post(()).await?.task()
    }

    /// Moves it to another node.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn migrate(&self, request: &MigrateRequest) -> Result<Upid, Error> {
        self.0.sub("migrate").post(request).await?.started()
    }

    /// Destroys it with the volumes of its configuration.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_guest_missing`]; a running one is refused unless forced.
    pub async fn delete(&self, request: &DeleteRequest) -> Result<Upid, Error> {
        self.0.delete(request).await?.started()
    }
}
