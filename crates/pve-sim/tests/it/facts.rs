//! Facts that are the same on every release that can be played, as tables.

use crate::support::{Client, SECOND, builder, start, task_path};
use pve_sim::{Simulator, Version};
use serde_json::{Value, json};

/// A simulator of each release, with the machine 500 (`web`, a linked clone).
async fn of(version: Version) -> Client {
    let client = start(builder().version(version)).await;
    let clone = client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500&name=web").await;
    assert_eq!(clone, "OK");
    client
}

async fn root(simulator: &Simulator) -> Client {
    Client::with_password(simulator, "root@pam", "secret-password").await
}

#[tokio::test]
async fn fact_32_73_82_bad_entries_roles_and_users_are_refused_in_their_own_words() {
    for version in Version::ALL {
        let client = of(version).await;
        client.play(&[
            ("PUT", "/access/acl", "path=/foo/bar&roles=PVEAdmin&users=root@pam", "400 path: invalid ACL path '/foo/bar'"),
            ("PUT", "/access/acl", "path=/vms&roles=NoSuch&users=root@pam", "500 ACL update failed: …"),
            ("PUT", "/access/acl", "path=/vms&roles=PVEAdmin&users=none@pve", "500 ACL update failed: …"),
            ("PUT", "/access/acl", "path=/vms&roles=PVEAdmin&users=norealm", "400 users: invalid format - value 'norealm' does not look like a valid user name\\n"),
            ("PUT", "/access/acl", "path=/vms&roles=PVEAdmin&tokens=root@pam", "400 tokens: …"),
            ("POST", "/access/roles", "roleid=PVEMine", if version == Version::V7_4 { "200" } else { "400 roleid: …" }),
            ("POST", "/access/roles", "roleid=Mine&privs=No.Such", "400 privs: invalid format - invalid privilege 'No.Such'\\n"),
            ("POST", "/access/groups", "groupid=a+b", "400 groupid: invalid format - group name 'a b' contains invalid characters\\n"),
            ("POST", "/access/users", "userid=nobody@pam", "200"),
            ("POST", "/access/users", "userid=nobody@pam", "500 create user failed: user 'nobody@pam' already exists"),
            ("POST", "/access/users", "userid=x@nosuch", "500 create user failed: …"),
            ("POST", "/access/users", "userid=x@pve&email=nobody", "400 email: invalid format - value does not look like a valid email address\\n"),
            ("DELETE", "/access/users/nosuch@pve", "", "500 …"),
        ]).await;
        let ticket = root(&client.simulator).await;
        ticket.play(&[("DELETE", "/access/users/nosuch@pve", "", "200")]).await;
    }
}

