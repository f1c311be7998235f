//! The whole world as one sorted value, for comparison by tests.

use serde_json::{Map, Value, json};

use super::World;
use super::guest::Guest;
use super::storage::volid;

impl World {
    /// Guests, volumes, firewall, locks, pools and running tasks. Append-only
    /// records (finished tasks, request log) and times are left out.
    pub fn dump(&self) -> Value {
        let guests: Map<String, Value> = self
            .guests
            .values()
            .map(|guest| (format!("{:09}", guest.vmid), dump_guest(guest)))
            .collect();
        let volumes: Map<String, Value> = self
            .volumes
            .all()
            .map(|(key, volume)| {
                let place = if key.1.is_empty() { "shared" } else { &key.1 };
                let value = json!({
                    "content": volume.content, "format": volume.format, "size": volume.size,
                    "vmid": volume.vmid, "parent": volume.parent,
                });
                (format!("{place}/{}", volid(key)), value)
            })
            .collect();
        let groups: Map<String, Value> = self
            .groups
            .iter()
            .map(|(name, group)| {
                (name.clone(), json!({"comment": group.comment, "rules": group.rules}))
            })
            .collect();
        let pools: Map<String, Value> = self
            .pools
            .iter()
            .map(|(name, pool)| {
                (name.clone(), json!({"guests": pool.guests, "storages": pool.storages}))
            })
            .collect();
        let nodes: Map<String, Value> = self
            .nodes
            .values()
            .map(|node| (node.name.clone(), json!({"online": node.online})))
            .collect();
        let storages: Map<String, Value> = self
            .storages
            .values()
            .map(|storage| (storage.id.clone(), json!({"full": storage.full})))
            .collect();
        let mut tasks: Vec<Value> = self
            .tasks
            .running()
            .map(|task| json!({"node": task.upid.node, "type": task.upid.kind, "id": task.upid.id}))
            .collect();
        tasks.sort_by_key(Value::to_string);
        json!({
            "quorate": self.quorate, "nodes": nodes, "storages": storages, "guests": guests,
            "volumes": volumes, "firewall_groups": groups, "pools": pools, "tasks": tasks,
        })
    }
}

fn dump_guest(guest: &Guest) -> Value {
    let snapshots: Map<String, Value> = guest
        .snapshots
        .iter()
        .map(|(name, snapshot)| {
            (name.clone(), json!({"config": snapshot.config, "parent": snapshot.parent}))
        })
        .collect();
    json!({
        "node": guest.node,
        "kind": if guest.kind == super::guest::Kind::Qemu { "qemu" } else { "lxc" },
        "status": guest.status(),
        "paused": guest.process.as_ref().is_some_and(|process| process.paused),
        "lock": guest.lock(),
        "config": guest.config,
        "pending": guest.pending,
        "snapshots": snapshots,
        "parent": guest.parent,
        "pool": guest.pool,
        "firewall": {"options": guest.firewall.options, "rules": guest.firewall.rules},
    })
}
