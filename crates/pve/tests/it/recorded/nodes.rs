//! `/nodes/NODE`, but for its guests, and `/storage`.

use pve::nodes::{BackupRequest, InterfaceRequest, Node};
use pve::property::DiskSize;
use pve::storage::{CreateStorageRequest, PruneRequest, UpdateStorageRequest};
use pve::tasks::TaskFilter;
use pve::{Client, VmId};

use super::{Typed, guests};

pub async fn call(client: &Client, node: &str, method: &str, rest: &[&str]) -> Typed {
    let node = &client.node(node);
    let vmid = VmId::new(500)?;
    let result = match (method, rest) {
        ("GET", ["status"]) => node.status().await.map(drop),
        ("POST", ["status"]) => node.reboot().await,
        ("GET", ["tasks"]) => node.tasks(&TaskFilter::default()).await.map(drop),
        ("GET", ["rrddata"]) => node.rrd_data("hour", None).await.map(drop),
        ("GET", ["rrd"]) => match node.rrd_graph("cpu", "hour", None).await {
            Ok(graph) => {
                assert!(graph.png().unwrap().starts_with(b"\x89PNG"));
                Ok(())
            }
            Err(error) => Err(error),
        },
        ("GET", ["qemu"]) => node.qemu_list().await.map(drop),
        ("POST", ["qemu"]) => node.create_qemu(vmid, ()).await.map(drop),
        ("GET", ["lxc"]) => node.lxc_list().await.map(drop),
        ("POST", ["lxc"]) => {
            let request = pve::lxc::CreateRequest::new("x");
            node.lxc(vmid).create(&request).await.map(drop)
        }
        ("GET", ["replication"]) => node.replications(None).await.map(drop),
        ("POST", ["vzdump"]) => node.backup(&BackupRequest::new()).await.map(drop),
        ("GET", ["vzdump", "defaults"]) => node.backup_defaults(None).await.map(drop),
        ("GET", ["vzdump", "extractconfig"]) => node.backup_config("x").await.map(drop),
        (_, ["network", rest @ ..]) => return network(node, method, rest).await,
        (_, ["storage", rest @ ..]) => return storage(node, method, rest).await,
        (_, ["tasks", upid, rest @ ..]) => return task(client, upid, method, rest).await,
        (_, ["qemu", id, rest @ ..]) => {
            return guests::qemu(&node.qemu(id.parse().ok()?), method, rest).await;
        }
        (_, ["lxc", id, rest @ ..]) => {
            return guests::lxc(&node.lxc(id.parse().ok()?), method, rest).await;
        }
        _ => return None,
    };
    Some(result)
}

async fn task(client: &Client, upid: &str, method: &str, rest: &[&str]) -> Typed {
    let upid: pve::Upid = upid.parse().ok()?;
    let task = client.task(&upid);
    let result = match (method, rest) {
        ("GET", ["status"]) => task.status().await.map(drop),
        ("GET", ["log"]) => task.log(0, 50).await.map(drop),
        ("DELETE", []) => task.stop().await,
        _ => return None,
    };
    Some(result)
}

async fn network(node: &Node, method: &str, rest: &[&str]) -> Typed {
    let request = InterfaceRequest::new("bridge");
    let result = match (method, rest) {
        ("GET", []) => node.networks(None).await.map(drop),
        ("POST", []) => node.network("x").create(&request).await,
        ("DELETE", []) => node.revert_network().await,
        ("PUT", []) => node.apply_network().await.map(drop),
        ("GET", [name]) => node.network(name).get().await.map(drop),
        ("PUT", [name]) => node.network(name).update(&request).await,
        ("DELETE", [name]) => node.network(name).delete().await,
        _ => return None,
    };
    Some(result)
}

async fn storage(node: &Node, method: &str, rest: &[&str]) -> Typed {
    let Some((name, rest)) = rest.split_first() else {
        return (method == "GET").then_some(node.storages().await.map(drop));
    };
    let storage = node.storage(name);
    let result = match (method, rest) {
        ("GET", ["status"]) => storage.status().await.map(drop),
        ("GET", ["rrddata"]) => storage.rrd_data("hour", None).await.map(drop),
        ("GET", ["content"]) => storage.content(None, None).await.map(drop),
        ("POST", ["content"]) => {
            let vmid = VmId::new(500)?;
            storage.allocate(vmid, "x", DiskSize::from_mib(64), None).await.map(drop)
        }
        ("GET", ["prunebackups"]) => storage.prune_preview(&PruneRequest::new()).await.map(drop),
        ("DELETE", ["prunebackups"]) => storage.prune(&PruneRequest::new()).await.map(drop),
        ("POST", ["download-url"]) => storage.download(&Default::default()).await.map(drop),
        (_, ["content", volume @ ..]) => {
            let volume = storage.volume(&volume.join("/"));
            match method {
                "GET" => volume.get().await.map(drop),
                "PUT" => volume.update(Some("x"), None).await,
                "DELETE" => volume.delete(None).await.map(drop),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(result)
}

pub async fn storages(client: &Client, method: &str, rest: &[&str]) -> Typed {
    let result = match (method, rest) {
        ("GET", []) => client.storages().list(None).await.map(drop),
        ("POST", []) => client.storages().create(&CreateStorageRequest::new("x", "dir")).await,
        ("GET", [name]) => client.storage(name).get().await.map(drop),
        ("PUT", [name]) => client.storage(name).update(&UpdateStorageRequest::new()).await,
        ("DELETE", [name]) => client.storage(name).delete().await,
        _ => return None,
    };
    Some(result)
}
