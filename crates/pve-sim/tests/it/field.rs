//! What clients in the field rely on beyond the facts of the contract: Terraform
//! providers, Ansible's modules, exporters, installers of cloud images.

use crate::support::{Client, default};
use serde_json::{Value, json};

const QEMU: &str = "/nodes/pve1/qemu";

async fn guest(client: &Client, options: &str) {
    let body = format!("vmid=500&name=web&{options}");
    assert_eq!(client.task("POST", QEMU, &body).await, "OK");
}

#[tokio::test]
async fn a_disk_made_from_a_cloud_image_has_the_size_that_the_image_tells() {
    let client = default().await;
    let mut image = b"QFI\xfb\0\0\0\x03".to_vec();
    image.resize(24, 0);
    image.extend((1_u64 << 30).to_be_bytes());
    image.extend([0; 200]);
    let sent = crate::storage::upload(&client, &[("content", "import")], "ci.qcow2", &image).await;
    let upid = sent.data().as_str().unwrap().to_owned();
    client.simulator.settle().await;
    assert_eq!(client.exit(&upid).await, "OK");
    let rows = client.get("/nodes/pve1/storage/local/content?content=import").await.data();
    assert_eq!(rows[0]["size"], 232, "the list shows the file");
    guest(&client, "scsi0=local-lvm:0,import-from%3Dlocal:import/ci.qcow2").await;
    assert_eq!(client.config(500).await["scsi0"], "local-lvm:vm-500-disk-0,size=1G");
    let none = "vmid=501&scsi0=local-lvm:0,import-from%3Dlocal:import/none.qcow2";
    let said = client.says("POST", QEMU, none).await;
    assert!(said.contains("failed to stat '/var/lib/vz/import/none.qcow2'"), "{said}");
}

#[tokio::test]
async fn virtual_networks_leave_the_interfaces_of_the_hosts_alone() {
    let client = default().await;
    let path = "/nodes/pve1/network";
    let before = client.get(path).await.data();
    client.post("/cluster/sdn/zones", "zone=az&type=simple").await.data();
    client.post("/cluster/sdn/vnets", "vnet=avnet&zone=az").await.data();
    assert_eq!(client.task("PUT", "/cluster/sdn", "").await, "OK");
    assert_eq!(client.get(path).await.data(), before);
    for kind in ["vnet", "any_bridge"] {
        let rows = client.get(&format!("{path}?type={kind}")).await.data();
        let names: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["iface"]).collect();
        assert!(names.contains(&&json!("avnet")), "{kind}: {names:?}");
    }
    assert_eq!(client.task("POST", QEMU, "vmid=500&net0=virtio,bridge%3Davnet").await, "OK");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
    client.post(path, "iface=eno1.5&type=vlan").await.data();
    let row = client.get(&format!("{path}/eno1.5")).await.data();
    assert_eq!((&row["vlan-raw-device"], &row["vlan-id"]), (&json!("eno1"), &json!(5)));
}

#[tokio::test]
async fn a_new_rule_goes_to_the_top_and_a_moved_one_before_the_one_it_names() {
    let client = default().await;
    let rules = "/cluster/firewall/rules";
    for comment in ["a", "b", "c"] {
        client.post(rules, &format!("type=in&action=ACCEPT&comment={comment}")).await.data();
    }
    client.post(rules, "type=in&action=ACCEPT&comment=d&pos=2").await.data();
    let order = async || -> String {
        let rows = client.get(rules).await.data();
        rows.as_array().unwrap().iter().map(|row| row["comment"].as_str().unwrap()).collect()
    };
    assert_eq!(order().await, "dcba");
    client.put(&format!("{rules}/0"), "moveto=2").await.data();
    assert_eq!(order().await, "cdba");
    client.put(&format!("{rules}/3"), "moveto=0").await.data();
    assert_eq!(order().await, "acdb");
    client.put(&format!("{rules}/1"), "moveto=9").await.data();
    assert_eq!(order().await, "adbc");
}

