//! Facts about guests, disks, snapshots, storages, pools and the firewall.

use crate::support::{Client, SECOND, builder, default, start};
use pve_sim::Version;

async fn with_guest() -> Client {
    let client = default().await;
    assert_eq!(
        client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500&name=web").await,
        "OK"
    );
    client
}

#[tokio::test]
async fn fact_40_a_taken_id_is_refused_in_each_calls_own_words() {
    let client = with_guest().await;
    assert_eq!(client.get("/cluster/nextid").await.data(), "100");
    assert_eq!(client.get("/cluster/nextid?vmid=500").await.error("vmid"), "VM 500 already exists");
    assert_eq!(client.get("/cluster/nextid?vmid=300").await.error("vmid"), "CT 300 already exists");
    let create = client.post("/nodes/pve1/qemu", "vmid=500").await;
    assert_eq!(create.line(), "500 unable to create VM 500 - VM 500 already exists on node 'pve1'");
    let create = client.post("/nodes/pve1/qemu", "vmid=300").await;
    assert_eq!(create.line(), "500 unable to create VM 300 - CT 300 already exists on node 'pve1'");
    let clone = client.post("/nodes/pve1/qemu/9000/clone", "newid=500").await;
    assert_eq!(clone.line(), "500 unable to create VM 500: config file already exists");
    assert_eq!(client.get("/nodes/pve1/qemu/300/config").await.status, 500);
}

#[tokio::test]
async fn fact_42_44_clones_are_linked_from_templates_and_have_new_identities() {
    let client = with_guest().await;
    let (template, copy) = (client.config(9000).await, client.config(500).await);
    for key in ["net0", "smbios1", "vmgenid"] {
        assert_ne!(template[key], copy[key], "{key}");
    }
    assert_eq!(copy["scsi0"], "local:9000/base-9000-disk-0.qcow2/500/vm-500-disk-0.qcow2,size=2G");
    assert_eq!(copy["ide2"], "local:500/vm-500-cloudinit.qcow2,media=cdrom,size=4M");
    let storage = client.post("/nodes/pve1/qemu/9000/clone", "newid=501&storage=local-lvm").await;
    assert_eq!(storage.line(), "500 parameter 'storage' not allowed for linked clones");
    let linked = client.post("/nodes/pve1/qemu/500/clone", "newid=501&full=0").await;
    assert!(linked.line().starts_with("500 Linked clone feature is not supported for 'local:9000/base-9000-disk-0.qcow2/500/vm-500-disk-0.qcow2' (scsi0)"));
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/clone", "newid=501").await, "OK");
    assert_eq!(client.config(501).await["scsi0"], "local:501/vm-501-disk-0.qcow2,size=2G");
    assert_eq!(client.config(501).await["name"], "Copy-of-VM-web");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9001/clone", "newid=502").await, "OK");
    assert_eq!(client.config(502).await["scsi0"], "local-lvm:vm-502-disk-0,size=2G");
    let in_use = "base volume 'local:9000/base-9000-disk-0.qcow2' is still in use by linked cloned";
    assert_eq!(client.task("DELETE", "/nodes/pve1/qemu/9000", "").await, in_use);
    assert_eq!(
        client.task("POST", "/nodes/pve1/qemu/9000/status/start", "").await,
        "you can't start a vm if it's a template"
    );
}

#[tokio::test]
async fn a_clone_to_another_node_lies_on_the_source_until_its_end_and_needs_shared_storage() {
    let client = default().await;
    let local = client.post("/nodes/pve1/qemu/9000/clone", "newid=500&target=pve2").await;
    assert_eq!(local.line(), "500 can't clone VM to node 'pve2' (VM uses local storage)");
    let unknown = client.post("/nodes/pve1/qemu/9002/clone", "newid=500&target=pve9").await;
    assert_eq!(unknown.line(), "500 no such cluster node 'pve9'");
    client.post("/nodes/pve1/qemu/9002/clone", "newid=500&target=pve2").await.data();
    let on = async |node: &str| {
        let rows = client.get(&format!("/nodes/{node}/qemu")).await.data();
        rows.as_array().unwrap().iter().any(|row| row["vmid"] == 500)
    };
    assert!(on("pve1").await && !on("pve2").await);
    client.simulator.advance(2 * SECOND).await;
    assert!(!on("pve1").await && on("pve2").await);
    assert_eq!(client.task("POST", "/nodes/pve2/qemu/500/status/start", "").await, "OK");
}

