//! Virtual machines.

use pve::ExitStatus;
use pve::models::{CloneOptions, Controller, DestroyOptions, Disk, Node, Polling, Server};
use pve::property::DiskSize;
use pve::qemu::ConfigChange;

use super::support::{Lab, RELEASES, id};

#[tokio::test]
async fn a_server_is_created_changed_and_destroyed() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let new = Server::next_id(&lab.client).await.unwrap();
        assert!(Server::is_valid_id(&lab.client, new.get()).await.unwrap());
        assert!(!Server::is_valid_id(&lab.client, 500).await.unwrap());
        assert!(!Server::is_valid_id(&lab.client, 7).await.unwrap());

        let options = [("name", "web"), ("memory", "512"), ("net0", "virtio,bridge=vmbr0")];
        let mut server = Server::create(&lab.client, "pve1", new, options).await.unwrap();
        assert_eq!((server.name(), server.vmid(), server.node()), (Some("web"), new, "pve1"));
        let macs = server.mac_addresses().unwrap();
        assert_eq!(macs.len(), 1);
        let stored = lab.guest(new.get());
        assert!(stored["config"]["net0"].as_str().unwrap().contains(&macs[0]));

        server.update(&ConfigChange::new().set("cores", 2)).await.unwrap();
        assert_eq!(server.config().cores(), 2);
        assert_eq!(lab.guest(new.get())["config"]["cores"], "2");

        server.destroy(DestroyOptions::default()).await.unwrap();
        assert!(lab.guest(new.get()).is_null());
        assert!(!server.exists().await.unwrap());
        assert!(Server::get(&lab.client, "pve1", new).await.unwrap().is_none());
        assert!(server.reload().await.unwrap_err().is_guest_missing(new));
    }
}

#[tokio::test]
async fn disks_are_attached_grown_moved_and_removed() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut server = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
        let scsi = server.next_device(Controller::Scsi).unwrap();
        let name = scsi.to_string();
        let disk = Disk::new(scsi, "local", DiskSize::from_gib(1)).unwrap();
        server.attach(&disk).await.unwrap();
        let attached = server.disk(&name).unwrap().unwrap();
        assert_eq!(attached.size(), Some(DiskSize::from_gib(1)));
        let volid = attached.volid().unwrap().to_owned();
        assert!(lab.volumes().contains(&format!("pve1/{volid}")), "{volid}");

        server.extend(&name, "+1G").await.unwrap();
        let grown = server.disk(&name).unwrap().unwrap();
        assert_eq!(grown.size(), Some(DiskSize::from_gib(2)));

        server.move_disk(&name, "nfs", &pve::models::MoveOptions::deleting()).await.unwrap();
        let moved = server.disk(&name).unwrap().unwrap();
        assert_eq!(moved.storage(), Some("nfs"));
        assert!(!lab.volumes().contains(&format!("pve1/{volid}")));

        server.detach(&name).await.unwrap();
        let unused = server.unused_disks().unwrap();
        assert_eq!(unused.len(), 1);
        assert_eq!(unused[0].volid(), moved.volid());
        server.detach(unused[0].id()).await.unwrap();
        let moved = format!("shared/{}", moved.volid().unwrap());
        assert!(!lab.volumes().contains(&moved));

        server.attach(&disk).await.unwrap();
        let mut other =
            Server::create(&lab.client, "pve1", id(501), [("name", "b")]).await.unwrap();
        server.reassign_disk(&name, other.vmid(), "scsi3").await.unwrap();
        assert!(server.disk(&name).unwrap().is_none());
        other.reload().await.unwrap();
        let given = other.disk("scsi3").unwrap().unwrap();
        assert!(given.volid().unwrap().contains("vm-501-disk-"), "{given}");

        server.attach(&disk).await.unwrap();
        let before = lab.volumes().len();
        server.remove(&name).await.unwrap();
        assert_eq!(lab.volumes().len(), before - 1);
        assert!(server.unused_disks().unwrap().is_empty());
    }
}

