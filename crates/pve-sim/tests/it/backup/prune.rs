//! Old backups go by the rules.

use std::time::Duration;

use serde_json::{Value, json};

use super::{backups, dump, guests};
use crate::support::Client;

/// Three backups of 500 and one of 510, an hour apart.
async fn hourly() -> Client {
    let client = guests().await;
    for body in ["vmid=500", "vmid=500", "vmid=500", "vmid=510"] {
        assert_eq!(dump(&client, &format!("{body}&storage=local")).await.1, "OK");
        client.simulator.advance(Duration::from_secs(3600)).await;
    }
    client
}

fn marks(rows: &Value) -> Vec<(u64, String)> {
    let row = |row: &Value| (row["vmid"].as_u64().unwrap(), row["mark"].as_str().unwrap().into());
    rows.as_array().unwrap().iter().map(row).collect()
}

const PRUNE: &str = "/nodes/pve1/storage/local/prunebackups";

#[tokio::test]
async fn a_preview_says_what_would_go_and_changes_nothing() {
    let client = hourly().await;
    let rows = client.get(&format!("{PRUNE}?prune-backups=keep-last%3D1")).await.data();
    let expected = [(510, "keep"), (500, "remove"), (500, "remove"), (500, "keep")]
        .map(|(id, m)| (id, m.to_owned()));
    assert_eq!(marks(&rows), expected);
    assert_eq!((&rows[0]["type"], &rows[1]["type"]), (&json!("lxc"), &json!("qemu")));
    let rows = client.get(PRUNE).await.data();
    assert!(marks(&rows).iter().all(|(_, mark)| mark == "keep"));
    let bad = client.get(&format!("{PRUNE}?prune-backups=keep-bogus%3D1")).await;
    assert_eq!(
        bad.error("prune-backups"),
        "invalid format - format error\nprune-backups.keep-bogus: property is not defined in schema and the schema does not allow additional properties\n"
    );
    assert_eq!(backups(&client, "local").await.len(), 4);
}

#[tokio::test]
async fn pruning_removes_what_is_marked_and_never_what_is_protected() {
    let client = hourly().await;
    assert_eq!(dump(&client, "vmid=500&storage=local&protected=1").await.1, "OK");
    let upid = client
        .delete(&format!("{PRUNE}?prune-backups=keep-last%3D1&vmid=500&type=qemu"))
        .await
        .data();
    assert!(upid.as_str().unwrap().contains(":prunebackups:500@local:"), "{upid}");
    client.simulator.settle().await;
    let rows = client.get(&format!("{PRUNE}?prune-backups=keep-last%3D1")).await.data();
    let expected =
        [(510, "keep"), (500, "keep"), (500, "protected")].map(|(id, m)| (id, m.to_owned()));
    assert_eq!(marks(&rows), expected);
}

#[tokio::test]
async fn a_job_removes_older_backups_once_the_new_one_is_whole() {
    let client = hourly().await;
    let (upid, exit) = dump(&client, "vmid=500&storage=local&prune-backups=keep-last%3D2").await;
    assert_eq!(exit, "OK");
    let rows = backups(&client, "local").await;
    assert_eq!(rows.iter().filter(|row| row["vmid"] == 500).count(), 2);
    let text = crate::lxc::log(&client, &upid).await;
    let pruned = "INFO: pruned 2 backup(s) not covered by keep-retention policy";
    assert!(text.contains(&pruned.to_owned()), "{text:?}");
}

#[tokio::test]
async fn the_rules_of_the_storage_hold_where_a_call_gives_none() {
    let client = hourly().await;
    let rules = "prune-backups=keep-last%3D2";
    assert_eq!(client.put("/storage/local", rules).await.status, 200);
    let rows = client.get(PRUNE).await.data();
    assert_eq!(marks(&rows).iter().filter(|(_, mark)| mark == "remove").count(), 1);
    let defaults = client.get("/nodes/pve1/vzdump/defaults?storage=local").await.data();
    assert_eq!(defaults["prune-backups"], "keep-last=2");
    let of_500 = async || {
        let rows = backups(&client, "local").await;
        rows.iter().filter(|row| row["vmid"] == 500).count()
    };
    assert_eq!(dump(&client, "vmid=500&storage=local&remove=0").await.1, "OK");
    assert_eq!(of_500().await, 4, "remove=0 keeps them");
    assert_eq!(dump(&client, "vmid=500&storage=local").await.1, "OK");
    assert_eq!(of_500().await, 2);
}
