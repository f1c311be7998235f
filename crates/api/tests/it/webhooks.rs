//! Events that are posted to a receiver.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::webhooks::{
    DEAD_AFTER, EVENT_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Teller, signature,
};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use client::wire::CreateInstance;
use http::{HeaderMap, StatusCode};
use model::time::ManualClock;
use model::{Clock, Role};
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{Doors, call};

/// What a receiver does and what it has got.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Got>>);

#[derive(Default)]
struct Got {
    down: bool,
    tries: usize,
    taken: Vec<(HeaderMap, String)>,
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let mut got = receiver.0.lock().unwrap();
    got.tries += 1;
    if got.down {
        return StatusCode::BAD_GATEWAY;
    }
    got.taken.push((headers, body));
    StatusCode::OK
}

impl Receiver {
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/hook", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/hook")
    }

    fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    fn tries(&self) -> usize {
        self.0.lock().unwrap().tries
    }

    fn kinds(&self) -> Vec<String> {
        let got = self.0.lock().unwrap();
        let kind = |body: &String| {
            serde_json::from_str::<Value>(body).unwrap()["kind"].as_str().unwrap().to_owned()
        };
        got.taken.iter().map(|(_, body)| kind(body)).collect()
    }
}

#[tokio::test]
async fn a_webhook_gets_every_event_in_order_and_signed_whatever_happens_in_between() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let receiver = Receiver::default();
    let body = format!("{{\"url\":\"{}\"}}", receiver.open().await);
    let made = call(doors.native, "POST", "/v1/webhooks", Some(&token), Some(&body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let id = made.json()["webhook"]["id"].as_str().unwrap().to_owned();
    let list = async || call(doors.native, "GET", "/v1/webhooks", Some(&token), None).await;
    assert!(!list().await.body.contains(&secret));

    let client = doors.client("default", Role::Member).await;
    let mut request = CreateInstance::new("web-1", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    let made = client.create_instance(&request).await.unwrap();
    let silent = &mut client::progress::Silent;
    client::progress::follow(&client, made.operation, silent).await.unwrap();

    let clock = ManualClock::at(doors.test.core.clock.now());
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let mut teller = Teller::new(Arc::clone(&doors.test.house), Arc::clone(&shared));
    receiver.set_down(true);
    assert_eq!(teller.round().await.unwrap(), 0);
    // It is tried again after a pause, which grows.
    assert_eq!((teller.round().await.unwrap(), receiver.tries()), (0, 1));
    clock.advance(Duration::from_secs(1));
    assert_eq!((teller.round().await.unwrap(), receiver.tries()), (0, 2));
    clock.advance(Duration::from_secs(1));
    assert_eq!((teller.round().await.unwrap(), receiver.tries()), (0, 2));
    let row = list().await.json()["webhooks"][0].clone();
    assert_eq!((row["failures"].as_u64(), row["dead_at"].is_null()), (Some(2), true), "{row}");
    assert!(row["last_error"].as_str().unwrap().contains("502"), "{row}");
    // Another process takes up where this one was, a day later: the last try.
    clock.advance(DEAD_AFTER);
    let mut teller = Teller::new(Arc::clone(&doors.test.house), shared);
    assert_eq!((teller.round().await.unwrap(), receiver.tries()), (0, 3));
    clock.advance(Duration::from_secs(3600));
    assert_eq!((teller.round().await.unwrap(), receiver.tries()), (0, 3));
    assert!(list().await.json()["webhooks"][0]["dead_at"].is_string());
    // Resumed, it gets what it has missed, each once and in order.
    receiver.set_down(false);
    let path = format!("/v1/webhooks/{id}/resume");
    assert_eq!(call(doors.native, "POST", &path, Some(&token), None).await.status, 200);
    while teller.round().await.unwrap() > 0 {}
    let kinds = receiver.kinds();
    for kind in ["operation.running", "instance.created", "operation.succeeded"] {
        assert_eq!(kinds.iter().filter(|one| *one == kind).count(), 1, "{kinds:?}");
    }
    let got = std::mem::take(&mut receiver.0.lock().unwrap().taken);
    let mut last = 0;
    for (headers, body) in &got {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let secret = SecretString::from(secret.clone());
        let expected = signature(&secret, &header(TIMESTAMP_HEADER), body);
        assert_eq!(header(SIGNATURE_HEADER), expected);
        let sequence: u64 = header(EVENT_HEADER).parse().unwrap();
        assert!(sequence > last, "{sequence} after {last}");
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["sequence"], sequence);
        last = sequence;
    }
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(call(doors.native, "DELETE", &path, Some(&token), None).await.status, 204);
    assert_eq!(call(doors.native, "DELETE", &path, Some(&token), None).await.status, 404);
}

#[tokio::test]
async fn only_administrators_make_webhooks_and_only_to_plain_addresses() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let members = doors.token("default", Role::Member, None).await;
    let refused =
        call(doors.native, "POST", "/v1/webhooks", Some(&members), Some(&body_of())).await;
    assert_eq!(refused.status, 403);
    for bad in ["ftp://a/", "x", "http://u:p@h/", "http://h/?a=1"] {
        let body = format!("{{\"url\":\"{bad}\"}}");
        let reply = call(doors.native, "POST", "/v1/webhooks", Some(&token), Some(&body)).await;
        assert_eq!(reply.json()["error"]["field"], "url", "{bad}: {reply:?}");
    }
}

fn body_of() -> String {
    r#"{"url":"http://127.0.0.1:1/hook"}"#.to_owned()
}
