//! What each operation of the models sends: method, path, parameters. Whether
//! the simulator can carry it out does not matter here; what becomes of it is
//! asserted elsewhere.

use pve::cluster::{HaGroupRequest, HaResourceRequest, HaRuleRequest};
use pve::models::{
    BackupOptions, CloneOptions, Consolidation, DestroyOptions, DeviceId, Disk, Domain, HaGroup,
    HaResource, HaRule, MigrateOptions, MoveOptions, Network, Nic, Node, Pool, RestoreOptions,
    Server, Storage, Timeframe, User,
};
use pve::property::DiskSize;
use pve::qemu::{ConfigChange, ShutdownRequest};
use serde_json::json;

use super::support::{Lab, RELEASES, id};

fn device(text: &str) -> DeviceId {
    text.parse().unwrap()
}

#[tokio::test]
async fn servers_send_what_the_contract_says() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut one = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
        let mut seen = 0;
        let base = "nodes/pve1/qemu/500";
        let mut sent = |line: String, parameters| lab.sent(&mut seen, &line, parameters);

        sent(format!("GET {base}/status/current"), json!({}));
        let _ = Server::create(&lab.client, "pve1", id(501), [("cores", 1)]).await;
        sent("POST nodes/pve1/qemu".into(), json!({"vmid": "501", "cores": "1"}));
        let _ = one.update(&ConfigChange::new().set("cores", 2).delete("ide2").digest("ab")).await;
        let change = json!({"cores": "2", "delete": "ide2", "digest": "ab"});
        sent(format!("POST {base}/config"), change);
        let _ = one.pending().await;
        sent(format!("GET {base}/pending"), json!({}));
        let disk = Disk::new(device("scsi3"), "local", DiskSize::from_mib(512)).unwrap();
        let _ = one.attach(&disk.with("backup", false).unwrap()).await;
        sent(format!("POST {base}/config"), json!({"scsi3": "local:0.5,backup=0"}));
        let _ = one.attach(&Disk::cdrom(device("ide2"), None).unwrap()).await;
        sent(format!("POST {base}/config"), json!({"ide2": "none,media=cdrom"}));
        let nic = Nic::new(2, "virtio").unwrap().with("bridge", "vmbr0").unwrap();
        let _ = one.attach_nic(&nic).await;
        sent(format!("POST {base}/config"), json!({"net2": "virtio,bridge=vmbr0"}));
        let _ = one.extend("scsi0", "+1G").await;
        sent(format!("PUT {base}/resize"), json!({"disk": "scsi0", "size": "+1G"}));
        let _ = one.move_disk("scsi0", "local", &MoveOptions::deleting()).await;
        let parameters = json!({"disk": "scsi0", "storage": "local", "delete": "1"});
        sent(format!("POST {base}/move_disk"), parameters);
        let _ = one.detach("scsi0").await;
        sent(format!("POST {base}/config"), json!({"delete": "scsi0"}));
        let _ = one.unlink(&["unused0", "unused1"], true).await;
        let parameters = json!({"idlist": "unused0,unused1", "force": "1"});
        sent(format!("PUT {base}/unlink"), parameters);
        let _ = one.create_template().await;
        sent(format!("POST {base}/template"), json!({}));
    }
}

#[tokio::test]
async fn power_sends_what_the_contract_says() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut one = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
        let mut seen = 0;
        let base = "POST nodes/pve1/qemu/500/status";
        let mut sent = |line: String, parameters| lab.sent(&mut seen, &line, parameters);
        let _ = one.start().await;
        sent(format!("{base}/start"), json!({}));
        let _ = one.suspend().await;
        sent(format!("{base}/suspend"), json!({}));
        let _ = one.resume().await;
        sent(format!("{base}/resume"), json!({}));
        let _ = one.reset().await;
        sent(format!("{base}/reset"), json!({}));
        let _ = one.reboot(Some(std::time::Duration::from_secs(30))).await;
        sent(format!("{base}/reboot"), json!({"timeout": "30"}));
        let request = ShutdownRequest { timeout_s: Some(5), force_stop: true };
        let _ = one.shutdown(request).await;
        sent(format!("{base}/shutdown"), json!({"timeout": "5", "forceStop": "1"}));
        let _ = one.hibernate().await;
        sent(format!("{base}/suspend"), json!({"todisk": "1"}));
        let _ = one.stop().await;
        sent(format!("{base}/stop"), json!({}));
    }
}

