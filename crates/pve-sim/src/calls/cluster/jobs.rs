//! `/cluster/backup`, `/cluster/backup-info` and `/cluster/jobs`: what is to
//! happen regularly. The schedules are kept and shown; nothing runs by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::directory;
use crate::calls::Plain;
use crate::calls::sections::{Act, Spec, words};
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::World;
use crate::world::guest::{Guest, Kind};
use crate::world::sections::Section;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/backup") => list,
        ("POST", "/backup") => create,
        ("GET", "/backup/{id}") => read,
        ("PUT", "/backup/{id}") => update,
        ("DELETE", "/backup/{id}") => |call| JOBS.delete(call),
        ("GET", "/backup/{id}/included_volumes") => included,
        ("GET", "/backup-info") => |_| Ok(directory("subdir", &["not-backed-up"])),
        ("GET", "/backup-info/not-backed-up") => not_backed_up,
        ("GET", "/jobs") => |_| Ok(directory("subdir", &["schedule-analyze", "realm-sync"])),
        ("GET", "/jobs/schedule-analyze") => analyze,
        ("GET", "/jobs/realm-sync") => |call| SYNCS.list(call),
        ("POST", "/jobs/realm-sync/{id}") => create_sync,
        ("GET", "/jobs/realm-sync/{id}") => |call| SYNCS.read(call),
        ("PUT", "/jobs/realm-sync/{id}") => |call| SYNCS.update(call),
        ("DELETE", "/jobs/realm-sync/{id}") => |call| SYNCS.delete(call),
        _ => return None,
    })
}

fn no_job(id: &str, _: Act) -> Fail {
    Fail::parameter("id", format!("No such job '{id}'"))
}

const JOBS: Spec = Spec {
    file: "jobs",
    id: "id",
    create: "/cluster/backup",
    kind: Some("type"),
    secret: &[],
    taken: |id| Fail::parameter("id", format!("Job '{id}' already exists")),
    missing: no_job,
};

const SYNCS: Spec = Spec { file: "jobs/realm-sync", create: "/cluster/jobs/realm-sync/x", ..JOBS };

