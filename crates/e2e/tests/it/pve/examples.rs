//! The examples of the library's documentation do what they say.

use pve::models::{
    ConsoleKind, Firewall, HaGroup, HaResource, HaRule, Network, Server, Storage, Task,
};
use serde_json::Value;

use super::support::{Lab, RELEASES, id};

#[path = "../../../../pve/examples/availability.rs"]
#[allow(dead_code)]
mod availability;
#[path = "../../../../pve/examples/backups.rs"]
#[allow(dead_code)]
mod backups;
#[path = "../../../../pve/examples/connect.rs"]
#[allow(dead_code)]
mod connect;
#[path = "../../../../pve/examples/console.rs"]
#[allow(dead_code)]
mod console;
#[path = "../../../../pve/examples/containers.rs"]
#[allow(dead_code)]
mod containers;
#[path = "../../../../pve/examples/copies.rs"]
#[allow(dead_code)]
mod copies;
#[path = "../../../../pve/examples/firewalls.rs"]
#[allow(dead_code)]
mod firewalls;
#[path = "../../../../pve/examples/identity.rs"]
#[allow(dead_code)]
mod identity;
#[path = "../../../../pve/examples/inside.rs"]
#[allow(dead_code)]
mod inside;
#[path = "../../../../pve/examples/networks.rs"]
#[allow(dead_code)]
mod networks;
#[path = "../../../../pve/examples/nodes.rs"]
#[allow(dead_code)]
mod nodes;
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

#[test]
fn every_example_is_run_here() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../pve/examples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let this = include_str!("examples.rs");
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(this.contains(&format!(" {name}::")), "{name} is run by no test");
    }
}

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
        let followed = tasks::follow(start).await.unwrap();
        assert_eq!(followed.last().unwrap(), "ended: OK");
        assert_eq!(followed[..followed.len() - 1], log);

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

#[tokio::test]
async fn identities_are_granted_and_revoked() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let token = identity::grant(&lab.client).await.unwrap();
        // The token opens what it was given, and nothing else.
        let client = super::support::connect(&lab.simulator, token.auth());
        let seen = Server::all(&client).await.unwrap();
        assert_eq!(seen.len(), 2);
        let mut server = Server::find(&client, id(500)).await.unwrap().unwrap();
        assert!(server.start().await.unwrap_err().is_forbidden());

        identity::revoke(&lab.client).await.unwrap();
        let error = Server::all(&client).await.unwrap_err();
        assert!(matches!(error, pve::Error::Unauthenticated(_)), "{error}");
    }
}

#[tokio::test]
async fn connections_are_made_in_each_way() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let simulator = &lab.simulator;
        let url = simulator.url();
        let (id, secret) = simulator.token().split_once('=').unwrap();
        let client = connect::by_token(&url, id, secret, simulator.fingerprint()).unwrap();
        assert!(connect::run(&client).await.unwrap().ends_with("may look around: true"));
        let authorities = simulator.certificate_pem();
        let client = connect::by_password(&url, "root@pam", "secret-of-root", authorities).unwrap();
        assert!(connect::run(&client).await.unwrap().ends_with("may look around: true"));
        let client = connect::by_password(&url, "root@pam", "wrong", authorities).unwrap();
        assert!(connect::run(&client).await.is_err());
    }
}

#[tokio::test]
async fn guests_are_kept_running_by_groups_or_rules() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        availability::protect(&lab.client, id(500)).await.unwrap();
        let resource = HaResource::get(&lab.client, "vm:500").await.unwrap().unwrap();
        assert_eq!((resource.state(), resource.entry().max_restart), ("started", Some(2)));
        if version == pve_sim::Version::V9_2 {
            let rules = HaRule::all(&lab.client).await.unwrap();
            assert_eq!(rules[0].entry().resources.0.join(","), "vm:500");
            assert!(HaGroup::all(&lab.client).await.is_err());
        } else {
            assert_eq!(resource.entry().group.as_deref(), Some("near-pve1"));
            let error = HaRule::all(&lab.client).await.unwrap_err();
            assert_eq!(error.kind(), Some(&pve::error::Kind::NotImplemented), "{error}");
        }
        availability::release(&lab.client, id(500)).await.unwrap();
        assert!(HaResource::get(&lab.client, "vm:500").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn containers_are_made_changed_and_copied() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let before = lab.volumes();
        let client = &lab.client;
        let mut container =
            containers::create(client, "pve1", "local", super::support::TEMPLATE).await.unwrap();
        let vmid = container.vmid().get();
        assert_eq!(lab.guest(vmid)["kind"], "lxc");
        assert_eq!(lab.guest(vmid)["config"]["hostname"], "example");
        containers::devices(&mut container, "local").await.unwrap();
        let config = lab.guest(vmid)["config"].clone();
        assert!(config.get("mp0").is_none() && config.get("unused0").is_none(), "{config}");
        assert!(config["net1"].as_str().unwrap().starts_with("name=eth1,bridge=vmbr0,hwaddr="));
        assert_eq!(lab.volumes().len(), before.len() + 1, "only the root disk is left");
        containers::power(&mut container).await.unwrap();
        assert_eq!(lab.guest(vmid)["status"], "stopped");
        let copy = containers::copy(client, &container).await.unwrap();
        assert_eq!(lab.guest(copy.vmid().get())["config"]["hostname"], "copy");
        copy.destroy(Default::default()).await.unwrap();
        container.destroy(Default::default()).await.unwrap();
        assert_eq!(lab.volumes(), before);
    }
}

