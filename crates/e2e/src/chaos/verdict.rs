//! Whether everything is as it was asked for, and nothing else is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use client::Client;
use client::wire::{Instance, InstanceState, Operation, OperationKind, OperationState, Phase};
use model::time::SystemClock;
use model::{InstanceId, Mark};
use provisioner::SystemRandom;
use pve_sim::Simulator;
use serde_json::Value;
use store::Store;

use super::load::{self, Ledger, Wish};
use super::world::INTRUDER;

/// The cluster and the API, looked at once.
pub struct Seen {
    before: Value,
    world: Value,
    instances: Vec<Instance>,
    operations: BTreeMap<InstanceId, Vec<Operation>>,
    /// How many steps had been interrupted, by the operations' own logs.
    pub interrupted: usize,
}

/// One of our guests in the cluster.
struct Guest<'a> {
    vmid: &'a str,
    mark: Option<Mark>,
    value: &'a Value,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a part of the world's dump.
fn part<'a>(world: &'a Value, name: &str) -> BTreeMap<&'a str, &'a Value> {
    let members = world[name].as_object().into_iter().flatten();
    members.map(|(key, value)| (key.as_str(), value)).collect()
}

impl Seen {
    pub async fn look(
        simulator: &Simulator,
        client: &Client,
        ledger: &Ledger,
        before: &Value,
    ) -> Result<Self> {
        let instances = load::instances(client).await?;
        let all = load::operations(client, None, None).await?;
        let mut interrupted = 0;
        let mut operations: BTreeMap<InstanceId, Vec<Operation>> = BTreeMap::new();
        for operation in all {
            operations.entry(operation.instance).or_default().push(operation);
        }
        let wished: Vec<InstanceId> = ledger.wishes().values().map(|wish| wish.id).collect();
        for operation in wished.iter().filter_map(|id| operations.get(id)).flatten() {
            let log = load::until_answered(|| client.operation_log(operation.id)).await?;
            let texts = log.lines.iter().map(|line| line.text.as_str());
            interrupted += texts.filter(|text| text.contains("interrupted")).count();
        }
        let world = simulator.dump();
        Ok(Self { before: before.clone(), world, instances, operations, interrupted })
    }

    /// How many operations of each kind ended how.
    pub fn operations(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for operation in self.operations.values().flatten() {
            *counts.entry(format!("{} {}", operation.kind, operation.state)).or_default() += 1;
        }
        counts
    }

