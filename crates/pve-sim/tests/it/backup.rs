//! Backups: `vzdump`, restoring, pruning.

mod prune;
mod restore;

use serde_json::{Value, json};

use crate::lxc::{self, log};
use crate::support::Client;

/// A stopped virtual machine 500 and a stopped container 510 on `local`.
async fn guests() -> Client {
    let client = lxc::cluster().await;
    let body = "vmid=500&name=rec-vm&memory=384&scsi0=local%3A1%2Cformat%3Dqcow2&scsi1=local%3A1%2Cbackup%3D0&net0=virtio%2Cbridge%3Dvmbr0&ide2=local%3Acloudinit";
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", body).await, "OK");
    lxc::create(
        &client,
        "hostname=rec-ct&rootfs=local%3A2&memory=192&description=ct&mp0=local%3A1%2Cmp%3D%2Fdata",
    )
    .await;
    client
}

/// Starts a backup, lets it end, and returns the task's id and exit text.
async fn dump(client: &Client, body: &str) -> (String, String) {
    let upid = client.post("/nodes/pve1/vzdump", body).await.data();
    let upid = upid.as_str().unwrap().to_owned();
    client.simulator.settle().await;
    let exit = client.exit(&upid).await;
    (upid, exit)
}

async fn backups(client: &Client, storage: &str) -> Vec<Value> {
    let path = format!("/nodes/pve1/storage/{storage}/content?content=backup");
    client.get(&path).await.data().as_array().unwrap().clone()
}

/// A volume id as part of a path or parameter.
fn encoded(volume: &Value) -> String {
    volume.as_str().unwrap().replace(':', "%3A").replace('/', "%2F")
}

