//! `/nodes/{node}/storage/{storage}/content`: volumes.

use serde_json::{Value, json};

use super::Plain;
use crate::calls::backup;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::parse_size;
use crate::world::storage::{Key, Storage, Volume, volid};

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/{storage}/content") => content,
        ("POST", "/{storage}/content") => allocate,
        ("GET", "/{storage}/content/{volume}") => read,
        ("PUT", "/{storage}/content/{volume}") => change,
        ("POST", "/{storage}/content/{volume}") => copy,
        ("DELETE", "/{storage}/content/{volume}") => delete,
        _ => return None,
    })
}

fn row(storage: &Storage, key: &Key, volume: &Volume) -> Value {
    let mut row = json!({
        "volid": volid(key), "content": volume.content, "format": volume.format, "size": volume.size,
        "ctime": volume.created.as_secs(),
    });
    if let Some(vmid) = volume.vmid {
        row["vmid"] = json!(vmid);
    }
    if let Some(notes) = &volume.notes {
        row["notes"] = json!(notes);
    }
    if volume.protected {
        row["protected"] = json!(1);
    }
    if let Some(backup) = &volume.backup {
        row["subtype"] = json!(backup.kind.word());
    }
    if !storage.is_files() && storage.kind.starts_with("lvm") {
        // LVM knows neither, and its times are texts (recorded on 6.2).
        row["ctime"] = json!(volume.created.as_secs().to_string());
    } else if matches!(volume.content.as_str(), "images" | "rootdir") {
        row["used"] = json!(volume.size / 8);
        row["parent"] =
            volume.parent.as_ref().map_or(Value::Null, |parent| json!(format!("../{parent}")));
    }
    if volume.content == "backup" {
        if let Some(subtype) =
            ["qemu", "lxc"].iter().find(|kind| key.2.contains(&format!("vzdump-{kind}-")))
        {
            row["subtype"] = json!(subtype);
        }
        if let Some(notes) = &volume.notes {
            row["notes"] = json!(notes);
        }
        if volume.protected {
            row["protected"] = json!(1);
        }
    }
    row
}

fn content(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, id) = (call.params.node(), call.params.text("storage"));
    let storage = call.world.storage_on(node, id)?;
    let kind = call.params.get("content");
    let vmid = call.params.number("vmid");
    let admin = call.may(&format!("/storage/{id}"), "Datastore.Allocate");
    let place = storage.place(node);
    let rows = call.world.volumes.on(id, &place).filter(|(_, volume)| {
        // Imports carry no owner and show with every one (recorded).
        let of_owner = vmid.is_none_or(|vmid| {
            volume.vmid.map_or(volume.content == "import", |owner| u64::from(owner) == vmid)
        });
        let seen = admin
            || call.caller.user == "root@pam"
            || volume.vmid.is_none_or(|owner| call.may(&format!("/vms/{owner}"), "VM.Config.Disk"));
        kind.is_none_or(|kind| volume.content == kind) && of_owner && seen
    });
    Ok(rows.map(|(key, volume)| row(storage, key, volume)).collect())
}

/// The key of the volume that a path names, as a volume id or as its name.
fn key(call: &Call<'_>) -> Result<Key, Fail> {
    let (node, id) = (call.params.node(), call.params.text("storage"));
    let storage = call.world.storage_on(node, id)?;
    let text = call.params.text("volume");
    let name = text.strip_prefix(&format!("{id}:")).unwrap_or(text);
    if storage.is_files() && !name.contains('/') {
        return Err(Fail::new(format!("unable to parse directory volume name '{name}'")));
    }
    Ok((id.to_owned(), storage.place(node), name.to_owned()))
}

