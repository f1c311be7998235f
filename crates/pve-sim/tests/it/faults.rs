//! The fault plan.

use crate::support::{SECOND, default};
use pve_sim::{Change, Effect, Fault};

const CLONE: &str = "/nodes/pve1/qemu/9000/clone";

fn exists(dump: &serde_json::Value, vmid: u32) -> bool {
    dump["guests"].get(format!("{vmid:09}")).is_some()
}

#[tokio::test]
async fn a_lost_reply_leaves_the_effect() {
    let client = default().await;
    let fault =
        client.simulator.fault(Fault::on("POST", "/nodes/*/qemu/*/clone").then(Effect::LoseReply));
    assert!(client.try_send("POST", CLONE, Some("newid=500")).await.is_none());
    assert_eq!(client.simulator.fault_hits(fault), 1);
    client.simulator.settle().await;
    assert!(exists(&client.simulator.dump(), 500));
    let record = client.simulator.requests().pop().unwrap();
    assert_eq!(
        (record.method.as_str(), record.path.as_str(), record.status),
        ("POST", CLONE, None)
    );
    assert!(record.effect && record.faulty);
    assert_eq!(record.parameters["newid"], "500");
    assert_eq!(record.caller.as_deref(), Some("root@pam!simulator"));
}

#[tokio::test]
async fn a_dropped_or_refused_call_has_no_effect() {
    let client = default().await;
    let before = client.simulator.dump();
    client.simulator.fault(Fault::on("*", "/nodes/**").nth(1).then(Effect::Drop));
    client.simulator.fault(
        Fault::on("POST", "/**").nth(2).then(Effect::Refuse { status: 503, text: "busy".into() }),
    );
    client
        .simulator
        .fault(Fault::on("POST", "/**").nth(3).then(Effect::Gateway { status: 595, done: false }));
    assert!(client.try_send("POST", CLONE, Some("newid=500")).await.is_none());
    assert_eq!(client.post(CLONE, "newid=500").await.line(), "503 busy");
    let gateway = client.post(CLONE, "newid=500").await;
    assert_eq!((gateway.line().as_str(), gateway.body.as_str()), ("595 Connection refused", ""));
    client.simulator.settle().await;
    assert_eq!(client.simulator.dump(), before);
}

#[tokio::test]
async fn a_late_worker_does_it_after_the_answer() {
    let client = default().await;
    let later = Effect::Later { after: 40 * SECOND, answers_596: true };
    client.simulator.fault(Fault::on("POST", CLONE).then(later));
    assert_eq!(client.post(CLONE, "newid=500").await.line(), "596 Connection timed out");
    client.simulator.advance(39 * SECOND).await;
    assert!(!exists(&client.simulator.dump(), 500));
    client.simulator.advance(SECOND).await;
    assert_eq!(client.simulator.dump()["guests"]["000000500"]["lock"], "clone");
    client.simulator.settle().await;
    assert_eq!(client.simulator.dump()["guests"]["000000500"]["lock"], serde_json::Value::Null);
    let late = client.simulator.requests().pop().unwrap();
    assert_eq!((late.late_of, late.effect), (Some(1), true));
}

#[tokio::test]
async fn a_delayed_call_goes_on_when_the_clock_says_so() {
    let client = default().await;
    client.simulator.fault(Fault::on("GET", "/version").then(Effect::Delay(5 * SECOND)));
    let simulator = client.simulator.clone();
    let asked = tokio::spawn(async move { client.get("/version").await });
    while simulator.next_due().is_none() {
        tokio::task::yield_now().await;
    }
    simulator.advance(4 * SECOND).await;
    assert!(!asked.is_finished());
    simulator.advance(SECOND).await;
    assert_eq!(asked.await.unwrap().status, 200);
}

#[tokio::test]
async fn tasks_fail_before_partly_or_after_their_effect() {
    let client = default().await;
    let before = client.simulator.dump();
    client
        .simulator
        .fault(Fault::on("POST", CLONE).nth(1).then(Effect::TaskFails("no luck".into())));
    client
        .simulator
        .fault(Fault::on("POST", CLONE).nth(2).then(Effect::TaskFailsPartly("torn".into())));
    client
        .simulator
        .fault(Fault::on("POST", CLONE).nth(3).then(Effect::TaskFailsAfterEffect("late".into())));
    assert_eq!(client.task("POST", CLONE, "newid=500").await, "no luck");
    assert_eq!(client.simulator.dump(), before);
    assert_eq!(client.task("POST", CLONE, "newid=501").await, "torn");
    assert_eq!(client.simulator.dump()["guests"]["000000501"]["lock"], "clone");
    assert_eq!(client.task("POST", CLONE, "newid=502").await, "late");
    assert!(client.config(502).await.get("scsi0").is_some());
}

