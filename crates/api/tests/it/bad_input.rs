//! Whatever is sent is answered with our error in JSON, or runs into a limit,
//! and the door goes on.

use std::time::{Duration, Instant};

use model::Role;
use serde_json::Value;

use crate::support::{Doors, Reply, call, raw};

fn error(reply: &Reply, status: u16, code: &str, field: Option<&str>) {
    assert_eq!(reply.status, status, "{reply:?}");
    let error = &reply.json()["error"];
    assert_eq!(error["code"], code, "{reply:?}");
    assert_eq!(error["field"].as_str(), field, "{reply:?}");
    assert_eq!(error["request_id"].as_str(), reply.header("x-request-id"), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"), "{reply:?}");
}

#[tokio::test]
async fn every_rejection_is_our_error_and_names_the_field() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let ask = async |method: &str, path: &str, body: Option<&str>| {
        call(doors.native, method, path, Some(&token), body).await
    };
    let good = r#""name":"a","image":"debian","cores":1,"memory_bytes":1073741824"#;
    for (extra, field) in [
        (r#""cores":0"#, "cores"),
        (r#""x":1"#, "x"),
        (r#""disks":[{"size_bytes":"1"}]"#, "disks[0].size_bytes"),
        (r#""disks":[{"size_bytes":0}]"#, "disks[0].size_bytes"),
        (r#""host":"../etc""#, "host"),
        (r#""project":"a b""#, "project"),
        (r#""image":"nope""#, "image"),
        (r#""flavour":"nope""#, "flavour"),
        (r#""memory_bytes":1"#, "memory_bytes"),
        (r#""memory_bytes":99999999999999999999"#, "memory_bytes"),
        (r#""name":"-bad-""#, "name"),
        (r#""security_groups":["x"]"#, "security_groups[0]"),
        (r#""ssh_authorized_keys":["a\nb"]"#, "ssh_authorized_keys[0]"),
    ] {
        // The bad field replaces the good one of the same name.
        let key = extra.split(':').next().unwrap();
        let kept: Vec<&str> = good.split(',').filter(|part| !part.starts_with(key)).collect();
        let body = format!("{{{},{extra}}}", kept.join(","));
        let reply = ask("POST", "/v1/instances", Some(&body)).await;
        error(&reply, 400, "invalid_request", Some(field));
    }
    let nobody = "/v1/instances/01936b2e-0000-7000-8000-000000000001";
    for (path, field) in [
        ("/v1/instances?limit=0", "limit"),
        ("/v1/instances?limit=1001", "limit"),
        ("/v1/instances?state=up", "state"),
        ("/v1/instances?nope=1", "nope"),
        ("/v1/operations?settled=maybe", "settled"),
        ("/v1/operations?instance=x", "instance"),
        ("/v1/instances/nope", "id"),
        ("/v1/instances/%ff", "id"),
        ("/v1/operations/1/log", "id"),
    ] {
        error(&ask("GET", path, None).await, 400, "invalid_request", Some(field));
    }
    error(&ask("GET", nobody, None).await, 404, "not_found", None);
    error(&ask("POST", &format!("{nobody}/stop"), None).await, 404, "not_found", None);
    let body = Some(r#"{"timeout_seconds":0}"#);
    let reply = ask("POST", &format!("{nobody}/shutdown"), body).await;
    error(&reply, 400, "invalid_request", Some("timeout_seconds"));
    for path in ["/", "/v1", "/v1/", "/v2/instances", "/v1/instances/"] {
        error(&ask("GET", path, None).await, 404, "not_found", None);
    }
    let reply = ask("PUT", "/v1/instances", Some("{}")).await;
    error(&reply, 405, "method_not_allowed", None);
    let allow = reply.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    let token_body = r#"{"name":"t","role":"member","expires_at":"tomorrow"}"#;
    let reply = ask("POST", "/v1/tokens", Some(token_body)).await;
    error(&reply, 400, "invalid_request", Some("expires_at"));
}

#[tokio::test]
async fn bodies_have_a_type_a_size_and_a_time() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let head = format!(
        "POST /v1/instances HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {token}\r\n"
    );
    for kind in ["", "content-type: text/plain\r\n", "content-type: application/jsonp\r\n"] {
        let request = format!("{head}{kind}content-length: 2\r\n\r\n{{}}");
        let reply = raw(doors.native, request.as_bytes()).await;
        error(&reply, 415, "unsupported_media_type", Some("content-type"));
    }
    let json = "content-type: application/json; charset=utf-8\r\n";
    let declared = format!("{head}{json}content-length: 300000\r\n\r\n");
    error(&raw(doors.native, declared.as_bytes()).await, 413, "body_too_large", Some("body"));
    let mut chunked = format!("{head}{json}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..80 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b' '; 4096]);
        chunked.extend_from_slice(b"\r\n");
    }
    error(&raw(doors.native, &chunked).await, 413, "body_too_large", Some("body"));
    let begun = Instant::now();
    let stalled = format!("{head}{json}content-length: 10\r\n\r\n{{");
    error(&raw(doors.native, stalled.as_bytes()).await, 408, "request_timeout", Some("body"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let broken =
        [head.as_bytes(), json.as_bytes(), b"content-length: 12\r\n\r\n{\"name\":\"\xff\"}"];
    let reply = raw(doors.native, &broken.concat()).await;
    error(&reply, 400, "invalid_request", Some("name"));
    assert_eq!(call(doors.native, "GET", "/healthz", None, None).await.status, 200);
}

#[tokio::test]
async fn the_body_of_an_anonymous_caller_is_not_read() {
    let doors = Doors::open().await;
    // Declared and never sent: whoever reads it waits.
    let request = "POST /v1/instances HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                   content-type: application/json\r\ncontent-length: 1000\r\n\r\n";
    let begun = Instant::now();
    error(&raw(doors.native, request.as_bytes()).await, 401, "unauthenticated", None);
    assert!(begun.elapsed() < Duration::from_millis(400));
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let request = format!(
        "GET /v1/images HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    error(&raw(doors.native, request.as_bytes()).await, 401, "unauthenticated", None);
}

#[tokio::test]
async fn a_token_with_its_secret_is_not_cached() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let body = Some(r#"{"name":"ci","role":"reader"}"#);
    let reply = call(doors.native, "POST", "/v1/tokens", Some(&token), body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let secret = reply.json()["secret"].as_str().unwrap().to_owned();
    let list = call(doors.native, "GET", "/v1/tokens", Some(&token), None).await;
    assert!(!list.body.contains(&secret), "{list:?}");
    let tokens = list.json()["tokens"].clone();
    assert!(tokens.as_array().unwrap().iter().any(|row: &Value| row["name"] == "ci"), "{tokens}");
}
