//! `/cluster` and `/pools`.

use pve::Client;
use pve::cluster::{Cluster, HaGroupRequest, HaResourceRequest, MappingKind};
use pve::firewall::Rule;
use pve::pools::PoolChange;

use super::Typed;

pub async fn call(cluster: &Cluster, method: &str, rest: &[&str]) -> Typed {
    let result = match (method, rest) {
        ("GET", ["status"]) => cluster.status().await.map(drop),
        ("GET", ["resources"]) => cluster.resources(None).await.map(drop),
        ("GET", ["nextid"]) => cluster.next_id().await.map(drop),
        ("GET", ["tasks"]) => cluster.tasks().await.map(drop),
        ("GET", ["options"]) => cluster.options().await.map(drop),
        ("PUT", ["options"]) => cluster.set_options(()).await,
        ("GET", ["backup"]) => cluster.backup_jobs().await.map(drop),
        ("GET", ["backup", id]) => cluster.backup_job(id).get().await.map(drop),
        ("GET", ["replication"]) => cluster.replications().await.map(drop),
        ("GET", ["mapping", "pci"]) => cluster.mappings(MappingKind::Pci, None).await.map(drop),
        (_, ["ha", rest @ ..]) => return ha(cluster, method, rest).await,
        (_, ["firewall", rest @ ..]) => return firewall(cluster, method, rest).await,
        _ => return None,
    };
    Some(result)
}

async fn ha(cluster: &Cluster, method: &str, rest: &[&str]) -> Typed {
    let ha = cluster.ha();
    let request = HaResourceRequest::new();
    let result = match (method, rest) {
        ("GET", ["resources"]) => ha.resources().await.map(drop),
        ("POST", ["resources"]) => ha.resource("vm:500").create(&request).await,
        ("GET", ["resources", sid]) => ha.resource(sid).get().await.map(drop),
        ("PUT", ["resources", sid]) => ha.resource(sid).update(&request).await,
        ("DELETE", ["resources", sid]) => ha.resource(sid).delete().await,
        ("GET", ["groups"]) => ha.groups().await.map(drop),
        ("POST", ["groups"]) => ha.group("x").create(&HaGroupRequest::new()).await,
        ("DELETE", ["groups", name]) => ha.group(name).delete().await,
        ("GET", ["rules"]) => ha.rules().await.map(drop),
        ("GET", ["status", "current"]) => ha.status().await.map(drop),
        _ => return None,
    };
    Some(result)
}

async fn firewall(cluster: &Cluster, method: &str, rest: &[&str]) -> Typed {
    let firewall = cluster.firewall();
    let rule = Rule::new("in", "ACCEPT");
    let result = match (method, rest) {
        ("GET", ["options"]) => firewall.options().await.map(drop),
        ("GET", ["groups"]) => firewall.groups().await.map(drop),
        ("POST", ["groups"]) => firewall.create_group("x", None).await,
        ("DELETE", ["groups", name]) => firewall.delete_group(name).await,
        ("GET", ["groups", name]) => firewall.group_rules(name).list().await.map(drop),
        ("POST", ["groups", name]) => firewall.group_rules(name).create(&rule, None, None).await,
        ("PUT", ["groups", name, pos]) => {
            firewall.group_rules(name).update(pos.parse().ok()?, &rule, None).await
        }
        ("DELETE", ["groups", name, pos]) => {
            firewall.group_rules(name).delete(pos.parse().ok()?, None).await
        }
        ("GET", ["rules"]) => firewall.rules().list().await.map(drop),
        ("POST", ["rules"]) => firewall.rules().create(&rule, None, None).await,
        ("DELETE", ["rules", pos]) => firewall.rules().delete(pos.parse().ok()?, None).await,
        ("POST", ["aliases"]) => firewall.create_alias("x", "10.0.0.0/8", None).await,
        ("DELETE", ["aliases", name]) => firewall.delete_alias(name).await,
        ("POST", ["ipset"]) => firewall.create_ip_set("x", None).await,
        ("GET", ["ipset", name]) => firewall.ip_set(name).list().await.map(drop),
        ("POST", ["ipset", name]) => firewall.ip_set(name).add("10.0.0.0/8", false, None).await,
        ("DELETE", ["ipset", name]) => firewall.ip_set(name).delete(false).await,
        ("GET", ["refs"]) => firewall.refs().await.map(drop),
        _ => return None,
    };
    Some(result)
}

pub async fn pools(client: &Client, method: &str, rest: &[&str]) -> Typed {
    let pools = client.pools();
    let change = PoolChange::default();
    let result = match (method, rest) {
        ("GET", []) => pools.list().await.map(drop),
        ("POST", []) => pools.create("x", None).await,
        ("PUT", []) => pools.update("a/b", &change).await,
        ("DELETE", []) => pools.delete("a/b").await,
        ("GET", [name]) => pools.get(name).await.map(drop),
        ("PUT", [name]) => pools.update(name, &change).await,
        ("DELETE", [name]) => pools.delete(name).await,
        _ => return None,
    };
    Some(result)
}