fn path_of(storage: &Storage, key: &Key, volume: &Volume) -> String {
    let tail = key.2.split_once('/').map_or(key.2.as_str(), |(_, tail)| tail);
    match volume.content.as_str() {
        "iso" => format!("{}/template/iso/{tail}", storage.path()),
        "vztmpl" => format!("{}/template/cache/{tail}", storage.path()),
        "import" => format!("{}/import/{tail}", storage.path()),
        "snippets" => format!("{}/snippets/{tail}", storage.path()),
        "backup" => format!("{}/dump/{tail}", storage.path()),
        _ if storage.is_files() => format!("{}/images/{}", storage.path(), key.2),
        _ => format!("/dev/{}/{}", storage.id, key.2),
    }
}

/// Whether the caller may read a volume: the storage's administrator, or who
/// may read what it belongs to.
fn check_read(call: &Call<'_>, key: &Key, volume: Option<&Volume>) -> Result<(), Fail> {
    let path = format!("/storage/{}", key.0);
    if call.caller.is_root() || call.may(&path, "Datastore.Allocate") {
        return Ok(());
    }
    match volume.and_then(|volume| volume.vmid.map(|vmid| (vmid, volume.content.as_str()))) {
        Some((vmid, "backup")) => call.require(&format!("/vms/{vmid}"), "VM.Backup"),
        Some((vmid, _)) => call.require(&format!("/vms/{vmid}"), "VM.Config.Disk"),
        None if call.may(&path, "Datastore.Audit") => Ok(()),
        None => call.require(&path, "Datastore.AllocateSpace"),
    }
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let key = key(call)?;
    let volume = call.world.volumes.get(&key);
    check_read(call, &key, volume)?;
    let volume = volume.ok_or_else(|| {
        Fail::new(format!("volume_size_info on '{}' failed - no format", volid(&key)))
    })?;
    let path = path_of(&call.world.storages[&key.0], &key, volume);
    let is_disk = matches!(volume.content.as_str(), "images" | "rootdir" | "import");
    // What is no disk image is "raw" to qemu-img, and takes whole blocks.
    let used = if is_disk { volume.size / 8 } else { volume.size.div_ceil(4096) * 4096 };
    let format = if is_disk { volume.format.as_str() } else { "raw" };
    let mut row = json!({"path": path, "size": volume.size, "used": used, "format": format});
    if volume.content == "backup" {
        row["protected"] = json!(u8::from(volume.protected));
        if let Some(notes) = &volume.notes {
            row["notes"] = json!(notes);
        }
    }
    Ok(row)
}

/// Comment and protection of a backup.
fn change(call: &mut Call<'_>) -> Result<Value, Fail> {
    let key = key(call)?;
    let params = call.params;
    check_read(call, &key, call.world.volumes.get(&key))?;
    if !call.caller.is_root() && params.get("protected").is_some() {
        call.require(&format!("/storage/{}", key.0), "Datastore.Allocate")?;
    }
    let id = volid(&key);
    let volume = call.world.volumes.get_mut(&key);
    let volume = volume.ok_or_else(|| Fail::new(format!("volume '{id}' does not exist")))?;
    for attribute in ["notes", "protected"] {
        if params.get(attribute).is_some() && volume.content != "backup" {
            return Err(Fail::new(format!("only backups support attribute '{attribute}'")));
        }
    }
    if let Some(notes) = params.get("notes") {
        volume.notes = (!notes.is_empty()).then(|| notes.to_owned());
    }
    if params.get("protected").is_some() {
        volume.protected = params.flag("protected");
    }
    Ok(Value::Null)
}

/// Copies a volume to another name or node; for root alone, as the schema says.
fn copy(call: &mut Call<'_>) -> Result<Value, Fail> {
    let source = key(call)?;
    let params = call.params;
    let to = params.get("target_node").unwrap_or(params.node());
    if !call.world.nodes.contains_key(to) {
        return Err(Fail::new(format!("no such cluster node '{to}'")));
    }
    let target = params.text("target");
    let target = match target.contains(':') {
        true => call.world.key_of(to, target),
        false => {
            Some((source.0.clone(), call.world.storages[&source.0].place(to), target.to_owned()))
        }
    };
    let target = target.ok_or_else(|| {
        Fail::new(format!("storage of '{}' does not exist", params.text("target")))
    })?;
    Ok(call.task("imgcopy", "", CopyVolume { source, target }))
}

