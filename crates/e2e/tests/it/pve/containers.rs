//! Containers.

use pve::error::Kind;
use pve::models::{
    CloneOptions, Container, Controller, DeviceId, MigrateOptions, MountPoint, MoveOptions,
    RestoreOptions, Server,
};
use pve::property::DiskSize;
use pve::qemu::ConfigChange;
use serde_json::json;

use super::support::{Lab, RELEASES, TEMPLATE, id};

fn device(text: &str) -> DeviceId {
    text.parse().unwrap()
}

/// A container 800 on a storage that can have snapshots.
async fn container(lab: &Lab) -> Container {
    let options = [("ostemplate", TEMPLATE), ("rootfs", "tank:1"), ("hostname", "ct")];
    Container::create(&lab.client, "pve1", id(800), options).await.unwrap()
}

#[tokio::test]
async fn containers_send_what_the_contract_says() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut seen = 0;
        let options = [("ostemplate", TEMPLATE), ("rootfs", "local:1")];
        let made = Container::create(&lab.client, "pve1", id(800), options).await;
        let parameters = json!({"vmid": "800", "ostemplate": TEMPLATE,
            "rootfs": "local:1"});
        lab.sent(&mut seen, "POST nodes/pve1/lxc", parameters);
        let mut one = made.unwrap();
        let base = "nodes/pve1/lxc/800";
        let mut sent = |line: String, parameters| lab.sent(&mut seen, &line, parameters);
        let _ = one.update(&ConfigChange::new().set("cores", 2)).await;
        sent(format!("PUT {base}/config"), json!({"cores": "2"}));
        let point = MountPoint::new(device("mp0"), "local", DiskSize::from_gib(1), "/srv").unwrap();
        let _ = one.attach(&point).await;
        sent(format!("PUT {base}/config"), json!({"mp0": "local:1,mp=/srv"}));
        assert_eq!(
            one.next_device(Controller::Mp).map(|id| id.to_string()).as_deref(),
            Some("mp1")
        );
        let _ = one.move_volume("mp0", "nfs", &MoveOptions::default()).await;
        sent(format!("POST {base}/move_volume"), json!({"volume": "mp0", "storage": "nfs"}));
        let options = CloneOptions { name: Some("copy".into()), ..Default::default() };
        let _ = one.clone_to(id(801), &options).await;
        sent(format!("POST {base}/clone"), json!({"newid": "801", "hostname": "copy"}));
        let options = MigrateOptions {
            restart: true,
            target_storage: Some("local".into()),
            ..Default::default()
        };
        let _ = one.migrate("pve2", &options).begin().await;
        let parameters = json!({"target": "pve2", "restart": "1", "target-storage": "local"});
        sent(format!("POST {base}/migrate"), parameters);
        let archive = "local:backup/vzdump-lxc-800-2026_01_01-00_00_00.tar.zst";
        let options = RestoreOptions::default();
        let _ = Container::restore_as(&lab.client, "pve1", id(802), archive, &options).await;
        let parameters = json!({"vmid": "802", "ostemplate": archive, "restore": "1"});
        sent("POST nodes/pve1/lxc".into(), parameters);
    }
}

#[tokio::test]
async fn a_mount_point_is_given_to_another_container() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut one = container(&lab).await;
        let options = [("ostemplate", TEMPLATE), ("rootfs", "tank:1"), ("hostname", "b")];
        let mut other = Container::create(&lab.client, "pve1", id(801), options).await.unwrap();
        let point = MountPoint::new(device("mp0"), "tank", DiskSize::from_gib(1), "/srv").unwrap();
        one.attach(&point).await.unwrap();
        one.reassign_volume("mp0", other.vmid(), "mp2").await.unwrap();
        assert!(one.mount_points().unwrap().is_empty());
        other.reload().await.unwrap();
        let points = other.mount_points().unwrap();
        assert_eq!((points.len(), points[0].path()), (1, Some("/srv")));
        assert_eq!(points[0].id().to_string(), "mp2");
        assert!(points[0].volid().unwrap().contains("-801-disk-"), "{points:?}");
    }
}

#[tokio::test]
async fn mount_points_are_attached_grown_moved_and_removed() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut one = container(&lab).await;
        let before = lab.volumes();
        let root = one.root_disk().unwrap().unwrap();
        assert!(root.is_root() && root.storage() == Some("tank"));
        let point = MountPoint::new(device("mp4"), "local", DiskSize::from_gib(1), "/srv").unwrap();
        one.attach(&point).await.unwrap();
        one.extend("mp4", "3G").await.unwrap();
        let read = one.mount_points().unwrap().remove(0);
        assert_eq!((read.id().as_str(), read.path()), ("mp4", Some("/srv")));
        assert_eq!(read.size(), Some(DiskSize::from_gib(3)));
        assert_eq!(one.next_device(Controller::Mp), Some(device("mp5")));
        one.move_volume("mp4", "tank", &MoveOptions::deleting()).await.unwrap();
        assert_eq!(one.mount_points().unwrap()[0].storage(), Some("tank"));
        one.remove("mp4").await.unwrap();
        assert_eq!(lab.volumes(), before);
    }
}

#[tokio::test]
async fn containers_have_snapshots_and_power_and_an_end() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut one = container(&lab).await;
        let snapshot = one.create_snapshot("clean", Some("as made")).await.unwrap();
        assert_eq!(snapshot.description(), Some("as made"));
        one.update(&ConfigChange::new().set("memory", 128)).await.unwrap();
        snapshot.rollback(false).await.unwrap();
        one.reload().await.unwrap();
        assert_eq!(one.config().memory_mib(), 512);
        snapshot.destroy(false).await.unwrap();

        one.start().await.unwrap();
        assert!(one.is_running());
        assert_eq!(lab.guest(800)["status"], "running");
        let error = one.start().await.unwrap_err();
        assert_eq!(error.kind(), Some(&Kind::AlreadyRunning), "{error}");
        one.stop().await.unwrap();
        assert!(one.stop().await.is_err(), "a stopped container cannot be stopped");

        // Ids are shared, and a container is no server.
        assert!(Server::get(&lab.client, "pve1", id(800)).await.unwrap().is_none());
        assert!(Server::find(&lab.client, id(800)).await.unwrap().is_none());
        assert!(!Container::is_valid_id(&lab.client, 800).await.unwrap());
        assert_eq!(Container::all(&lab.client).await.unwrap().len(), 1);
        one.destroy(Default::default()).await.unwrap();
        assert!(Container::get(&lab.client, "pve1", id(800)).await.unwrap().is_none());
    }
}
