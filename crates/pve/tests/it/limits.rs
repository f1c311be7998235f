//! How many requests at once.

use std::sync::Arc;
use std::time::Duration;

use pve::{Client, Error, Method, Sent};
use tokio::sync::Semaphore;

use crate::server::{Act, Server, answer, data, soon};

/// A server whose nodes called `slow` answer when the gate is open.
async fn server() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let open = gate.clone();
    let server = Server::start(move |request| match request.target.contains("/slow/") {
        true => Act::When(open.clone(), answer(200, "OK", "{\"data\":null}")),
        false => data("null"),
    })
    .await;
    (server, gate)
}

async fn read(client: &Client, path: &str) -> Result<(), Error> {
    soon(client.request(Method::GET, path, ())).await.map(drop)
}

/// Waits until so many requests have come in.
async fn arrived(server: &Server, count: usize) {
    let all = async {
        while server.requests().len() < count {
            tokio::task::yield_now().await;
        }
    };
    soon(all).await;
}

#[tokio::test]
async fn a_slow_node_holds_up_only_its_own_calls() {
    let (server, gate) = server().await;
    let mut config = server.config();
    (config.limits.in_flight, config.limits.per_node) = (3, 2);
    let client = Client::new(config).unwrap();
    let slow: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { read(&client, "nodes/slow/status").await })
        })
        .collect();
    arrived(&server, 2).await;
    // Three wait for the node, and take none of the places of all.
    for _ in 0..10 {
        read(&client, "nodes/quick/status").await.unwrap();
    }
    let count = |name: &str| {
        let requests = server.requests().into_iter();
        requests.filter(|request| request.target.contains(name)).count()
    };
    assert_eq!((count("/slow/"), count("/quick/")), (2, 10));
    gate.add_permits(5);
    for call in slow {
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!(count("/slow/"), 5);
}

#[tokio::test]
async fn who_waits_for_too_long_was_not_sent() {
    let (server, gate) = server().await;
    let mut config = server.config();
    config.limits.in_flight = 1;
    config.limits.longest_wait = Duration::from_millis(50);
    let client = Client::new(config).unwrap();
    let first = client.clone();
    let first = tokio::spawn(async move { read(&first, "nodes/slow/status").await });
    arrived(&server, 1).await;
    let error = soon(client.pools().create("p", None)).await.unwrap_err();
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    assert_eq!(error.was_sent(), Sent::No);
    assert!(error.to_string().contains("limits.in_flight"), "{error}");
    gate.add_permits(1);
    soon(first).await.unwrap().unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_gives_its_place_back() {
    let (server, _gate) = server().await;
    let mut config = server.config();
    config.limits.in_flight = 1;
    let client = Client::new(config).unwrap();
    let first = client.clone();
    let first = tokio::spawn(async move { read(&first, "nodes/slow/status").await });
    arrived(&server, 1).await;
    first.abort();
    read(&client, "nodes/quick/status").await.unwrap();
}
