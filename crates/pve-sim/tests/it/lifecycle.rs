//! A guest from clone to destruction.

use crate::support::{SECOND, default};

#[tokio::test]
async fn a_guest_is_cloned_configured_started_and_destroyed_without_a_trace() {
    let client = default().await;
    let before = client.simulator.dump();
    let upid = client
        .post("/nodes/pve1/qemu/9000/clone", "newid=500&name=web&description=mine")
        .await
        .data();
    let upid = upid.as_str().unwrap().to_owned();
    assert!(upid.contains(":qmclone:9000:root@pam!simulator:"), "{upid}");
    let during = client.config(500).await;
    assert_eq!(during["lock"], "clone");
    assert_eq!(during["description"], "mine");
    assert!(during.get("scsi0").is_none());
    assert_eq!(client.exit(&upid).await, "running");
    client.simulator.advance(2 * SECOND).await;
    assert_eq!(client.exit(&upid).await, "OK");
    let config = client.config(500).await;
    assert_eq!(
        config["scsi0"],
        "local:9000/base-9000-disk-0.qcow2/500/vm-500-disk-0.qcow2,size=2G"
    );
    assert!(config.get("lock").is_none());
    assert_eq!(
        client.put("/nodes/pve1/qemu/500/config", "cores=2&memory=1024").await.data(),
        serde_json::Value::Null
    );
    assert_eq!(client.task("PUT", "/nodes/pve1/qemu/500/resize", "disk=scsi0&size=5G").await, "OK");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    assert_eq!(client.get("/nodes/pve1/qemu/500/status/current").await.data()["status"], "running");
    assert_eq!(
        client.post("/nodes/pve1/qemu/500/agent/ping", "").await.line(),
        "500 QEMU guest agent is not running"
    );
    client.simulator.advance(5 * SECOND).await;
    let interfaces = client.get("/nodes/pve1/qemu/500/agent/network-get-interfaces").await.data();
    let mac = config["net0"].as_str().unwrap()[7..24].to_lowercase();
    assert_eq!(interfaces["result"][1]["hardware-address"], mac);
    assert_eq!(
        client.delete("/nodes/pve1/qemu/500").await.line(),
        "500 VM 500 is running - destroy failed"
    );
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/shutdown", "").await, "OK");
    assert_eq!(client.task("DELETE", "/nodes/pve1/qemu/500?purge=1", "").await, "OK");
    assert_eq!(client.simulator.dump(), before);
}
