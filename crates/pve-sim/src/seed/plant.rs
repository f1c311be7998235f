//! Fills a world from a description.

use std::collections::BTreeSet;

use super::{AclSeed, GuestSeed, NodeSeed, Seed, SeedError, StorageSeed, VolumeSeed, invalid};
use crate::machine::Backend;
use crate::world::access::{Entry, Token, User};
use crate::world::firewall::Group;
use crate::world::guest::{Drive, Guest, Kind, print_size};
use crate::world::node::Settings;
use crate::world::storage::{Key, Storage, Volume, volid};
use crate::world::{Node, Pool, World};

impl Seed {
    /// Fills a world; returns the volumes that the backend must make.
    pub(crate) fn plant(&self, world: &mut World) -> Result<Vec<(String, u64)>, SeedError> {
        world.cluster_name.clone_from(&self.cluster);
        self.plant_hosts(world)?;
        self.plant_access(world)?;
        for pool in &self.pools {
            world.pools.insert(pool.clone(), Pool::default());
        }
        for group in &self.firewall_groups {
            world.groups.insert(group.clone(), Group::default());
        }
        let mut volumes = Vec::new();
        for volume in &self.volumes {
            volumes.extend(plant_volume(world, volume)?);
        }
        for (guest, template) in self
            .templates
            .iter()
            .map(|guest| (guest, true))
            .chain(self.guests.iter().map(|guest| (guest, false)))
        {
            volumes.extend(plant_guest(world, guest, template)?);
        }
        Ok(volumes)
    }

    fn plant_hosts(&self, world: &mut World) -> Result<(), SeedError> {
        let default = [NodeSeed::new("pve1")];
        let nodes = if self.nodes.is_empty() { &default[..] } else { &self.nodes };
        for (index, node) in nodes.iter().enumerate() {
            let mut settings = Settings::default();
            let mut bridges: BTreeSet<String> = node.bridges.iter().cloned().collect();
            if !node.interfaces.is_empty() {
                bridges = bridges_of(node)?;
                settings.interfaces = Some(node.interfaces.clone());
            }
            let entry = Node {
                name: node.name.clone(),
                online: node.online,
                cpus: node.cpus,
                memory: node.memory_mib << 20,
                bridges,
                address: format!("10.99.{}.{}", index / 250, index % 250 + 1),
                settings,
            };
            if world.nodes.insert(node.name.clone(), entry).is_some() {
                return Err(invalid(format!("node: the name '{}' is given twice", node.name)));
            }
        }
        world.entry.clone_from(&nodes[0].name);
        let default = [StorageSeed::new("local", "dir"), StorageSeed::new("local-lvm", "lvmthin")];
        let storages = if self.storages.is_empty() { &default[..] } else { &self.storages };
        for seed in storages {
            let storage = storage(seed);
            if let Some(unknown) =
                storage.nodes.iter().flatten().find(|node| !world.nodes.contains_key(*node))
            {
                return Err(invalid(format!(
                    "storage '{}': nodes: there is no node '{unknown}'",
                    seed.name
                )));
            }
            if world.storages.insert(seed.name.clone(), storage).is_some() {
                return Err(invalid(format!("storage: the name '{}' is given twice", seed.name)));
            }
        }
        Ok(())
    }

