//! Changes of a running guest and snapshots, on every release that is played.

use serde_json::Value;

use crate::support::{Client, builder, start};
use pve_sim::{Effect, Fault, NodeSeed, Seed, Simulator, Version};

const CONFIG: &str = "/nodes/pve1/qemu/500/config";

/// A guest 500 with a disk that can be snapshotted, of a release.
async fn of(version: Version) -> Client {
    let client = start(builder().version(version)).await;
    client.task("POST", "/nodes/pve1/qemu/9001/clone", "newid=500&name=web").await;
    client
}

async fn running(version: Version) -> Client {
    let client = of(version).await;
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    client
}

/// What waits, as `key: value` or `key: deleted`.
async fn waiting(client: &Client) -> Vec<String> {
    let rows = client.get("/nodes/pve1/qemu/500/pending").await.data();
    let row = |row: &Value| {
        let key = row["key"].as_str().unwrap();
        match row.get("pending") {
            Some(value) => Some(format!("{key}: {value}")),
            None => row.get("delete").map(|_| format!("{key}: deleted")),
        }
    };
    rows.as_array().unwrap().iter().filter_map(row).collect()
}

async fn set(client: &Client, body: &str) {
    let answer = client.put(CONFIG, body).await;
    assert_eq!(answer.status, 200, "{body}: {answer:?}");
}

#[tokio::test]
async fn a_value_that_is_set_already_does_not_wait() {
    for version in Version::ALL {
        let client = of(version).await;
        set(&client, "ostype=win10").await;
        client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await;
        set(&client, "ostype=l26").await;
        assert_eq!(waiting(&client).await, ["ostype: \"l26\""], "{version:?}");
        set(&client, "ostype=win10").await;
        assert!(waiting(&client).await.is_empty(), "{version:?}");
    }
}

#[tokio::test]
async fn the_hotplug_option_decides_what_a_running_guest_takes_at_once() {
    for version in Version::ALL {
        let client = running(version).await;
        set(&client, "net1=virtio,bridge%3Dvmbr0&scsi3=local-lvm:1&tablet=0&description=x").await;
        assert!(waiting(&client).await.is_empty(), "{version:?}");
        set(&client, "hotplug=0").await;
        set(&client, "kvm=0&name=other").await;
        assert_eq!(waiting(&client).await, ["hotplug: \"0\"", "kvm: 0"], "{version:?}");
        let path = "/nodes/pve1/qemu/500/status";
        assert_eq!(client.task("POST", &format!("{path}/stop"), "").await, "OK");
        assert_eq!(client.task("POST", &format!("{path}/start"), "").await, "OK");
        assert!(waiting(&client).await.is_empty(), "{version:?}");
        set(&client, "tablet=1&net2=virtio%3D02:00:00:00:00:01,bridge%3Dvmbr0&delete=scsi3").await;
        assert_eq!(
            waiting(&client).await,
            ["net2: \"virtio=02:00:00:00:00:01,bridge=vmbr0\"", "scsi3: deleted", "tablet: 1"],
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_running_guest_takes_another_medium_but_no_new_drive_for_it() {
    for version in Version::ALL {
        let client = start(builder().version(version).volume("local:iso/a.iso", 3)).await;
        let body = "vmid=500&ide2=none,media%3Dcdrom";
        assert_eq!(client.task("POST", "/nodes/pve1/qemu", body).await, "OK");
        assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
        set(&client, "ide2=local:iso/a.iso,media%3Dcdrom").await;
        assert!(waiting(&client).await.is_empty(), "{version:?}");
        set(&client, "ide3=local:iso/a.iso,media%3Dcdrom").await;
        assert_eq!(waiting(&client).await.len(), 1, "{version:?}");
    }
}

async fn size_of(client: &Client, volume: &str) -> u64 {
    let rows = client.get("/nodes/pve1/storage/local-lvm/content").await.data();
    let mut rows = rows.as_array().unwrap().iter();
    rows.find(|row| row["volid"] == volume).unwrap()["size"].as_u64().unwrap()
}

#[tokio::test]
async fn rollback_brings_sizes_and_the_set_of_disks_back() {
    for version in Version::ALL {
        let client = of(version).await;
        let path = "/nodes/pve1/qemu/500";
        let before = client.config(500).await;
        let disk = before["scsi0"].as_str().unwrap().split(',').next().unwrap().to_owned();
        let size = size_of(&client, &disk).await;
        let snapshot = format!("{path}/snapshot");
        assert_eq!(client.task("POST", &snapshot, "snapname=before").await, "OK");
        let body = "disk=scsi0&size=%2B1G";
        client.put(&format!("{path}/resize"), body).await;
        client.simulator.settle().await;
        assert_eq!(size_of(&client, &disk).await, size + (1 << 30), "{version:?}");
        set(&client, "scsi5=local-lvm:1&cores=3").await;
        let later = client.config(500).await["scsi5"].as_str().unwrap().to_owned();
        let rollback = format!("{snapshot}/before/rollback");
        assert_eq!(client.task("POST", &rollback, "").await, "OK");
        let after = client.config(500).await;
        assert_eq!(after["scsi0"], before["scsi0"], "{version:?}");
        assert_eq!(size_of(&client, &disk).await, size, "{version:?}");
        assert!(after.get("scsi5").is_none() && after.get("cores") == before.get("cores"));
        assert_eq!(after["unused0"], later.split(',').next().unwrap(), "{version:?}");
    }
}

#[tokio::test]
async fn a_snapshot_with_memory_that_fails_half_way_leaves_no_state_volume() {
    for version in Version::ALL {
        let client = running(version).await;
        let path = "/nodes/pve1/qemu/500/snapshot";
        let text = Effect::TaskFailsPartly("out of space".into());
        client.simulator.fault(Fault::on("POST", path).then(text).times(1));
        let volumes = client.simulator.dump()["volumes"].clone();
        let body = "snapname=one&vmstate=1";
        assert_eq!(client.task("POST", path, body).await, "out of space");
        assert_eq!(client.simulator.dump()["volumes"], volumes, "{version:?}");
        assert_eq!(client.task("POST", path, body).await, "OK");
        assert_ne!(client.simulator.dump()["volumes"], volumes, "{version:?}");
        assert_eq!(client.task("DELETE", &format!("{path}/one"), "").await, "OK");
        assert_eq!(client.simulator.dump()["volumes"], volumes, "{version:?}");
    }
}

#[tokio::test]
async fn a_seed_describes_the_interfaces_of_a_node() {
    let seed = |text: &str| Seed::from_toml(text).unwrap();
    let text = r#"
        [[node]]
        name = "pve1"
        interfaces.eno1 = { type = "eth", method = "manual" }
        interfaces.vmbr7 = { type = "bridge", cidr = "192.0.2.1/24", gateway = "192.0.2.254", bridge_ports = "eno1" }
    "#;
    let client = start(Simulator::builder().seed(seed(text))).await;
    let row = client.get("/nodes/pve1/network/vmbr7").await.data();
    assert_eq!((&row["address"], &row["netmask"]), (&"192.0.2.1".into(), &"24".into()));
    assert_eq!(row["gateway"], "192.0.2.254");
    let names = client.get("/nodes/pve1/network").await.data();
    assert_eq!(names.as_array().unwrap().len(), 2, "{names}");
    let bad = Simulator::builder().seed(seed(&text.replace("type = \"eth\", ", "")));
    let error = bad.start("127.0.0.1:0".parse().unwrap()).await.err().unwrap();
    let error = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.contains("node 'pve1': interfaces: 'eno1': type"), "{error}");
    assert!(NodeSeed::new("x").interfaces.is_empty());
}