#[tokio::test]
async fn fact_46_47_disks_and_cards_are_rewritten_as_proxmox_stores_them() {
    let client = default().await;
    let body = "vmid=500&name=web&scsi0=local:1,format%3Dqcow2,discard%3Don&scsi1=local-lvm:2&ide2=local:cloudinit&net0=virtio,bridge%3Dvmbr0,firewall%3D1";
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", body).await, "OK");
    let config = client.config(500).await;
    assert_eq!(config["scsi0"], "local:500/vm-500-disk-0.qcow2,discard=on,size=1G");
    assert_eq!(config["scsi1"], "local-lvm:vm-500-disk-0,size=2G");
    assert_eq!(config["ide2"], "local:500/vm-500-cloudinit.qcow2,media=cdrom");
    let net = config["net0"].as_str().unwrap();
    assert!(
        net.starts_with("virtio=BC:24:11:") && net.ends_with(",bridge=vmbr0,firewall=1"),
        "{net}"
    );
    assert_eq!(config["boot"], "order=scsi0;net0");
    let unit = client.post("/nodes/pve1/qemu", "vmid=501&scsi0=local:1G").await;
    assert_eq!(unit.line(), "500 unable to parse directory volume name '1G'");
    let storage = client.post("/nodes/pve1/qemu", "vmid=501&scsi0=nosuch:1").await;
    assert_eq!(storage.line(), "500 storage 'nosuch' does not exist");
    let import = client
        .post("/nodes/pve1/qemu", "vmid=501&scsi0=local:1,import-from%3Dlocal:import/x.qcow2")
        .await;
    assert!(import.error("scsi0").starts_with("'import-from' requires special syntax"));
    let missing = client
        .task(
            "POST",
            "/nodes/pve1/qemu",
            "vmid=501&scsi0=local:0,import-from%3Dlocal:import/x.qcow2",
        )
        .await;
    assert_eq!(missing, "unable to create VM 501 - failed to stat '/var/lib/vz/import/x.qcow2'");
    client.put("/nodes/pve1/qemu/500/config", "net0=virtio,bridge%3Dvmbr9").await.data();
    assert_ne!(client.config(500).await["net0"].as_str().unwrap()[..24], net[..24]);
    assert_eq!(
        client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await,
        "start failed: QEMU exited with code 1"
    );
}

#[tokio::test]
async fn fact_48_49_cloud_init_options_keep_their_forms() {
    let client = with_guest().await;
    let path = "/nodes/pve1/qemu/500/config";
    let raw = client.put(path, "sshkeys=ssh-ed25519+AAAA").await;
    assert_eq!(
        raw.error("sshkeys"),
        "invalid format - invalid urlencoded string: ssh-ed25519 AAAA\n"
    );
    let ip = client.put(path, "ipconfig0=ip%3D10.0.0.5").await;
    assert!(ip.error("ipconfig0").contains(
        "ipconfig0.ip: invalid format - value does not look like a valid ipv4 network configuration"
    ));
    client
        .put(path, "sshkeys=ssh-ed25519%2520AAAA&cipassword=hello-hello&ipconfig0=ip%3D10.0.0.5/24")
        .await
        .data();
    let config = client.config(500).await;
    assert_eq!(config["sshkeys"], "ssh-ed25519%20AAAA");
    assert_eq!(config["cipassword"], "**********");
}

#[tokio::test]
async fn fact_50_51_digests_and_deletions_are_checked() {
    let client = with_guest().await;
    let path = "/nodes/pve1/qemu/500/config";
    let digest = client.config(500).await["digest"].as_str().unwrap().to_owned();
    assert_eq!(client.put(path, &format!("cores=2&digest={digest}")).await.status, 200);
    let stale = client.put(path, &format!("cores=3&digest={digest}")).await;
    assert_eq!(stale.line(), "500 checksum mismatch (file change by other user?)");
    assert_eq!(client.put(path, "").await.line(), "500 no options specified");
    assert_eq!(client.put(path, "delete=bogus").await.error("delete"), "unknown option 'bogus'");
    assert_eq!(client.put(path, "delete=startup").await.status, 200);
    let both = client.put(path, "delete=memory&memory=256").await;
    assert_eq!(
        both.error("delete"),
        "you can't use '-memory' and -delete memory' at the same time"
    );
    client.put(path, "scsi1=local:1").await.data();
    client.put(path, "delete=scsi1").await.data();
    assert_eq!(client.config(500).await["unused0"], "local:500/vm-500-disk-1.raw");
    client.put("/nodes/pve1/qemu/500/unlink", "idlist=unused0&force=1").await.data();
    let volumes = client.get("/nodes/pve1/storage/local/content?vmid=500").await.data();
    assert!(!volumes.to_string().contains("vm-500-disk-1"), "{volumes}");
}