    fn plant_access(&self, world: &mut World) -> Result<(), SeedError> {
        if let Some(root) = world.access.users.get_mut("root@pam") {
            root.password.clone_from(&self.root_password);
        }
        for group in &self.groups {
            world.access.groups.insert(group.id.clone(), group.comment.clone());
        }
        for user in &self.users {
            let unknown = user.groups.iter().find(|id| !world.access.groups.contains_key(*id));
            if let Some(unknown) = unknown {
                let what = format!("user '{}': groups: there is no group '{unknown}'", user.id);
                return Err(invalid(what));
            }
            if !user.id.contains('@') {
                let what = format!("user: id: expected 'name@realm', got '{}'", user.id);
                return Err(invalid(what));
            }
            let entry = User {
                enabled: true,
                password: user.password.clone(),
                groups: user.groups.iter().cloned().collect(),
                comment: user.comment.clone(),
                ..User::default()
            };
            world.access.users.insert(user.id.clone(), entry);
        }
        for (role, privileges) in &self.roles {
            if let Some(unknown) =
                privileges.iter().find(|name| !world.access.privileges.contains(*name))
            {
                return Err(invalid(format!(
                    "role '{role}': this release has no privilege '{unknown}'"
                )));
            }
            world.access.roles.insert(role.clone(), privileges.iter().cloned().collect());
        }
        for seed in &self.tokens {
            let Some((user, id)) = seed.id.split_once('!') else {
                return Err(invalid(format!(
                    "token: id: expected 'user@realm!name', got '{}'",
                    seed.id
                )));
            };
            let found = world.access.users.get_mut(user);
            let found = found.ok_or_else(|| {
                invalid(format!("token '{}': there is no user '{user}'", seed.id))
            })?;
            let token = Token {
                secret: seed.secret.clone(),
                privilege_separation: seed.privilege_separation,
                expire: 0,
                comment: None,
            };
            found.tokens.insert(id.to_owned(), token);
        }
        for entry in &self.acl {
            check_subject(world, entry)?;
            if !world.access.roles.contains_key(&entry.role) {
                return Err(invalid(format!(
                    "acl '{}': there is no role '{}'",
                    entry.path, entry.role
                )));
            }
            let (path, subject, role) =
                (entry.path.clone(), entry.subject.clone(), entry.role.clone());
            world.access.entries.push(Entry { path, subject, role, propagate: entry.propagate });
        }
        Ok(())
    }
}

fn check_subject(world: &World, entry: &AclSeed) -> Result<(), SeedError> {
    let subject = entry.subject.as_str();
    let known = match (subject.strip_prefix('@'), subject.split_once('!')) {
        (Some(group), _) => world.access.groups.contains_key(group),
        (None, Some(_)) => world.secret_of(subject).is_some(),
        (None, None) => world.access.users.contains_key(subject),
    };
    if known {
        return Ok(());
    }
    let what = format!(
        "acl '{}': subject: there is no user, token or (with a leading @) group '{subject}'",
        entry.path
    );
    Err(invalid(what))
}

fn storage(seed: &StorageSeed) -> Storage {
    let files =
        matches!(seed.kind.as_str(), "dir" | "nfs" | "cifs" | "cephfs" | "glusterfs" | "btrfs");
    let all: &[&str] = if files {
        &["images", "rootdir", "iso", "vztmpl", "import", "snippets", "backup"]
    } else {
        &["images", "rootdir"]
    };
    let content: BTreeSet<String> = match seed.content.as_slice() {
        [] => all.iter().map(|kind| (*kind).to_owned()).collect(),
        given => given.iter().cloned().collect(),
    };
    Storage {
        id: seed.name.clone(),
        shared: seed.shared || matches!(seed.kind.as_str(), "nfs" | "cifs" | "cephfs" | "rbd"),
        kind: seed.kind.clone(),
        content,
        nodes: (!seed.nodes.is_empty()).then(|| seed.nodes.iter().cloned().collect()),
        capacity: seed.capacity_gib << 30,
        enabled: true,
        full: false,
        offline_on: BTreeSet::new(),
        options: std::collections::BTreeMap::new(),
    }
}

fn node_of(world: &World, given: &str) -> Result<String, SeedError> {
    if given.is_empty() {
        return Ok(world.entry.clone());
    }
    if world.nodes.contains_key(given) {
        return Ok(given.to_owned());
    }
    Err(invalid(format!("node: there is no node '{given}'")))
}

fn plant_volume(world: &mut World, seed: &VolumeSeed) -> Result<Option<(String, u64)>, SeedError> {
    let node = node_of(world, &seed.node)?;
    let key = world.key_of(&node, &seed.id);
    let key = key.ok_or_else(|| {
        invalid(format!("volume: id: '{}' names no storage of this cluster", seed.id))
    })?;
    let content = key.2.split('/').next().unwrap_or_default().to_owned();
    let format = key.2.rsplit('.').next().unwrap_or("raw").to_owned();
    let size = seed.size_mib << 20;
    let needed = matches!(content.as_str(), "import").then(|| (volid(&key), size));
    let mut volume =
        Volume { content, format, size, vmid: None, created: world.booted, ..Volume::default() };
    crate::calls::backup::plant(&key.2, &mut volume);
    world.volumes.insert(key, volume);
    Ok(needed)
}

