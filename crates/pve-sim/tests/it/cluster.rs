//! What belongs to no single node: options, ids, high availability, jobs,
//! mappings, virtual networks.

use crate::support::{builder, default, start};
use pve_sim::Version;
use serde_json::json;

#[tokio::test]
async fn options_are_set_shown_in_parts_and_deleted() {
    let client = default().await;
    let empty = json!({"mac_prefix": "BC:24:11", "description": "", "allowed-tags": []});
    assert_eq!(client.get("/cluster/options").await.data(), empty);
    let body = "description=d&migration=type%3Dinsecure,network%3D10.0.0.0/8&registered-tags=a;b&max_workers=3";
    client.put("/cluster/options", &body.replace(';', "%3B")).await.data();
    let set = client.get("/cluster/options").await.data();
    assert_eq!(set["migration"], json!({"type": "insecure", "network": "10.0.0.0/8"}));
    assert_eq!((&set["max_workers"], &set["allowed-tags"]), (&json!(3), &json!(["a", "b"])));
    let bad = client.put("/cluster/options", "keyboard=xx").await;
    assert!(
        bad.error("keyboard").starts_with("value 'xx' does not have a value in the enumeration")
    );
    client
        .put("/cluster/options", "delete=description,migration,registered-tags,max_workers")
        .await
        .data();
    assert_eq!(client.get("/cluster/options").await.data(), empty);
}

#[tokio::test]
async fn the_next_id_stays_in_the_range_of_the_options() {
    let client = default().await;
    assert_eq!(client.get("/cluster/nextid").await.data(), "100");
    client.put("/cluster/options", "next-id=lower%3D300,upper%3D302").await.data();
    assert_eq!(client.get("/cluster/nextid").await.data(), "301");
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", "vmid=301").await, "OK");
    let full = client.get("/cluster/nextid").await;
    assert_eq!(full.line(), "500 unable to get any free VMID in range [300, 301]");
    let taken = client.get("/cluster/nextid?vmid=300").await;
    assert_eq!(taken.error("vmid"), "CT 300 already exists");
}

#[tokio::test]
async fn a_guest_under_high_availability_is_removed_with_purge_only() {
    let client = default().await;
    let add = |body: &'static str| client.post("/cluster/ha/resources", body);
    add("sid=9000&state=ignored&comment=rec").await.data();
    let again = add("sid=vm:9000").await;
    assert_eq!(again.line(), "500 create resource failed: resource ID 'vm:9000' already defined");
    let missing = add("sid=vm:987654").await;
    assert_eq!(missing.line(), "500 resource 'vm:987654' does not exist in cluster");
    client.put("/cluster/ha/resources/vm:9000", "max_restart=2").await.data();
    let mut row = client.get("/cluster/ha/resources/vm:9000").await.data();
    row["digest"] = json!(null);
    assert_eq!(
        row,
        json!({"sid": "vm:9000", "type": "vm", "state": "ignored", "comment": "rec", "max_restart": 2, "digest": null})
    );
    let refused = client.delete("/nodes/pve1/qemu/9000").await;
    assert_eq!(
        refused.line(),
        "500 unable to remove VM 9000 - used in HA resources and purge parameter not set."
    );
    assert_eq!(client.task("DELETE", "/nodes/pve1/qemu/9000?purge=1", "").await, "OK");
    let gone = client.get("/cluster/ha/resources/vm:9000").await;
    assert_eq!(gone.line(), "500 no such resource 'vm:9000'");
    let gone = client.delete("/cluster/ha/resources/vm:9000").await;
    assert_eq!(gone.line(), "500 cannot delete service 'vm:9000', not HA managed!");
}