#[tokio::test]
async fn fact_39_45_51_53_changes_are_refused_at_once_or_in_the_task() {
    for version in Version::ALL {
        let client = of(version).await;
        let move_away = "disk=scsi0&storage=local-lvm";
        let cdrom = match version {
            Version::V7_4 => "500 you can't resize a cdrom",
            _ => "task you can't resize a cdrom",
        };
        client
            .play(&[
                ("PUT", "/nodes/pve1/qemu/500/config", "cores=2", "200"),
                ("POST", "/nodes/pve1/qemu/500/config", "cores=3", "task OK"),
                ("PUT", "/nodes/pve1/qemu/500/config", "", "500 no options specified"),
                (
                    "PUT",
                    "/nodes/pve1/qemu/500/config",
                    "delete=bogus",
                    "400 delete: unknown option 'bogus'",
                ),
                ("PUT", "/nodes/pve1/qemu/500/config", "delete=balloon", "200"),
                (
                    "PUT",
                    "/nodes/pve1/qemu/500/config",
                    "delete=cores&cores=2",
                    "400 delete: you can't use '-cores' and -delete cores' at the same time",
                ),
                (
                    "PUT",
                    "/nodes/pve1/qemu/500/config",
                    "cores=2&digest=0000000000000000000000000000000000000000",
                    "500 checksum mismatch (file change by other user?)",
                ),
                ("POST", "/nodes/pve1/qemu/500/status/reboot", "", "500 VM 500 not running"),
                ("POST", "/nodes/pve1/qemu/500/status/suspend", "", "500 VM 500 not running"),
                ("POST", "/nodes/pve1/qemu/500/status/stop", "", "task OK"),
                ("POST", "/nodes/pve1/qemu/500/status/shutdown", "", "task OK"),
                ("POST", "/nodes/pve1/qemu/500/snapshot", "snapname=one", "task OK"),
                (
                    "POST",
                    "/nodes/pve1/qemu/500/move_disk",
                    "disk=scsi0&storage=local-lvm&delete=1",
                    "500 you can't move a disk with snapshots and delete the source",
                ),
                ("DELETE", "/nodes/pve1/qemu/500/snapshot/one", "", "task OK"),
                ("POST", "/nodes/pve1/qemu/500/move_disk", move_away, "task OK"),
                ("PUT", "/nodes/pve1/qemu/500/config", "ide0=none,media%3Dcdrom", "200"),
                (
                    "POST",
                    "/nodes/pve1/qemu/500/move_disk",
                    "disk=ide0&storage=local-lvm",
                    "500 you can't move a cdrom",
                ),
                ("PUT", "/nodes/pve1/qemu/500/resize", "disk=ide0&size=9G", cdrom),
                ("POST", "/nodes/pve1/qemu/500/status/start", "", "task OK"),
                ("POST", "/nodes/pve1/qemu/500/status/start", "", "task VM 500 already running"),
                ("DELETE", "/nodes/pve1/qemu/500", "", "500 VM 500 is running - destroy failed"),
            ])
            .await;
        assert!(client.config(500).await["unused0"].as_str().unwrap().starts_with("local:"));
    }
}

#[tokio::test]
async fn fact_55_a_suspended_machine_runs_and_only_templates_say_what_they_are() {
    for version in Version::ALL {
        let client = of(version).await;
        client
            .play(&[
                ("POST", "/nodes/pve1/qemu/500/status/start", "", "task OK"),
                ("POST", "/nodes/pve1/qemu/500/status/suspend", "", "task OK"),
            ])
            .await;
        let status = client.get("/nodes/pve1/qemu/500/status/current").await.data();
        assert_eq!(
            (&status["status"], &status["qmpstatus"]),
            (&json!("running"), &json!("paused"))
        );
        assert_eq!(status["disk"], 0);
        assert!(status.get("template").is_none());
        let template = client.get("/nodes/pve1/qemu/9000/status/current").await.data();
        assert_eq!(template["template"], 1);
    }
}

#[tokio::test]
async fn fact_43_a_clone_is_listed_and_locked_while_it_is_made() {
    for version in Version::ALL {
        let client = of(version).await;
        client.post("/nodes/pve1/qemu/500/clone", "newid=501").await.data();
        assert_eq!(client.config(501).await["lock"], "clone");
        let rows = client.get("/nodes/pve1/qemu").await.data();
        let row = rows.as_array().unwrap().iter().find(|row| row["vmid"] == 501).unwrap();
        assert_eq!((&row["status"], &row["lock"]), (&json!("stopped"), &json!("clone")));
        client
            .play(&[
                ("GET", "/cluster/nextid?vmid=501", "", "400 vmid: VM 501 already exists"),
                ("PUT", "/nodes/pve1/qemu/501/config", "cores=2", "500 VM is locked (clone)"),
                ("POST", "/nodes/pve1/qemu/501/clone", "newid=502", "500 VM is locked (clone)"),
                ("POST", "/nodes/pve1/qemu/501/template", "", "500 VM is locked (clone)"),
                (
                    "POST",
                    "/nodes/pve1/qemu/9000/status/start",
                    "",
                    "task you can't start a vm if it's a template",
                ),
            ])
            .await;
    }
}

