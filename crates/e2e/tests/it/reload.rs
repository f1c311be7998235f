//! The real server takes up another token and other certificates while it runs.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use client::Client;
use e2e::served::Site;
use pve_sim::{GuestSeed, NodeSeed, Simulator};

/// On a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(60);

async fn cluster() -> Simulator {
    Simulator::builder()
        .random_seed(11)
        .node(NodeSeed::new("pve1"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("local-lvm", 2048))
        .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap()
}

async fn logged(site: &Site, text: &str) {
    let begun = Instant::now();
    while site.log_count(text) == 0 {
        assert!(begun.elapsed() < PATIENCE, "{text}: {}", site.log_tail(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn images_appear(client: &Client, site: &Site) {
    let begun = Instant::now();
    while client.images().await.unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{}", site.log_tail(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_and_a_fingerprint_that_were_wrong_are_read_again_at_a_hangup() {
    let simulator = cluster().await;
    let (id, secret) = simulator.token().split_once('=').unwrap();
    let site = Site::new(&simulator, &format!("{id}=00000000-wrong"), "").unwrap();
    let right = fs::read_to_string(site.config()).unwrap();
    let pin = simulator.fingerprint();
    let other: String = pin.replace(['0', '1', '2', '3', '4'], "5");
    fs::write(site.config(), right.replace(pin, &other)).unwrap();
    let mut serving = site.serve().unwrap();
    let client = site.open(&mut serving).await.unwrap();
    assert!(client.images().await.unwrap().is_empty());

    // A configuration that cannot be used changes nothing.
    fs::write(site.config(), right.replace("token_id", "tokenid")).unwrap();
    serving.signal("HUP").unwrap();
    logged(&site, "everything stays as it was").await;

    fs::write(site.config(), format!("{right}pool = \"desktops\"\n")).unwrap();
    fs::write(site.config().with_file_name("lab.secret"), format!("{secret}\n")).unwrap();
    serving.signal("HUP").unwrap();
    logged(&site, "other changes need a restart").await;
    assert_eq!(site.log_count("provider.lab.pool"), 1, "{}", site.log_tail(30));
    images_appear(&client, &site).await;
    assert!(serving.ended().unwrap().is_none());
    serving.terminate().await.unwrap();
}
