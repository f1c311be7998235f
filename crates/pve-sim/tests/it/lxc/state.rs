//! What containers do: start, stop, snapshots, migration, destruction.

use serde_json::{Value, json};

use super::{cluster, config, create, log, path};
use pve_sim::{GuestSeed, NodeSeed, Simulator, Version};

#[tokio::test]
async fn fact_76_stopping_a_stopped_container_and_starting_a_running_one_are_refused_at_once() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1").await;
    let post = async |action: &str| client.post(&path(&format!("/510/status/{action}")), "").await;
    assert_eq!(post("stop").await.line(), "500 CT 510 not running");
    assert_eq!(post("shutdown").await.line(), "500 CT 510 not running");
    assert_eq!(post("reboot").await.line(), "500 VM 510 not running");
    assert_eq!(client.task("POST", &path("/510/status/start"), "").await, "OK");
    assert_eq!(post("start").await.line(), "500 CT 510 already running");
    let gone = client.delete(&path("/510")).await;
    assert_eq!(gone.line(), "500 unable to destroy CT 510 - container is running");
    for (action, status) in [
        ("reboot", "running"),
        ("shutdown", "stopped"),
        ("start", "running"),
        ("suspend", "stopped"),
        ("resume", "running"),
        ("stop", "stopped"),
    ] {
        let exit = client.task("POST", &path(&format!("/510/status/{action}")), "").await;
        assert_eq!(exit, "OK", "{action}");
        let row = client.get(&path("/510/status/current")).await.data();
        assert_eq!(row["status"], status, "{action}");
    }
}

#[tokio::test]
async fn a_status_has_the_members_of_its_release() {
    for (version, pressure) in [(Version::V8_4, false), (Version::V9_2, true)] {
        let ct = GuestSeed { container: true, running: true, ..GuestSeed::new(300, "ct") };
        let seeds = Simulator::builder().version(version).node(NodeSeed::new("pve1")).guest(ct);
        let client = crate::support::start(seeds).await;
        let row = client.get(&path("/300/status/current")).await.data();
        assert_eq!(row.get("pressurecpusome"), pressure.then_some(&Value::Null));
        assert_eq!((&row["type"], &row["ha"]), (&json!("lxc"), &json!({"managed": 0})));
        let rows = client.get("/nodes/pve1/lxc").await.data();
        assert_eq!(rows[0]["pid"].is_number(), row["pid"].is_number());
    }
}

#[tokio::test]
async fn fact_69_containers_on_directories_have_no_snapshots_and_others_come_back_with_them() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1").await;
    let take = path("/510/snapshot");
    assert_eq!(
        client.task("POST", &take, "snapname=one").await,
        "snapshot feature is not available"
    );
    let feature = client.get(&path("/510/feature?feature=snapshot")).await.data();
    assert_eq!(feature, json!({"hasFeature": 0}));
    let other = format!(
        "vmid=511&ostemplate={}&rootfs=local-lvm%3A1&description=kept",
        super::TEMPLATE.replace(':', "%3A")
    );
    assert_eq!(client.task("POST", "/nodes/pve1/lxc", &other).await, "OK");
    let take = path("/511/snapshot");
    assert_eq!(client.task("POST", &take, "snapname=one&description=first").await, "OK");
    assert_eq!(
        client.task("POST", &take, "snapname=one").await,
        "snapshot name 'one' already used"
    );
    client.put(&path("/511/config"), "memory=999&mp0=local-lvm%3A1%2Cmp%3D%2Fnew").await.data();
    client.put(&path("/511/config"), "description=changed").await.data();
    assert_eq!(client.task("PUT", &path("/511/resize"), "disk=rootfs&size=3G").await, "OK");
    assert_eq!(client.task("POST", &take, "snapname=two").await, "OK");
    let rows = client.get(&take).await.data();
    assert_eq!(rows[1]["parent"], "one");
    assert_eq!((&rows[2]["name"], &rows[2]["parent"]), (&json!("current"), &json!("two")));
    assert!(rows[0].get("vmstate").is_none());
    assert_eq!(client.task("POST", &path("/511/snapshot/one/rollback"), "start=1").await, "OK");
    let found = config(&client, 511).await;
    assert_eq!((&found["memory"], &found["parent"]), (&json!(512), &json!("one")));
    assert_eq!(found["rootfs"], "local-lvm:vm-511-disk-0,size=1G");
    assert_eq!(found["unused0"], "local-lvm:vm-511-disk-1");
    assert_eq!(found["description"], "changed\n");
    let row = client.get(&path("/511/status/current")).await.data();
    assert_eq!(row["status"], "running");
    assert_eq!(client.task("DELETE", &path("/511/snapshot/one"), "").await, "OK");
    let rows = client.get(&take).await.data();
    assert!(rows[0].get("parent").is_none());
    for (method, rest) in [("POST", "/511/snapshot/zz/rollback"), ("DELETE", "/511/snapshot/zz")] {
        assert_eq!(client.task(method, &path(rest), "").await, "snapshot 'zz' does not exist");
    }
}