#[tokio::test]
async fn fact_61_67_83_what_is_missing_is_named() {
    for version in Version::ALL {
        let client = of(version).await;
        let store = "storage=two&type=dir&path=/srv/two&content=images";
        client
            .play(&[
                ("POST", "/storage", store, "200"),
                (
                    "POST",
                    "/storage",
                    store,
                    "500 create storage failed: storage ID 'two' already defined",
                ),
                ("PUT", "/nodes/pve1/qemu/500/config", "scsi1=two:1", "200"),
                ("DELETE", "/storage/two", "", "200"),
                (
                    "POST",
                    "/nodes/pve1/qemu/500/status/start",
                    "",
                    "task storage 'two' does not exist",
                ),
                ("GET", "/nodes/pve1/storage/two/status", "", "400 storage: No such storage."),
                ("GET", "/nodes/pve1/storage/two/content", "", "500 storage 'two' does not exist"),
                (
                    "GET",
                    "/nodes/pve1/qemu/500/snapshot/nope/config",
                    "",
                    "500 snapshot 'nope' does not exist",
                ),
                (
                    "POST",
                    "/nodes/pve1/qemu/500/snapshot/nope/rollback",
                    "",
                    "task snapshot 'nope' does not exist",
                ),
                (
                    "POST",
                    "/nodes/pve1/qemu/500/migrate",
                    "target=pve9",
                    "500 no such cluster node 'pve9'",
                ),
                ("GET", "/cluster/ha/resources/vm:500", "", "500 no such resource 'vm:500'"),
                ("GET", "/pools/none", "", "500 pool 'none' does not exist"),
                ("GET", "/nodes/pve9/qemu", "", "500 hostname lookup 'pve9' failed - …"),
                ("POST", "/nodes/pve9/qemu", "vmid=x", "500 hostname lookup 'pve9' failed - …"),
                (
                    "GET",
                    "/nodes/pve1/qemu/998/config",
                    "",
                    "500 Configuration file 'nodes/pve1/qemu-server/998.conf' does not exist",
                ),
                (
                    "GET",
                    "/nodes/pve1/lxc/998/config",
                    "",
                    "500 Configuration file 'nodes/pve1/lxc/998.conf' does not exist",
                ),
                (
                    "POST",
                    "/nodes/pve1/qemu/9000/clone",
                    "newid=501&pool=none",
                    "403 Permission check failed (pool 'none' does not exist)",
                ),
            ])
            .await;
    }
}

#[tokio::test]
async fn fact_69_a_disk_on_a_directory_is_raw_and_cannot_be_snapshotted() {
    for version in Version::ALL {
        let client = of(version).await;
        client
            .play(&[
                ("POST", "/nodes/pve1/qemu", "vmid=501&scsi0=local:1", "task OK"),
                (
                    "POST",
                    "/nodes/pve1/qemu/501/snapshot",
                    "snapname=one",
                    "task snapshot feature is not available",
                ),
                ("POST", "/nodes/pve1/qemu", "vmid=502&scsi0=local:1,format%3Dqcow2", "task OK"),
                ("POST", "/nodes/pve1/qemu/502/snapshot", "snapname=one", "task OK"),
            ])
            .await;
        assert_eq!(client.config(501).await["scsi0"], "local:501/vm-501-disk-0.raw,size=1G");
    }
}

#[tokio::test]
async fn fact_71_the_ticket_of_a_screen_has_a_password_in_front_and_beside() {
    for version in [Version::V8_4, Version::V9_2] {
        let client = of(version).await;
        client.play(&[("POST", "/nodes/pve1/qemu/500/status/start", "", "task OK")]).await;
        let made = client.post("/nodes/pve1/qemu/500/vncproxy", "websocket=1").await.data();
        let ticket = made["ticket"].as_str().unwrap();
        assert_eq!(ticket.find(":PVEVNC:"), Some(8), "{ticket}");
        assert_eq!(made["password"], ticket[..8]);
        assert!(made["port"].is_string(), "{made}");
    }
}

