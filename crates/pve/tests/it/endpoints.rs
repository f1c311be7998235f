//! Several endpoints of one cluster.

use std::sync::Arc;
use std::time::Duration;

use pve::{Client, Config, Error, Method, Sent, VmId};
use tokio::net::TcpListener;

use crate::auth::ManualClock;
use crate::server::{Act, Server, bare, data, soon};

/// An address where nobody listens.
async fn nowhere() -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    format!("https://{address}").parse().unwrap()
}

/// A configuration for these servers, in this order.
fn config_of(servers: &[&Server]) -> Config {
    let mut config = servers[0].config();
    config.endpoints = servers.iter().map(|server| server.url().parse().unwrap()).collect();
    config.tls.fingerprints = servers.iter().map(|server| server.identity.fingerprint()).collect();
    config
}

async fn read(client: &Client) -> Result<(), Error> {
    soon(client.request(Method::GET, "version", ())).await.map(drop)
}

async fn write(client: &Client) -> Result<(), Error> {
    let vm = client.node("pve1").qemu(VmId::new(100).unwrap());
    soon(vm.unlink(&["unused0"], false)).await.map(drop)
}

fn counts(servers: &[&Server]) -> Vec<usize> {
    servers.iter().map(|server| server.requests().len()).collect()
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_passed_over_by_reads_and_by_writes() {
    let server = Server::start(|_| data("null")).await;
    let mut config = server.config();
    config.endpoints.insert(0, nowhere().await);
    let client = Client::new(config.clone()).unwrap();
    read(&client).await.unwrap();
    let client = Client::new(config).unwrap();
    write(&client).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_lost_answer_sends_reads_on_and_leaves_writes_ambiguous() {
    let broken = Server::start(|_| Act::SendAndCut(Vec::new())).await;
    let good = Server::start(|_| data("null")).await;
    let client = Client::new(config_of(&[&broken, &good])).unwrap();
    let error = write(&client).await.unwrap_err();
    assert!(matches!(error, Error::Ambiguous { .. }), "{error:?}");
    assert_eq!(counts(&[&broken, &good]), [1, 0]);
    // The next call begins elsewhere.
    write(&client).await.unwrap();
    let client = Client::new(config_of(&[&broken, &good])).unwrap();
    read(&client).await.unwrap();
    assert_eq!(counts(&[&broken, &good]), [2, 2]);
}

#[tokio::test]
async fn a_node_that_one_endpoint_cannot_reach_is_asked_for_by_another() {
    let cut_off = Server::start(|_| bare(595, "No route to host")).await;
    let good = Server::start(|_| data("null")).await;
    let client = Client::new(config_of(&[&cut_off, &good])).unwrap();
    write(&client).await.unwrap();
    read(&client).await.unwrap();
    // 595 is about the node: the endpoint itself is not set back.
    assert_eq!(counts(&[&cut_off, &good]), [2, 2]);
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let refusing = Server::start(|_| crate::server::refuse(500, "no")).await;
    let other = Server::start(|_| data("null")).await;
    let client = Client::new(config_of(&[&refusing, &other])).unwrap();
    assert_eq!(read(&client).await.unwrap_err().was_sent(), Sent::Yes);
    assert_eq!(counts(&[&refusing, &other]), [1, 0]);
}

#[tokio::test]
async fn a_failed_endpoint_is_set_back_and_tried_again_later() {
    let flaky = Server::scripted([Act::SendAndCut(Vec::new())]).await;
    let steady = Server::start(|_| data("null")).await;
    let clock = Arc::new(ManualClock::default());
    let mut config = config_of(&[&flaky, &steady]);
    config.clock = clock.clone();
    config.set_back = Duration::from_secs(30);
    let client = Client::new(config).unwrap();
    read(&client).await.unwrap();
    assert_eq!(counts(&[&flaky, &steady]), [1, 1]);
    clock.advance(29);
    read(&client).await.unwrap();
    assert_eq!(counts(&[&flaky, &steady]), [1, 2], "it is set back");
    clock.advance(1);
    write(&client).await.unwrap();
    assert_eq!(counts(&[&flaky, &steady]), [1, 3], "a write is not what tries it out");
    read(&client).await.unwrap();
    write(&client).await.unwrap();
    assert_eq!(counts(&[&flaky, &steady]), [3, 3]);
}

#[tokio::test]
async fn when_nobody_answers_the_last_failure_is_told() {
    let mut config = Server::start(|_| data("null")).await.config();
    config.endpoints = vec![nowhere().await, nowhere().await];
    let client = Client::new(config).unwrap();
    for result in [read(&client).await, write(&client).await] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
    }
}
