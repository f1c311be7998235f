//! One firewall for the cluster, nodes, virtual networks and guests.

use crate::support::default;
use serde_json::json;

#[tokio::test]
async fn every_level_has_rules_options_and_its_own_digest() {
    let client = default().await;
    client.post("/cluster/sdn/zones", "zone=z1&type=simple").await.data();
    client.post("/cluster/sdn/vnets", "vnet=net1&zone=z1").await.data();
    for base in [
        "/cluster/firewall",
        "/nodes/pve1/firewall",
        "/nodes/pve1/qemu/9000/firewall",
        "/nodes/pve1/lxc/300/firewall",
        "/cluster/sdn/vnets/net1/firewall",
    ] {
        let rules = format!("{base}/rules");
        let options = format!("{base}/options");
        let empty = client.get(&options).await.data();
        assert_eq!(empty, json!({"digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}), "{base}");
        client.put(&options, "enable=1").await.data();
        assert_eq!(client.get(&options).await.data()["enable"], 1);
        let kind = if base.contains("vnets") { "forward" } else { "in" };
        let rule = format!("type={kind}&action=DROP&source=10.9.0.0/16");
        client.post(&rules, &rule).await.data();
        client.post(&rules, &format!("type={kind}&action=ACCEPT&comment=newest")).await.data();
        let rows = client.get(&rules).await.data();
        assert_eq!(rows[0]["comment"], "newest", "{base}");
        assert_eq!(rows[1]["ipversion"], 4);
        let stale = format!("comment=x&digest={}", "0".repeat(40));
        let stale = client.put(&format!("{rules}/0"), &stale).await;
        assert!(stale.line().starts_with("500 detected modified configuration"), "{stale:?}");
        client.put(&format!("{rules}/1"), "moveto=0").await.data();
        assert_eq!(client.get(&format!("{rules}/0")).await.data()["source"], "10.9.0.0/16");
        client.delete(&format!("{rules}/0")).await.data();
        let gone = client.get(&format!("{rules}/9")).await;
        assert_eq!(gone.line(), "500 no rule at position 9");
    }
}

#[tokio::test]
async fn sets_hold_networks_and_rules_find_their_names() {
    let client = default().await;
    let sets = "/cluster/firewall/ipset";
    client.post(sets, "name=web&comment=c").await.data();
    let again = client.post(sets, "name=web").await;
    assert_eq!(again.error("name"), "IPSet 'web' already exists");
    client.post(&format!("{sets}/web"), "cidr=10.2.0.0/16&nomatch=1").await.data();
    let row = client.get(&format!("{sets}/web/10.2.0.0%2F16")).await.data();
    assert_eq!((&row["cidr"], &row["nomatch"]), (&json!("10.2.0.0/16"), &json!(1)));
    client.put(&format!("{sets}/web/10.2.0.0%2F16"), "comment=x&nomatch=0").await.data();
    let rows = client.get(&format!("{sets}/web")).await.data();
    assert_eq!((&rows[0]["comment"], rows[0].get("nomatch")), (&json!("x"), None));
    let full = client.delete(&format!("{sets}/web")).await;
    assert_eq!(full.line(), "500 IPSet 'web' is not empty");
    client.post("/cluster/firewall/aliases", "name=Net&cidr=10.1.0.0/16").await.data();
    let alias = client.get("/cluster/firewall/aliases/net").await.data();
    assert_eq!(alias, json!({"name": "net", "cidr": "10.1.0.0/16", "ipversion": 4}));
    let refs = client.get("/nodes/pve1/qemu/9000/firewall/refs").await.data();
    assert_eq!(refs.as_array().unwrap().len(), 2);
    let refs = client.get("/cluster/firewall/refs?type=ipset").await.data();
    assert_eq!(refs[0]["ref"], "+dc/web");
    client.delete(&format!("{sets}/web?force=1")).await.data();
    assert_eq!(client.get(sets).await.data(), json!([]));
}

#[tokio::test]
async fn security_groups_are_deleted_empty_and_macros_are_known() {
    let client = default().await;
    let groups = "/cluster/firewall/groups";
    client.post(groups, "group=web").await.data();
    let again = client.post(groups, "group=web").await;
    assert_eq!(again.error("group"), "Security group 'web' already exists");
    client.post(&format!("{groups}/web"), "type=in&action=ACCEPT&macro=SSH").await.data();
    let unknown = client.post(&format!("{groups}/web"), "type=in&action=ACCEPT&macro=Nope").await;
    assert_eq!(unknown.error("macro"), "unknown macro 'Nope'");
    let full = client.delete(&format!("{groups}/web")).await;
    assert_eq!(full.line(), "500 Security group 'web' is not empty");
    client.delete(&format!("{groups}/web/0")).await.data();
    client.delete(&format!("{groups}/web")).await.data();
    let macros = client.get("/cluster/firewall/macros").await.data();
    assert_eq!(macros.as_array().unwrap().len(), 86);
}