#[tokio::test]
async fn interfaces_of_a_container_are_listed_without_an_agent() {
    let client = cluster().await;
    create(
        &client,
        "rootfs=local%3A1&net0=name%3Deth0%2Cbridge%3Dvmbr0%2Chwaddr%3DBC%3A24%3A11%3A00%3A00%3A01%2Cip%3D10.0.0.9%2F24&start=1",
    )
    .await;
    let rows = client.get(&path("/510/interfaces")).await.data();
    assert_eq!(
        rows[0],
        json!({"name": "lo", "hwaddr": "00:00:00:00:00:00", "hardware-address": "00:00:00:00:00:00", "ip-addresses": []})
    );
    assert_eq!(
        (&rows[1]["name"], &rows[1]["hwaddr"]),
        (&json!("eth0"), &json!("bc:24:11:00:00:01"))
    );
    assert_eq!(rows[1]["ip-addresses"][0]["ip-address"], "10.0.0.9");
}

#[tokio::test]
async fn a_running_container_moves_to_another_node_by_a_restart() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1&start=1").await;
    let migrate = path("/510/migrate");
    let itself = client.post(&migrate, "target=pve1").await;
    assert_eq!(itself.error("target"), "target is local node.");
    let refused = client.post(&migrate, "target=pve2").await;
    assert_eq!(refused.line(), "500 can't migrate running container without --online or --restart");
    assert_eq!(client.task("POST", &migrate, "target=pve2&restart=1").await, "OK");
    assert_eq!(client.get(&path("/510/config")).await.status, 500);
    let row = client.get("/nodes/pve2/lxc/510/status/current").await.data();
    assert_eq!(row["status"], "running");
    let rows = client.get("/nodes/pve2/storage/local/content?vmid=510").await.data();
    assert_eq!(rows[0]["volid"], "local:510/vm-510-disk-0.raw");
    let rows = client.get("/nodes/pve1/storage/local/content?vmid=510").await.data();
    assert_eq!(rows, json!([]));
}

#[tokio::test]
async fn a_container_goes_without_a_trace() {
    let client = cluster().await;
    let before = client.simulator.dump();
    create(&client, "rootfs=local%3A1&mp0=tank%3A1%2Cmp%3D%2Fx&start=1").await;
    client.put(&path("/510/config"), "protection=1").await.data();
    let refused = client.delete(&path("/510?force=1")).await;
    assert_eq!(refused.line(), "500 can't remove CT 510 - protection mode enabled");
    client.put(&path("/510/config"), "delete=protection").await.data();
    let upid = client.delete(&path("/510?force=1&purge=1")).await.data();
    client.simulator.settle().await;
    let log = log(&client, upid.as_str().unwrap()).await;
    assert_eq!(log, ["purging CT 510 from related configurations..", "TASK OK"]);
    assert_eq!(client.simulator.dump(), before);
}