#[tokio::test]
async fn machines_come_back_from_backups() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut server = Server::find(&lab.client, id(500)).await.unwrap().unwrap();
        let backup = backups::backup(&mut server, "local").await.unwrap();
        assert!(backup.is_backup() && backup.is_protected());
        assert_eq!(backup.vmid(), Some(id(500)));
        assert_eq!(backup.notes(), Some("old, before the upgrade"));
        assert_eq!(backup.is_of_server(), Some(true));
        let configuration = backup.configuration().await.unwrap();
        assert!(configuration.contains("name: old"), "{configuration}");
        assert!(lab.volumes().contains(&format!("pve1/{}", backup.volid())));
        let change = pve::qemu::ConfigChange::new().set("cores", 7);
        server.update(&change).await.unwrap();
        let copy = backups::restore(&lab.client, &server, &backup).await.unwrap();
        let (old, new) = (lab.guest(500)["config"].clone(), copy.vmid().get());
        assert_ne!(old["cores"], "7", "it is as it was");
        assert_eq!(lab.guest(new)["config"]["name"], old["name"]);
        assert!(backup.destroy().await.is_err(), "it is protected");
        assert!(lab.volumes().contains(&format!("pve1/{}", backup.volid())));
    }
}

#[tokio::test]
async fn nodes_say_how_they_do() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        lab.simulator.change(&pve_sim::Change::NodeOnline("pve2".into(), false));
        let lines = nodes::run(&lab.client).await.unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("pve1: ") && lines[0].contains(" MiB, load at most "));
        assert_eq!(lines[1], "pve2: offline");
    }
}

#[tokio::test]
async fn networks_are_written_down_and_put_in_force() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let bridges = async || {
            let all = Network::all(&lab.client, "pve1", Some("any_bridge")).await.unwrap();
            all.iter().map(|network| network.iface().to_owned()).collect::<Vec<_>>()
        };
        let before = bridges().await;
        networks::add_bridge(&lab.client, "pve1", "vmbr99").await.unwrap();
        let bridge = Network::get(&lab.client, "pve1", "vmbr99").await.unwrap().unwrap();
        assert_eq!(bridge.cidr(), Some("10.99.0.1/24"));
        assert!(bridges().await.contains(&"vmbr99".to_owned()));
        networks::remove_bridge(&lab.client, "pve1", "vmbr99").await.unwrap();
        assert!(Network::get(&lab.client, "pve1", "vmbr99").await.unwrap().is_none());
        assert_eq!(bridges().await, before);
    }
}

#[tokio::test]
async fn firewalls_let_in_what_a_rule_says() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        firewalls::names(&lab.client).await.unwrap();
        let server = Server::find(&lab.client, id(500)).await.unwrap().unwrap();
        firewalls::protect(&server).await.unwrap();

        let cluster = Firewall::of_cluster(&lab.client);
        let alias = cluster.aliases().await.unwrap().remove(0);
        assert_eq!((alias.name.as_str(), alias.cidr.as_str()), ("office", "192.0.2.0/24"));
        assert_eq!(cluster.ip_set("admins").await.unwrap()[0].cidr, "192.0.2.17");
        let rule = server.firewall().rules().list().await.unwrap().remove(0);
        assert_eq!((rule.kind.as_str(), rule.macro_name.as_deref()), ("in", Some("SSH")));
        let options = server.firewall().options().await.unwrap();
        assert_eq!(options.values["policy_in"], "DROP");
    }
}

#[tokio::test]
async fn a_console_is_opened_and_connected_to() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    for version in RELEASES {
        let lab = Lab::start(version).await;
        // Websockets take a log-in, never a token.
        let auth = pve::Auth::ticket("root@pam", "secret-of-root".to_owned());
        let client = super::support::connect(&lab.simulator, auth);
        let mut server = Server::find(&client, id(500)).await.unwrap().unwrap();
        let console = console::run(&mut server).await.unwrap();
        assert_eq!(console.kind(), ConsoleKind::Vnc);
        let ticket = console.ticket().unwrap();
        let mut stream = server.consoles().connect(ticket.port, &ticket.ticket).await.unwrap();
        let mut greeting = [0; 12];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"RFB 003.008\n");
        // The simulator has no screen: it gives back what it gets.
        stream.write_all(b"hello").await.unwrap();
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"hello");
    }
}

#[tokio::test]
async fn guests_are_prepared_and_looked_into() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let mut server = Server::find(&lab.client, id(500)).await.unwrap().unwrap();
        let document = inside::prepare(&mut server, "local").await.unwrap();
        assert!(document.contains("user: alice") && document.contains("AAAAC3"), "{document}");
        assert_eq!(lab.guest(500)["config"]["ipconfig0"], "ip=10.0.0.9/24,gw=10.0.0.1");
        server.start().await.unwrap();
        let lines = inside::look(&server).await.unwrap();
        assert!(lines[0].contains("Debian"), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("eth0: 10.")), "{lines:?}");
        assert_eq!(lines.last().unwrap().trim(), "hello");
    }
}
