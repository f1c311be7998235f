//! `POST /nodes/{node}/vzdump`: one task that backs guests up one after the other.

use std::time::Duration;

use serde_json::{Value, json};

use super::{member, names, prune, select};
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, Kind, print_size};
use crate::world::storage::{Backup, BackupDisk, Key, Volume, volid};

/// What a job does with each of its guests.
#[derive(Debug, Clone)]
struct Settings {
    storage: String,
    mode: String,
    compress: String,
    notes: Option<String>,
    protected: bool,
    /// The rules by which older backups are removed afterwards.
    keep: Option<prune::Keep>,
}

/// Begins a job.
pub(super) fn dump(call: &mut Call<'_>) -> Result<Value, Fail> {
    let node = call.params.node().to_owned();
    if call.params.flag("stop") {
        return Ok(json!("OK"));
    }
    let selection = select::select(call)?;
    let storage = call.params.get("storage").unwrap_or("local").to_owned();
    check_rights(call, &storage)?;
    // Guests of other nodes are backed up there.
    if selection.elsewhere {
        return Ok(json!("OK"));
    }
    let keep = prune::rules(call, &storage);
    let remove = call.params.get("remove") != Some("0");
    let settings = Settings {
        storage,
        mode: call.params.get("mode").unwrap_or("snapshot").to_owned(),
        compress: call.params.get("compress").unwrap_or("0").to_owned(),
        notes: call.params.get("notes-template").map(str::to_owned),
        protected: call.params.flag("protected"),
        keep: keep.filter(|_| remove),
    };
    let id = match selection.vmids.as_slice() {
        [vmid] => vmid.to_string(),
        _ => String::new(),
    };
    let pause = call.duration_of("vzdump");
    let mut vmids = selection.vmids;
    vmids.reverse();
    let command = command(call);
    let work = Dump {
        node,
        settings,
        command,
        waiting: vmids,
        current: None,
        whole: None,
        failed: false,
        pause,
    };
    Ok(call.task("vzdump", &id, work))
}

fn check_rights(call: &Call<'_>, storage: &str) -> Result<(), Fail> {
    for name in ["dumpdir", "script", "tmpdir", "job-id"] {
        if call.params.get(name).is_some() && !call.caller.is_root() {
            return Err(Fail::parameter(name, "Only root may set this option."));
        }
    }
    call.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")
}

/// The command line that the log begins with.
fn command(call: &Call<'_>) -> String {
    let mut words = vec!["vzdump".to_owned()];
    words.extend(call.params.get("vmid").map(|vmids| vmids.replace(',', " ")));
    for (key, value) in &call.params.texts {
        if key != "vmid" {
            words.push(format!("--{key} {value}"));
        }
    }
    words.join(" ")
}

/// The guest that is being backed up.
struct Current {
    vmid: u32,
    kind: Kind,
    key: Key,
    backup: Backup,
    /// The volumes of the disks, in the order of the backup's.
    sources: Vec<String>,
    began: Duration,
    notes: Option<String>,
}

struct Dump {
    node: String,
    settings: Settings,
    command: String,
    /// The next is the last.
    waiting: Vec<u32>,
    current: Option<Current>,
    /// The guest whose archive is whole, and when its backup began.
    whole: Option<(Kind, u32, Duration)>,
    failed: bool,
    pause: Duration,
}

/// Devices with what they hold.
type Disks = Vec<(String, Drive)>;

/// Disks and mount points that a backup holds, and those that it leaves out.
fn disks(guest: &Guest) -> (Disks, Disks) {
    guest.disks().into_iter().partition(|(device, drive)| match guest.kind {
        Kind::Qemu => drive.get("backup") != Some("0"),
        Kind::Lxc => device == "rootfs" || drive.get("backup") == Some("1"),
    })
}

/// What is stored with a backup: no lock, no traces of snapshots, no unused volumes.
fn saved(guest: &Guest) -> Config {
    let mut config = guest.config.clone();
    config.retain(|key, _| key != "lock" && key != "parent" && !key.starts_with("unused"));
    config
}

/// `{{guestname}}` and its like, and `\n`.
fn expand(template: &str, world: &World, guest: &Guest) -> String {
    let cluster = world.cluster_name.as_deref().unwrap_or_default();
    template
        .replace("{{guestname}}", &guest.name())
        .replace("{{vmid}}", &guest.vmid.to_string())
        .replace("{{node}}", &guest.node)
        .replace("{{cluster}}", cluster)
        .replace("\\n", "\n")
}

impl Dump {
    fn path(&self, world: &World, key: &Key) -> String {
        let name = key.2.rsplit('/').next().unwrap_or(&key.2);
        let folder = world.storages.get(&key.0).map(|found| found.path()).unwrap_or_default();
        format!("{folder}/dump/{name}")
    }

