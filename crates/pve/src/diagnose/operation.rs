//! Operations and the rights that they need.

use std::fmt;

use super::{Grant, Need, Scope};

macro_rules! operations {
    ($( $(#[$doc:meta])* $name:ident = $text:literal, )*) => {
        /// Something that somebody may want to do. *Guest* is a virtual machine
        /// or a container: their rights have the same names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $( $(#[$doc])* $name, )*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$name, )*];
        }

        impl fmt::Display for Operation {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $( Self::$name => $text, )*
                })
            }
        }
    };
}

operations! {
    /// See guests, their state and configuration.
    SeeGuests = "see guests",
    /// Make a virtual machine with disks and network.
    CreateVm = "create virtual machines",
    /// Make a container with a file system and network.
    CreateContainer = "create containers",
    /// Make a guest of another one.
    CloneGuest = "clone guests",
    /// Make a guest of a backup.
    RestoreGuest = "restore guests from backups",
    /// Turn a guest into a template.
    MakeTemplate = "turn guests into templates",
    /// Delete a guest.
    DeleteGuest = "delete guests",
    /// Start, stop, reboot, suspend.
    Power = "start and stop guests",
    /// Change cores, memory and devices of a virtual machine.
    ConfigureHardware = "change cores, memory and devices",
    /// Change name, description, tags, boot order and the like.
    ConfigureOptions = "change options of guests",
    /// Add disks.
    AddDisks = "add disks",
    /// Grow, detach and delete disks.
    ResizeDisks = "grow and detach disks",
    /// Move disks to another storage.
    MoveDisks = "move disks",
    /// Change a guest's network interfaces.
    ConfigureNetwork = "change network interfaces",
    /// Insert and eject CDs.
    ConfigureCdrom = "change CDs",
    /// Change what cloud-init reads.
    CloudInit = "configure cloud-init",
    /// Change a guest's firewall.
    Firewall = "change the firewall of guests",
    /// Make and delete snapshots.
    Snapshot = "make and delete snapshots",
    /// Go back to a snapshot.
    Rollback = "go back to snapshots",
    /// Back a guest up.
    Backup = "back guests up",
    /// Move a guest to another node.
    Migrate = "migrate guests",
    /// Open a guest's screen or terminal.
    Console = "open consoles of guests",
    /// Ask the guest agent: addresses, users, file systems.
    AgentInfo = "ask guest agents",
    /// Run commands, set passwords.
    AgentExec = "run commands by guest agents",
    /// Read files in guests.
    AgentFileRead = "read files by guest agents",
    /// Write files in guests.
    AgentFileWrite = "write files by guest agents",
    /// Freeze, thaw, trim.
    AgentFileSystems = "freeze and trim file systems by guest agents",
    /// Send commands to QEMU.
    Monitor = "use QEMU's monitor",
    /// See storages and what is on them.
    SeeStorages = "see storages",
    /// Make volumes that belong to no configuration yet.
    AllocateVolumes = "allocate volumes",
    /// Upload images and templates.
    Upload = "upload files",
    /// Let a node download images and templates.
    Download = "download files",
    /// Define storages.
    DefineStorages = "define storages",
    /// See a node's state, load and network.
    SeeNodes = "see nodes",
    /// Reboot and shut nodes down.
    NodePower = "reboot nodes",
    /// Change a node's network.
    NodeNetwork = "change networks of nodes",
    /// Open a shell on a node.
    NodeShell = "open shells on nodes",
    /// Make and delete pools.
    Pools = "make and delete pools",
    /// Put guests under high availability.
    HighAvailability = "manage high availability",
}

/// The rights that an operation needs on a release (major and minor number).
pub fn needs(operation: Operation, scope: &Scope, release: (u32, u32)) -> Vec<Need> {
    let rules = Rules { scope, major: release.0 };
    match operation {
        Operation::CreateVm
        | Operation::CreateContainer
        | Operation::CloneGuest
        | Operation::RestoreGuest
        | Operation::MakeTemplate
        | Operation::DeleteGuest => rules.lives(operation),
        Operation::AgentInfo
        | Operation::AgentExec
        | Operation::AgentFileRead
        | Operation::AgentFileWrite
        | Operation::AgentFileSystems
        | Operation::Monitor => rules.inside(operation),
        Operation::SeeStorages
        | Operation::AllocateVolumes
        | Operation::Upload
        | Operation::Download
        | Operation::DefineStorages
        | Operation::SeeNodes
        | Operation::NodePower
        | Operation::NodeNetwork
        | Operation::NodeShell
        | Operation::Pools
        | Operation::HighAvailability => rules.around(operation),
        _ => rules.changes(operation),
    }
}

/// Any of these privileges on any of these paths.
fn any(paths: &[String], privileges: &[&'static str]) -> Need {
    let grant = |path: &String, privilege| vec![Grant { path: path.clone(), privilege }];
    let alternatives =
        paths.iter().flat_map(|path| privileges.iter().map(move |name| grant(path, *name)));
    Need { alternatives: alternatives.collect() }
}

fn one(path: &str, privilege: &'static str) -> Need {
    any(&[path.to_owned()], &[privilege])
}

/// What guests are configured by when they are made.
const VM_OPTIONS: &[&str] = &[
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
];
const CONTAINER_OPTIONS: &[&str] = &[
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
];

struct Rules<'a> {
    scope: &'a Scope,
    major: u32,
}

