//! Backups, networks, high availability, jobs, mappings and pools over the
//! wire.

use pve::VmId;
use pve::cluster::{
    BackupJobRequest, HaGroupRequest, HaResourceRequest, HaRuleRequest, MappingKind,
    MappingRequest, ReplicationRequest,
};
use pve::nodes::{BackupRequest, BulkRequest, InterfaceRequest};
use pve::pools::PoolChange;

use crate::server::{Server, answer, assert_last, data, soon};

async fn silent() -> Server {
    Server::start(|_| data("null")).await
}

#[tokio::test]
async fn backups() {
    let server = silent().await;
    let node = server.client().node("pve1");
    let request = BackupRequest::new()
        .vmid([100, 101])
        .storage("local")
        .mode("stop")
        .exclude_path(["/tmp", "/var/tmp"])
        .exclude_path(["/a", "/b"]);
    assert_eq!(soon(node.backup(&request)).await.unwrap(), None);
    assert_last(
        &server,
        "POST nodes/pve1/vzdump",
        "vmid=100%2C101&storage=local&mode=stop&exclude-path=%2Fa&exclude-path=%2Fb",
    );
    let weekly = BackupJobRequest::new().schedule("sat 02:00").all(true);
    soon(server.client().cluster().create_backup_job(&weekly)).await.unwrap();
    assert_last(&server, "POST cluster/backup", "schedule=sat%2002%3A00&all=1");
    let vms = BulkRequest::new().vms([100, 101]).target("pve2");
    soon(node.migrate_all(&vms)).await.unwrap();
    assert_last(&server, "POST nodes/pve1/migrateall", "vms=100%2C101&target=pve2");
    soon(node.reboot()).await.unwrap();
    assert_last(&server, "POST nodes/pve1/status", "command=reboot");
}

#[tokio::test]
async fn networks() {
    let body =
        r#"{"data":[{"iface":"vmbr0","type":"bridge","active":1,"vlan-id":"7"}],"changes":"+x"}"#;
    let server = Server::scripted([crate::server::Act::Send(answer(200, "OK", body))]).await;
    let node = server.client().node("pve1");
    let config = soon(node.networks(Some("bridge"))).await.unwrap();
    assert_last(&server, "GET nodes/pve1/network?type=bridge", "");
    assert_eq!((config.interfaces.len(), config.changes.as_deref()), (1, Some("+x")));
    assert_eq!(config.interfaces[0].vlan_id, Some(7));
    let bridge = InterfaceRequest::new("bridge").cidr("10.0.0.1/24").bridge_vlan_aware(true);
    soon(node.network("vmbr9").create(&bridge)).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/network",
        "iface=vmbr9&type=bridge&cidr=10.0.0.1%2F24&bridge_vlan_aware=1",
    );
    soon(node.network("vmbr9").update(&bridge.mtu(9000))).await.unwrap();
    assert_last(
        &server,
        "PUT nodes/pve1/network/vmbr9",
        "type=bridge&cidr=10.0.0.1%2F24&bridge_vlan_aware=1&mtu=9000",
    );
    soon(node.revert_network()).await.unwrap();
    assert_last(&server, "DELETE nodes/pve1/network", "");
    soon(node.apply_network()).await.unwrap();
    assert_last(&server, "PUT nodes/pve1/network", "");
}

#[tokio::test]
async fn high_availability() {
    let server = silent().await;
    let ha = server.client().cluster().ha();
    let vm = ha.resource("vm:100");
    soon(vm.create(&HaResourceRequest::new().state("started").max_restart(2))).await.unwrap();
    assert_last(&server, "POST cluster/ha/resources", "sid=vm%3A100&state=started&max_restart=2");
    soon(vm.relocate("pve2")).await.unwrap();
    assert_last(&server, "POST cluster/ha/resources/vm%3A100/relocate", "node=pve2");
    let group = HaGroupRequest::new().nodes(["pve1:2", "pve2"]).restricted(true);
    soon(ha.group("g").create(&group)).await.unwrap();
    assert_last(&server, "POST cluster/ha/groups", "group=g&nodes=pve1%3A2%2Cpve2&restricted=1");
    let apart = HaRuleRequest::new("resource-affinity")
        .resources(["vm:100", "vm:101"])
        .affinity("negative");
    soon(ha.rule("apart").create(&apart)).await.unwrap();
    assert_last(
        &server,
        "POST cluster/ha/rules",
        "rule=apart&type=resource-affinity&resources=vm%3A100%2Cvm%3A101&affinity=negative",
    );
    soon(ha.rule("apart").delete()).await.unwrap();
    assert_last(&server, "DELETE cluster/ha/rules/apart", "");
}

#[tokio::test]
async fn replication_and_mappings() {
    let server = silent().await;
    let cluster = server.client().cluster();
    let job = ReplicationRequest::new().target("pve2").rate(1.5);
    soon(cluster.replication("100-0").create(&job)).await.unwrap();
    assert_last(&server, "POST cluster/replication", "id=100-0&type=local&target=pve2&rate=1.5");
    let map = MappingRequest::new().map(["node=pve1,id=a", "node=pve2,id=b"]);
    soon(cluster.mapping(MappingKind::Pci, "gpu").create(&map)).await.unwrap();
    assert_last(
        &server,
        "POST cluster/mapping/pci",
        "id=gpu&map=node%3Dpve1%2Cid%3Da&map=node%3Dpve2%2Cid%3Db",
    );
}

#[tokio::test]
async fn nested_pools_are_addressed_by_parameter_and_plain_ones_by_path() {
    let list = r#"[{"poolid":"a/b","members":[{"type":"qemu","vmid":"100"}]}]"#;
    let server = Server::scripted([data(list), data(r#"{"members":[]}"#)]).await;
    let pools = server.client().pools();
    let nested = soon(pools.get("a/b")).await.unwrap();
    assert_last(&server, "GET pools?poolid=a%2Fb", "");
    assert_eq!(nested.members[0].vmid, VmId::new(100));
    assert_eq!(soon(pools.get("a")).await.unwrap().poolid, "a");
    assert_last(&server, "GET pools/a", "");
    let change = PoolChange { comment: Some("x".into()), ..PoolChange::default() };
    soon(pools.update("a/b", &change)).await.unwrap();
    assert_last(&server, "PUT pools", "poolid=a%2Fb&comment=x");
    soon(pools.delete("a/b")).await.unwrap();
    assert_last(&server, "DELETE pools?poolid=a%2Fb", "");
    soon(pools.delete("a")).await.unwrap();
    assert_last(&server, "DELETE pools/a", "");
}
