//! Which backups are kept: `/nodes/{node}/storage/{storage}/prunebackups`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::names::Date;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::property::Properties;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Drive, Kind};
use crate::world::storage::{Key, Volume, volid};

/// The rules: how many of the last, and of how many hours, days, weeks, months
/// and years one backup each is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Keep {
    rules: Properties,
}

/// In Proxmox's order of application.
const PERIODS: &[&str] =
    &["keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly"];

impl Keep {
    /// Reads a checked property string.
    pub fn parse(text: &str) -> Self {
        Self { rules: Drive::parse(text).options }
    }

    /// As it was given, in the order of application.
    pub fn print(&self) -> String {
        let part = |name: &&&str| self.rules.get(**name).map(|value| format!("{name}={value}"));
        let parts: Vec<String> = ["keep-all"]
            .iter()
            .chain(PERIODS)
            .collect::<Vec<_>>()
            .iter()
            .filter_map(part)
            .collect();
        if parts.is_empty() { "keep-all=1".into() } else { parts.join(", ") }
    }

    fn count(&self, period: &str) -> usize {
        self.rules.get(period).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// All zero means that everything is kept.
    fn keeps_all(&self) -> bool {
        self.rules.get("keep-all").is_some_and(|value| value == "1")
            || PERIODS.iter().all(|period| self.count(period) == 0)
    }
}

/// Which backups are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Group {
    pub kind: Option<Kind>,
    pub vmid: Option<u32>,
}

/// What a period's backups have in common.
fn period_of(period: &str, time: u64) -> (i64, u64, u64) {
    let date = Date::of(time);
    match period {
        "keep-hourly" => (date.year, date.month * 100 + date.day, date.second / 3600),
        "keep-daily" => (date.year, date.month * 100 + date.day, 0),
        // Weeks begin on Monday; 1970 began on a Thursday.
        "keep-weekly" => (0, (time / 86_400 + 3) / 7, 0),
        "keep-monthly" => (date.year, date.month, 0),
        "keep-yearly" => (date.year, 0, 0),
        _ => (0, time, 0),
    }
}

/// Marks the backups of one guest, newest first.
fn mark(keep: &Keep, times: &[(u64, bool)]) -> Vec<&'static str> {
    let mut marks: Vec<&'static str> =
        times.iter().map(|(_, protected)| if *protected { "protected" } else { "" }).collect();
    if keep.keeps_all() {
        marks.iter_mut().filter(|mark| mark.is_empty()).for_each(|mark| *mark = "keep");
        return marks;
    }
    for period in PERIODS {
        let limit = keep.count(period);
        if limit == 0 {
            continue;
        }
        let kept = marks.iter().zip(times).filter(|(mark, _)| **mark == "keep");
        let before: BTreeSet<_> = kept.map(|(_, (time, _))| period_of(period, *time)).collect();
        let mut new = BTreeSet::new();
        for (mark, (time, _)) in marks.iter_mut().zip(times).filter(|(mark, _)| mark.is_empty()) {
            let id = period_of(period, *time);
            if before.contains(&id) {
                continue;
            }
            if new.contains(&id) {
                *mark = "remove";
                continue;
            }
            if new.len() >= limit {
                break;
            }
            new.insert(id);
            *mark = "keep";
        }
    }
    marks.iter_mut().filter(|mark| mark.is_empty()).for_each(|mark| *mark = "remove");
    marks
}

/// The backups of a storage with their marks, in the order of their names.
fn marked(
    world: &World,
    node: &str,
    storage: &str,
    keep: &Keep,
    group: Group,
) -> BTreeMap<Key, &'static str> {
    let place = world.storages.get(storage).map(|found| found.place(node)).unwrap_or_default();
    let mut groups: BTreeMap<(&str, u32), Vec<(&Key, &Volume)>> = BTreeMap::new();
    for (key, volume) in world.volumes.on(storage, &place) {
        let (Some(backup), Some(vmid)) = (&volume.backup, volume.vmid) else { continue };
        let fits = group.kind.is_none_or(|kind| kind == backup.kind)
            && group.vmid.is_none_or(|wanted| wanted == vmid);
        if fits {
            groups.entry((backup.kind.word(), vmid)).or_default().push((key, volume));
        }
    }
    let mut found = BTreeMap::new();
    for mut backups in groups.into_values() {
        backups.sort_by_key(|(_, volume)| std::cmp::Reverse(volume.created));
        let times: Vec<(u64, bool)> = backups
            .iter()
            .map(|(_, volume)| (volume.created.as_secs(), volume.protected))
            .collect();
        let marks = mark(keep, &times);
        found.extend(backups.into_iter().map(|(key, _)| key.clone()).zip(marks));
    }
    found
}

