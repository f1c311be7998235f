#![allow(clippy::unwrap_used, clippy::panic)]
use std::cell::RefCell;
use std::io::Write;
use std::sync::{Mutex, Once};

use axum::body::Body;
use axum::response::Response;
use client::wire;
use http::Request;
use http_body_util::BodyExt;
use model::time::SystemClock;
use serde_json::Value;
use tower::ServiceExt;

use super::*;

/// What was logged on this thread while it lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn listen(&self) -> Listening {
        // One subscriber for the whole process: those of single threads race for
        // what tracing remembers of each place that logs.
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let writer = || LOG.with_borrow(Clone::clone).unwrap_or_default();
            tracing_subscriber::fmt().with_writer(writer).with_ansi(false).init();
        });
        LOG.set(Some(self.clone()));
        Listening
    }
}

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Ends the listening when it is dropped.
struct Listening;

impl Drop for Listening {
    fn drop(&mut self) {
        LOG.set(None);
    }
}

/// Routes that misbehave, behind what surrounds every request.
async fn misbehaving(limits: Limits) -> (provisioner::testing::TestHouse, Router) {
    let test = provisioner::testing::house().await;
    let native = Native {
        house: Arc::clone(&test.house),
        clock: Arc::new(SystemClock::new()),
        limits,
        slots: Arc::new(Semaphore::new(limits.requests)),
        requests: Arc::default(),
        streams: Arc::new(Semaphore::new(limits.streams)),
        openapi: Arc::from(""),
    };
    let fail = || async { Failure::from(Error::internal("password=hunter2")) };
    let slow = || async { tokio::time::sleep(Duration::from_secs(60)).await };
    let panics = || async {
        if true {
            panic!("on purpose");
        }
    };
    let router = Router::new()
        .route("/internal", get(fail))
        .route("/panics", get(panics))
        .route("/slow", get(slow))
        .layer(middleware::from_fn_with_state(native.clone(), request::around))
        .with_state(native);
    (test, router)
}

async fn ask(router: &Router, path: &str, request_id: &str) -> Response {
    let request = Request::get(path).header(wire::REQUEST_ID_HEADER, request_id);
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn error_of(response: Response) -> Value {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Value>(&body).unwrap()["error"].clone()
}

#[tokio::test]
async fn a_failure_of_ours_is_logged_once_with_its_cause_and_answered_without() {
    let (_house, router) = misbehaving(Limits::default()).await;
    let log = Log::default();
    let guard = log.listen();
    let response = ask(&router, "/internal", "req-1").await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()[wire::REQUEST_ID_HEADER], "req-1");
    assert_eq!(response.headers()["content-type"], "application/json");
    let error = error_of(response).await;
    assert_eq!(error["code"], "internal");
    assert_eq!(error["request_id"], "req-1");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    drop(guard);
    let text = log.text();
    assert_eq!(text.matches("hunter2").count(), 1, "{text}");
    assert!(text.contains("ERROR") && text.contains("req-1"), "{text}");
}

#[tokio::test]
async fn a_handler_that_panics_is_a_failure_of_ours() {
    let (_house, router) = misbehaving(Limits::default()).await;
    let log = Log::default();
    let guard = log.listen();
    let response = ask(&router, "/panics", "req-2").await;
    assert_eq!(response.status(), 500);
    assert_eq!(error_of(response).await["code"], "internal");
    drop(guard);
    assert!(log.text().contains("a handler panicked: on purpose"), "{}", log.text());
}

#[tokio::test]
async fn a_bad_request_id_is_replaced() {
    let (_house, router) = misbehaving(Limits::default()).await;
    for bad in ["", "two words", &"x".repeat(65)] {
        let response = ask(&router, "/internal", bad).await;
        let id = response.headers()[wire::REQUEST_ID_HEADER].to_str().unwrap().to_owned();
        assert!(id.len() == 24 && id != bad, "{id}");
        assert_eq!(error_of(response).await["request_id"], id);
    }
}

#[tokio::test]
async fn requests_have_limits_in_number_and_time() {
    let limits =
        Limits { requests: 1, request_timeout: Duration::from_millis(500), ..Limits::default() };
    let (_house, router) = misbehaving(limits).await;
    let other = router.clone();
    let slow = tokio::spawn(async move { ask(&other, "/slow", "a").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = ask(&router, "/slow", "b").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(error_of(refused).await["code"], "too_many_requests");
    let cut = slow.await.unwrap();
    assert_eq!(cut.status(), 503);
    assert_eq!(error_of(cut).await["code"], "unavailable");
    // The slot is free again.
    assert_eq!(ask(&router, "/internal", "c").await.status(), 500);
}