#[tokio::test]
async fn fact_74_a_second_equals_sign_cuts_a_form_value() {
    for version in Version::ALL {
        let client = of(version).await;
        client.put("/nodes/pve1/qemu/500/config", "description=a=b=c").await.data();
        assert_eq!(client.config(500).await["description"], "a");
        client.put("/nodes/pve1/qemu/500/config", "description=a%3Db").await.data();
        assert_eq!(client.config(500).await["description"], "a=b");
    }
}

#[tokio::test]
async fn fact_75_a_lock_is_set_by_an_option_and_released_by_root_alone() {
    for version in Version::ALL {
        let client = of(version).await;
        let config = "/nodes/pve1/qemu/500/config";
        let ticket = root(&client.simulator).await;
        ticket.play(&[("PUT", config, "lock=backup", "200")]).await;
        client
            .play(&[
                ("PUT", config, "cores=2", "500 VM is locked (backup)"),
                (
                    "POST",
                    "/nodes/pve1/qemu/500/move_disk",
                    "disk=scsi0&storage=local-lvm",
                    "500 VM is locked (backup)",
                ),
                ("POST", "/nodes/pve1/qemu/500/status/start", "", "task VM is locked (backup)"),
                ("DELETE", "/nodes/pve1/qemu/500", "", "task VM is locked (backup)"),
                (
                    "POST",
                    "/nodes/pve1/qemu/500/snapshot",
                    "snapname=one",
                    "task VM is locked (backup)",
                ),
                (
                    "PUT",
                    config,
                    "skiplock=1&delete=lock",
                    "400 skiplock: Only root may use this option.",
                ),
            ])
            .await;
        ticket
            .play(&[
                ("POST", config, "skiplock=1&cores=3", "task OK"),
                ("POST", config, "skiplock=1&delete=lock", "task OK"),
                ("PUT", config, "lock=backup", "200"),
                ("PUT", config, "skiplock=1&delete=lock", "200"),
            ])
            .await;
        client.play(&[("POST", "/nodes/pve1/qemu/500/status/start", "", "task OK")]).await;
    }
}

#[tokio::test]
async fn fact_77_a_stopped_shutdown_was_interrupted() {
    let client = of(Version::V8_4).await;
    client
        .play(&[
            ("PUT", "/nodes/pve1/qemu/500/config", "agent=0", "200"),
            ("POST", "/nodes/pve1/qemu/500/status/start", "", "task OK"),
        ])
        .await;
    let upid = client.post("/nodes/pve1/qemu/500/status/shutdown", "timeout=60").await.data();
    let upid = upid.as_str().unwrap();
    assert_eq!(client.delete(task_path(upid, "").trim_end_matches('/')).await.data(), Value::Null);
    assert_eq!(client.exit(upid).await, "received interrupt");
}

#[tokio::test]
async fn fact_84_a_snapshot_shows_the_hash_of_a_password_that_the_configuration_hides() {
    for version in Version::ALL {
        let client = of(version).await;
        client
            .play(&[
                ("PUT", "/nodes/pve1/qemu/500/config", "cipassword=hunter22", "200"),
                ("POST", "/nodes/pve1/qemu/500/snapshot", "snapname=one", "task OK"),
            ])
            .await;
        assert_eq!(client.config(500).await["cipassword"], "**********");
        let kept = client.get("/nodes/pve1/qemu/500/snapshot/one/config").await.data();
        assert!(kept["cipassword"].as_str().unwrap().starts_with("$5$"), "{kept}");
        let pending = client.get("/nodes/pve1/qemu/500/pending").await.data();
        assert!(!pending.to_string().contains("$5$"), "{pending}");
    }
}