#[tokio::test]
async fn copies_send_what_the_contract_says() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut one = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
        let mut seen = 0;
        let base = "nodes/pve1/qemu/500";
        let mut sent = |line: String, parameters| lab.sent(&mut seen, &line, parameters);
        let options = CloneOptions {
            name: Some("copy".into()),
            full: Some(true),
            storage: Some("nfs".into()),
            ..Default::default()
        };
        let _ = one.clone_to(id(600), &options).await;
        let parameters = json!({"newid": "600", "name": "copy", "full": "1", "storage": "nfs"});
        sent(format!("POST {base}/clone"), parameters);
        let snapshot = one.create_snapshot("s1", Some("first"), false).await.unwrap();
        let parameters = json!({"snapname": "s1", "description": "first"});
        sent(format!("POST {base}/snapshot"), parameters);
        let _ = snapshot.clone().update("second").await;
        sent(format!("PUT {base}/snapshot/s1/config"), json!({"description": "second"}));
        let _ = snapshot.rollback(true).await;
        sent(format!("POST {base}/snapshot/s1/rollback"), json!({"start": "1"}));
        let _ = snapshot.destroy(true).await;
        sent(format!("DELETE {base}/snapshot/s1"), json!({"force": "1"}));

        let options = BackupOptions {
            storage: Some("local".into()),
            mode: Some("stop".into()),
            compress: Some("zstd".into()),
            ..Default::default()
        };
        let _ = one.backup(&options).await;
        let parameters =
            json!({"vmid": "500", "storage": "local", "mode": "stop", "compress": "zstd"});
        sent("POST nodes/pve1/vzdump".into(), parameters);
        let archive = "local:backup/vzdump-qemu-500-2026_01_01-00_00_00.vma.zst";
        let _ = one.restore(archive, &RestoreOptions::default()).await;
        let parameters = json!({"vmid": "500", "archive": archive, "force": "1"});
        sent("POST nodes/pve1/qemu".into(), parameters);
        let options = RestoreOptions { unique: true, live: true, ..Default::default() };
        let _ = Server::restore_as(&lab.client, "pve1", id(601), archive, &options).await;
        let parameters =
            json!({"vmid": "601", "archive": archive, "unique": "1", "live-restore": "1"});
        sent("POST nodes/pve1/qemu".into(), parameters);
        let _ = one.check_migration(Some("pve2")).await;
        sent(format!("GET {base}/migrate"), json!({"target": "pve2"}));
        let options = MigrateOptions {
            online: true,
            with_local_disks: true,
            target_storage: Some("local".into()),
            ..Default::default()
        };
        let _ = one.migrate("pve2", &options).begin().await;
        let parameters = json!({"target": "pve2", "online": "1", "with-local-disks": "1",
            "targetstorage": "local"});
        sent(format!("POST {base}/migrate"), parameters);
        let options = DestroyOptions {
            purge: true,
            destroy_unreferenced_disks: Some(true),
            ..Default::default()
        };
        let _ = one.destroy(options).await;
        let parameters = json!({"purge": "1", "destroy-unreferenced-disks": "1"});
        sent(format!("DELETE {base}"), parameters);
    }
}

#[tokio::test]
async fn consoles_follow_the_graphics_card() {
    for version in RELEASES {
        for (vga, call, parameters) in [
            (None, "vncproxy", json!({"websocket": "1"})),
            (Some("std"), "vncproxy", json!({"websocket": "1"})),
            (Some("qxl2"), "spiceproxy", json!({})),
            (Some("serial0"), "termproxy", json!({})),
        ] {
            let lab = Lab::start(version).await;
            lab.simulator.set_option(500, "vga", vga);
            let mut one = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
            one.start().await.unwrap();
            let mut seen = 0;
            let _ = one.start_console().await;
            lab.sent(&mut seen, &format!("POST nodes/pve1/qemu/500/{call}"), parameters);
        }
    }
}