    /// Guests that were not there at the beginning and are no intruders.
    fn guests(&self) -> Vec<Guest<'_>> {
        let before = part(&self.before, "guests");
        let guests = part(&self.world, "guests").into_iter();
        guests
            .filter(|(vmid, guest)| {
                !before.contains_key(vmid) && text(guest, "/config/name") != INTRUDER
            })
            .map(|(vmid, value)| {
                let mark = Mark::parse(text(value, "/config/description"));
                Guest { vmid, mark, value }
            })
            .collect()
    }

    /// Everything that is not as it should be.
    pub fn problems(&self, ledger: &Ledger) -> Vec<String> {
        let wishes = ledger.wishes().clone();
        let mut problems = self.of_others();
        problems.extend(self.rows(&wishes));
        problems.extend(self.left_over());
        problems.extend(self.volumes());
        problems
    }

    /// What belongs to others, byte for byte.
    fn of_others(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for name in ["guests", "volumes", "firewall_groups", "pools"] {
            let now = part(&self.world, name);
            for (key, was) in part(&self.before, name) {
                let is = now.get(key).map(ToString::to_string);
                if is.as_deref() != Some(was.to_string().as_str()) {
                    problems.push(format!("{name}: {key} of others was {was}, is {is:?}"));
                }
            }
        }
        for (vmid, guest) in part(&self.world, "guests") {
            let name = text(guest, "/config/name");
            let touched = guest["status"] != "stopped" || !guest["config"]["tags"].is_null();
            if name == INTRUDER && touched {
                problems.push(format!("the intruder {vmid} was touched: {guest}"));
            }
        }
        if self.world["tasks"] != self.before["tasks"] {
            problems.push(format!("tasks still run: {}", self.world["tasks"]));
        }
        problems
    }

    /// Every wish has become what it says; there is no row that nobody wished.
    fn rows(&self, wishes: &BTreeMap<String, Wish>) -> Vec<String> {
        let mut problems = Vec::new();
        for instance in &self.instances {
            let name = &instance.name;
            match wishes.get(name) {
                Some(wish) if wish.id == instance.id => {}
                _ => problems.push(format!("{name} ({}) was asked for once less", instance.id)),
            }
        }
        for (name, wish) in wishes {
            let operations = self.operations.get(&wish.id).map(Vec::as_slice).unwrap_or_default();
            for (id, kind) in &wish.accepted {
                if !operations.iter().any(|one| one.id == *id && one.kind == *kind) {
                    problems.push(format!("{name}: the accepted {kind} {id} is lost"));
                }
            }
            let row = self.instances.iter().find(|instance| instance.id == wish.id);
            let verdict = match (row, wish.deleted) {
                (None, true) => deleted(operations),
                (Some(row), true) => Err(format!("is deleted but still {}", row.state)),
                (None, false) => Err("is lost: there is no row".to_owned()),
                (Some(row), false) => self.row(row, wish, operations),
            };
            problems.extend(verdict.err().map(|problem| format!("{name} ({}) {problem}", wish.id)));
        }
        problems
    }

    fn row(&self, row: &Instance, wish: &Wish, operations: &[Operation]) -> Result<(), String> {
        let guests: Vec<Guest<'_>> = self.guests();
        let mut guests = guests
            .iter()
            .filter(|guest| guest.mark.as_ref().is_some_and(|mark| mark.instance == row.id));
        let (guest, second) = (guests.next(), guests.next());
        if let (Some(guest), Some(second)) = (guest, second) {
            return Err(format!("is doubled: {} and {}", guest.vmid, second.vmid));
        }
        match (row.phase, guest) {
            (Phase::Ready, Some(guest)) => as_wished(row, guest, wish, operations),
            (Phase::Ready, None) => Err("is ready and has no guest".to_owned()),
            (Phase::Failed, None) => match &row.fault {
                Some(fault) if !fault.message.is_empty() && !fault.stuck => Ok(()),
                fault => Err(format!("failed without a reason: {fault:?}")),
            },
            (Phase::Failed, Some(guest)) => Err(format!("failed and leaks {}", guest.vmid)),
            (phase, _) => Err(format!("is {phase} although nothing is under way")),
        }
    }

    /// Guests that belong to no row, locks, and operations that are not over.
    fn left_over(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for guest in self.guests() {
            let owner = guest.mark.as_ref().map(|mark| mark.instance);
            if !self.instances.iter().any(|row| Some(row.id) == owner) {
                problems.push(format!("guest {} is leaked: {}", guest.vmid, guest.value));
            }
            if !guest.value["lock"].is_null() {
                problems.push(format!("guest {} is locked: {}", guest.vmid, guest.value["lock"]));
            }
        }
        for operation in self.operations.values().flatten() {
            let over = matches!(
                operation.state,
                OperationState::Succeeded | OperationState::Failed | OperationState::Cancelled
            );
            if !over {
                let (kind, name) = (operation.kind, &operation.instance_name);
                problems.push(format!("{kind} of {name} is {}", operation.state));
            }
        }
        problems
    }

    /// Every new volume is the disk of a guest that is there.
    fn volumes(&self) -> Vec<String> {
        let before = part(&self.before, "volumes");
        let guests: BTreeMap<u64, Guest<'_>> = self
            .guests()
            .into_iter()
            .filter_map(|guest| Some((guest.vmid.parse().ok()?, guest)))
            .collect();
        let new = part(&self.world, "volumes").into_iter();
        new.filter(|(key, _)| !before.contains_key(key))
            .filter(|(key, volume)| {
                let volid = key.split_once('/').map_or(*key, |(_, volid)| volid);
                let owner = volume["vmid"].as_u64().and_then(|vmid| guests.get(&vmid));
                !owner.is_some_and(|guest| {
                    let config = guest.value["config"].as_object().into_iter().flatten();
                    config.into_iter().any(|(_, value)| {
                        value.as_str().is_some_and(|text| text.split(',').any(|one| one == volid))
                    })
                })
            })
            .map(|(key, volume)| format!("volume {key} is leaked: {volume}"))
            .collect()
    }
}

fn deleted(operations: &[Operation]) -> Result<(), String> {
    let deletions = operations.iter().filter(|one| one.kind == OperationKind::Delete);
    let done = deletions.filter(|one| one.state == OperationState::Succeeded).count();
    match done {
        1 => Ok(()),
        count => Err(format!("is gone, and {count} deletions say that they did it")),
    }
}

