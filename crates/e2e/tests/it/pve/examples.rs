//! The examples of the library's documentation do what they say.

use pve::models::{Server, Storage, Task};
use serde_json::Value;

use super::support::{Lab, RELEASES, id};

#[path = "../../../../pve/examples/copies.rs"]
#[allow(dead_code)]
mod copies;
#[path = "../../../../pve/examples/pools.rs"]
#[allow(dead_code)]
mod pools;
#[path = "../../../../pve/examples/servers.rs"]
#[allow(dead_code)]
mod servers;
#[path = "../../../../pve/examples/storages.rs"]
#[allow(dead_code)]
mod storages;
#[path = "../../../../pve/examples/tasks.rs"]
#[allow(dead_code)]
mod tasks;

#[tokio::test]
async fn servers_are_made_changed_and_switched() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let before = lab.volumes();
        let mut server = servers::create(&lab.client, "pve1", "local").await.unwrap();
        let vmid = server.vmid().get();
        assert_eq!(lab.guest(vmid)["config"]["cores"], "2");
        assert_eq!(lab.guest(vmid)["config"]["name"], "example");

        servers::disks(&mut server, "nfs").await.unwrap();
        let config = lab.guest(vmid)["config"].clone();
        assert_eq!(config["ide0"], "none,media=cdrom");
        assert!(config.get("virtio0").is_none() && config.get("unused0").is_none(), "{config}");
        assert_eq!(lab.volumes().len(), before.len() + 1, "only scsi0 is left");

        servers::power(&mut server).await.unwrap();
        assert_eq!(lab.guest(vmid)["status"], "stopped");
        server.destroy(Default::default()).await.unwrap();
        assert_eq!(lab.volumes(), before);
    }
}

#[tokio::test]
async fn snapshots_clones_and_moves() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut server = Server::find(&lab.client, id(500)).await.unwrap().unwrap();
        copies::snapshots(&mut server).await.unwrap();
        assert_eq!(lab.guest(500)["snapshots"], Value::Object(Default::default()));
        assert_eq!(lab.guest(500)["config"]["cores"], server.config().cores().to_string());

        let linked = copies::clones(&lab.client, &server).await.unwrap();
        let guest = lab.guest(linked.vmid().get());
        assert_eq!(guest["config"]["name"], "example-linked");
        let disk = linked.disks().unwrap().remove(0);
        assert!(disk.volid().unwrap().contains("base-"), "{disk}");

        copies::migrate(&mut server, "pve2").await.unwrap();
        assert_eq!(lab.guest(500)["node"], "pve2");
    }
}

#[tokio::test]
async fn storages_are_listed_and_filled() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let lines = storages::list(&lab.client, "pve1").await.unwrap();
        assert!(lines.iter().any(|line| line.starts_with("local: ")), "{lines:?}");
        assert!(lines.contains(&"  local:iso/debian.iso".to_owned()), "{lines:?}");

        let local = Storage::get(&lab.client, "pve1", "local").await.unwrap().unwrap();
        let volume = storages::upload(&local, "small.iso", vec![7; 5000]).await.unwrap();
        assert_eq!(volume.size(), Some(5000));
        assert!(lab.volumes().contains(&"pve1/local:iso/small.iso".to_owned()));
        let before = lab.volumes();
        storages::allocate(&local, id(500)).await.unwrap();
        assert_eq!(lab.volumes(), before);
        volume.destroy().await.unwrap();
        assert!(!lab.volumes().contains(&"pve1/local:iso/small.iso".to_owned()));
        assert!(Storage::get(&lab.client, "pve1", "nowhere").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn tasks_are_found_read_and_stopped() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut server = Server::find(&lab.client, id(500)).await.unwrap().unwrap();
        server.start().await.unwrap();
        let found = tasks::search(&lab.client, "pve1").await.unwrap();
        let start = found.iter().find(|task| task.upid().kind() == "qmstart").unwrap();
        assert!(start.is_successful());
        let log = tasks::read(&lab.client, start.upid()).await.unwrap();
        assert_eq!(log.last().unwrap(), "TASK OK");

        tasks::stop(&mut server).await.unwrap();
        assert!(lab.simulator.dump()["tasks"].as_array().unwrap().is_empty());
        let unknown = start.upid().to_string().replace("qmstart", "qmstop");
        let unknown = Task::get(&lab.client, &unknown.parse().unwrap()).await.unwrap();
        assert!(unknown.is_none());
    }
}

#[tokio::test]
async fn pools_are_filled_and_emptied() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let pool = pools::fill(&lab.client, "example", id(500), "local").await.unwrap();
        assert_eq!(pool.comment(), Some("an example"));
        let stored = lab.simulator.dump()["pools"]["example"].clone();
        assert_eq!(stored["guests"], serde_json::json!([500]));
        assert_eq!(stored["storages"], serde_json::json!(["local"]));
        pools::empty(pool).await.unwrap();
        assert!(lab.simulator.dump()["pools"].get("example").is_none());
    }
}