    /// Takes the next guest that can be backed up.
    fn advance(&mut self, world: &mut World, log: &mut Vec<String>) {
        while let Some(vmid) = self.waiting.pop() {
            match self.open(world, vmid, log) {
                Ok(current) => {
                    self.current = Some(current);
                    return;
                }
                Err(text) => {
                    let time = names::Date::of(world.now.as_secs()).log();
                    log.push(format!("ERROR: Backup of VM {vmid} failed - {text}"));
                    log.push(format!("INFO: Failed at {time}"));
                    self.failed = true;
                }
            }
        }
    }

    fn open(&self, world: &mut World, vmid: u32, log: &mut Vec<String>) -> Result<Current, String> {
        let guest = world.guests.get(&vmid).filter(|guest| guest.node == self.node);
        let guest = guest.ok_or_else(|| format!("unable to find VM '{vmid}'"))?;
        let kind = guest.kind;
        let time = world.now.as_secs();
        log.push(format!("INFO: Starting Backup of VM {vmid} ({})", kind.word()));
        log.push(format!("INFO: Backup started at {}", names::Date::of(time).log()));
        log.push(format!("INFO: status = {}", guest.status()));
        guest.check_lock()?;
        let running = guest.process.is_some();
        let mode = if running { self.settings.mode.as_str() } else { "stop" };
        log.push(format!("INFO: backup mode: {mode}"));
        log.push("INFO: ionice priority: 7".into());
        log.push(format!("INFO: {} Name: {}", kind.title(), guest.name()));
        let (taken, left) = disks(guest);
        describe(kind, &taken, &left, log);
        let storage = world.storage_on(&self.node, &self.settings.storage);
        let storage = storage.map_err(|fail| fail.text)?;
        let name = names::archive(kind, vmid, time, &self.settings.compress);
        let key: Key = (storage.id.clone(), storage.place(&self.node), format!("backup/{name}"));
        log.push(format!("INFO: creating vzdump archive '{}'", self.path(world, &key)));
        world.check_space(&key.0)?;
        if world.volumes.get(&key).is_some() {
            return Err(format!("unable to create '{}' - file exists", self.path(world, &key)));
        }
        let mut found = Vec::new();
        for (device, drive) in &taken {
            let (_, volume) = world.volume_at(&self.node, &drive.volume)?;
            let (format, size) = (volume.format.clone(), volume.size);
            found.push(BackupDisk { device: device.clone(), format, size });
        }
        let notes = self.settings.notes.as_ref().map(|text| expand(text, world, guest));
        let backup = Backup { kind, config: saved(guest), disks: found, boot: guest.boot.clone() };
        let sources = taken.into_iter().map(|(_, drive)| drive.volume).collect();
        if let Some(guest) = world.guests.get_mut(&vmid) {
            guest.config.insert("lock".into(), "backup".into());
        }
        Ok(Current { vmid, kind, key, backup, sources, began: world.now, notes })
    }

    /// The archive is whole.
    fn close(&mut self, world: &mut World, current: Current, log: &mut Vec<String>) {
        unlock(world, current.vmid);
        let bytes: u64 = current.backup.disks.iter().map(|disk| disk.size).sum();
        // Empty blocks are not stored, the others are compressed.
        let size = if self.settings.compress == "0" { bytes / 4 } else { bytes / 16 };
        log.push(format!("INFO: archive file size: {}", print_round(size)));
        if current.notes.is_some() {
            log.push("INFO: adding notes to backup".into());
        }
        if self.settings.protected {
            log.push("INFO: marking backup as protected".into());
        }
        let volume = Volume {
            content: "backup".into(),
            format: names::format(current.kind, &self.settings.compress),
            size,
            vmid: Some(current.vmid),
            created: current.began,
            notes: current.notes,
            protected: self.settings.protected,
            backup: Some(Box::new(current.backup)),
            ..Volume::default()
        };
        world.volumes.insert(current.key, volume);
        self.whole = Some((current.kind, current.vmid, current.began));
    }

    /// Removes what the rules no longer keep; returns what the backend frees.
    fn prune(&self, world: &mut World, kind: Kind, vmid: u32, log: &mut Vec<String>) -> Vec<Op> {
        let Some(keep) = &self.settings.keep else { return Vec::new() };
        log.push(format!("INFO: prune older backups with retention: {}", keep.print()));
        let group = prune::Group { kind: Some(kind), vmid: Some(vmid) };
        let gone = prune::remove(world, &self.node, &self.settings.storage, keep, group);
        for (key, _) in &gone {
            log.push(format!("INFO: removing backup '{}'", volid(key)));
        }
        let count = gone.len();
        log.push(format!("INFO: pruned {count} backup(s) not covered by keep-retention policy"));
        gone.iter().flat_map(|(key, volume)| super::frees(key, volume)).collect()
    }
}

