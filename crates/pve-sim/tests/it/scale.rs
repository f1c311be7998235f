//! Real time, many clients, many guests.

use std::time::{Duration, Instant};

use crate::support::{Client, builder, start};
use pve_sim::{Effect, Fault, GuestSeed, NodeSeed, Simulator, StorageSeed, TaskDurations};

async fn until_done(client: &Client, upid: &str) -> String {
    for _ in 0..500 {
        match client.exit(upid).await.as_str() {
            "running" => tokio::time::sleep(Duration::from_millis(10)).await,
            exit => return exit.to_owned(),
        }
    }
    panic!("{upid} does not end");
}

#[tokio::test]
async fn with_real_time_tasks_end_by_themselves_and_one_of_many_racers_wins() {
    let simulator = Simulator::builder()
        .durations(TaskDurations::all(Duration::from_millis(50)))
        .template(GuestSeed::new(9000, "tiny").disk("local", 1024))
        .start("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let racers = (0..8).map(|_| {
        let client = Client::new(&simulator);
        tokio::spawn(async move { client.post("/nodes/pve1/qemu/9000/clone", "newid=500").await })
    });
    let mut won = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        let answer = racer.await.unwrap();
        if answer.status == 200 {
            won.push(answer.data().as_str().unwrap().to_owned());
        } else {
            assert_eq!(answer.line(), "500 unable to create VM 500: config file already exists");
        }
    }
    assert_eq!(won.len(), 1);
    let client = Client::new(&simulator);
    assert_eq!(until_done(&client, &won[0]).await, "OK");
    let start = client.post("/nodes/pve1/qemu/500/status/start", "").await.data();
    // A call that changes the configuration waits for the worker that holds the lock file.
    assert_eq!(client.put("/nodes/pve1/qemu/500/config", "description=x").await.status, 200);
    assert_eq!(until_done(&client, start.as_str().unwrap()).await, "OK");
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_what_it_asked_for() {
    let client = start(builder()).await;
    let simulator = client.simulator.clone();
    simulator.fault(Fault::on("POST", "/**").then(Effect::Delay(Duration::from_secs(5))));
    let path = "/nodes/pve1/qemu/9000/clone";
    let asked = tokio::spawn(async move { client.post(path, "newid=500").await });
    while simulator.next_due().is_none() {
        tokio::task::yield_now().await;
    }
    asked.abort();
    simulator.settle().await;
    assert!(simulator.dump()["guests"].get("000000500").is_some());
}

#[tokio::test]
async fn ten_thousand_guests_are_listed_without_quadratic_work() {
    let mut builder = Simulator::builder().storage(StorageSeed::new("local", "dir")).pool("web");
    for node in 0..100 {
        let name = format!("pve{node}");
        builder = builder.node(NodeSeed::new(&name));
        for index in 0..100 {
            let guest =
                GuestSeed::new(1000 + node * 100 + index, "guest").on(&name).disk("local", 1024);
            builder = builder.guest(guest);
        }
    }
    let client =
        start(builder.user("bob@pve", "bobs-password").acl("/vms", "bob@pve", "PVEVMUser").token(
            "bob@pve!t",
            "s",
            false,
        ))
        .await;
    let bob = Client::with_token(&client.simulator, "bob@pve!t=s");
    let begun = Instant::now();
    for client in [&client, &bob] {
        let rows = client.get("/cluster/resources?type=vm").await.data();
        assert_eq!(rows.as_array().unwrap().len(), 10_000);
    }
    assert_eq!(client.get("/cluster/nextid").await.data(), "100");
    let took = begun.elapsed();
    println!("two lists of 10,000 guests: {took:?}");
    // An unoptimised build takes about a second; quadratic work would take minutes.
    assert!(took < Duration::from_secs(20), "{took:?}");
}
