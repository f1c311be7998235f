//! Containers.

mod clones;
mod config;
mod state;

use serde_json::{Value, json};

use crate::support::{Client, builder, start};
use pve_sim::StorageSeed;

pub const TEMPLATE: &str = "local:vztmpl/debian-12-tiny_12.0_amd64.tar.zst";

/// A cluster with a container template and storages of several kinds.
pub async fn cluster() -> Client {
    let seeds = builder()
        .storage(StorageSeed::new("store2", "dir"))
        .storage(StorageSeed::new("tank", "zfspool"))
        .volume(TEMPLATE, 2)
        .volume("nas:vztmpl/alpine-3.tar.zst", 2);
    start(seeds).await
}

pub fn path(rest: &str) -> String {
    format!("/nodes/pve1/lxc{rest}")
}

/// Creates a container 510 with these further parameters.
pub async fn create(client: &Client, more: &str) {
    let body = format!("vmid=510&ostemplate={}&{more}", TEMPLATE.replace(':', "%3A"));
    assert_eq!(client.task("POST", "/nodes/pve1/lxc", &body).await, "OK");
}

pub async fn config(client: &Client, vmid: u32) -> Value {
    client.get(&path(&format!("/{vmid}/config"))).await.data()
}

pub async fn log(client: &Client, upid: &str) -> Vec<String> {
    let rows = client.get(&crate::support::task_path(upid, "log?limit=500")).await.data();
    rows.as_array().unwrap().iter().map(|row| row["t"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_container_is_made_from_a_template_with_proxmoxs_names_and_defaults() {
    let client = cluster().await;
    create(
        &client,
        "hostname=rec-ct&memory=128&swap=64&cores=1&rootfs=local%3A1&net0=name%3Deth0%2Cbridge%3Dvmbr0%2Cip%3D10.0.0.9%2F24&unprivileged=1&password=secret&tags=b+a",
    )
    .await;
    let mut found = config(&client, 510).await;
    let net = found["net0"].take();
    let net = net.as_str().unwrap();
    assert!(net.starts_with("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:"), "{net}");
    assert!(net.ends_with(",ip=10.0.0.9/24,type=veth"), "{net}");
    found["digest"].take();
    assert_eq!(
        found,
        json!({
            "arch": "amd64", "cores": 1, "digest": null, "hostname": "rec-ct", "memory": 128, "net0": null,
            "ostype": "debian", "rootfs": "local:510/vm-510-disk-0.raw,size=1G", "swap": 64, "tags": "a;b",
            "unprivileged": 1,
        })
    );
    let row = &client.get("/nodes/pve1/lxc").await.data()[1];
    assert_eq!(
        (&row["name"], &row["maxdisk"], &row["maxswap"]),
        (&json!("rec-ct"), &json!(1 << 30), &json!(64 << 20))
    );
    let other = "vmid=511&ostemplate=nas%3Avztmpl%2Falpine-3.tar.zst&storage=tank&pool=nope";
    let unknown = client.post("/nodes/pve1/lxc", other).await;
    assert_eq!(unknown.line(), "403 Permission check failed (pool 'nope' does not exist)");
    let other = other.replace("&pool=nope", "&start=1");
    assert_eq!(client.task("POST", "/nodes/pve1/lxc", &other).await, "OK");
    let found = config(&client, 511).await;
    assert_eq!(found["rootfs"], "tank:subvol-511-disk-0,size=4G");
    assert_eq!((&found["hostname"], &found["memory"]), (&json!("CT511"), &json!(512)));
    assert_eq!(found["ostype"], "alpine");
    let status = client.get(&path("/511/status/current")).await.data();
    assert_eq!(status["status"], "running");
}

#[tokio::test]
async fn what_is_wrong_with_a_creation_is_said_in_proxmoxs_words() {
    let client = cluster().await;
    let before = client.simulator.dump();
    let answer = client.post("/nodes/pve1/lxc", "vmid=510").await;
    assert_eq!(answer.error("ostemplate"), "property is missing and it is not optional");
    let body = "vmid=510&ostemplate=local%3Avztmpl%2Fnope.tar.gz&rootfs=local%3A1";
    assert_eq!(
        client.task("POST", "/nodes/pve1/lxc", body).await,
        "unable to create CT 510 - volume 'local:vztmpl/nope.tar.gz' does not exist"
    );
    let from = format!("vmid=510&ostemplate={}", TEMPLATE.replace(':', "%3A"));
    let answer = client.post("/nodes/pve1/lxc", &format!("{from}&net0=bridge%3Dvmbr0")).await;
    assert_eq!(
        answer.error("net0"),
        "invalid format - format error\nnet0.name: property is missing and it is not optional\n"
    );
    let answer = client.post("/nodes/pve1/lxc", &format!("{from}&password=abc")).await;
    assert_eq!(answer.error("password"), "value must be at least 5 characters long");
    let taken = from.replace("510", "300");
    let answer = client.post("/nodes/pve1/lxc", &taken).await;
    assert_eq!(answer.line(), "500 CT 300 already exists on node 'pve1'");
    let answer = client.post("/nodes/pve1/lxc", &from.replace("510", "9000")).await;
    assert_eq!(answer.line(), "500 VM 9000 already exists on node 'pve1'");
    let answer = client.post("/nodes/pve1/lxc", &format!("{from}&rootfs=nope%3A1")).await;
    assert_eq!(answer.line(), "500 storage 'nope' does not exist");
    assert_eq!(client.simulator.dump(), before);
}

#[tokio::test]
async fn fact_66_a_container_is_no_virtual_machine_and_a_missing_one_is_500() {
    let client = cluster().await;
    let missing = |folder: &str, vmid: u32| {
        format!("500 Configuration file 'nodes/pve1/{folder}/{vmid}.conf' does not exist")
    };
    for rest in ["config", "status/current", "pending", "snapshot", "rrddata?timeframe=hour"] {
        let answer = client.get(&path(&format!("/510/{rest}"))).await;
        assert_eq!(answer.line(), missing("lxc", 510), "{rest}");
    }
    assert_eq!(client.delete(&path("/510")).await.line(), missing("lxc", 510));
    assert_eq!(
        client.task("POST", &path("/510/status/start"), "").await,
        missing("lxc", 510)[4..].to_owned()
    );
    assert_eq!(client.get("/nodes/pve1/qemu/300/config").await.line(), missing("qemu-server", 300));
    assert_eq!(client.get(&path("/9000/config")).await.line(), missing("lxc", 9000));
}