/// A job as the API shows it: some options in parts, and when it is due.
fn show(world: &World, id: &str, section: &Section) -> Value {
    let mut row = JOBS.show(world, id, section);
    if let Some(map) = row.as_object_mut() {
        map.remove("digest");
    }
    for name in ["prune-backups", "fleecing", "performance"] {
        if let Some(text) = section.values.get(name) {
            row[name] = json!(super::options::parts(text));
        }
    }
    if row["enabled"] == 1
        && let Some(due) = next_run(section.values.get("schedule"), world.now.as_secs())
    {
        row["next-run"] = json!(due);
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    Ok(world.sections.all(JOBS.file).map(|(id, section)| show(world, id, section)).collect())
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("id");
    let found = call.world.sections.get(JOBS.file, id).ok_or_else(|| no_job(id, Act::Read))?;
    Ok(show(call.world, id, found))
}

/// What to back up is said in one way only.
fn check(section: &Section) -> Result<(), Fail> {
    let has = |name: &str| section.values.contains_key(name);
    let all = section.values.get("all").is_some_and(|text| text == "1");
    if has("vmid") {
        for other in ["exclude", "pool"] {
            if has(other) {
                return Err(Fail::parameter(other, "option conflicts with option 'vmid'"));
            }
        }
        if all {
            return Err(Fail::parameter("all", "option conflicts with option 'vmid'"));
        }
    } else if !all && !has("pool") {
        return Err(Fail::parameter("vmid", "property is missing"));
    }
    match section.values.get("storage") {
        Some(_) if has("dumpdir") => {
            Err(Fail::parameter("storage", "option conflicts with option 'dumpdir'"))
        }
        _ => Ok(()),
    }
}

/// The old way to say when: days of the week and a time.
fn schedule(section: &mut Section) {
    let time = section.values.remove("starttime");
    let days = section.values.remove("dow");
    if let Some(time) = time {
        let days = days.map_or(String::new(), |days| format!("{days} "));
        section.values.entry("schedule".into()).or_insert(format!("{days}{time}"));
    }
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut section = JOBS.given(call);
    if let Some(node) = call.params.get("node") {
        section.values.insert("node".into(), node.to_owned());
    }
    check(&section)?;
    schedule(&mut section);
    if !section.values.contains_key("schedule") {
        return Err(Fail::parameter("schedule", crate::schema::check::MISSING));
    }
    if let Some(storage) = section.values.get("storage")
        && !call.world.storages.contains_key(storage)
    {
        return Err(Fail::new(format!("storage '{storage}' does not exist")));
    }
    section.kind = "vzdump".into();
    section.values.entry("enabled".into()).or_insert_with(|| "1".into());
    section.values.entry("mode".into()).or_insert_with(|| "snapshot".into());
    let id = match call.params.get("id") {
        Some(id) => id.to_owned(),
        None => {
            let uuid = call.world.uuid();
            format!("backup-{}", &uuid[..13])
        }
    };
    JOBS.insert(call, &id, section)
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("id").to_owned();
    let found = call.world.sections.get(JOBS.file, &id);
    let mut section = found.cloned().ok_or_else(|| no_job(&id, Act::Update))?;
    for name in words(call.params.text("delete")) {
        section.values.remove(name);
    }
    let mut given = JOBS.given(call);
    schedule(&mut given);
    // One selection replaces another.
    if given.values.contains_key("vmid") {
        for name in ["all", "pool", "exclude"] {
            section.values.remove(name);
        }
    } else if given.values.get("all").is_some_and(|text| text == "1") {
        for name in ["vmid", "pool"] {
            section.values.remove(name);
        }
    } else if given.values.contains_key("pool") {
        for name in ["vmid", "all", "exclude"] {
            section.values.remove(name);
        }
    }
    section.values.extend(given.values);
    if let Some(node) = call.params.get("node") {
        section.values.insert("node".into(), node.to_owned());
    }
    check(&section)?;
    call.world.sections.insert(JOBS.file, &id, section);
    Ok(Value::Null)
}

/// The guests that a job takes along.
fn selected<'a>(world: &'a World, section: &Section) -> Vec<&'a Guest> {
    let text = |name: &str| section.values.get(name).map(String::as_str);
    let ids = |name: &str| -> BTreeSet<u32> {
        words(text(name).unwrap_or_default()).filter_map(|id| id.parse().ok()).collect()
    };
    let (wanted, left_out) = (ids("vmid"), ids("exclude"));
    let fits = |guest: &&Guest| {
        let chosen = match text("pool") {
            Some(pool) => guest.pool.as_deref() == Some(pool),
            None => text("all") == Some("1") || wanted.contains(&guest.vmid),
        };
        chosen
            && !left_out.contains(&guest.vmid)
            && text("node").is_none_or(|node| node == guest.node)
    };
    world.guests.values().filter(fits).collect()
}

fn word(guest: &Guest) -> &'static str {
    if guest.kind == Kind::Qemu { "qemu" } else { "lxc" }
}

/// Whether an option of a guest is a volume, for backups.
fn is_volume(guest: &Guest, key: &str, value: &str) -> bool {
    let stem = key.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let of_kind = match guest.kind {
        Kind::Qemu => matches!(stem, "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate"),
        Kind::Lxc => matches!(stem, "rootfs" | "mp"),
    };
    of_kind && key != "scsihw" && !value.contains("media=cdrom")
}

fn included(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("id");
    let section = call.world.sections.get(JOBS.file, id);
    let section = section.ok_or_else(|| no_job(id, Act::Read))?;
    let children = selected(call.world, section).into_iter().map(|guest| {
        let volumes = guest.config.iter().filter(|(key, value)| is_volume(guest, key, value));
        let volumes = volumes.map(|(key, value)| {
            let off = value.split(',').any(|part| part == "backup=0");
            let default_off = guest.kind == Kind::Lxc && key != "rootfs";
            let on = !off && (!default_off || value.split(',').any(|part| part == "backup=1"));
            let name = value.split(',').next().unwrap_or_default();
            let reason = if on { "enabled" } else { "disabled" };
            json!({"id": key, "name": name, "included": u8::from(on), "reason": reason})
        });
        json!({
            "id": guest.vmid, "name": guest.name(), "type": word(guest),
            "children": volumes.collect::<Vec<_>>(),
        })
    });
    Ok(json!({"children": children.collect::<Vec<_>>()}))
}