/// Removes what the rules do not keep; returns what went.
pub(super) fn remove(
    world: &mut World,
    node: &str,
    storage: &str,
    keep: &Keep,
    group: Group,
) -> Vec<(Key, Volume)> {
    let marks = marked(world, node, storage, keep, group);
    let gone = marks.into_iter().filter(|(_, mark)| *mark == "remove").map(|(key, _)| key);
    gone.filter_map(|key| world.volumes.remove(&key).map(|volume| (key, volume))).collect()
}

fn group(call: &Call<'_>) -> Group {
    let kind = call.params.get("type").map(|kind| match kind {
        "lxc" => Kind::Lxc,
        _ => Kind::Qemu,
    });
    let vmid = call.params.get("vmid").and_then(|vmid| vmid.parse().ok());
    Group { kind, vmid }
}

/// The rules of a call: those that it gives, or else those of the storage.
pub(super) fn rules(call: &Call<'_>, storage: &str) -> Option<Keep> {
    let of_storage = call.world.storages.get(storage)?.options.get("prune-backups");
    let text = call.params.get("prune-backups").or(of_storage.map(String::as_str))?;
    (text != KEEP_ALL).then(|| Keep::parse(text))
}

/// The rules of a storage that keeps everything.
pub(super) const KEEP_ALL: &str = "keep-all=1";

/// `GET …/prunebackups`
pub(super) fn preview(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, storage) = (call.params.node(), call.params.text("storage"));
    call.world.storage_on(node, storage)?;
    let marks =
        marked(call.world, node, storage, &rules(call, storage).unwrap_or_default(), group(call));
    let row = |(key, mark): (Key, &str)| {
        let volume = call.world.volumes.get(&key)?;
        let kind = volume.backup.as_ref()?.kind.word();
        let time = volume.created.as_secs();
        Some(json!({
            "volid": volid(&key), "ctime": time, "vmid": volume.vmid, "type": kind, "mark": mark,
        }))
    };
    Ok(marks.into_iter().filter_map(row).collect())
}

/// `DELETE …/prunebackups`
pub(super) fn prune(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, storage) = (call.params.node().to_owned(), call.params.text("storage").to_owned());
    let (keep, group) = (rules(call, &storage).unwrap_or_default(), group(call));
    let path = format!("/storage/{storage}");
    if !call.may(&path, "Datastore.Allocate")
        && let Some(vmid) = group.vmid
    {
        call.require(&path, "Datastore.AllocateSpace")?;
        call.require(&format!("/vms/{vmid}"), "VM.Backup")?;
    } else {
        call.require(&path, "Datastore.Allocate")?;
    }
    call.world.storage_on(&node, &storage)?;
    let id = match group.vmid {
        Some(vmid) => format!("{vmid}@{storage}"),
        None => storage.clone(),
    };
    Ok(call.task("prunebackups", &id, Prune { node, storage, keep, group }))
}

struct Prune {
    node: String,
    storage: String,
    keep: Keep,
    group: Group,
}

impl Work for Prune {
    fn effects(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let gone = remove(world, &self.node, &self.storage, &self.keep, self.group);
        for (key, _) in &gone {
            log.push(format!("Removed volume '{}'", volid(key)));
        }
        Ok(gone.iter().flat_map(|(key, volume)| super::frees(key, volume)).collect())
    }

    fn finish(
        &mut self,
        _world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        Ok(Step::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn marks(rules: &str, times: &[u64]) -> String {
        let times: Vec<(u64, bool)> = times.iter().map(|time| (*time, false)).collect();
        mark(&Keep::parse(rules), &times).iter().map(|mark| &mark[..1]).collect()
    }

    #[test]
    fn the_newest_are_kept_and_the_rest_is_removed() {
        assert_eq!(marks("keep-last=2", &[300, 200, 100]), "kkr");
        assert_eq!(marks("keep-all=1", &[300, 200, 100]), "kkk");
        assert_eq!(marks("keep-last=0", &[300, 200]), "kk");
    }

    #[test]
    fn of_a_day_the_newest_is_kept_and_what_another_rule_keeps_does_not_count() {
        let times = [2 * DAY + 50, 2 * DAY + 10, DAY + 5, DAY, 7];
        assert_eq!(marks("keep-daily=2", &times), "krkrr");
        assert_eq!(marks("keep-last=1,keep-daily=2", &times), "krkrk");
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 1970-01-04 was a Sunday.
        assert_eq!(marks("keep-weekly=2", &[4 * DAY, 3 * DAY]), "kk");
        assert_eq!(marks("keep-weekly=2", &[5 * DAY, 4 * DAY]), "kr");
    }
}