impl Rules<'_> {
    fn guest(&self, privileges: &[&'static str]) -> Need {
        any(&self.scope.guests(), privileges)
    }

    /// Each of these on the guest.
    fn each(&self, privileges: &[&'static str]) -> Vec<Need> {
        privileges.iter().map(|privilege| self.guest(&[privilege])).collect()
    }

    /// One on each storage.
    fn storages(&self, privileges: &[&'static str]) -> Vec<Need> {
        let paths = self.scope.storage_paths();
        paths.iter().map(|path| any(std::slice::from_ref(path), privileges)).collect()
    }

    /// Rights on bridges are checked since release 8, which has the privilege
    /// (from memory).
    fn networks(&self) -> Vec<Need> {
        let paths = if self.major >= 8 { self.scope.network_paths() } else { Vec::new() };
        paths.iter().map(|path| one(path, "SDN.Use")).collect()
    }

    fn space(&self) -> Vec<Need> {
        self.storages(&["Datastore.AllocateSpace"])
    }

    /// From the beginning of a guest to its end.
    fn lives(&self, operation: Operation) -> Vec<Need> {
        let mut needs = vec![self.guest(&["VM.Allocate"])];
        match operation {
            Operation::CreateVm => needs.extend(self.each(VM_OPTIONS)),
            Operation::CreateContainer => needs.extend(self.each(CONTAINER_OPTIONS)),
            Operation::CloneGuest => needs.push(any(&self.scope.templates(), &["VM.Clone"])),
            _ => {}
        }
        if matches!(operation, Operation::MakeTemplate | Operation::DeleteGuest) {
            return needs;
        }
        needs.extend(self.space());
        if operation != Operation::RestoreGuest {
            needs.extend(self.networks());
        }
        needs
    }

    /// What changes a guest that is there.
    fn changes(&self, operation: Operation) -> Vec<Need> {
        let (privileges, more): (&[&'static str], Vec<Need>) = match operation {
            Operation::SeeGuests => (&["VM.Audit"], Vec::new()),
            Operation::Power => (&["VM.PowerMgmt"], Vec::new()),
            Operation::ConfigureHardware => {
                return self.each(&["VM.Config.CPU", "VM.Config.HWType", "VM.Config.Memory"]);
            }
            Operation::ConfigureOptions => (&["VM.Config.Options"], Vec::new()),
            Operation::AddDisks | Operation::MoveDisks => (&["VM.Config.Disk"], self.space()),
            Operation::ResizeDisks => (&["VM.Config.Disk"], Vec::new()),
            Operation::ConfigureNetwork => (&["VM.Config.Network"], self.networks()),
            Operation::ConfigureCdrom => (&["VM.Config.CDROM"], Vec::new()),
            Operation::CloudInit => (&["VM.Config.Cloudinit"], Vec::new()),
            Operation::Firewall => (&["VM.Config.Network"], Vec::new()),
            Operation::Snapshot => (&["VM.Snapshot"], Vec::new()),
            Operation::Rollback => (&["VM.Snapshot", "VM.Snapshot.Rollback"], Vec::new()),
            Operation::Backup => (&["VM.Backup"], self.space()),
            Operation::Migrate => (&["VM.Migrate"], Vec::new()),
            Operation::Console => (&["VM.Console"], Vec::new()),
            _ => return Vec::new(),
        };
        std::iter::once(self.guest(privileges)).chain(more).collect()
    }

    /// Into a running guest. 7.4 is taken to be as 8.4. Release 9 has privileges of its own for the agent,
    /// and no `VM.Monitor`; the other release's names are refused in roles.
    fn inside(&self, operation: Operation) -> Vec<Need> {
        if self.major <= 8 {
            return vec![self.guest(&["VM.Monitor"])];
        }
        let all = "VM.GuestAgent.Unrestricted";
        vec![match operation {
            Operation::AgentInfo => self.guest(&["VM.GuestAgent.Audit", all]),
            Operation::AgentFileRead => self.guest(&["VM.GuestAgent.FileRead", all]),
            Operation::AgentFileWrite => self.guest(&["VM.GuestAgent.FileWrite", all]),
            Operation::AgentFileSystems => self.guest(&["VM.GuestAgent.FileSystemMgmt", all]),
            Operation::Monitor => self.guest(&["Sys.Audit", "Sys.Modify"]),
            _ => self.guest(&[all]),
        }]
    }

    /// Storages, nodes, pools.
    fn around(&self, operation: Operation) -> Vec<Need> {
        let node = self.scope.nodes();
        match operation {
            Operation::SeeStorages => {
                self.storages(&["Datastore.Audit", "Datastore.AllocateSpace"])
            }
            Operation::AllocateVolumes => self.space(),
            Operation::Upload => self.storages(&["Datastore.AllocateTemplate"]),
            Operation::Download => {
                let mut needs = self.storages(&["Datastore.AllocateTemplate"]);
                needs.push(self.outward(&node));
                needs
            }
            Operation::DefineStorages => vec![one("/storage", "Datastore.Allocate")],
            Operation::SeeNodes => vec![one(&node, "Sys.Audit")],
            Operation::NodePower => vec![one(&node, "Sys.PowerMgmt")],
            Operation::NodeNetwork => vec![one(&node, "Sys.Modify")],
            Operation::NodeShell => vec![one(&node, "Sys.Console")],
            Operation::Pools => vec![one(&self.scope.pools(), "Pool.Allocate")],
            Operation::HighAvailability => vec![one("/", "Sys.Console")],
            _ => Vec::new(),
        }
    }

    /// Requests from a node to anywhere. Release 8 has a privilege for it; that
    /// 7.4 has none is from memory.
    fn outward(&self, node: &str) -> Need {
        let grant = |path: &str, privilege| Grant { path: path.to_owned(), privilege };
        let mut alternatives = Vec::new();
        if self.major >= 8 {
            alternatives.push(vec![grant(node, "Sys.AccessNetwork")]);
        }
        alternatives.push(vec![grant("/", "Sys.Audit"), grant("/", "Sys.Modify")]);
        Need { alternatives }
    }
}
