//! Copies and templates of containers.

use serde_json::json;

use super::{cluster, config, create, path};

#[tokio::test]
async fn fact_70_a_template_is_made_by_a_task_although_the_answer_is_null() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1").await;
    assert_eq!(client.post(&path("/510/template"), "").await.data(), json!(null));
    client.simulator.settle().await;
    let found = config(&client, 510).await;
    assert_eq!(found["rootfs"], "local:510/base-510-disk-0.raw,size=1G");
    assert_eq!(found["template"], 1);
    let tasks = client.get("/nodes/pve1/tasks?typefilter=vztemplate&vmid=510").await.data();
    assert_eq!(tasks[0]["status"], "OK");
    assert_eq!(
        client.task("POST", &path("/510/status/start"), "").await,
        "you can't start a CT if it's a template"
    );
    let linked = client.post(&path("/510/clone"), "newid=511").await;
    assert_eq!(
        linked.line(),
        "500 Linked clone feature for 'local:510/base-510-disk-0.raw' is not available"
    );
}

#[tokio::test]
async fn a_full_clone_has_a_hardware_address_and_volumes_of_its_own() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1&net0=name%3Deth0%2Cbridge%3Dvmbr0&mp0=local%3A1%2Cmp%3D%2Fx")
        .await;
    let clone = path("/510/clone");
    let upid = client.post(&clone, "newid=511&hostname=two&full=1").await.data();
    assert!(upid.as_str().unwrap().contains(":vzclone:510:"), "{upid}");
    assert_eq!(config(&client, 511).await["lock"], "create");
    client.simulator.settle().await;
    let (source, copy) = (config(&client, 510).await, config(&client, 511).await);
    assert_ne!(source["net0"], copy["net0"]);
    assert_eq!(copy["hostname"], "two");
    assert_eq!(copy["mp0"], "local:511/vm-511-disk-1.raw,mp=/x,size=1G");
    assert_eq!(copy["rootfs"], "local:511/vm-511-disk-0.raw,size=1G");
    let taken = client.post(&clone, "newid=511&full=1").await;
    assert_eq!(taken.line(), "500 CT 511 already exists on node 'pve1'");
    assert_eq!(client.task("POST", &path("/510/status/start"), "").await, "OK");
    let running = client.post(&clone, "newid=512&full=1").await;
    assert_eq!(
        running.line(),
        "500 Cannot do full clones on a running container without snapshots"
    );
}

#[tokio::test]
async fn linked_clones_hang_on_their_template() {
    let client = cluster().await;
    create(&client, "rootfs=tank%3A1").await;
    client.post(&path("/510/template"), "").await.data();
    client.simulator.settle().await;
    let storage = client.post(&path("/510/clone"), "newid=511&full=0&storage=local").await;
    assert_eq!(storage.line(), "500 parameter 'storage' not allowed for linked clones");
    assert_eq!(client.task("POST", &path("/510/clone"), "newid=511").await, "OK");
    let copy = config(&client, 511).await;
    assert_eq!(copy["rootfs"], "tank:basevol-510-disk-0/subvol-511-disk-0,size=1G");
    assert_eq!(
        client.task("DELETE", &path("/510"), "").await,
        "base volume 'tank:basevol-510-disk-0' is still in use by linked cloned"
    );
    assert_eq!(client.task("DELETE", &path("/511"), "").await, "OK");
    assert_eq!(client.task("DELETE", &path("/510"), "").await, "OK");
}