#[tokio::test]
async fn fact_52_a_running_guest_keeps_changes_pending() {
    let client = with_guest().await;
    let path = "/nodes/pve1/qemu/500/config";
    client.put(path, "memory=384").await.data();
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    client.put(path, "memory=512").await.data();
    assert_eq!(client.config(500).await["memory"], "512");
    assert_eq!(client.get(&format!("{path}?current=1")).await.data()["memory"], "384");
    let rows = client.get("/nodes/pve1/qemu/500/pending").await.data();
    let row = rows.as_array().unwrap().iter().find(|row| row["key"] == "memory").unwrap();
    assert_eq!((&row["value"], &row["pending"]), (&"384".into(), &"512".into()));
    client.put(path, "revert=memory").await.data();
    assert_eq!(client.config(500).await["memory"], "384");
}

#[tokio::test]
async fn fact_53_resize_answers_in_the_task() {
    let client = with_guest().await;
    let path = "/nodes/pve1/qemu/500/resize";
    assert_eq!(client.task("PUT", path, "disk=scsi0&size=%2B1G").await, "OK");
    assert_eq!(client.task("PUT", path, "disk=scsi0&size=3G").await, "OK");
    assert_eq!(
        client.task("PUT", path, "disk=scsi0&size=1G").await,
        "shrinking disks is not supported"
    );
    assert_eq!(client.task("PUT", path, "disk=scsi7&size=1G").await, "disk 'scsi7' does not exist");
    assert_eq!(
        client.put(path, "disk=scsi0&size=2GiB").await.error("size"),
        "value does not match the regex pattern"
    );
    assert!(client.config(500).await["scsi0"].as_str().unwrap().ends_with("size=3G"));
}

#[tokio::test]
async fn fact_54_snapshots_are_a_tree_with_current_at_its_end() {
    let client = with_guest().await;
    let path = "/nodes/pve1/qemu/500/snapshot";
    assert_eq!(
        client.post(path, "snapname=current").await.line(),
        "500 unable to use snapshot name 'current' (reserved name)"
    );
    assert_eq!(
        client.post(path, "snapname=1bad").await.error("snapname"),
        "invalid format - invalid configuration ID '1bad'\n"
    );
    assert_eq!(client.task("POST", path, "snapname=one&description=first").await, "OK");
    assert_eq!(client.task("POST", path, "snapname=one").await, "snapshot name 'one' already used");
    assert_eq!(client.task("POST", path, "snapname=two").await, "OK");
    client.put("/nodes/pve1/qemu/500/config", "memory=444").await.data();
    let rows = client.get(path).await.data();
    assert_eq!(rows[1]["parent"], "one");
    assert_eq!((&rows[2]["name"], &rows[2]["parent"]), (&"current".into(), &"two".into()));
    assert_eq!(client.task("POST", &format!("{path}/one/rollback"), "").await, "OK");
    assert_eq!(client.config(500).await["memory"], "512");
    assert_eq!(client.config(500).await["parent"], "one");
    assert_eq!(
        client.post("/nodes/pve1/qemu/500/template", "").await.line(),
        "500 unable to create template, because VM contains snapshots"
    );
    assert_eq!(
        client.task("DELETE", &format!("{path}/zz"), "").await,
        "snapshot 'zz' does not exist"
    );
    client.put("/nodes/pve1/qemu/500/config", "scsi5=local:1").await.data();
    assert_eq!(
        client.task("POST", path, "snapname=raw").await,
        "snapshot feature is not available"
    );
}

#[tokio::test]
async fn fact_57_tags_are_a_set_in_either_release() {
    for (version, created) in [(Version::V8_4, "b a"), (Version::V9_2, "a;b")] {
        let client = start(builder().version(version)).await;
        assert_eq!(client.task("POST", "/nodes/pve1/qemu", "vmid=500&tags=b+a").await, "OK");
        assert_eq!(client.config(500).await["tags"], created);
        client.put("/nodes/pve1/qemu/500/config", "tags=x+y,,z").await.data();
        assert_eq!(client.config(500).await["tags"], "x;y;z");
        assert_eq!(client.put("/nodes/pve1/qemu/500/config", "name=bad_name").await.status, 400);
    }
}