fn log_end(world: &World, vmid: u32, began: Duration, log: &mut Vec<String>) {
    let took = world.now.saturating_sub(began).as_secs();
    let took = format!("{:02}:{:02}:{:02}", took / 3600, took / 60 % 60, took % 60);
    log.push(format!("INFO: Finished Backup of VM {vmid} ({took})"));
    let time = names::Date::of(world.now.as_secs()).log();
    log.push(format!("INFO: Backup finished at {time}"));
}

fn print_round(size: u64) -> String {
    let shift = [(30, "GB"), (20, "MB"), (10, "KB")];
    let found = shift.into_iter().find(|(shift, _)| size >> shift > 0);
    found.map_or_else(|| format!("{size}B"), |(shift, unit)| format!("{}{unit}", size >> shift))
}

fn describe(
    kind: Kind,
    taken: &[(String, Drive)],
    left: &[(String, Drive)],
    log: &mut Vec<String>,
) {
    let point = |device: &str, drive: &Drive| match device {
        "rootfs" => "/".to_owned(),
        _ => drive.get("mp").unwrap_or_default().to_owned(),
    };
    for (device, drive) in taken {
        log.push(match kind {
            Kind::Qemu => format!(
                "INFO: include disk '{device}' '{}' {}",
                drive.volume,
                drive.get("size").unwrap_or_default()
            ),
            Kind::Lxc => format!(
                "INFO: including mount point {device} ('{}') in backup",
                point(device, drive)
            ),
        });
    }
    for (device, drive) in left {
        log.push(match kind {
            Kind::Qemu => format!("INFO: exclude disk '{device}' '{}' (backup=no)", drive.volume),
            Kind::Lxc => format!(
                "INFO: excluding volume mount point {device} ('{}') from backup (disabled)",
                point(device, drive)
            ),
        });
    }
}

fn unlock(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid)
        && guest.lock() == Some("backup")
    {
        guest.config.remove("lock");
    }
}

impl Work for Dump {
    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let storage = world.storage_on(&self.node, &self.settings.storage).map_err(|fail| {
            format!(
                "could not get storage information for '{}': {}",
                self.settings.storage, fail.text
            )
        })?;
        if !storage.content.contains("backup") {
            return Err(format!(
                "could not get storage information for '{0}': can't use storage '{0}' for backups - wrong content type",
                storage.id
            ));
        }
        log.push(format!("INFO: starting new backup job: {}", self.command));
        self.advance(world, log);
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        if let Some((kind, vmid, _)) = self.whole {
            return Ok(self.prune(world, kind, vmid, log));
        }
        let Some(current) = &self.current else { return Ok(Vec::new()) };
        if current.kind == Kind::Lxc {
            log.push("INFO: Total bytes written: 2478080 (2.4MiB, 21MiB/s)".into());
            return Ok(Vec::new());
        }
        let archive = volid(&current.key);
        let pairs = current.backup.disks.iter().zip(&current.sources);
        let copy = |(disk, source): (&BackupDisk, &String)| {
            let target = member::name(&archive, &disk.device);
            Op::CloneFull { source: source.clone(), target }
        };
        let ops = pairs.map(copy).collect();
        let bytes: u64 = current.backup.disks.iter().map(|disk| disk.size).sum();
        let size = print_size(bytes);
        log.push(format!("INFO: 100% ({size} of {size}) in 1s"));
        Ok(ops)
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        if let Some(current) = self.current.take() {
            self.close(world, current, log);
            // Older backups go once the new one is whole.
            return Ok(Step::Again(Duration::ZERO));
        }
        if let Some((_, vmid, began)) = self.whole.take() {
            log_end(world, vmid, began, log);
        }
        self.advance(world, log);
        if self.current.is_some() {
            return Ok(Step::Again(self.pause));
        }
        if self.failed {
            log.push("INFO: Backup job finished with errors".into());
            return Err("job errors".into());
        }
        log.push("INFO: Backup job finished successfully".into());
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        let Some(current) = self.current.take() else { return Vec::new() };
        unlock(world, current.vmid);
        let archive = volid(&current.key);
        let disks = current.backup.disks.iter();
        disks.map(|disk| Op::Free { volume: member::name(&archive, &disk.device) }).collect()
    }

    fn stopped_text(&self) -> &'static str {
        "received interrupt"
    }
}
