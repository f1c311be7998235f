//! Calls on virtual machines that need no real one: the agent, cloud-init, the
//! monitor, moved disks, hibernation, migration.

use serde_json::{Value, json};

use crate::support::{Client, SECOND, builder, default, start};
use pve_sim::{GuestSeed, StorageSeed};

const VM: &str = "/nodes/pve1/qemu/500";

/// A running machine 500 whose agent answers.
async fn running() -> Client {
    let client = default().await;
    let body = "vmid=500&name=web&agent=1&memory=512&scsi0=local%3A1%2Cformat%3Dqcow2&net0=virtio%2Cbridge%3Dvmbr0";
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", body).await, "OK");
    assert_eq!(client.task("POST", &format!("{VM}/status/start"), "").await, "OK");
    client.simulator.advance(5 * SECOND).await;
    client
}

#[tokio::test]
async fn fact_59_a_program_in_the_guest_gives_its_output_and_code_back_once() {
    let client = running().await;
    let exec = format!("{VM}/agent/exec");
    let script = "command=sh&command=-c&command=echo+out%3B+echo+err+%3E%262%3B+exit+3";
    let pid = client.post(&exec, script).await.data()["pid"].clone();
    let status = format!("{VM}/agent/exec-status?pid={pid}");
    assert_eq!(
        client.get(&status).await.data(),
        json!({
            "exited": 1, "exitcode": 3, "out-data": "out\n", "err-data": "err\n", "out-truncated": 0, "err-truncated": 0,
        })
    );
    assert_eq!(client.get(&status).await.line(), "500 Agent error: Invalid parameter 'pid'");
    let pid = client.post(&exec, "command=cat&input-data=hello").await.data()["pid"].clone();
    let status = format!("{VM}/agent/exec-status?pid={pid}");
    assert_eq!(client.get(&status).await.data()["out-data"], "hello");
    let pid = client.post(&exec, "command=sleep&command=5").await.data()["pid"].clone();
    let status = format!("{VM}/agent/exec-status?pid={pid}");
    assert_eq!(client.get(&status).await.data(), json!({"exited": 0}));
    client.simulator.advance(5 * SECOND).await;
    assert_eq!(client.get(&status).await.data()["exited"], 1);
}

#[tokio::test]
async fn fact_22_a_missing_program_breaks_the_connection_to_the_node() {
    let client = running().await;
    let answer = client.post(&format!("{VM}/agent/exec"), "command=%2Fno%2Fsuch").await;
    assert_eq!((answer.line(), answer.body.as_str()), ("596 Broken pipe".to_owned(), ""));
}

#[tokio::test]
async fn files_are_written_and_read_and_a_missing_one_is_the_agents_error() {
    let client = running().await;
    let write = format!("{VM}/agent/file-write");
    let body = "file=%2Ftmp%2Fa&content=hello%0A";
    assert_eq!(client.post(&write, body).await.data(), Value::Null);
    let body = "file=%2Ftmp%2Fb&content=aGVsbG8K&encode=0";
    assert_eq!(client.post(&write, body).await.data(), Value::Null);
    for file in ["a", "b"] {
        let read = format!("{VM}/agent/file-read?file=%2Ftmp%2F{file}");
        let expected = json!({"content": "hello\n", "bytes-read": 6});
        assert_eq!(client.get(&read).await.data(), expected);
    }
    let missing = client.get(&format!("{VM}/agent/file-read?file=%2Fno%2Fsuch")).await;
    assert_eq!(
        missing.line(),
        "500 Agent error: failed to open file '/no/such' (mode: 'r'): No such file or directory"
    );
    let long = format!("file=%2Ftmp%2Fc&content={}", "a".repeat(70_000));
    let long = client.post(&write, &long).await;
    assert_eq!(long.error("content"), "value may only be 61440 characters long");
}

#[tokio::test]
async fn every_reading_command_of_the_agent_answers_with_a_result() {
    let client = running().await;
    for name in [
        "get-fsinfo",
        "get-host-name",
        "get-memory-block-info",
        "get-memory-blocks",
        "get-osinfo",
        "get-time",
        "get-timezone",
        "get-users",
        "get-vcpus",
        "info",
        "network-get-interfaces",
    ] {
        let data = client.get(&format!("{VM}/agent/{name}")).await.data();
        assert!(!data["result"].is_null(), "{name}: {data}");
    }
    for (name, result) in [
        ("ping", json!({})),
        ("fsfreeze-freeze", json!(1)),
        ("fsfreeze-status", json!("frozen")),
        ("fsfreeze-thaw", json!(1)),
        ("suspend-ram", json!({})),
    ] {
        let data = client.post(&format!("{VM}/agent/{name}"), "").await.data();
        assert_eq!(data["result"], result, "{name}");
    }
    let by_name = client.post(&format!("{VM}/agent"), "command=get-host-name").await.data();
    assert_eq!(by_name["result"]["host-name"], "web");
    let set = format!("{VM}/agent/set-user-password");
    let body = "username=root&password=secret12";
    assert_eq!(client.post(&set, body).await.data(), json!({"result": {}}));
    let unknown = client.post(&set, "username=nosuchuser&password=secret12").await;
    assert_eq!(unknown.line(), "500 Agent error: child process has failed to set user password");
}