#[tokio::test]
async fn fact_58_59_60_the_agent_answers_in_its_nested_forms() {
    let client = with_guest().await;
    let path = "/nodes/pve1/qemu/500/agent";
    assert_eq!(client.post(&format!("{path}/ping"), "").await.line(), "500 VM 500 is not running");
    client.put("/nodes/pve1/qemu/500/config", "agent=0").await.data();
    assert_eq!(
        client.post(&format!("{path}/ping"), "").await.line(),
        "500 No QEMU guest agent configured"
    );
    client.put("/nodes/pve1/qemu/500/config", "agent=1").await.data();
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    assert_eq!(
        client.post(&format!("{path}/ping"), "").await.line(),
        "500 QEMU guest agent is not running"
    );
    client.simulator.advance(5 * SECOND).await;
    assert_eq!(
        client.post(&format!("{path}/ping"), "").await.data(),
        serde_json::json!({"result": {}})
    );
    let pid = client.post(&format!("{path}/exec"), "command=echo&command=hi").await.data()["pid"]
        .to_string();
    let status = client.get(&format!("{path}/exec-status?pid={pid}")).await.data();
    assert_eq!((&status["exited"], &status["exitcode"]), (&1.into(), &0.into()));
    let unknown = client.get(&format!("{path}/exec-status?pid=9")).await;
    assert_eq!(unknown.line(), "500 Agent error: Invalid parameter 'pid'");
    client.post(&format!("{path}/file-write"), "file=/tmp/x&content=hello%0A").await.data();
    let read = client.get(&format!("{path}/file-read?file=/tmp/x")).await.data();
    assert_eq!(read, serde_json::json!({"content": "hello\n", "bytes-read": 6}));
}

#[tokio::test]
async fn fact_63_volumes_are_allocated_at_once_and_deleted_in_a_task() {
    let client = default().await;
    let path = "/nodes/pve1/storage/local/content";
    let body = "vmid=500&filename=vm-500-disk-9.qcow2&size=64M&format=qcow2";
    assert_eq!(client.post(path, body).await.data(), "local:500/vm-500-disk-9.qcow2");
    assert_eq!(
        client.post(path, body).await.line(),
        "500 disk image '/var/lib/vz/images/500/vm-500-disk-9.qcow2' already exists"
    );
    assert_eq!(
        client.task("DELETE", &format!("{path}/local%3A500%2Fvm-500-disk-9.qcow2"), "").await,
        "OK"
    );
    assert_eq!(client.get(&format!("{path}?vmid=500")).await.data(), serde_json::json!([]));
}

#[tokio::test]
async fn fact_64_81_pools_hold_guests_and_refuse_to_go_while_they_do() {
    let client = with_guest().await;
    client.post("/pools", "poolid=web").await.data();
    assert_eq!(
        client.post("/pools", "poolid=web").await.line(),
        "500 create pool failed: pool 'web' already exists"
    );
    client.put("/pools/web", "vms=500").await.data();
    assert_eq!(
        client.put("/pools/web", "vms=500").await.line(),
        "500 update pools failed: VM 500 is already a pool member"
    );
    assert_eq!(
        client.delete("/pools/web").await.line(),
        "500 delete pool failed: pool 'web' is not empty (contains VM 500)"
    );
    assert_eq!(client.get("/pools?poolid=web").await.data()[0]["members"][0]["vmid"], 500);
    client.put("/pools/web", "vms=500&delete=1").await.data();
    client.put("/pools/web", "vms=987654").await.data();
    assert_eq!(client.delete("/pools/web").await.status, 200);
}

#[tokio::test]
async fn fact_65_72_cluster_resources_lag_behind_by_a_round() {
    let client = default().await;
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", "vmid=500&name=web").await, "OK");
    let row = async || {
        let rows = client.get("/cluster/resources?type=vm").await.data();
        rows.as_array().unwrap().iter().find(|row| row["vmid"] == 500).unwrap().clone()
    };
    assert_eq!(row().await["status"], "unknown");
    assert!(row().await.get("name").is_none());
    client.simulator.advance(10 * SECOND).await;
    assert_eq!((&row().await["status"], &row().await["name"]), (&"stopped".into(), &"web".into()));
}