#[tokio::test]
async fn a_vanished_task_is_unknown_whether_it_was_done_or_not() {
    for done in [true, false] {
        let client = default().await;
        client.simulator.fault(
            Fault::on("POST", "/nodes/pve1/qemu/9000/clone").then(Effect::TaskVanishes { done }),
        );
        let upid = client.post(CLONE, "newid=500").await.data();
        client.simulator.settle().await;
        let path = crate::support::task_path(upid.as_str().unwrap(), "status");
        assert_eq!(client.get(&path).await.error("upid"), "no such task");
        let guest = &client.simulator.dump()["guests"]["000000500"];
        assert_eq!(guest["config"].get("scsi0").is_some(), done);
    }
}

#[tokio::test]
async fn a_clone_reported_too_early_stays_locked_for_a_while() {
    let client = default().await;
    client.simulator.fault(Fault::on("POST", CLONE).then(Effect::TaskOkEarly(30 * SECOND)));
    let upid = client.post(CLONE, "newid=500").await.data();
    client.simulator.advance(2 * SECOND).await;
    assert_eq!(client.exit(upid.as_str().unwrap()).await, "OK");
    assert_eq!(
        client.put("/nodes/pve1/qemu/500/config", "cores=2").await.line(),
        "500 VM is locked (clone)"
    );
    client.simulator.advance(30 * SECOND).await;
    assert_eq!(client.put("/nodes/pve1/qemu/500/config", "cores=2").await.status, 200);
}

#[tokio::test]
async fn a_foreign_guest_takes_the_id_first() {
    let client = default().await;
    let foreign =
        Effect::ForeignGuest { name: "theirs".into(), description: Some("not yours".into()) };
    client.simulator.fault(Fault::on("POST", CLONE).then(foreign));
    assert_eq!(
        client.post(CLONE, "newid=500").await.line(),
        "500 unable to create VM 500: config file already exists"
    );
    assert_eq!(client.config(500).await["name"], "theirs");
}

#[tokio::test]
async fn lock_timeouts_show_where_proxmox_shows_them() {
    let client = default().await;
    assert_eq!(client.task("POST", CLONE, "newid=500").await, "OK");
    let text = "can't lock file '/var/lock/qemu-server/lock-500.conf' - got timeout";
    client
        .simulator
        .fault(Fault::on("*", "/nodes/pve1/qemu/500/**").times(2).then(Effect::LockTimeout));
    assert_eq!(
        client.put("/nodes/pve1/qemu/500/config", "cores=2").await.line(),
        format!("500 {text}")
    );
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, text);
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/500/status/start", "").await, "OK");
}

#[tokio::test]
async fn the_cluster_can_lose_nodes_space_and_quorum() {
    let client = default().await;
    client.simulator.change(&Change::NodeOnline("pve2".into(), false));
    let offline = client.get("/nodes/pve2/qemu").await;
    assert_eq!((offline.status, offline.body.as_str()), (595, ""));
    assert_eq!(client.get("/nodes").await.data()[1]["status"], "offline");
    client.simulator.change(&Change::StorageFull("local".into(), true));
    let before = client.simulator.dump();
    let exit = client.task("POST", CLONE, "newid=500").await;
    assert!(exit.contains("No space left on device"), "{exit}");
    assert_eq!(client.simulator.dump(), before);
    client.simulator.change(&Change::Quorum(false));
    assert_eq!(
        client.post("/pools", "poolid=x").await.line(),
        "500 cluster not ready - no quorum?"
    );
    assert_eq!(client.get("/nodes/pve1/qemu").await.status, 200);
}

#[tokio::test]
async fn chances_are_drawn_from_the_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let client = default().await;
        client
            .simulator
            .fault(Fault::on("GET", "/version").always().chance(500).then(Effect::Drop));
        let mut answers = Vec::new();
        for _ in 0..16 {
            answers.push(client.try_send("GET", "/version", None).await.is_some());
        }
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&true) && runs[0].contains(&false));
}