fn plant_guest(
    world: &mut World,
    seed: &GuestSeed,
    template: bool,
) -> Result<Vec<(String, u64)>, SeedError> {
    let what = if template { "template" } else { "guest" };
    if !(100..=999_999_999).contains(&seed.vmid) {
        return Err(invalid(format!("{what}: vmid: expected 100 to 999999999, got {}", seed.vmid)));
    }
    if world.guests.contains_key(&seed.vmid) {
        return Err(invalid(format!("{what}: vmid: {} is given twice", seed.vmid)));
    }
    let node = node_of(world, &seed.node)?;
    let kind = if seed.container { Kind::Lxc } else { Kind::Qemu };
    let mut guest = Guest::new(seed.vmid, &node, kind, world.booted);
    guest.boot.clone_from(&seed.boot);
    let vmid = seed.vmid;
    let mut set = |key: &str, value: String| guest.config.insert(key.to_owned(), value);
    if let Some(name) = &seed.name {
        set(if seed.container { "hostname" } else { "name" }, name.clone());
    }
    set("memory", if seed.memory_mib == 0 { 512 } else { seed.memory_mib }.to_string());
    set("cores", seed.cores.max(1).to_string());
    let mut needed = Vec::new();
    if !seed.container {
        set("smbios1", format!("uuid={}", world.uuid()));
        set("vmgenid", world.uuid());
        set("meta", format!("creation-qemu=7.2.22,ctime={}", world.booted.as_secs()));
        if let Some(bridge) = &seed.bridge {
            set("net0", format!("virtio={},bridge={bridge}", world.mac()));
        }
        if seed.agent {
            set("agent", "1".into());
        }
        if template {
            set("template", "1".into());
        }
        if let Some(storage) = &seed.storage {
            let disks = plant_disks(world, &node, seed, storage, template)?;
            guest.config.extend(disks.options);
            needed = disks.needed;
        }
    }
    if seed.container {
        let options = plant_container(world, &node, seed, template)?;
        guest.config.extend(options);
    }
    guest.config.extend(seed.config.iter().map(|(key, value)| (key.clone(), value.clone())));
    if seed.running {
        let booted = world.booted;
        guest.run(0, booted);
    }
    world.insert_guest(guest);
    if let Some(pool) = &seed.pool {
        if !world.pools.contains_key(pool) {
            return Err(invalid(format!("{what} {vmid}: pool: there is no pool '{pool}'")));
        }
        world.join_pool(vmid, pool);
    }
    Ok(needed)
}

/// The options that every container has. Its volumes are records: no backend
/// runs containers.
fn plant_container(
    world: &mut World,
    node: &str,
    seed: &GuestSeed,
    template: bool,
) -> Result<Vec<(String, String)>, SeedError> {
    let mut options = vec![
        ("arch".to_owned(), "amd64".to_owned()),
        ("ostype".to_owned(), "debian".to_owned()),
        ("swap".to_owned(), "512".to_owned()),
    ];
    if template {
        options.push(("template".into(), "1".into()));
    }
    if let Some(bridge) = &seed.bridge {
        let card = format!("name=eth0,bridge={bridge},hwaddr={},ip=dhcp,type=veth", world.mac());
        options.push(("net0".into(), card));
    }
    if let Some(storage) = &seed.storage {
        let size = if seed.disk_mib == 0 { 2048 } else { seed.disk_mib } << 20;
        let name = format!("{}-{}-disk-0", if template { "base" } else { "vm" }, seed.vmid);
        let volume = plant_disk(world, node, seed.vmid, storage, &name, "raw", size)?;
        if let Some(key) = world.key_of(node, &volume)
            && let Some(mut stored) = world.volumes.remove(&key)
        {
            stored.content = "rootdir".into();
            world.volumes.insert(key, stored);
        }
        options.push(("rootfs".into(), format!("{volume},size={}", print_size(size))));
    }
    Ok(options)
}