#[tokio::test]
async fn fact_85_groups_and_logs_without_a_file_differ_by_release() {
    let unknown = "UPID:pve1:00000001:00000001:6B006A00:qmstart:500:root@pam:";
    for version in [Version::V8_4, Version::V9_2] {
        let client = of(version).await;
        let log = client.get(&task_path(unknown, "log")).await.data();
        assert_eq!(log.is_array(), version == Version::V9_2, "{log}");
        let groups = client.get("/cluster/ha/groups").await;
        let rules = client.get("/cluster/ha/rules").await;
        if version == Version::V9_2 {
            assert!(groups.line().ends_with("ha groups have been migrated to rules"), "{groups:?}");
            assert_eq!(rules.data(), json!([]));
        } else {
            assert_eq!(groups.data(), json!([]));
            assert_eq!(rules.line(), "501 Method 'GET /cluster/ha/rules' not implemented");
        }
    }
}

#[tokio::test]
async fn fact_64_a_change_of_a_pool_that_fails_changes_nothing() {
    for version in Version::ALL {
        let client = of(version).await;
        client
            .play(&[
                ("POST", "/pools", "poolid=a", "200"),
                ("POST", "/pools", "poolid=b", "200"),
                ("PUT", "/pools/a", "vms=500", "200"),
                (
                    "PUT",
                    "/pools/b",
                    "vms=9000,500",
                    "500 update pools failed: VM 500 is already a pool member",
                ),
                (
                    "PUT",
                    "/pools/b",
                    "vms=9000&storage=local,local",
                    "500 update pools failed: Storage 'local' is already a pool member",
                ),
                ("DELETE", "/pools/b", "", "200"),
            ])
            .await;
        client.simulator.advance(10 * SECOND).await;
        let members = client.get("/pools/a").await.data()["members"].clone();
        assert_eq!(members.as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn fact_50_a_stale_digest_changes_nothing_anywhere() {
    const STALE: &str = "digest=0000000000000000000000000000000000000000";
    let made: &[(&str, &str, &str)] = &[
        ("POST", "/storage", "storage=two&type=dir&path=/srv/two"),
        (
            "POST",
            "/access/domains",
            "realm=corp&type=ldap&base_dn=dc%3Dx&user_attr=uid&server1=localhost",
        ),
        ("POST", "/cluster/ha/resources", "sid=vm:500&state=ignored"),
        ("POST", "/cluster/replication", "id=500-0&type=local&target=pve2"),
        ("POST", "/cluster/metrics/server/graph", "type=graphite&server=10.0.0.9&port=2003"),
        ("POST", "/cluster/sdn/zones", "zone=zone1&type=simple"),
        ("POST", "/cluster/sdn/vnets", "vnet=vnet1&zone=zone1"),
        ("POST", "/cluster/firewall/groups", "group=web"),
        ("POST", "/cluster/firewall/aliases", "name=office&cidr=10.0.0.0/8"),
        ("POST", "/cluster/firewall/ipset", "name=set"),
        ("POST", "/nodes/pve1/qemu/500/firewall/rules", "type=in&action=ACCEPT"),
        ("PUT", "/nodes/pve1/lxc/300/config", "mp0=local-lvm:1,mp%3D/srv"),
    ];
    let changes: &[(&str, &str, &str)] = &[
        ("PUT", "/storage/two", "content=iso"),
        ("PUT", "/access/domains/corp", "comment=x"),
        ("PUT", "/cluster/ha/resources/vm:500", "comment=x"),
        ("PUT", "/cluster/replication/500-0", "comment=x"),
        ("PUT", "/cluster/metrics/server/graph", "server=10.0.0.9&port=2004"),
        ("PUT", "/cluster/sdn/zones/zone1", "mtu=1400"),
        ("PUT", "/cluster/sdn/vnets/vnet1", "alias=x&zone=zone1"),
        ("POST", "/cluster/firewall/groups", "group=other&rename=web"),
        ("PUT", "/cluster/firewall/aliases/office", "cidr=11.0.0.0/8"),
        ("POST", "/cluster/firewall/ipset", "name=other&rename=set"),
        ("PUT", "/cluster/firewall/options", "enable=1"),
        ("PUT", "/nodes/pve1/config", "description=x"),
        ("POST", "/nodes/pve1/hosts", "data=x"),
        ("PUT", "/nodes/pve1/qemu/500/firewall/options", "enable=1"),
        ("PUT", "/nodes/pve1/qemu/500/firewall/rules/0", "comment=x"),
        ("PUT", "/nodes/pve1/qemu/500/config", "cores=3"),
        ("POST", "/nodes/pve1/qemu/500/config", "cores=3"),
        ("PUT", "/nodes/pve1/qemu/500/resize", "disk=scsi0&size=9G"),
        ("POST", "/nodes/pve1/qemu/500/move_disk", "disk=scsi0&storage=local-lvm"),
        ("POST", "/nodes/pve1/qemu/500/move_disk", "disk=scsi0&target-vmid=501"),
        ("PUT", "/nodes/pve1/lxc/300/config", "cores=3"),
        ("PUT", "/nodes/pve1/lxc/300/resize", "disk=mp0&size=9G"),
        ("POST", "/nodes/pve1/lxc/300/move_volume", "volume=mp0&storage=local"),
    ];
    for version in Version::ALL {
        let client = of(version).await;
        let bare = client.task("POST", "/nodes/pve1/qemu", "vmid=501").await;
        assert_eq!(bare, "OK");
        for (verb, path, body) in made {
            let said = client.says(verb, path, body).await;
            assert!(said == "200" || said == "task OK", "{verb} {path}: {said}");
        }
        let before = client.simulator.dump();
        let mut wrong = Vec::new();
        for (verb, path, body) in changes {
            let said = client.says(verb, path, &format!("{body}&{STALE}")).await;
            let known = ["detected modified configuration", "checksum mismatch"];
            if !known.iter().any(|text| said.contains(text)) {
                wrong.push(format!("{version:?} {verb} {path}: {said}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(client.simulator.dump(), before);
    }
}

#[tokio::test]
async fn a_disk_that_is_attached_has_the_size_of_its_volume_whatever_the_client_says() {
    for version in Version::ALL {
        let client = of(version).await;
        let config = "/nodes/pve1/qemu/500/config";
        client.play(&[
            ("PUT", config, "scsi1=local-lvm:2", "200"),
            ("PUT", config, "delete=scsi1", "200"),
            ("PUT", config, "scsi2=local-lvm:vm-500-disk-0,size%3D2048M,ssd%3D1", "200"),
            ("PUT", config, "scsi3=local-lvm", "400 scsi3: invalid format - format error\\nscsi3.file: invalid format - unable to parse volume ID 'local-lvm'\\n\\n"),
        ]).await;
        assert_eq!(client.config(500).await["scsi2"], "local-lvm:vm-500-disk-0,size=2G,ssd=1");
    }
}

#[tokio::test]
async fn fact_18_73_types_are_loose_and_a_guests_volumes_are_disks_and_backups() {
    for version in [Version::V8_4, Version::V9_2] {
        let client = of(version).await;
        client.put("/nodes/pve1/qemu/500/config", "memory=384&cores=1&agent=1").await.data();
        let config = client.config(500).await;
        assert_eq!([&config["memory"], &config["agent"]], [&json!("384"), &json!("1")]);
        assert_eq!(config["cores"], 1);
        let container = client.get("/nodes/pve1/lxc/300/config").await.data();
        assert!(container["memory"].is_number(), "{container}");
        let backup = "vmid=500&storage=local&mode=stop&compress=zstd";
        client.play(&[("POST", "/nodes/pve1/vzdump", backup, "task OK")]).await;
        let rows = client.get("/nodes/pve1/storage/local/content?vmid=500").await.data();
        let kinds: std::collections::BTreeSet<&str> =
            rows.as_array().unwrap().iter().filter_map(|row| row["content"].as_str()).collect();
        assert_eq!(kinds, ["backup", "images"].into());
    }
}