/// A ready instance against its guest.
fn as_wished(
    row: &Instance,
    guest: &Guest<'_>,
    wish: &Wish,
    operations: &[Operation],
) -> Result<(), String> {
    let config = &guest.value["config"];
    let running = operations.iter().find_map(|one| load::leaves_running(one, wish));
    let running = running.ok_or("is ready, and no operation made it")?;
    let (status, state) = match running {
        true => ("running", InstanceState::Running),
        false => ("stopped", InstanceState::Stopped),
    };
    let rules = guest.value.pointer("/firewall/rules").and_then(Value::as_array);
    let groups: Vec<&str> = rules.into_iter().flatten().map(|rule| text(rule, "/action")).collect();
    let size = format!("size={}G", wish.root_gib.unwrap_or(2));
    let cores = wish.cores.to_string();
    let checks = [
        ("name", text(config, "/name") == row.name),
        ("cores", text(config, "/cores") == cores && row.cores == wish.cores),
        ("disk", text(config, "/scsi0").split(',').any(|part| part == size)),
        ("seed", text(config, "/smbios1").contains("serial=")),
        ("groups", groups == wish.groups),
        ("power", guest.value["status"] == status),
        ("state", row.state == state),
    ];
    let wrong: Vec<&str> = checks.iter().filter(|(_, good)| !good).map(|(what, _)| *what).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "is not as wished ({}): wished {wish:?}, to be {status}; row {} {}; guest {}",
            wrong.join(", "),
            row.state,
            row.cores,
            guest.value
        )),
    }
}

/// What the data base holds, once nobody has it open any more.
pub async fn of_store(seen: &Seen, state: &Path) -> Result<Vec<String>> {
    let store = Store::open_sqlite(
        &state.join("innkeeper.db"),
        store::Settings::default(),
        Arc::new(SystemClock::new()),
        Arc::new(SystemRandom::new()),
    )
    .await?;
    let dump = store.dump().await?;
    let retired = store.retired_ids("").await?;
    let installation = store.installation_id();
    store.close().await;
    let mut problems = Vec::new();
    let ready: BTreeSet<String> = seen
        .instances
        .iter()
        .filter(|row| row.phase == Phase::Ready)
        .map(|row| row.id.to_string())
        .collect();
    let table = |name: &str| dump[name].as_array().cloned().unwrap_or_default();
    for name in ["workflows", "claims", "limits_held", "aliases", "annotations"] {
        for row in table(name) {
            problems.push(format!("a row of {name} is left: {row}"));
        }
    }
    // What is kept for a guest: for every ready instance as often, and for
    // nobody else.
    for (name, owner, times) in
        [("reserved_ids", "owner", 1), ("seeds", "instance", 1), ("secrets", "owner", 2)]
    {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for row in table(name) {
            *counts.entry(text(&row, &format!("/{owner}")).to_owned()).or_default() += 1;
        }
        let expected: BTreeMap<String, usize> =
            ready.iter().map(|id| (id.clone(), times)).collect();
        if counts != expected {
            problems.push(format!("{name}: expected {expected:?}, found {counts:?}"));
        }
    }
    let rows: BTreeSet<String> =
        table("instances").iter().map(|row| text(row, "/id").to_owned()).collect();
    let listed: BTreeSet<String> = seen.instances.iter().map(|row| row.id.to_string()).collect();
    if rows != listed {
        problems.push(format!("the API lists {listed:?}, the rows are {rows:?}"));
    }
    for row in table("instances") {
        problems.extend(where_it_says(seen, &row, &installation.to_string()).err());
    }
    let guests = seen.guests();
    for id in retired {
        let stands = |guest: &&Guest<'_>| guest.vmid.parse() == Ok(id.value);
        if let Some(guest) = guests.iter().find(stands) {
            problems
                .push(format!("a guest stands at the retired id {}: {}", id.value, guest.value));
        }
    }
    Ok(problems)
}

/// A ready row's guest is at the vmid that the row names, with its UUID, and
/// marked by this installation.
fn where_it_says(seen: &Seen, row: &Value, installation: &str) -> Result<(), String> {
    let id = text(row, "/id");
    if text(row, "/phase") != "ready" {
        return match row["native"].is_null() {
            true => Ok(()),
            false => Err(format!("{id} is no guest and points to {}", row["native"])),
        };
    }
    let guests = seen.guests();
    let of_row = |guest: &&Guest<'_>| {
        guest.mark.as_ref().is_some_and(|mark| mark.instance.to_string() == id)
    };
    let guest = guests.iter().find(of_row).ok_or(format!("{id} has no guest"))?;
    let (native, mark) = (&row["native"], guest.mark.as_ref());
    let uuid = text(native, "/uuid").to_ascii_lowercase();
    let smbios = text(guest.value, "/config/smbios1").to_ascii_lowercase();
    let same = native["vmid"].as_u64() == guest.vmid.parse().ok()
        && !uuid.is_empty()
        && smbios.contains(&format!("uuid={uuid}"))
        && mark.is_some_and(|mark| {
            mark.installation.to_string() == installation
                && mark.attempt.to_string() == text(row, "/attempt")
        });
    match same {
        true => Ok(()),
        false => Err(format!("{id} says {row}, its guest is {} {}", guest.vmid, guest.value)),
    }
}