#[tokio::test]
async fn a_rule_is_checked_when_it_is_made_and_when_it_is_changed() {
    let client = default().await;
    let rules = "/cluster/firewall/rules";
    let proto =
        |port: &str| format!("400 proto: missing property - '{port}' requires this property");
    let (dport, sport) = (proto("dport"), proto("sport"));
    client.post("/cluster/firewall/ipset", "name=web").await.data();
    client.post("/cluster/firewall/aliases", "name=office&cidr=10.1.0.0/16").await.data();
    let guest = "/nodes/pve1/qemu/9000/firewall/rules";
    client
        .play(&[
            ("POST", rules, "type=in&action=ACCEPT&source=%2Bweb&dest=dc/office,10.0.0.1", "200"),
            ("PUT", &format!("{rules}/0"), "action=bogus", "400 action: unknown action 'bogus'"),
            ("PUT", &format!("{rules}/0"), "dport=80", &dport),
            ("PUT", &format!("{rules}/0"), "dport=80&proto=tcp", "200"),
            ("PUT", &format!("{rules}/0"), "delete=proto", &dport),
            ("POST", rules, "type=in&action=ACCEPT&sport=80", &sport),
            (
                "POST",
                rules,
                "type=in&action=ACCEPT&source=%2Bnope",
                "400 source: no such ipset 'nope'",
            ),
            (
                "POST",
                rules,
                "type=in&action=ACCEPT&dest=dc/nope",
                "400 dest: no such alias 'dc/nope'",
            ),
            ("POST", guest, "type=in&action=ACCEPT&iface=net0&source=office", "200"),
            (
                "POST",
                guest,
                "type=in&action=ACCEPT&iface=eth0",
                r"400 iface: value does not match the regex pattern 'net\\d+'",
            ),
        ])
        .await;
}

#[tokio::test]
async fn what_is_in_no_group_of_rights_only_root_sets() {
    let client = default().await;
    guest(&client, "memory=512").await;
    let config = "/nodes/pve1/qemu/500/config";
    for (option, value) in [("affinity", "0-1"), ("arch", "x86_64"), ("hugepages", "2")] {
        let said = client.says("PUT", config, &format!("{option}={value}")).await;
        assert_eq!(said, format!("500 only root can set '{option}' config"));
    }
    let root = Client::with_password(&client.simulator, "root@pam", "secret-password").await;
    assert_eq!(root.says("PUT", config, "affinity=0-1").await, "200");
}

#[tokio::test]
async fn the_configuration_of_a_snapshot_is_its_own_section() {
    let client = default().await;
    guest(&client, "scsi0=local-lvm:1").await;
    let snapshots = "/nodes/pve1/qemu/500/snapshot";
    for name in ["one", "two"] {
        let body = format!("snapname={name}&description=of-{name}");
        assert_eq!(client.task("POST", snapshots, &body).await, "OK");
    }
    let row = client.get("/nodes/pve1/qemu/500/config?snapshot=two").await.data();
    assert_eq!((&row["parent"], &row["description"]), (&json!("one"), &json!("of-two")));
    assert!(row["snaptime"].is_u64(), "{row}");
    let both = client.get("/nodes/pve1/qemu/500/config?snapshot=two&current=1").await;
    assert_eq!(both.error("current"), "cannot use 'snapshot' parameter with 'current'");
}

#[tokio::test]
async fn a_hibernated_machine_is_resumed() {
    let client = default().await;
    guest(&client, "scsi0=local:1").await;
    let status = "/nodes/pve1/qemu/500/status";
    assert_eq!(client.task("POST", &format!("{status}/start"), "").await, "OK");
    assert_eq!(client.task("POST", &format!("{status}/suspend"), "todisk=1").await, "OK");
    assert_eq!(client.task("POST", &format!("{status}/resume"), "").await, "OK");
    assert_eq!(client.get(&format!("{status}/current")).await.data()["status"], "running");
    assert!(client.config(500).await.get("vmstate").is_none());
}