#[tokio::test]
async fn groups_are_rules_in_9() {
    let eight = default().await;
    eight.post("/cluster/ha/groups", "group=gg&nodes=pve1:2,pve2").await.data();
    eight.post("/cluster/ha/resources", "sid=vm:9000&group=gg").await.data();
    assert_eq!(eight.delete("/cluster/ha/groups/gg").await.status, 500);
    let unknown = eight.get("/cluster/ha/rules").await;
    assert_eq!(unknown.line(), "501 Method 'GET /cluster/ha/rules' not implemented");

    let nine = start(builder().version(Version::V9_2)).await;
    for (verb, path, body, what) in [
        ("GET", "/cluster/ha/groups", None, "index groups"),
        ("POST", "/cluster/ha/groups", Some("group=gg&nodes=pve1"), "create group"),
        ("DELETE", "/cluster/ha/groups/gg", None, "delete group"),
    ] {
        let line = nine.send(verb, path, body).await.line();
        assert_eq!(line, format!("500 cannot {what}: ha groups have been migrated to rules"));
    }
    nine.post("/cluster/ha/resources", "sid=vm:9000").await.data();
    let rule = "rule=rr&type=node-affinity&resources=vm:9000&nodes=pve1:2,pve2";
    nine.post("/cluster/ha/rules", rule).await.data();
    let rows = nine.get("/cluster/ha/rules?resource=vm:9000").await.data();
    assert_eq!(rows[0]["nodes"], "pve1:2,pve2");
    nine.delete("/cluster/ha/rules/rr").await.data();
    assert_eq!(nine.get("/cluster/ha/rules").await.data(), json!([]));
}

#[tokio::test]
async fn the_status_of_high_availability_names_what_it_manages() {
    let client = default().await;
    let kinds = |rows: serde_json::Value| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().into()).collect()
    };
    assert_eq!(kinds(client.get("/cluster/ha/status/current").await.data()), ["quorum"]);
    client.post("/cluster/ha/resources", "sid=ct:300&state=stopped").await.data();
    assert_eq!(
        kinds(client.get("/cluster/ha/status/current").await.data()),
        ["quorum", "master", "lrm:pve1", "lrm:pve2", "service:ct:300"]
    );
    let manager = client.get("/cluster/ha/status/manager_status").await.data();
    assert_eq!(manager["manager_status"]["service_status"]["ct:300"]["state"], "stopped");
}

#[tokio::test]
async fn a_backup_job_selects_guests_in_one_way() {
    let client = default().await;
    let add = |body: &'static str| client.post("/cluster/backup", body);
    assert_eq!(add("schedule=21:00").await.error("vmid"), "property is missing");
    let both = add("schedule=21:00&vmid=9000&all=1").await;
    assert_eq!(both.error("all"), "option conflicts with option 'vmid'");
    add("id=nightly&schedule=21:00&vmid=9000,300&storage=local&prune-backups=keep-last%3D3")
        .await
        .data();
    let job = client.get("/cluster/backup/nightly").await.data();
    assert_eq!(job["type"], "vzdump");
    assert_eq!(job["prune-backups"], json!({"keep-last": "3"}));
    assert!(job["next-run"].as_u64().unwrap() > client.simulator.now().as_secs());
    let open = client.get("/cluster/backup-info/not-backed-up").await.data();
    assert_eq!(open.as_array().unwrap().len(), 2);
    let volumes = client.get("/cluster/backup/nightly/included_volumes").await.data();
    assert_eq!(volumes["children"][1]["children"][0]["id"], "scsi0");
    client.put("/cluster/backup/nightly", "all=1&enabled=0").await.data();
    assert_eq!(client.get("/cluster/backup/nightly").await.data().get("vmid"), None);
    client.delete("/cluster/backup/nightly").await.data();
    let gone = client.get("/cluster/backup/nightly").await;
    assert_eq!(gone.error("id"), "No such job 'nightly'");
}

#[tokio::test]
async fn mapped_devices_are_kept_with_their_nodes() {
    let client = default().await;
    let map = "id%3D8086:1234,node%3Dpve1,path%3D0000:01:00.0";
    let second = map.replace("01:00", "02:00");
    client.post("/cluster/mapping/pci", &format!("id=gpu&map={map}&map={second}")).await.data();
    let row = client.get("/cluster/mapping/pci/gpu").await.data();
    assert_eq!(row["map"][0], "id=8086:1234,node=pve1,path=0000:01:00.0");
    assert_eq!(row["map"].as_array().unwrap().len(), 2);
    client.put("/cluster/mapping/pci/gpu", "description=x").await.data();
    assert_eq!(client.get("/cluster/mapping/pci").await.data()[0]["description"], "x");
    client.delete("/cluster/mapping/pci/gpu").await.data();
    assert_eq!(client.get("/cluster/mapping/pci").await.data(), json!([]));
}