#[tokio::test]
async fn a_containers_backup_is_named_by_time_and_compression_and_its_log_reads_as_recorded() {
    let client = guests().await;
    let (upid, exit) = dump(&client, "vmid=510&storage=local&mode=stop&compress=gzip").await;
    assert!(upid.contains(":vzdump:510:"), "{upid}");
    assert_eq!(exit, "OK");
    let row = backups(&client, "local").await.remove(0);
    let name = row["volid"].as_str().unwrap().strip_prefix("local:backup/").unwrap();
    assert!(name.starts_with("vzdump-lxc-510-20") && name.ends_with(".tar.gz"), "{name}");
    assert_eq!(
        (&row["subtype"], &row["format"], &row["vmid"], &row["content"]),
        (&json!("lxc"), &json!("tar.gz"), &json!(510), &json!("backup"))
    );
    assert!(row.get("notes").is_none() && row.get("used").is_none());
    let text = log(&client, &upid).await;
    assert_eq!(
        text[0],
        "INFO: starting new backup job: vzdump 510 --compress gzip --mode stop --node pve1 --storage local"
    );
    assert_eq!(text[1], "INFO: Starting Backup of VM 510 (lxc)");
    assert_eq!(
        text[3..9],
        [
            "INFO: status = stopped",
            "INFO: backup mode: stop",
            "INFO: ionice priority: 7",
            "INFO: CT Name: rec-ct",
            "INFO: including mount point rootfs ('/') in backup",
            "INFO: excluding volume mount point mp0 ('/data') from backup (disabled)",
        ]
    );
    assert_eq!(text[9], format!("INFO: creating vzdump archive '/var/lib/vz/dump/{name}'"));
    assert_eq!(text[text.len() - 2..], ["INFO: Backup job finished successfully", "TASK OK"]);
    let volume = encoded(&row["volid"]);
    let extract = format!("/nodes/pve1/vzdump/extractconfig?volume={volume}");
    let text = client.get(&extract).await.data();
    let text = text.as_str().unwrap();
    assert!(text.starts_with("#ct\narch: amd64\nhostname: rec-ct\nmemory: 192\n"), "{text}");
    assert!(text.contains("rootfs: local:510/vm-510-disk-0.raw,size=2G\n"), "{text}");
    let delete = format!("/nodes/pve1/storage/local/content/{volume}");
    let upid = client.delete(&delete).await.data();
    assert!(upid.as_str().unwrap().contains(":imgdel:510@local:"), "{upid}");
    client.simulator.settle().await;
    assert_eq!(backups(&client, "local").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_guest_is_locked_while_it_is_backed_up() {
    let client = guests().await;
    let body = "vmid=500&storage=local&compress=zstd&notes-template=%7B%7Bguestname%7D%7D%20on%20%7B%7Bnode%7D%7D&protected=1";
    let upid = client.post("/nodes/pve1/vzdump", body).await.data();
    assert_eq!(client.config(500).await["lock"], "backup");
    let put = client.put("/nodes/pve1/qemu/500/config", "memory=512").await;
    assert_eq!(put.line(), "500 VM is locked (backup)");
    client.simulator.settle().await;
    assert_eq!(client.exit(upid.as_str().unwrap()).await, "OK");
    assert!(client.config(500).await.get("lock").is_none());
    let row = backups(&client, "local").await.remove(0);
    assert_eq!((&row["notes"], &row["protected"]), (&json!("rec-vm on pve1"), &json!(1)));
    assert_eq!((&row["subtype"], &row["format"]), (&json!("qemu"), &json!("vma.zst")));
    let path = format!("/nodes/pve1/storage/local/content/{}", encoded(&row["volid"]));
    let name = row["volid"].as_str().unwrap().strip_prefix("local:").unwrap();
    assert_eq!(
        client.task("DELETE", &path, "").await,
        format!("cannot remove protected volume '{name}' on 'local'")
    );
    let text = log(&client, upid.as_str().unwrap()).await;
    assert!(text.contains(&"INFO: adding notes to backup".to_owned()));
    assert!(text.contains(
        &"INFO: exclude disk 'scsi1' 'local:500/vm-500-disk-1.raw' (backup=no)".to_owned()
    ));
}

#[tokio::test]
async fn a_job_goes_on_after_a_guest_that_fails_and_ends_with_job_errors() {
    let client = guests().await;
    let (upid, exit) = dump(&client, "vmid=987654&storage=local").await;
    assert_eq!(exit, "job errors");
    let text = log(&client, &upid).await;
    assert!(
        text.contains(&"ERROR: Backup of VM 987654 failed - unable to find VM '987654'".to_owned())
    );
    let (upid, exit) = dump(&client, "vmid=987654,500,510&storage=local").await;
    assert!(upid.contains(":vzdump::"), "{upid}");
    assert_eq!(exit, "job errors");
    assert_eq!(backups(&client, "local").await.len(), 2);
    let (_, exit) = dump(&client, "vmid=500&storage=nosuch").await;
    assert_eq!(
        exit,
        "could not get storage information for 'nosuch': storage 'nosuch' does not exist"
    );
    let (_, exit) = dump(&client, "vmid=500&storage=tank").await;
    assert!(exit.ends_with("can't use storage 'tank' for backups - wrong content type"), "{exit}");
}

#[tokio::test]
async fn a_job_selects_guests_by_id_by_pool_or_all_but_some() {
    let client = guests().await;
    let none = client.post("/nodes/pve1/vzdump", "storage=local").await;
    assert_eq!(none.error("vmid"), "property is missing");
    let mode = client.post("/nodes/pve1/vzdump", "vmid=500&mode=bogus").await;
    assert_eq!(
        mode.error("mode"),
        "value 'bogus' does not have a value in the enumeration 'snapshot, suspend, stop'"
    );
    client.post("/pools", "poolid=p1").await.data();
    client.put("/pools/p1", "vms=510").await.data();
    let owners = async || {
        let rows = backups(&client, "nas").await;
        rows.iter().map(|row| row["vmid"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(dump(&client, "pool=p1&storage=nas").await.1, "OK");
    assert_eq!(owners().await, [510]);
    let body = "exclude=300,510,9000,9001,9002&storage=nas";
    assert_eq!(dump(&client, body).await.1, "OK");
    assert_eq!(owners().await, [510, 500]);
    // A guest of another node is backed up there: nothing is left to do here.
    let other = client.post("/nodes/pve2/vzdump", "vmid=500&storage=nas").await;
    assert_eq!(other.data(), "OK");
}

#[tokio::test]
async fn the_defaults_name_the_directory_of_the_storage() {
    let client = guests().await;
    let row = client.get("/nodes/pve1/vzdump/defaults").await.data();
    assert_eq!((&row["storage"], &row["mode"]), (&json!("local"), &json!("snapshot")));
    assert_eq!(row["dumpdir"], "/var/lib/vz/dump");
    assert_eq!(row["notification-policy"], "always");
}