#[tokio::test]
async fn a_cdrom_is_the_medium_in_ide2() {
    let client = default().await;
    guest(&client, "cdrom=none").await;
    let config = client.config(500).await;
    assert_eq!((config["ide2"].as_str(), config.get("cdrom")), (Some("none,media=cdrom"), None));
}

#[tokio::test]
async fn storages_of_shared_kinds_say_that_they_are() {
    let client = default().await;
    assert_eq!(client.get("/storage/nas").await.data()["shared"], 1);
    assert!(client.get("/storage/local-lvm").await.data().get("shared").is_none());
    let wrong = client.says("POST", QEMU, "vmid=501&scsi0=local-lvm:1G").await;
    assert_eq!(wrong, "500 unable to parse lvm volume name '1G'");
}

#[tokio::test]
async fn a_subscription_key_is_kept() {
    let client = default().await;
    let path = "/nodes/pve1/subscription";
    client.put(path, "key=pve2c-1234567890").await.data();
    let row = client.get(path).await.data();
    assert_eq!((&row["key"], &row["status"]), (&json!("pve2c-1234567890"), &json!("active")));
    client.delete(path).await.data();
    assert_eq!(client.get(path).await.data()["status"], "notfound");
}

#[tokio::test]
async fn a_job_of_replication_has_a_state_and_keeps_its_guest() {
    let client = default().await;
    guest(&client, "scsi0=local:1").await;
    client.post("/cluster/replication", "id=500-0&type=local&target=pve2").await.data();
    let job = "/nodes/pve1/replication/500-0";
    let row = client.get(&format!("{job}/status")).await.data();
    assert_eq!((&row["guest"], &row["fail_count"]), (&json!(500), &json!(0)));
    client.get(&format!("{job}/log")).await.data();
    let kept = client.delete("/nodes/pve1/qemu/500").await;
    let text = "There is a replication job '500-0' for guest '500' - Please remove that first.";
    assert_eq!(kept.line(), format!("500 {text}"));
    assert_eq!(client.task("DELETE", "/nodes/pve1/qemu/500?purge=1", "").await, "OK");
}

#[tokio::test]
async fn ceph_is_not_installed() {
    let client = default().await;
    for path in ["/cluster/ceph/status", "/nodes/pve1/ceph/status", "/nodes/pve1/ceph/osd"] {
        let line = client.get(path).await.line();
        assert_eq!(line, "500 binary not installed: /usr/bin/ceph-mon", "{path}");
    }
}

#[tokio::test]
async fn the_guest_of_a_resource_comes_into_its_wanted_state() {
    let client = default().await;
    guest(&client, "scsi0=local:1").await;
    let status = "/nodes/pve1/qemu/500/status";
    let is = async |expected: &str| {
        client.simulator.settle().await;
        assert_eq!(client.get(&format!("{status}/current")).await.data()["status"], expected);
    };
    let wanted = async || client.get("/cluster/ha/resources/vm:500").await.data()["state"].clone();
    client.post("/cluster/ha/resources", "sid=vm:500&state=started").await.data();
    is("running").await;
    let managed = client.delete("/nodes/pve1/qemu/500").await.line();
    assert!(managed.contains("used in HA resources and purge parameter not set"), "{managed}");
    client.put("/cluster/ha/resources/vm:500", "state=stopped").await.data();
    is("stopped").await;
    assert_eq!(client.task("POST", &format!("{status}/start"), "").await, "OK");
    assert_eq!(wanted().await, "started");
    assert_eq!(client.task("POST", &format!("{status}/stop"), "").await, "OK");
    assert_eq!(wanted().await, "stopped");
    client.post("/cluster/ha/resources", "sid=ct:300&state=started").await.data();
    client.simulator.settle().await;
    let row = client.get("/nodes/pve1/lxc/300/status/current").await.data();
    assert_eq!(row["status"], "running");
}