#[tokio::test]
async fn power_follows_the_actions() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut server = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
        server.start().await.unwrap();
        assert!(server.is_running());
        assert_eq!(lab.guest(500)["status"], "running");
        server.suspend().await.unwrap();
        assert!(server.is_paused() && server.is_running());
        assert_eq!(lab.guest(500)["paused"], true);
        server.resume().await.unwrap();
        assert!(!server.is_paused());
        server.reset().await.unwrap();
        server.reboot(None).await.unwrap();
        assert!(server.is_running());
        let error = server.start().await.unwrap_err();
        assert!(matches!(&error, pve::Error::TaskFailed { exit: ExitStatus::Failed(_), .. }));
        assert_eq!(error.kind(), Some(&pve::error::Kind::AlreadyRunning), "{error}");
        server.shutdown(Default::default()).await.unwrap();
        assert!(!server.is_running());

        // Without waiting: the task, and readiness later.
        let mut task = server.start().begin().await.unwrap().unwrap();
        assert_eq!(task.upid().kind(), "qmstart");
        assert!(!server.is_running());
        server.wait_until_running(&Polling::default()).await.unwrap();
        task.wait(&Default::default()).await.unwrap();
        assert!(task.is_successful());
        let options = DestroyOptions { stop: true, ..Default::default() };
        assert!(server.destroy(DestroyOptions::default()).await.is_err());
        server.destroy(options).await.unwrap();
        assert!(lab.guest(500).is_null());
    }
}

#[tokio::test]
async fn a_wait_that_is_never_over_ends_in_time() {
    let lab = Lab::start(RELEASES[0]).await;
    let mut server = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
    let begin = lab.simulator.now();
    let error = server.wait_until_running(&Polling::default()).await.unwrap_err();
    assert!(matches!(error, pve::Error::TimedOut { .. }), "{error}");
    assert_eq!((lab.simulator.now() - begin).as_secs(), 600);
    let polls = lab.calls().iter().filter(|call| call.contains("500/status/current")).count();
    // 1, 2, 4, 8, 16, 32, 60, 60, … seconds.
    assert_eq!(polls, 17);
}

#[tokio::test]
async fn clones_templates_and_moves() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let template = Server::find(&lab.client, id(9000)).await.unwrap().unwrap();
        assert!(template.is_template());
        let options = CloneOptions { name: Some("linked".into()), ..Default::default() };
        let mut linked = template.clone_to(id(700), &options).await.unwrap();
        assert_eq!(linked.name(), Some("linked"));
        let disk = linked.disks().unwrap().remove(0);
        assert!(disk.volid().unwrap().contains("base-9000-disk-0"), "{disk}");

        let options = CloneOptions { full: Some(true), ..Default::default() };
        let full = template.clone_to(id(701), &options).await.unwrap();
        let disk = full.disks().unwrap().remove(0);
        assert!(!disk.volid().unwrap().contains("base-"), "{disk}");

        let (check, _) = linked.check_migration(None).await.unwrap();
        assert!(!check.running);
        linked.migrate("pve2", &Default::default()).await.unwrap();
        assert_eq!(linked.node(), "pve2");
        assert_eq!(lab.guest(700)["node"], "pve2");
        assert!(Server::get(&lab.client, "pve1", id(700)).await.unwrap().is_none());

        let mut full = full;
        full.create_template().await.unwrap();
        assert!(full.is_template());
        assert_eq!(Server::all(&lab.client).await.unwrap().len(), 4);
        assert_eq!(Server::all_on(&lab.client, "pve2").await.unwrap().len(), 1);
        let taken = template.clone_to(id(500), &Default::default()).await.unwrap_err();
        assert!(taken.already_exists(), "{taken}");
    }
}

#[tokio::test]
async fn a_model_follows_a_guest_that_somebody_moved() {
    let lab = Lab::start(RELEASES[0]).await;
    let mut mine = Server::get(&lab.client, "pve1", id(500)).await.unwrap().unwrap();
    let mut other = mine.clone();
    other.migrate("pve2", &Default::default()).await.unwrap();
    mine.reload().await.unwrap();
    assert_eq!(mine.node(), "pve2");
}

#[tokio::test]
async fn nodes_are_listed_with_their_figures() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut names: Vec<String> = Vec::new();
        for node in Node::all(&lab.client).await.unwrap() {
            names.push(node.name().to_owned());
            assert!(node.status().await.unwrap().pveversion.starts_with("pve-manager/"));
        }
        names.sort();
        assert_eq!(names, ["pve1", "pve2"]);
        assert!(Node::get(&lab.client, "pve3").await.unwrap().is_none());
    }
}