#[tokio::test]
async fn firewall_rules_stack_from_the_top_and_groups_must_be_empty_to_go() {
    let client = with_guest().await;
    let path = "/nodes/pve1/qemu/500/firewall";
    client.put(&format!("{path}/options"), "enable=1&policy_in=DROP").await.data();
    client
        .post(&format!("{path}/rules"), "type=in&action=ACCEPT&proto=tcp&dport=22&enable=1")
        .await
        .data();
    client.post(&format!("{path}/rules"), "type=in&action=DROP").await.data();
    let rules = client.get(&format!("{path}/rules")).await.data();
    assert_eq!((&rules[0]["action"], &rules[1]["dport"]), (&"DROP".into(), &"22".into()));
    assert_eq!(client.get(&format!("{path}/rules/9")).await.line(), "500 no rule at position 9");
    client.post("/cluster/firewall/groups", "group=web").await.data();
    client.post("/cluster/firewall/groups/web", "type=in&action=ACCEPT&macro=SSH").await.data();
    assert_eq!(
        client.delete("/cluster/firewall/groups/web").await.line(),
        "500 Security group 'web' is not empty"
    );
    assert_eq!(
        client.get("/cluster/firewall/groups/none").await.line(),
        "500 no such security group 'none'"
    );
    let dump = client.simulator.dump();
    assert_eq!(dump["guests"]["000000500"]["firewall"]["options"]["policy_in"], "DROP");
}

#[tokio::test]
async fn a_guest_on_shared_storage_moves_between_nodes() {
    let client = default().await;
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9002/clone", "newid=500").await, "OK");
    let same = client.post("/nodes/pve1/qemu/500/migrate", "target=pve1").await;
    assert_eq!(same.error("target"), "target is local node.");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/migrate", "target=pve2").await, "OK");
    assert_eq!(client.get("/nodes/pve2/qemu/500/config").await.status, 200);
    assert_eq!(client.get("/nodes/pve1/qemu/500/config").await.status, 500);
}

#[tokio::test]
async fn booleans_in_property_strings_may_be_words_and_are_stored_as_digits() {
    let client = with_guest().await;
    let config = "/nodes/pve1/qemu/500/config";
    let body = "net1=virtio,bridge%3Dvmbr0,firewall%3Dyes,link_down%3DFalse&agent=enabled%3Dtrue&scsi5=local:1,ssd%3DTrue,backup%3Dno,discard%3Don";
    client.put(config, body).await.data();
    let stored = client.config(500).await;
    let net = stored["net1"].as_str().unwrap();
    assert!(net.ends_with(",bridge=vmbr0,firewall=1,link_down=0"), "{net}");
    let disk = stored["scsi5"].as_str().unwrap();
    assert!(disk.ends_with(",backup=0,discard=on,size=1G,ssd=1"), "{disk}");
    let bad = client.put(config, "net1=virtio,bridge%3Dvmbr0,firewall%3Dperhaps").await;
    assert!(bad.error("net1").contains("type check ('boolean') failed - got 'perhaps'"));
    let twice = client.put(config, "net1=virtio,bridge%3Dvmbr0,bridge%3Dvmbr1").await;
    assert!(twice.error("net1").contains("duplicate key in comma-separated list property"));
    assert!(client.put(config, "onboot=yes").await.error("onboot").contains("got 'yes'"));
}

#[tokio::test]
async fn a_cd_has_the_size_of_its_image() {
    let client = with_guest().await;
    let local = "/nodes/pve1/storage/local";
    let made = client
        .post(&format!("{local}/content"), "vmid=500&filename=vm-500-disk-9.raw&size=3G")
        .await;
    let volume = made.data();
    let volume = volume.as_str().unwrap();
    let body = format!("ide0={volume},media%3Dcdrom");
    client.put("/nodes/pve1/qemu/500/config", &body).await.data();
    let stored = client.config(500).await;
    assert_eq!(stored["ide0"], format!("{volume},media=cdrom,size=3G"));
}

#[tokio::test]
async fn a_list_may_be_given_as_one_text_or_as_several_values() {
    let client = with_guest().await;
    let body = "storage=two&type=dir&path=/srv/two&content=iso&content=backup&nodes=pve1";
    client.post("/storage", body).await.data();
    let content = client.get("/storage/two").await.data()["content"].clone();
    let mut content: Vec<&str> = content.as_str().unwrap().split(',').collect();
    content.sort_unstable();
    assert_eq!(content, ["backup", "iso"]);
    let bad = client.post("/storage", "storage=three&type=dir&path=/a&path=/b&content=iso").await;
    assert_eq!(bad.error("path"), "type check ('string') failed - got ARRAY");
}
