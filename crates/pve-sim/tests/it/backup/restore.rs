//! Guests come back from their backups.

use serde_json::json;

use super::{backups, dump, encoded, guests};
use crate::lxc;
use crate::support::Client;

async fn archive(client: &Client, vmid: u32) -> String {
    let (_, exit) = dump(client, &format!("vmid={vmid}&storage=local&compress=zstd")).await;
    assert_eq!(exit, "OK");
    let rows = backups(client, "local").await;
    encoded(&rows.iter().find(|row| row["vmid"] == vmid).unwrap()["volid"])
}

#[tokio::test]
async fn a_machine_comes_back_with_its_identity_unless_it_shall_be_unique() {
    let client = guests().await;
    let before = client.config(500).await;
    let archive = archive(&client, 500).await;
    let body = format!("vmid=501&archive={archive}&storage=store2");
    let upid = client.post("/nodes/pve1/qemu", &body).await.data();
    assert!(upid.as_str().unwrap().contains(":qmrestore:501:"), "{upid}");
    assert_eq!(client.config(501).await["lock"], "create");
    client.simulator.settle().await;
    let same = client.config(501).await;
    assert_eq!((&same["net0"], &same["smbios1"]), (&before["net0"], &before["smbios1"]));
    assert_ne!(same["vmgenid"], before["vmgenid"]);
    assert_eq!(same["scsi0"], "store2:501/vm-501-disk-0.qcow2,size=1G");
    assert_eq!(same["ide2"], "store2:501/vm-501-cloudinit.qcow2,media=cdrom");
    // A disk that is not backed up comes back as a comment.
    assert!(same.get("scsi1").is_none());
    assert!(same["description"].as_str().unwrap().contains("scsi1: "));
    let body = format!("vmid=502&archive={archive}&unique=1&name=other&start=1");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", &body).await, "OK");
    let other = client.config(502).await;
    assert_ne!(other["net0"], before["net0"]);
    assert_ne!(other["smbios1"], before["smbios1"]);
    assert_eq!((&other["name"], &other["memory"]), (&json!("other"), &before["memory"]));
    assert_eq!(other["scsi0"], "local:502/vm-502-disk-0.qcow2,size=1G");
    let row = client.get("/nodes/pve1/qemu/502/status/current").await.data();
    assert_eq!(row["status"], "running");
}

#[tokio::test]
async fn a_machine_is_replaced_only_by_force_and_only_when_it_is_stopped() {
    let client = guests().await;
    let archive = archive(&client, 500).await;
    client.put("/nodes/pve1/qemu/500/config", "memory=999&scsi5=local%3A1").await.data();
    let body = format!("vmid=500&archive={archive}");
    let taken = client.post("/nodes/pve1/qemu", &body).await;
    assert_eq!(taken.line(), "500 unable to restore VM 500 - VM 500 already exists on node 'pve1'");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    let forced = format!("{body}&force=1");
    assert_eq!(
        client.task("POST", "/nodes/pve1/qemu", &forced).await,
        "unable to restore VM 500 - vm is running"
    );
    assert!(client.config(500).await.get("lock").is_none());
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/stop", "").await, "OK");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", &forced).await, "OK");
    let found = client.config(500).await;
    assert_eq!(found["memory"], "384");
    assert!(found.get("scsi5").is_none());
    assert_eq!(found["scsi0"], "local:500/vm-500-disk-0.qcow2,size=1G");
    let rows = client.get("/nodes/pve1/storage/local/content?vmid=500&content=images").await.data();
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
}

#[tokio::test]
async fn a_missing_archive_is_refused_before_anything_happens() {
    let client = guests().await;
    let before = client.simulator.dump();
    let gone = "local%3Abackup%2Fvzdump-qemu-500-2020_01_01-00_00_00.vma.zst";
    let answer = client.post("/nodes/pve1/qemu", &format!("vmid=501&archive={gone}")).await;
    assert_eq!(
        answer.line(),
        "500 volume 'local:backup/vzdump-qemu-500-2020_01_01-00_00_00.vma.zst' does not exist"
    );
    let gone = "local%3Abackup%2Fvzdump-lxc-510-2020_01_01-00_00_00.tar.zst";
    let body = format!("vmid=511&ostemplate={gone}&restore=1");
    assert_eq!(
        client.task("POST", "/nodes/pve1/lxc", &body).await,
        "unable to restore CT 511 - volume 'local:backup/vzdump-lxc-510-2020_01_01-00_00_00.tar.zst' does not exist"
    );
    assert_eq!(client.simulator.dump(), before);
}

#[tokio::test]
async fn a_container_comes_back_on_the_storage_that_is_asked_for() {
    let client = guests().await;
    let archive = archive(&client, 510).await;
    let before = lxc::config(&client, 510).await;
    let body = format!("vmid=512&ostemplate={archive}&restore=1&storage=store2&hostname=other");
    let upid = client.post("/nodes/pve1/lxc", &body).await.data();
    let upid = upid.as_str().unwrap();
    assert!(upid.contains(":vzrestore:512:"), "{upid}");
    client.simulator.settle().await;
    assert_eq!(client.exit(upid).await, "OK");
    let found = lxc::config(&client, 512).await;
    assert_eq!(found["rootfs"], "store2:512/vm-512-disk-0.raw,size=2G");
    assert_eq!((&found["hostname"], &found["memory"]), (&json!("other"), &before["memory"]));
    assert!(found.get("mp0").is_none());
    let text = lxc::log(&client, upid).await;
    assert!(
        text[0]
            .starts_with("recovering backed-up configuration from 'local:backup/vzdump-lxc-510-")
    );
    assert_eq!(text[text.len() - 2], "merging backed-up and given configuration..");
    let body = body.replace("512", "510");
    let taken = client.post("/nodes/pve1/lxc", &body).await;
    assert_eq!(taken.line(), "500 CT 510 already exists on node 'pve1'");
    let forced = format!("{body}&force=1");
    assert_eq!(client.task("POST", "/nodes/pve1/lxc", &forced).await, "OK");
    let found = lxc::config(&client, 510).await;
    assert_eq!(found["rootfs"], "store2:510/vm-510-disk-0.raw,size=2G");
}

#[tokio::test]
async fn a_backup_and_its_restored_guest_leave_nothing_behind() {
    let client = guests().await;
    let before = client.simulator.dump();
    let archive = archive(&client, 500).await;
    let body = format!("vmid=501&archive={archive}");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", &body).await, "OK");
    assert_eq!(client.task("DELETE", "/nodes/pve1/qemu/501", "").await, "OK");
    let delete = format!("/nodes/pve1/storage/local/content/{archive}");
    assert_eq!(client.task("DELETE", &delete, "").await, "OK");
    assert_eq!(client.simulator.dump(), before);
}
