//! Options and volumes of containers.

use serde_json::json;

use super::{cluster, config, create, path};

#[tokio::test]
async fn options_are_set_guarded_by_the_digest_and_deleted() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1").await;
    let put = async |body: &str| client.put(&path("/510/config"), body).await;
    assert_eq!(put("memory=160&description=ct&onboot=0").await.data(), json!(null));
    let found = config(&client, 510).await;
    assert_eq!((&found["memory"], &found["onboot"]), (&json!(160), &json!(0)));
    assert_eq!(found["description"], "ct\n");
    let digest = found["digest"].as_str().unwrap();
    let stale = put("memory=161&digest=0000000000000000000000000000000000000000").await;
    assert_eq!(
        stale.line(),
        "500 detected modified configuration - file changed by other user? Try again."
    );
    assert_eq!(put(&format!("memory=161&digest={digest}")).await.status, 200);
    assert_eq!(put("delete=bogus").await.error("delete"), "unknown option 'bogus'");
    assert_eq!(put("delete=rootfs").await.line(), "500 unable to delete required option 'rootfs'");
    assert_eq!(put("").await.line(), "500 no options specified");
    assert_eq!(put("delete=onboot").await.status, 200);
    assert!(config(&client, 510).await.get("onboot").is_none());
    let read_only = put("unprivileged=1").await;
    assert_eq!(read_only.line(), "500 unable to modify read-only option: 'unprivileged'");
}

#[tokio::test]
async fn a_running_container_takes_some_changes_at_once_and_others_at_its_next_start() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1&unprivileged=1&start=1").await;
    client.put(&path("/510/config"), "memory=192&features=nesting%3D1&ostype=debian").await.data();
    let current = client.get(&path("/510/config?current=1")).await.data();
    assert_eq!(current["memory"], 192);
    assert!(current.get("features").is_none());
    assert_eq!(config(&client, 510).await["features"], "nesting=1");
    let pending = client.get(&path("/510/pending")).await.data();
    let row = |key: &str| {
        pending.as_array().unwrap().iter().find(|row| row["key"] == key).cloned().unwrap()
    };
    assert_eq!(row("memory"), json!({"key": "memory", "value": 192}));
    assert_eq!(row("features"), json!({"key": "features", "pending": "nesting=1"}));
    client.put(&path("/510/config"), "delete=arch").await.data();
    let pending = client.get(&path("/510/pending")).await.data();
    assert!(
        pending
            .as_array()
            .unwrap()
            .contains(&json!({"key": "arch", "value": "amd64", "delete": 1}))
    );
    client.put(&path("/510/config"), "revert=arch").await.data();
    assert_eq!(client.task("POST", &path("/510/status/reboot"), "").await, "OK");
    let current = client.get(&path("/510/config?current=1")).await.data();
    assert_eq!((&current["features"], &current["arch"]), (&json!("nesting=1"), &json!("amd64")));
}

#[tokio::test]
async fn mount_points_get_the_lowest_free_disk_and_leave_as_unused_volumes() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1").await;
    let put = async |body: &str| client.put(&path("/510/config"), body).await;
    assert_eq!(put("mp0=local%3A1%2Cbackup%3D0%2Cmp%3D%2Fopt%2Fapp").await.status, 200);
    let found = config(&client, 510).await;
    assert_eq!(found["mp0"], "local:510/vm-510-disk-1.raw,mp=/opt/app,backup=0,size=1G");
    let no_path = put("mp1=local%3A1").await;
    assert_eq!(
        no_path.error("mp1"),
        "invalid format - format error\nmp1.mp: property is missing and it is not optional\n"
    );
    assert_eq!(put("delete=mp0").await.status, 200);
    let found = config(&client, 510).await;
    assert_eq!(found["unused0"], "local:510/vm-510-disk-1.raw");
    assert_eq!(put("mp3=local%3A2%2Cmp%3D%2Fdata").await.status, 200);
    let found = config(&client, 510).await;
    assert_eq!(found["mp3"], "local:510/vm-510-disk-2.raw,mp=/data,size=2G");
    // Attached again, it is unused no more.
    let again = "mp4=local%3A510%2Fvm-510-disk-1.raw%2Cmp%3D%2Fopt";
    assert_eq!(put(again).await.status, 200);
    let found = config(&client, 510).await;
    assert_eq!(found["mp4"], "local:510/vm-510-disk-1.raw,mp=/opt,size=1G");
    assert!(found.get("unused0").is_none());
    put("delete=mp4").await.data();
    assert_eq!(put("delete=unused0").await.status, 200);
    let volumes = client.get("/nodes/pve1/storage/local/content?vmid=510").await.data();
    let names: Vec<&str> =
        volumes.as_array().unwrap().iter().map(|row| row["volid"].as_str().unwrap()).collect();
    assert_eq!(names, ["local:510/vm-510-disk-0.raw", "local:510/vm-510-disk-2.raw"]);
}

#[tokio::test]
async fn volumes_grow_move_and_never_shrink() {
    let client = cluster().await;
    create(&client, "rootfs=local%3A1&mp0=local%3A1%2Cmp%3D%2Fopt").await;
    let resize = path("/510/resize");
    assert_eq!(client.task("PUT", &resize, "disk=rootfs&size=%2B1G").await, "OK");
    assert_eq!(config(&client, 510).await["rootfs"], "local:510/vm-510-disk-0.raw,size=2G");
    let shrink = client.put(&resize, "disk=rootfs&size=1G").await;
    assert_eq!(shrink.line(), "500 unable to shrink disk size");
    let mv = path("/510/move_volume");
    assert_eq!(client.task("POST", &mv, "volume=mp0&storage=store2&delete=1").await, "OK");
    let found = config(&client, 510).await;
    assert_eq!(found["mp0"], "store2:510/vm-510-disk-0.raw,mp=/opt,size=1G");
    assert!(found.get("unused0").is_none());
    assert_eq!(client.task("POST", &mv, "volume=mp0&storage=local").await, "OK");
    let found = config(&client, 510).await;
    assert_eq!(found["mp0"], "local:510/vm-510-disk-1.raw,mp=/opt,size=1G");
    assert_eq!(found["unused0"], "store2:510/vm-510-disk-0.raw");
    let target = format!("vmid=511&ostemplate={}", super::TEMPLATE.replace(':', "%3A"));
    assert_eq!(client.task("POST", "/nodes/pve1/lxc", &target).await, "OK");
    let give = "volume=mp0&target-vmid=511&target-volume=mp5";
    assert_eq!(client.task("POST", &mv, give).await, "OK");
    let found = config(&client, 511).await;
    assert_eq!(found["mp5"], "local:511/vm-511-disk-1.raw,mp=/opt,size=1G");
    assert!(config(&client, 510).await.get("mp0").is_none());
}