#[tokio::test]
async fn cloud_init_documents_say_what_the_configuration_says() {
    let client = default().await;
    let body = "vmid=500&name=rec-vm&ide2=local%3Acloudinit&net0=virtio%3DBC%3A24%3A11%3A00%3A00%3A01%2Cbridge%3Dvmbr0&ipconfig0=ip%3D10.0.0.5%2F24%2Cgw%3D10.0.0.1&nameserver=10.0.0.1&searchdomain=example.invalid&ciuser=joe&sshkeys=ssh-ed25519%2520AAAA%2520joe%2540x&ciupgrade=0";
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", body).await, "OK");
    let dump = async |kind: &str| {
        let path = format!("{VM}/cloudinit/dump?type={kind}");
        client.get(&path).await.data().as_str().unwrap().to_owned()
    };
    assert_eq!(
        dump("user").await,
        "#cloud-config\nhostname: rec-vm\nmanage_etc_hosts: true\nfqdn: rec-vm.example.invalid\nuser: joe\nssh_authorized_keys:\n  - ssh-ed25519 AAAA joe@x\nchpasswd:\n  expire: False\nusers:\n  - default\n"
    );
    assert_eq!(
        dump("network").await,
        "version: 1\nconfig:\n    - type: physical\n      name: eth0\n      mac_address: 'bc:24:11:00:00:01'\n      subnets:\n      - type: static\n        address: '10.0.0.5'\n        netmask: '255.255.255.0'\n        gateway: '10.0.0.1'\n    - type: nameserver\n      address:\n      - '10.0.0.1'\n      search:\n      - 'example.invalid'\n"
    );
    let before = dump("meta").await;
    assert!(before.starts_with("instance-id: ") && before.len() == 54, "{before}");
    client.put(&format!("{VM}/config"), "ciuser=jane").await.data();
    assert_ne!(dump("meta").await, before);
    let rows = client.get(&format!("{VM}/cloudinit")).await.data();
    assert!(rows.as_array().unwrap().contains(&json!({"key": "ciuser", "value": "jane"})));
    assert_eq!(client.put(&format!("{VM}/cloudinit"), "").await.data(), Value::Null);
}

#[tokio::test]
async fn the_monitor_prints_and_bad_keys_are_refused_without_a_word() {
    let client = running().await;
    let monitor = format!("{VM}/monitor");
    let status = client.post(&monitor, "command=info+status").await;
    assert_eq!(status.data(), "VM status: running\r\n");
    let keys = format!("{VM}/sendkey");
    assert_eq!(client.put(&keys, "key=ctrl-alt-delete").await.data(), Value::Null);
    let bad = client.put(&keys, "key=bogus-key").await;
    assert_eq!((bad.line(), bad.body.as_str()), ("400 Bad Request".to_owned(), ""));
    assert_eq!(client.task("POST", &format!("{VM}/status/stop"), "").await, "OK");
    let stopped = client.post(&monitor, "command=info+status").await;
    assert_eq!(stopped.data(), "ERROR: VM 500 not running\n");
}

#[tokio::test]
async fn a_disk_gets_another_owner_and_a_name_of_it() {
    let client = running().await;
    assert_eq!(client.task("POST", &format!("{VM}/status/stop"), "").await, "OK");
    let body = "vmid=501&scsi0=local%3A1%2Cformat%3Dqcow2";
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", body).await, "OK");
    let mv = format!("{VM}/move_disk");
    let both = client.post(&mv, "disk=scsi0&target-vmid=501&storage=nas").await;
    assert_eq!(both.error("storage"), "either set 'storage' or 'target-vmid', but not both");
    let taken = client.post(&mv, "disk=scsi0&target-vmid=501").await;
    assert_eq!(taken.line(), "500 Target disk key 'scsi0' is already in use for VM '501'");
    let same = client.post(&mv, "disk=scsi0&target-vmid=500").await;
    assert_eq!(same.error("target-vmid"), "must be different than source VMID to reassign disk");
    let body = "disk=scsi0&target-vmid=501&target-disk=scsi3";
    assert_eq!(client.task("POST", &mv, body).await, "OK");
    assert!(client.config(500).await.get("scsi0").is_none());
    assert_eq!(client.config(501).await["scsi3"], "local:501/vm-501-disk-1.qcow2,size=1G");
    let start = "/nodes/pve1/qemu/501/status/start";
    assert_eq!(client.task("POST", start, "").await, "OK");
}