fn not_backed_up(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let jobs = world.sections.all(JOBS.file).map(|(_, section)| section);
    let enabled =
        jobs.filter(|section| section.values.get("enabled").is_none_or(|text| text == "1"));
    let covered: BTreeSet<u32> =
        enabled.flat_map(|section| selected(world, section)).map(|guest| guest.vmid).collect();
    let open = world.guests.values().filter(|guest| !covered.contains(&guest.vmid));
    Ok(open
        .map(|guest| json!({"vmid": guest.vmid, "name": guest.name(), "type": word(guest)}))
        .collect())
}

fn create_sync(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("id").to_owned();
    let mut section = SYNCS.given(call);
    section.kind = "realm-sync".into();
    section.values.entry("enabled".into()).or_insert_with(|| "1".into());
    SYNCS.insert(call, &id, section)
}

/// The next time that a calendar event names. Days of the week with one time of
/// day, a time alone, and every so many minutes or hours are understood; other
/// events are taken as daily at midnight.
fn next_run(schedule: Option<&String>, now: u64) -> Option<u64> {
    const DAY: u64 = 86_400;
    let text = schedule?.trim().to_ascii_lowercase();
    let step = match text.as_str() {
        "minutely" => Some(60),
        "hourly" => Some(3600),
        _ => {
            text.strip_prefix("*/").and_then(|step| step.parse::<u64>().ok()).map(|step| step * 60)
        }
    };
    if let Some(step) = step.filter(|step| *step > 0) {
        return Some((now / step + 1) * step);
    }
    let (days, time) = match text.rsplit_once(' ') {
        Some((days, time)) => (days, time),
        None if text.contains(':') => ("", text.as_str()),
        None => (text.as_str(), "00:00"),
    };
    let (hour, minute) = time.split_once(':').unwrap_or(("0", "0"));
    let offset =
        hour.parse::<u64>().unwrap_or(0) % 24 * 3600 + minute.parse::<u64>().unwrap_or(0) % 60 * 60;
    let wanted = weekdays(days);
    // 1 January 1970 was a Thursday.
    (now / DAY..=now / DAY + 7)
        .filter(|day| wanted[((day + 3) % 7) as usize])
        .map(|day| day * DAY + offset)
        .find(|time| *time > now)
}

/// Which days a list such as `mon..fri,sun` names, from Monday on; all for none.
fn weekdays(text: &str) -> [bool; 7] {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let number = |name: &str| NAMES.iter().position(|known| name.starts_with(known));
    let mut days = [false; 7];
    for part in words(text) {
        let (from, to) = part.split_once("..").unwrap_or((part, part));
        if let (Some(from), Some(to)) = (number(from), number(to)) {
            for (day, chosen) in days.iter_mut().enumerate() {
                *chosen |= (from..=to).contains(&day);
            }
        }
    }
    if days.contains(&true) { days } else { [true; 7] }
}

fn analyze(call: &mut Call<'_>) -> Result<Value, Fail> {
    let schedule = call.params.text("schedule").to_owned();
    let count = call.params.number("iterations").unwrap_or(10).min(100);
    let mut time = call.params.number("starttime").unwrap_or(call.world.now.as_secs());
    let mut rows = Vec::new();
    for _ in 0..count {
        let Some(next) = next_run(Some(&schedule), time) else { break };
        rows.push(json!({"timestamp": next, "utc": crate::http::date(next)}));
        time = next;
    }
    Ok(Value::Array(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_events_name_their_next_time() {
        // Friday, 20 November 2026, 17:00 UTC.
        let now = 1_795_194_000;
        let at = |text: &str| next_run(Some(&text.to_owned()), now);
        assert_eq!(at("21:30"), Some(now + 4 * 3600 + 1800));
        assert_eq!(at("mon 03:00"), Some(now + 3 * 86_400 - 14 * 3600));
        assert_eq!(at("mon..thu,sat 00:00"), Some(now + 7 * 3600));
        assert_eq!(at("*/15"), Some(now + 900));
        assert_eq!(at("hourly"), Some(now + 3600));
    }
}
