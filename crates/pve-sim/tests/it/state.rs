//! A saved state goes on where it ended.

use std::sync::Arc;

use crate::support::{Client, builder, start};
use pve_sim::{ManualClock, Simulator};

async fn again(client: &Client) -> Client {
    let state = client.simulator.save().unwrap();
    let clock = Arc::new(ManualClock::at(client.simulator.now()));
    start(Simulator::builder().clock(clock).load(&state)).await
}

#[tokio::test]
async fn everything_is_there_again() {
    let client = start(builder().pool("web").user("bob@pve", "bobs-password")).await;
    client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500&pool=web&full=1").await;
    client.task("POST", "/nodes/pve1/qemu/500/snapshot", "snapname=before").await;
    client.put("/nodes/pve1/qemu/500/config", "description=kept").await.data();
    client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await;
    client.put("/nodes/pve1/qemu/500/config", "memory=1024").await.data();
    let loaded = again(&client).await;
    assert_eq!(loaded.simulator.dump(), client.simulator.dump());
    for path in [
        "/nodes/pve1/qemu/500/config",
        "/nodes/pve1/qemu/500/pending",
        "/nodes/pve1/qemu/500/snapshot",
        "/nodes/pve1/tasks",
        "/access/users",
        "/pools/web",
        "/nodes/pve1/storage/local/content",
    ] {
        assert_eq!(loaded.get(path).await.data(), client.get(path).await.data(), "{path}");
    }
    // Tokens and tickets of before still count.
    assert_eq!(loaded.simulator.token(), client.simulator.token());
    let bob = Client::with_password(&client.simulator, "bob@pve", "bobs-password").await;
    let bob = Client { simulator: loaded.simulator.clone(), auth: bob.auth.clone() };
    assert_eq!(bob.get("/access/ticket").await.status, 200);
    // And it goes on.
    assert_eq!(loaded.task("POST", "/nodes/pve1/qemu/500/status/stop", "").await, "OK");
    let clone = "newid=501&name=next";
    assert_eq!(loaded.task("POST", "/nodes/pve1/qemu/9000/clone", clone).await, "OK");
    assert_eq!(loaded.task("DELETE", "/nodes/pve1/qemu/501", "").await, "OK");
}

#[tokio::test]
async fn a_task_that_ran_is_found_killed_with_its_lock() {
    let client = start(builder()).await;
    let clone = client.post("/nodes/pve1/qemu/9000/clone", "newid=500&full=1").await.data();
    let upid = clone.as_str().unwrap();
    let loaded = again(&client).await;
    assert_eq!(loaded.exit(upid).await, "unexpected status");
    assert_eq!(loaded.config(500).await["lock"], "clone");
}

#[tokio::test]
async fn what_is_no_state_is_refused_with_the_reason() {
    for (text, reason) in [
        ("{}", "this is not the saved state of a simulator"),
        (r#"{"format":99}"#, "the saved state has format 99, this program reads format 1"),
    ] {
        let started = Simulator::builder().load(text).start("127.0.0.1:0".parse().unwrap()).await;
        let error = started.err().unwrap();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), reason);
    }
}
