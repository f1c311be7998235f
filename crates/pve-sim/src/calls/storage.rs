//! `/storage` and `/nodes/{node}/storage`

use serde_json::{Value, json};

use super::{Plain, backup, cluster};
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{parse_size, sha1};
use crate::world::storage::{Key, Storage, Volume, volid};

/// The handlers of this file.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    if let Some(rest) = path.strip_prefix("/nodes/{node}/storage") {
        return Some(match (verb, rest) {
            ("GET", "") => list,
            ("GET", "/{storage}") => index,
            ("GET", "/{storage}/status") => status,
            ("GET", "/{storage}/content") => content,
            ("POST", "/{storage}/content") => allocate,
            ("GET", "/{storage}/content/{volume}") => read,
            ("DELETE", "/{storage}/content/{volume}") => delete,
            ("POST", "/{storage}/upload") => upload,
            _ => return None,
        });
    }
    Some(match (verb, path) {
        ("GET", "/storage") => configurations,
        ("GET", "/storage/{storage}") => configuration,
        _ => return None,
    })
}

fn configured(storage: &Storage) -> Value {
    let content: Vec<&str> = storage.content.iter().map(String::as_str).collect();
    let mut row = json!({
        "storage": storage.id, "type": storage.kind, "content": content.join(","), "digest": sha1(storage.id.as_bytes()),
    });
    if storage.is_files() {
        row["path"] = json!(storage.path());
    }
    if storage.id == "local" {
        row["prune-backups"] = json!("keep-all=1");
    }
    if storage.shared {
        row["shared"] = json!(1);
    }
    if let Some(nodes) = &storage.nodes {
        row["nodes"] = json!(nodes.iter().map(String::as_str).collect::<Vec<_>>().join(","));
    }
    row
}

fn may_see(call: &Call<'_>, id: &str) -> bool {
    call.world.may_any(
        call.caller,
        &format!("/storage/{id}"),
        &["Datastore.Audit", "Datastore.AllocateSpace"],
    )
}

fn configurations(call: &mut Call<'_>) -> Result<Value, Fail> {
    let seen = call.world.storages.values().filter(|storage| may_see(call, &storage.id));
    Ok(seen.map(configured).collect())
}

fn configuration(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("storage");
    let storage = call
        .world
        .storages
        .get(id)
        .ok_or_else(|| Fail::new(format!("storage '{id}' does not exist")))?;
    Ok(configured(storage))
}

/// A storage of a node with its figures.
fn figures(world: &World, node: &str, storage: &Storage) -> Value {
    let content: Vec<&str> = storage.content.iter().map(String::as_str).collect();
    let active = storage.enabled && !storage.offline_on.contains(node);
    let mut row = json!({
        "type": storage.kind, "content": content.join(","), "shared": u8::from(storage.shared),
        "enabled": u8::from(storage.enabled), "active": u8::from(active), "total": 0, "used": 0, "avail": 0,
    });
    if active {
        let used = cluster::used(world, node, &storage.id);
        row["total"] = json!(storage.capacity);
        row["used"] = json!(used);
        row["avail"] = json!(storage.capacity.saturating_sub(used));
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let node = call.params.node();
    let wanted = call.params.get("content");
    let only = call.params.get("storage");
    let mut rows = Vec::new();
    for storage in call.world.storages.values() {
        let fits = storage.is_on(node)
            && may_see(call, &storage.id)
            && only.is_none_or(|id| id == storage.id)
            && wanted.is_none_or(|kinds| {
                kinds.split([',', ' ', ';']).any(|kind| storage.content.contains(kind))
            });
        if !fits {
            continue;
        }
        let mut row = figures(call.world, node, storage);
        row["storage"] = json!(storage.id);
        if let (Some(used), Some(total)) =
            (row["used"].as_f64(), row["total"].as_f64().filter(|total| *total > 0.0))
        {
            row["used_fraction"] = json!(used / total);
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

fn index(_: &mut Call<'_>) -> Result<Value, Fail> {
    let names = ["content", "status", "upload"];
    Ok(names.iter().map(|name| json!({"subdir": name})).collect())
}

fn status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, id) = (call.params.node(), call.params.text("storage"));
    let found = call.world.storages.get(id).filter(|storage| storage.is_on(node));
    let storage = found.ok_or_else(|| Fail::parameter("storage", "No such storage."))?;
    Ok(figures(call.world, node, storage))
}

fn row(key: &Key, volume: &Volume) -> Value {
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
    if matches!(volume.content.as_str(), "images" | "rootdir") {
        row["used"] = json!(volume.size / 8);
        row["parent"] =
            volume.parent.as_ref().map_or(Value::Null, |parent| json!(format!("../{parent}")));
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
    Ok(rows.map(|(key, volume)| row(key, volume)).collect())
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
        _ if storage.is_files() => format!("{}/images/{}", storage.path(), key.2),
        _ => format!("/dev/{}/{}", storage.id, key.2),
    }
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let key = key(call)?;
    let volume = call.world.volumes.get(&key);
    let volume = volume.ok_or_else(|| {
        Fail::new(format!("volume_size_info on '{}' failed - no format", volid(&key)))
    })?;
    let path = path_of(&call.world.storages[&key.0], &key, volume);
    Ok(json!({"path": path, "size": volume.size, "used": volume.size / 8, "format": volume.format}))
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

fn upload(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, id) = (call.params.node().to_owned(), call.params.text("storage").to_owned());
    let storage = call.world.storage_on(&node, &id)?;
    let kind = call.params.text("content").to_owned();
    if !storage.content.contains(&kind) {
        return Err(Fail::new(format!("storage '{id}' does not support '{kind}' content")));
    }
    let Some(upload) = call.upload else {
        return Err(Fail::parameter("filename", crate::schema::check::MISSING));
    };
    let name = upload.filename.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let endings: &[&str] = match kind.as_str() {
        "iso" => &[".iso", ".img"],
        "vztmpl" => &[".tar.gz", ".tar.xz", ".tar.zst"],
        _ => &[".ova", ".ovf", ".qcow2", ".raw", ".vmdk"],
    };
    if !endings.iter().any(|ending| name.to_lowercase().ends_with(ending)) {
        return Err(Fail::parameter("filename", "wrong file extension"));
    }
    call.world.check_space(&id)?;
    let format = name.rsplit('.').next().unwrap_or("raw").to_owned();
    let created = call.world.now;
    let volume = Volume {
        content: kind.clone(),
        format,
        size: upload.size,
        vmid: None,
        parent: None,
        created,
        ..Volume::default()
    };
    let key: Key = (id, storage.place(&node), format!("{kind}/{name}"));
    let expected = call
        .params
        .get("checksum")
        .map(str::to_owned)
        .filter(|_| call.params.get("checksum-algorithm") == Some("sha256"));
    let got = upload.sha256.clone();
    Ok(call.task("imgcopy", "", Copy { key, volume, expected, got }))
}

struct Copy {
    key: Key,
    volume: Volume,
    expected: Option<String>,
    got: String,
}

impl Work for Copy {
    fn begin(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        match &self.expected {
            Some(expected) if *expected != self.got => {
                Err(format!("checksum mismatch: got '{}' != expect '{expected}'", self.got))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        if self.volume.content != "import" || world.volumes.get(&self.key).is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![Op::Allocate { volume: volid(&self.key), size: self.volume.size }])
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        world.volumes.remove(&self.key);
        world.volumes.insert(self.key.clone(), self.volume.clone());
        Ok(Step::Done)
    }
}