#[tokio::test]
async fn a_hibernated_machine_keeps_its_memory_and_lock_until_its_next_start() {
    let client = running().await;
    let before = client.simulator.dump();
    let suspend = format!("{VM}/status/suspend");
    assert_eq!(client.task("POST", &suspend, "todisk=1").await, "OK");
    let row = client.get(&format!("{VM}/status/current")).await.data();
    assert_eq!((&row["status"], &row["lock"]), (&json!("stopped"), &json!("suspended")));
    let state = client.config(500).await["vmstate"].clone();
    assert!(state.as_str().unwrap().starts_with("local:500/vm-500-state-suspend-"), "{state}");
    let put = client.put(&format!("{VM}/config"), "memory=99").await;
    assert_eq!(put.line(), "500 VM is locked (suspended)");
    assert_eq!(client.task("POST", &format!("{VM}/status/start"), "").await, "OK");
    assert_eq!(client.simulator.dump(), before);
}

#[tokio::test]
async fn local_disks_follow_a_stopped_machine_and_a_running_one_only_when_asked_to() {
    let client = running().await;
    let conditions = client.get(&format!("{VM}/migrate")).await.data();
    assert_eq!(conditions["local_disks"][0]["drivename"], "scsi0");
    assert_eq!(conditions["allowed_nodes"], json!(["pve2"]));
    let migrate = format!("{VM}/migrate");
    assert_eq!(
        client.task("POST", &migrate, "target=pve2&online=1").await,
        "can't live migrate attached local disks without with-local-disks option"
    );
    let body = "target=pve2&online=1&with-local-disks=1&targetstorage=local-lvm";
    assert_eq!(client.task("POST", &migrate, body).await, "OK");
    let config = client.get("/nodes/pve2/qemu/500/config").await.data();
    assert_eq!(config["scsi0"], "local-lvm:vm-500-disk-0,size=1G");
    let stop = "/nodes/pve2/qemu/500/status/stop";
    assert_eq!(client.task("POST", stop, "").await, "OK");
    let back = "/nodes/pve2/qemu/500/migrate";
    assert_eq!(client.task("POST", back, "target=pve1").await, "OK");
    let rows = client.get("/nodes/pve1/storage/local-lvm/content?vmid=500").await.data();
    assert_eq!(rows[0]["volid"], "local-lvm:vm-500-disk-0");
    assert_eq!(client.task("POST", &format!("{VM}/status/start"), "").await, "OK");
}

#[tokio::test]
async fn a_snapshot_with_memory_has_a_state_volume_and_its_rollback_runs() {
    let client = running().await;
    let take = format!("{VM}/snapshot");
    assert_eq!(client.task("POST", &take, "snapname=ram&vmstate=1").await, "OK");
    assert_eq!(client.get(&take).await.data()[0]["vmstate"], 1);
    let content = "/nodes/pve1/storage/local/content?vmid=500";
    let rows = client.get(content).await.data();
    let names: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["volid"].as_str().unwrap()).collect();
    assert_eq!(names, ["local:500/vm-500-disk-0.qcow2", "local:500/vm-500-state-ram.raw"]);
    assert_eq!(client.task("POST", &format!("{VM}/status/stop"), "").await, "OK");
    let resize = format!("{VM}/resize");
    assert_eq!(client.task("PUT", &resize, "disk=scsi0&size=4G").await, "OK");
    client.put(&format!("{VM}/config"), "scsi7=local%3A1&description=later").await.data();
    assert_eq!(client.task("POST", &format!("{take}/ram/rollback"), "").await, "OK");
    let config = client.config(500).await;
    assert_eq!(config["scsi0"], "local:500/vm-500-disk-0.qcow2,size=1G");
    assert_eq!(config["unused0"], "local:500/vm-500-disk-1.raw");
    assert_eq!(config["description"], "later");
    let row = client.get(&format!("{VM}/status/current")).await.data();
    assert_eq!(row["status"], "running");
    assert_eq!(client.task("DELETE", &format!("{take}/ram"), "").await, "OK");
    assert_eq!(client.get(content).await.data().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_guest_of_high_availability_goes_only_with_purge() {
    let ct = GuestSeed { container: true, ..GuestSeed::new(310, "ct") };
    let client = start(builder().storage(StorageSeed::new("store2", "dir")).guest(ct)).await;
    client.post("/cluster/ha/resources", "sid=ct%3A310&state=stopped").await.data();
    let refused = client.delete("/nodes/pve1/lxc/310").await;
    assert_eq!(
        refused.line(),
        "500 unable to remove CT 310 - used in HA resources and purge parameter not set."
    );
    assert_eq!(client.task("DELETE", "/nodes/pve1/lxc/310?purge=1", "").await, "OK");
    assert_eq!(client.get("/cluster/ha/resources").await.data(), json!([]));
}