#[tokio::test]
async fn nodes_and_clusters_send_what_the_contract_says() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let client = &lab.client;
        let node = Node::get(client, "pve1").await.unwrap().unwrap();
        let mut seen = 0;
        let mut sent = |line: &str, parameters| lab.sent(&mut seen, line, parameters);
        sent("GET nodes", json!({}));
        let _ = node.statistics(Timeframe::Day, Some(Consolidation::Max)).await;
        sent("GET nodes/pve1/rrddata", json!({"timeframe": "day", "cf": "MAX"}));
        let _ = node.diagram("cpu,iowait", Timeframe::Hour, None).await;
        sent("GET nodes/pve1/rrd", json!({"ds": "cpu,iowait", "timeframe": "hour"}));
        let _ = node.backup([("all", "1"), ("storage", "local")]).await;
        sent("POST nodes/pve1/vzdump", json!({"all": "1", "storage": "local"}));
        let _ = Network::create(client, "pve1", "vmbr7", "bridge", [("autostart", true)]).await;
        let parameters = json!({"iface": "vmbr7", "type": "bridge", "autostart": "1"});
        sent("POST nodes/pve1/network", parameters);
        let _ = Network::apply(client, "pve1").await;
        sent("PUT nodes/pve1/network", json!({}));
        let _ = Network::revert(client, "pve1").await;
        sent("DELETE nodes/pve1/network", json!({}));
        let _ = node.reboot().await;
        sent("POST nodes/pve1/status", json!({"command": "reboot"}));
        let _ = node.shutdown().await;
        sent("POST nodes/pve1/status", json!({"command": "shutdown"}));

        let request = HaResourceRequest::new().state("stopped");
        let _ = HaResource::create(client, "vm:500", &request).await;
        sent("POST cluster/ha/resources", json!({"sid": "vm:500", "state": "stopped"}));
        let request = HaGroupRequest::new().nodes(["pve1:2", "pve2"]);
        let _ = HaGroup::create(client, "near", &request).await;
        sent("POST cluster/ha/groups", json!({"group": "near", "nodes": "pve1:2,pve2"}));
        let request = HaRuleRequest::new("resource-affinity")
            .resources(["vm:500", "vm:9000"])
            .affinity("negative");
        let _ = HaRule::create(client, "apart", &request).await;
        let parameters = json!({"rule": "apart", "type": "resource-affinity",
            "resources": "vm:500,vm:9000", "affinity": "negative"});
        sent("POST cluster/ha/rules", parameters);
    }
}

#[tokio::test]
async fn pools_storages_and_identities_send_what_the_contract_says() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let client = &lab.client;
        let mut seen = 0;
        let mut sent = |line: &str, parameters| lab.sent(&mut seen, line, parameters);
        let _ = Pool::get(client, "flat").await;
        sent("GET pools/flat", json!({}));
        let _ = Pool::get(client, "research/lab").await;
        sent("GET pools", json!({"poolid": "research/lab"}));
        let mut pool = Pool::create(client, "flat", Some("x")).await.unwrap();
        sent("POST pools", json!({"poolid": "flat", "comment": "x"}));
        let _ = pool.add(&[id(500), id(9000)], &["nfs"]).await;
        sent("PUT pools/flat", json!({"vms": "500,9000", "storage": "nfs"}));
        let _ = pool.remove(&[id(500)], &[]).await;
        sent("PUT pools/flat", json!({"vms": "500", "delete": "1"}));
        let _ = pool.destroy().await;
        sent("DELETE pools/flat", json!({}));

        let storage = Storage::get(client, "pve1", "local").await.unwrap().unwrap();
        let _ = Storage::list_by_content_type(client, "pve1", "images").await;
        sent("GET nodes/pve1/storage", json!({"content": "images", "enabled": "1"}));
        let _ = storage.volumes(Some("iso"), Some(id(500))).await;
        let line = "GET nodes/pve1/storage/local/content";
        sent(line, json!({"content": "iso", "vmid": "500"}));
        let _ = storage.prune(Some("keep-last=2"), Some(id(500))).await;
        let line = "DELETE nodes/pve1/storage/local/prunebackups";
        sent(line, json!({"prune-backups": "keep-last=2", "vmid": "500"}));
        let iso = storage.volume("local:iso/debian.iso").await.unwrap().unwrap();
        let _ = iso.details().await;
        sent("GET nodes/pve1/storage/local/content/local:iso/debian.iso", json!({}));

        let domain = Domain::create(client, "ad1", "ad", [("domain", "example.org")]).await;
        assert!(domain.is_err(), "a server is missing, at least");
        let parameters = json!({"realm": "ad1", "type": "ad", "domain": "example.org"});
        sent("POST access/domains", parameters);
        let user = User::get(client, "root@pam").await.unwrap().unwrap();
        let _ = user.permissions(Some("/vms")).await;
        sent("GET access/permissions", json!({"userid": "root@pam", "path": "/vms"}));
        assert!(User::get(client, "nobody@pve").await.unwrap().is_none());
    }
}
