//! Facts about tasks and locks.

use crate::support::{SECOND, default, task_path};
use pve_sim::Script;

#[tokio::test]
async fn fact_07_unknown_and_malformed_ids_are_parameter_errors() {
    let client = default().await;
    let unknown = task_path("UPID:pve1:00000001:00000001:6B006A15:qmclone:100:root@pam:", "status");
    assert_eq!(client.get(&unknown).await.error("upid"), "no such task");
    assert_eq!(
        client.get("/nodes/pve1/tasks/UPID:bogus/status").await.error("upid"),
        "unable to parse worker upid"
    );
}

#[tokio::test]
async fn fact_33_34_38_ids_lists_and_logs_have_their_shapes() {
    let client = default().await;
    let upid = client.post("/nodes/pve1/qemu/9000/clone", "newid=500").await.data();
    let upid = upid.as_str().unwrap();
    assert!(
        upid.starts_with("UPID:pve1:") && upid.ends_with(":qmclone:9000:root@pam!simulator:"),
        "{upid}"
    );
    let active = client.get("/nodes/pve1/tasks?source=active").await.json();
    assert_eq!(active["total"], 1);
    assert_eq!(active["data"][0]["status"], "RUNNING");
    assert_eq!(active["data"][0]["user"], "root@pam!simulator");
    assert_eq!(active["data"][0]["saved"], "0");
    client.simulator.settle().await;
    let done = client.get("/nodes/pve1/tasks?typefilter=qmclone").await.data();
    assert_eq!(
        (&done[0]["status"], &done[0]["user"], &done[0]["tokenid"]),
        (&"OK".into(), &"root@pam".into(), &"simulator".into())
    );
    let log = client.get(&task_path(upid, "log")).await.json();
    assert_eq!(log["data"][0]["n"], 1);
    assert_eq!(log["data"].as_array().unwrap().last().unwrap()["t"], "TASK OK");
}

#[tokio::test]
async fn fact_36_missing_guests_fail_in_the_task_or_at_once() {
    let client = default().await;
    let missing = "Configuration file 'nodes/pve1/qemu-server/777.conf' does not exist";
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/777/status/start", "").await, missing);
    assert_eq!(
        client.task("PUT", "/nodes/pve1/qemu/777/resize", "disk=scsi0&size=5G").await,
        missing
    );
    assert_eq!(client.delete("/nodes/pve1/qemu/777").await.line(), format!("500 {missing}"));
    let not_found = "500 unable to find configuration file for VM 777 on node 'pve1'";
    assert_eq!(client.post("/nodes/pve1/qemu/777/clone", "newid=778").await.line(), not_found);
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500").await, "OK");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/stop", "").await, "OK");
    assert_eq!(
        client.post("/nodes/pve1/qemu/500/status/reboot", "").await.line(),
        "500 VM 500 not running"
    );
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    assert_eq!(
        client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await,
        "VM 500 already running"
    );
}

#[tokio::test]
async fn fact_37_a_stopped_clone_leaves_nothing() {
    let client = default().await;
    let before = client.simulator.dump();
    let upid = client.post("/nodes/pve1/qemu/9000/clone", "newid=500").await.data();
    let upid = upid.as_str().unwrap();
    let path = task_path(upid, "status").replace("/status", "");
    assert_eq!(client.delete(&path).await.data(), serde_json::Value::Null);
    assert_eq!(client.exit(upid).await, "unexpected status");
    client.simulator.settle().await;
    assert_eq!(client.simulator.dump(), before);
}

#[tokio::test]
async fn fact_41_75_a_locked_guest_refuses_at_once_or_in_the_task() {
    let client = default().await;
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500").await, "OK");
    client.simulator.set_option(500, "lock", Some("backup"));
    let locked = "VM is locked (backup)";
    for (method, path, body) in
        [("PUT", "config", "memory=99"), ("POST", "clone", "newid=501"), ("POST", "template", "")]
    {
        let answer = client.send(method, &format!("/nodes/pve1/qemu/500/{path}"), Some(body)).await;
        assert_eq!(answer.line(), format!("500 {locked}"), "{path}");
    }
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, locked);
    assert_eq!(
        client.task("PUT", "/nodes/pve1/qemu/500/resize", "disk=scsi0&size=9G").await,
        locked
    );
    assert_eq!(client.task("DELETE", "/nodes/pve1/qemu/500", "").await, locked);
    assert_eq!(client.get("/nodes/pve1/qemu/500/status/current").await.data()["lock"], "backup");
}

#[tokio::test]
async fn fact_41_workers_wait_for_the_lock_file_and_give_up_after_ten_seconds() {
    let client = default().await;
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500").await, "OK");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    client.simulator.script_guest(500, Script { ignores_acpi: true, ..Script::default() });
    let shutdown = client.post("/nodes/pve1/qemu/500/status/shutdown", "timeout=30").await.data();
    let stop = client.post("/nodes/pve1/qemu/500/status/stop", "").await.data();
    client.simulator.advance(9 * SECOND).await;
    assert_eq!(client.exit(stop.as_str().unwrap()).await, "running");
    let text = "can't lock file '/var/lock/qemu-server/lock-500.conf' - got timeout";
    assert_eq!(
        client.put("/nodes/pve1/qemu/500/config", "memory=99").await.line(),
        format!("500 {text}")
    );
    client.simulator.advance(2 * SECOND).await;
    assert_eq!(client.exit(stop.as_str().unwrap()).await, text);
    client.simulator.advance(30 * SECOND).await;
    assert_eq!(
        client.exit(shutdown.as_str().unwrap()).await,
        "VM quit/powerdown failed - got timeout"
    );
    // A worker that waits less long gets the lock.
    client.post("/nodes/pve1/qemu/500/status/shutdown", "timeout=5").await.data();
    let stop = client.post("/nodes/pve1/qemu/500/status/stop", "").await.data();
    client.simulator.settle().await;
    assert_eq!(client.exit(stop.as_str().unwrap()).await, "OK");
}

#[tokio::test]
async fn fact_56_force_stop_ends_a_guest_that_does_not_react() {
    let client = default().await;
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500").await, "OK");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    client.simulator.script_guest(500, Script { ignores_acpi: true, ..Script::default() });
    let path = "/nodes/pve1/qemu/500/status/shutdown";
    assert_eq!(
        client.task("POST", path, "timeout=3").await,
        "VM quit/powerdown failed - got timeout"
    );
    assert_eq!(client.task("POST", path, "timeout=3&forceStop=1").await, "OK");
    assert_eq!(client.get("/nodes/pve1/qemu/500/status/current").await.data()["status"], "stopped");
}

#[tokio::test]
async fn a_guest_that_crashed_is_seen_as_stopped() {
    let client = default().await;
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500").await, "OK");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    client.simulator.crash_guest(500).await;
    assert_eq!(client.get("/nodes/pve1/qemu/500/status/current").await.data()["status"], "stopped");
}
