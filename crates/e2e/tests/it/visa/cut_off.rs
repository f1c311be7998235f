//! Proxmox is cut off in the middle of what VISA asks for, and comes back.

use std::time::{Duration, Instant};

use e2e::served::Site;
use futures::future::join_all;
use pve_sim::{Effect, Fault, FaultId, Simulator};
use serde_json::{Value, json};

use super::client::Client;
use super::{act, add_flavour, cluster, door, guest, until};

const NAMES: [&str; 3] = ["VISA-INSTANCE-1", "VISA-INSTANCE-2", "VISA-INSTANCE-3"];

/// Nothing gets through any more.
fn cut(simulator: &Simulator) -> Vec<FaultId> {
    let methods = ["GET", "POST", "PUT", "DELETE"];
    let drop = |method| simulator.fault(Fault::on(method, "/**").always().then(Effect::Drop));
    methods.map(drop).to_vec()
}

fn asked(simulator: &Simulator, method: &str, end: &str) -> usize {
    let requests = simulator.requests();
    let hits = requests.iter().filter(|it| it.method == method && it.path.ends_with(end));
    hits.count()
}

/// Everything that VISA polls, all the while: known is known, whatever Proxmox
/// does.
async fn poll(visa: &Client, ids: &[String]) {
    for id in ids {
        visa.instance(id).await;
        visa.get(&format!("/api/instances/{id}/ip")).await;
        visa.get(&format!("/api/instances/{id}/security_groups")).await;
    }
    visa.check_lists().await;
    for list in ["inventories", "usages", "allocations"] {
        let rows = visa.get(&format!("/api/hypervisor_{list}")).await;
        assert_eq!(rows.as_array().map(Vec::len), Some(2), "{list}: {rows}");
    }
}

/// Cuts Proxmox off once it has been asked for this, by the answer on; lets it
/// come back when that has been noticed.
async fn outage(simulator: &Simulator, visa: &Client, ids: &[String], call: (&str, &str, usize)) {
    let (method, end, before) = call;
    let begun = Instant::now();
    while asked(simulator, method, end) == before {
        assert!(begun.elapsed() < Duration::from_secs(60), "no {method} …{end}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let faults = cut(simulator);
    let noticed = || faults.iter().map(|fault| simulator.fault_hits(*fault)).sum::<u32>();
    while noticed() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody asks any more");
        poll(visa, ids).await;
    }
    poll(visa, ids).await;
    faults.into_iter().for_each(|fault| simulator.remove_fault(fault));
}

async fn create(visa: &Client, flavour: &str, name: &str) -> String {
    let body = json!({
        "name": name, "imageId": "9000", "flavourId": flavour, "securityGroups": ["visa-ssh"],
        "metadata": {"id": name}, "bootCommand": null,
    });
    let created = visa.call("POST", "/api/instances", Some(&body)).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["id"].as_str().expect("a text").to_owned()
}

async fn all_until(visa: &Client, ids: &[String], wanted: &str, never: &[&str]) -> Vec<Value> {
    join_all(ids.iter().map(|id| until(visa, id, wanted, never))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxmox_cut_off_in_the_middle_of_anything_loses_and_doubles_nothing() {
    let simulator = cluster().await;
    let before = simulator.dump();
    let folder = tempfile::tempdir().expect("a folder");
    let (address, table) = door(folder.path());
    let site = Site::with_store(&simulator, simulator.token(), "", &table).expect("a site");
    let mut server = site.serve().expect("it starts");
    let native = site.open(&mut server).await.expect("it opens");
    let visa = Client { address, token: "visa-token".to_owned() };
    let flavour = add_flavour(&native).await;
    visa.until_images().await;

    let calls = |method, end| (method, end, asked(&simulator, method, end));
    let call = calls("POST", "/clone");
    let ids = join_all(NAMES.iter().map(|name| create(&visa, &flavour, name))).await;
    outage(&simulator, &visa, &ids, call).await;
    all_until(&visa, &ids, "ACTIVE", &["ERROR", "STOPPED"]).await;
    let guests = simulator.dump()["guests"].as_object().expect("guests").len();
    assert_eq!(guests, before["guests"].as_object().expect("guests").len() + NAMES.len());

    for (action, text, end, state, never) in [
        ("reboot", "Rebooting instance", "/status/reboot", "ACTIVE", &["ERROR", "STOPPED"][..]),
        ("shutdown", "Shutting down instance", "/status/shutdown", "STOPPED", &["ERROR"]),
        ("start", "Starting instance", "/status/start", "ACTIVE", &["ERROR", "STOPPED"]),
    ] {
        let call = calls("POST", end);
        join_all(ids.iter().map(|id| act(&visa, id, action, text))).await;
        outage(&simulator, &visa, &ids, call).await;
        all_until(&visa, &ids, state, never).await;
    }

    // The last call of a deletion: one of three may have come to its end.
    let call = calls("POST", "/status/shutdown");
    for id in &ids {
        let deleted = visa.call("DELETE", &format!("/api/instances/{id}"), None).await;
        assert_eq!(deleted.status, 200, "{deleted:?}");
    }
    outage(&simulator, &visa, &[], call).await;
    let begun = Instant::now();
    while visa.get("/api/instances/identifiers").await != json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(180), "{}", visa.get("/api/instances").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(NAMES.iter().all(|name| guest(&simulator, name).is_none()));
    assert_eq!(simulator.dump()["guests"], before["guests"]);
    server.kill().await.expect("it served until now");
}