/// Options for disks, and the volumes that the backend must make.
#[derive(Default)]
struct Disks {
    options: Vec<(String, String)>,
    needed: Vec<(String, u64)>,
}

fn plant_disks(
    world: &mut World,
    node: &str,
    seed: &GuestSeed,
    storage: &str,
    template: bool,
) -> Result<Disks, SeedError> {
    let vmid = seed.vmid;
    let mut disks = Disks::default();
    disks.options.push(("boot".into(), "order=scsi0".into()));
    let size = if seed.disk_mib == 0 { 2048 } else { seed.disk_mib } << 20;
    let format = seed.format.as_deref().unwrap_or("qcow2");
    let name = format!("{}-{vmid}-disk-0", if template { "base" } else { "vm" });
    let volume = plant_disk(world, node, vmid, storage, &name, format, size)?;
    let mut drive = Drive::parse(&volume);
    drive.options.insert("size".into(), print_size(size));
    disks.options.push(("scsi0".into(), drive.print()));
    if !seed.disk_prepared {
        disks.needed.push((volume, size));
    }
    if seed.cloudinit {
        let (name, size) = (format!("vm-{vmid}-cloudinit"), 4 << 20);
        let volume = plant_disk(world, node, vmid, storage, &name, "qcow2", size)?;
        disks.options.push(("ide2".into(), format!("{volume},media=cdrom")));
        disks.needed.push((volume, size));
    }
    Ok(disks)
}

fn plant_disk(
    world: &mut World,
    node: &str,
    vmid: u32,
    storage: &str,
    name: &str,
    format: &str,
    size: u64,
) -> Result<String, SeedError> {
    let found = world
        .storage_on(node, storage)
        .map_err(|fail| invalid(format!("guest {vmid}: {}", fail.text)))?;
    let (name, format) = if found.is_files() {
        (format!("{vmid}/{name}.{format}"), format)
    } else {
        (name.to_owned(), "raw")
    };
    let key: Key = (storage.to_owned(), found.place(node), name);
    let volume = Volume {
        content: "images".into(),
        format: format.into(),
        size,
        vmid: Some(vmid),
        parent: None,
        created: world.booted,
        ..Volume::default()
    };
    let id = volid(&key);
    world.volumes.insert(key, volume);
    Ok(id)
}

/// Lets the backend make the seeded volumes and start the running guests.
pub(crate) async fn prepare(
    backend: &dyn Backend,
    world: &mut World,
    volumes: &[(String, u64)],
) -> Result<(), SeedError> {
    for (volume, size) in volumes {
        backend
            .allocate(volume, *size)
            .await
            .map_err(|error| invalid(format!("volume '{volume}': {error}")))?;
    }
    let running: Vec<u32> = world
        .guests
        .values()
        .filter(|guest| guest.process.is_some())
        .map(|guest| guest.vmid)
        .collect();
    for vmid in running {
        let Some(guest) = world.guests.get(&vmid).filter(|guest| guest.kind == Kind::Qemu) else {
            continue;
        };
        let pid = backend
            .start(&guest.spec())
            .await
            .map_err(|error| invalid(format!("guest {vmid}: {error}")))?;
        if let Some(process) = world.guests.get_mut(&vmid).and_then(|guest| guest.process.as_mut())
        {
            process.pid = pid;
        }
    }
    Ok(())
}

/// The bridges among a node's described interfaces; every interface has a type.
fn bridges_of(node: &NodeSeed) -> Result<BTreeSet<String>, SeedError> {
    let mut found = BTreeSet::new();
    for (name, options) in &node.interfaces {
        match options.get("type").map(String::as_str) {
            Some("bridge" | "OVSBridge") => {
                found.insert(name.clone());
            }
            Some(_) => {}
            None => {
                return Err(invalid(format!(
                    "node '{}': interfaces: '{name}': type: missing, for instance \"bridge\"",
                    node.name
                )));
            }
        }
    }
    if let Some(bridge) =
        node.bridges.iter().find(|name| *name != "vmbr0" && !node.interfaces.contains_key(*name))
    {
        return Err(invalid(format!(
            "node '{}': bridges: '{bridge}' is not among the interfaces",
            node.name
        )));
    }
    Ok(found)
}
