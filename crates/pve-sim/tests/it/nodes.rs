//! Nodes: settings, interfaces, services, power.

use crate::support::{Client, builder, default, start};
use serde_json::json;

#[tokio::test]
async fn interfaces_change_with_the_next_reload() {
    let client = default().await;
    let network = "/nodes/pve1/network";
    let before = client.get(network).await;
    assert_eq!(before.json().get("changes"), None);
    client.post(network, "iface=vmbr99&type=bridge&cidr=10.97.0.1/24&autostart=1").await.data();
    let taken = client.post(network, "iface=vmbr0&type=bridge").await;
    assert_eq!(taken.error("iface"), "interface already exists");
    let listed = client.get(network).await.json();
    assert!(listed["changes"].as_str().unwrap().contains("+iface vmbr99 inet static"));
    let row = client.get(&format!("{network}/vmbr99")).await.data();
    assert_eq!(
        (&row["address"], &row["netmask"], row.get("active")),
        (&json!("10.97.0.1"), &json!("24"), None)
    );
    client.delete(network).await.data();
    let gone = client.get(&format!("{network}/vmbr99")).await;
    assert_eq!(gone.error("iface"), "interface does not exist");

    client
        .post(network, "iface=vmbr98&type=bridge&address=10.96.0.1&netmask=255.255.0.0")
        .await
        .data();
    client.put(&format!("{network}/vmbr98"), "type=bridge&comments=x").await.data();
    assert_eq!(client.task("PUT", network, "").await, "OK");
    let row = client.get(&format!("{network}/vmbr98")).await.data();
    assert_eq!((&row["cidr"], &row["active"]), (&json!("10.96.0.1/16"), &json!(1)));
    assert_eq!(client.get(network).await.json().get("changes"), None);
}

#[tokio::test]
async fn a_bridge_is_seen_by_those_who_may_use_it() {
    let client = start(builder().user("bob@pve", "bobs-password")).await;
    let bob = Client::with_password(&client.simulator, "bob@pve", "bobs-password").await;
    let names = async || {
        let rows = bob.get("/nodes/pve1/network").await.data();
        rows.as_array().unwrap().iter().any(|row| row["iface"] == "vmbr0")
    };
    assert!(!names().await);
    client
        .put("/access/acl", "path=/sdn/zones/localnetwork/vmbr0&roles=PVESDNUser&users=bob@pve")
        .await
        .data();
    assert!(names().await);
}

#[tokio::test]
async fn settings_are_kept() {
    let client = default().await;
    let node = |path: &str| format!("/nodes/pve1/{path}");
    client.put(&node("dns"), "search=example.invalid&dns1=10.0.0.1").await.data();
    assert_eq!(
        client.get(&node("dns")).await.data(),
        json!({"search": "example.invalid", "dns1": "10.0.0.1"})
    );
    client.put(&node("time"), "timezone=Europe/Berlin").await.data();
    assert_eq!(client.get(&node("time")).await.data()["timezone"], "Europe/Berlin");
    client.put(&node("config"), "description=d").await.data();
    assert_eq!(client.get(&node("config")).await.data()["description"], "d");
    client.put(&node("config"), "delete=description").await.data();
    assert_eq!(client.get(&node("config")).await.data(), json!({}));
    let hosts = client.get(&node("hosts")).await.data();
    let body = format!("data=127.0.0.1 x&digest={}", hosts["digest"].as_str().unwrap());
    client.post(&node("hosts"), &body.replace(' ', "+")).await.data();
    let stale = client.post(&node("hosts"), &body.replace(' ', "+")).await;
    assert!(stale.line().starts_with("500 detected modified configuration"), "{stale:?}");
}

#[tokio::test]
async fn services_stop_and_start() {
    let client = default().await;
    let state =
        async || client.get("/nodes/pve1/services/pveproxy/state").await.data()["state"].clone();
    assert_eq!(state().await, "running");
    assert_eq!(client.task("POST", "/nodes/pve1/services/pveproxy/stop", "").await, "OK");
    assert_eq!(state().await, "dead");
    assert_eq!(client.task("POST", "/nodes/pve1/services/pveproxy/start", "").await, "OK");
    assert_eq!(state().await, "running");
}

#[tokio::test]
async fn all_guests_of_a_node_start_and_stop_with_it() {
    let client = default().await;
    for vmid in [500, 501] {
        let body = format!("vmid={vmid}&onboot={}", vmid - 500);
        assert_eq!(client.task("POST", "/nodes/pve2/qemu", &body).await, "OK");
    }
    let running = async || {
        let rows = client.get("/nodes/pve2/qemu").await.data();
        let rows = rows.as_array().unwrap().clone();
        rows.iter()
            .filter(|row| row["status"] == "running")
            .map(|row| row["vmid"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(client.task("POST", "/nodes/pve2/startall", "").await, "OK");
    assert_eq!(running().await, [json!(501)]);
    assert_eq!(client.task("POST", "/nodes/pve2/stopall", "").await, "OK");
    assert_eq!(running().await, Vec::<serde_json::Value>::new());
    client.post("/nodes/pve2/status", "command=shutdown").await.data();
    assert_eq!(client.get("/nodes/pve2/status").await.line(), "595 No route to host");
    assert_eq!(client.get("/cluster/resources?type=node").await.data()[1]["status"], "offline");
}