#[tokio::test]
async fn a_virtual_network_is_a_bridge_once_it_is_applied() {
    let client = default().await;
    client.post("/cluster/sdn/zones", "zone=z1&type=simple").await.data();
    client.post("/cluster/sdn/vnets", "vnet=net1&zone=z1&tag=5").await.data();
    client
        .post("/cluster/sdn/vnets/net1/subnets", "subnet=10.5.0.0/24&type=subnet&gateway=10.5.0.1&dhcp-range=start-address%3D10.5.0.5,end-address%3D10.5.0.9")
        .await
        .data();
    let used = client.delete("/cluster/sdn/zones/z1").await;
    assert_eq!(used.line(), "500 delete sdn zone object failed: zone z1 is used by vnet net1");
    let has_bridge = async || {
        let rows = client.get("/nodes/pve1/network?type=any_bridge").await.data();
        rows.as_array().unwrap().iter().any(|row| row["iface"] == "net1")
    };
    assert!(!has_bridge().await);
    assert_eq!(client.task("PUT", "/cluster/sdn", "").await, "OK");
    assert!(has_bridge().await);
    let subnets = client.get("/cluster/sdn/vnets/net1/subnets").await.data();
    assert_eq!(
        (&subnets[0]["subnet"], &subnets[0]["id"]),
        (&json!("z1-10.5.0.0-24"), &json!("z1-10.5.0.0-24"))
    );
    let range = json!([{"start-address": "10.5.0.5", "end-address": "10.5.0.9"}]);
    assert_eq!(subnets[0]["dhcp-range"], range);
    let one = client.get("/cluster/sdn/vnets/net1/subnets/z1-10.5.0.0-24").await.data();
    assert_eq!(one, subnets[0]);
}

#[tokio::test]
async fn replication_is_planned_between_nodes() {
    let client = default().await;
    let add = |body: &'static str| client.post("/cluster/replication", body);
    let same = add("id=9000-0&target=pve1&type=local").await;
    assert_eq!(same.error("target"), "source and target node are the same");
    add("id=9000-0&target=pve2&type=local").await.data();
    let rows = client.get("/nodes/pve1/replication").await.data();
    assert_eq!((&rows[0]["guest"], &rows[0]["schedule"]), (&json!(9000), &json!("*/15")));
    client.delete("/cluster/replication/9000-0").await.data();
    assert_eq!(client.get("/cluster/replication").await.data(), json!([]));
}

#[tokio::test]
async fn who_holds_the_lock_alone_changes_virtual_networks_and_takes_changes_back() {
    let client = start(builder().version(Version::V9_2)).await;
    client.post("/cluster/sdn/zones", "zone=z1&type=simple").await.data();
    assert_eq!(client.task("PUT", "/cluster/sdn", "").await, "OK");
    let token = client.post("/cluster/sdn/lock", "").await.data();
    let token = token.as_str().unwrap();
    assert_eq!(client.post("/cluster/sdn/lock", "").await.status, 500);
    assert_eq!(client.post("/cluster/sdn/zones", "zone=z2&type=simple").await.status, 500);
    let mine = format!("lock-token={token}");
    client.post("/cluster/sdn/zones", &format!("zone=z2&type=simple&{mine}")).await.data();
    let zone = client.get("/cluster/sdn/zones/z2").await.data();
    assert!(zone.get("lock-token").is_none(), "{zone}");
    client.post("/cluster/sdn/rollback", &mine).await.data();
    let zones = client.get("/cluster/sdn/zones").await.data();
    assert_eq!(zones.as_array().unwrap().len(), 1, "{zones}");
    assert_eq!(zones[0]["zone"], "z1");
    client.post("/cluster/sdn/zones", "zone=z3&type=simple").await.data();
    let pending = client.post("/cluster/sdn/lock", "").await;
    assert_eq!(pending.line(), "500 configuration contains pending changes");
    client.post("/cluster/sdn/lock", "allow-pending=1").await.data();
    client.delete("/cluster/sdn/lock?force=1").await.data();
    let old = start(builder().version(Version::V8_4)).await;
    assert_eq!(old.post("/cluster/sdn/lock", "").await.status, 501);
}