struct CopyVolume {
    source: Key,
    target: Key,
}

impl Work for CopyVolume {
    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        if world.volumes.get(&self.target).is_some() {
            return Err(format!("volume '{}' already exists", volid(&self.target)));
        }
        match world.volumes.get(&self.source) {
            None => Err(format!("volume '{}' does not exist", volid(&self.source))),
            Some(volume) if matches!(volume.content.as_str(), "images" | "rootdir" | "import") => {
                Ok(vec![Op::CloneFull { source: volid(&self.source), target: volid(&self.target) }])
            }
            Some(_) => Ok(Vec::new()),
        }
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let Some(volume) = world.volumes.get(&self.source).cloned() else { return Ok(Step::Done) };
        let volume = Volume { parent: None, created: world.now, ..volume };
        world.volumes.insert(self.target.clone(), volume);
        log.push(format!("copied '{}' to '{}'", volid(&self.source), volid(&self.target)));
        Ok(Step::Done)
    }
}

fn allocate(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, id) = (call.params.node().to_owned(), call.params.text("storage").to_owned());
    let storage = call.world.storage_on(&node, &id)?;
    let (vmid, filename) = (call.params.vmid(), call.params.text("filename"));
    let by_name = filename.rsplit_once('.').map(|(_, suffix)| suffix);
    let format = call.params.get("format").or(by_name).unwrap_or("raw").to_owned();
    let size = call.params.text("size");
    // A bare number is kilobytes here (source: PVE/API2/Storage/Content.pm).
    let bytes = if size.ends_with(|c: char| c.is_ascii_digit()) {
        format!("{size}K")
    } else {
        size.to_owned()
    };
    let bytes = parse_size(&bytes).unwrap_or(0);
    let name = if storage.is_files() { format!("{vmid}/{filename}") } else { filename.to_owned() };
    let key: Key = (id.clone(), storage.place(&node), name);
    if call.world.volumes.get(&key).is_some() {
        return Err(Fail::new(format!(
            "disk image '{}/images/{}' already exists",
            storage.path(),
            key.2
        )));
    }
    call.world.check_space(&id)?;
    let created = call.world.now;
    let volume = Volume {
        content: "images".into(),
        format,
        size: bytes,
        vmid: Some(vmid),
        parent: None,
        created,
        ..Volume::default()
    };
    call.world.volumes.insert(key.clone(), volume);
    call.ops.push(Op::Allocate { volume: volid(&key), size: bytes });
    Ok(json!(volid(&key)))
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let key = key(call)?;
    let owner = call.world.volumes.get(&key).and_then(|volume| volume.vmid);
    if !call.caller.is_root() {
        let free = owner.is_some_and(|vmid| call.may(&format!("/vms/{vmid}"), "VM.Config.Disk"));
        if !free {
            call.require(&format!("/storage/{}", key.0), "Datastore.Allocate")?;
        }
    }
    let id = owner.map_or_else(|| key.0.clone(), |vmid| format!("{vmid}@{}", key.0));
    Ok(call.task("imgdel", &id, Delete { key }))
}

struct Delete {
    key: Key,
}

impl Work for Delete {
    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        if world.volumes.children(&self.key) > 0 {
            return Err(format!(
                "base volume '{}' is still in use by linked cloned",
                volid(&self.key)
            ));
        }
        if let Some(volume) = world.volumes.get(&self.key) {
            backup::check_removal(&self.key, volume)?;
        }
        log.push(format!("Removed volume '{}'", volid(&self.key)));
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let volume = world.volumes.get(&self.key);
        Ok(volume.map(|volume| backup::frees(&self.key, volume)).unwrap_or_default())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        world.volumes.remove(&self.key);
        Ok(Step::Done)
    }
}
