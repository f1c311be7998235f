#![allow(clippy::unwrap_used)]
use std::time::Instant;

use model::InstanceId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that answers each connection with the next of these bytes, and
/// what it was asked.
async fn scripted(answers: Vec<Vec<u8>>) -> (Client, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse_url(&format!("http://{}", listener.local_addr().unwrap()));
    let token = Some(SecretString::from("ink_secret".to_owned()));
    let mut settings = Settings::new(endpoint.unwrap(), token);
    settings.timeout = Duration::from_millis(500);
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            asked.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            let _ = stream.write_all(&answer).await;
            if answer.is_empty() {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
        asked
    });
    (Client::new(settings).unwrap(), asked)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\nx-request-id: r-9\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

#[test]
fn a_bad_url_says_what_was_expected() {
    for bad in ["", "localhost:8006", "ftp://a/", "http://", "http://a/?x=1", "http://u:p@a/"] {
        let error = Endpoint::parse_url(bad).unwrap_err().to_string();
        assert!(error.contains("URL"), "{bad}: {error}");
    }
    let error = Endpoint::parse_url("http://u:secret@a/").unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn paths_are_joined_below_the_base() {
    let endpoint = Endpoint::parse_url("http://host/innkeeper").unwrap();
    let client = Client::new(Settings::new(endpoint, None)).unwrap();
    assert_eq!(client.url("v1/images").unwrap().as_str(), "http://host/innkeeper/v1/images");
    assert_eq!(client.endpoint().to_string(), "http://host/innkeeper");
}

#[tokio::test]
async fn a_refusal_keeps_the_servers_words() {
    let body = r#"{"error":{"code":"conflict","message":"busy","request_id":"r-1"}}"#;
    let (client, asked) = scripted(vec![answer("409 Conflict", body)]).await;
    let error = client.images().await.unwrap_err();
    assert_eq!(error.code(), Some("conflict"));
    assert_eq!(error.to_string(), "busy");
    let asked = asked.await.unwrap().remove(0).to_ascii_lowercase();
    assert!(asked.starts_with("get /v1/images http/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: bearer ink_secret\r\n"), "{asked}");
}

#[tokio::test]
async fn what_is_not_innkeeper_is_recognised() {
    let (client, _) = scripted(vec![
        answer("404 Not Found", "<html>"),
        answer("200 OK", "<html>"),
        answer("502 Bad Gateway", "<html>"),
        answer("302 Found", ""),
    ])
    .await;
    let malformed = |error: Error| matches!(error, Error::Malformed { .. });
    assert!(malformed(client.images().await.unwrap_err()));
    assert!(malformed(client.images().await.unwrap_err()));
    let away = client.images().await.unwrap_err();
    assert!(away.is_away() && away.code() == Some("unavailable"), "{away:?}");
    // No redirect is followed: the token would go with it.
    assert!(malformed(client.images().await.unwrap_err()));
}

#[tokio::test]
async fn a_silent_server_is_an_interruption_and_a_closed_port_is_none() {
    let (client, server) = scripted(vec![Vec::new()]).await;
    let begun = Instant::now();
    let error = client.images().await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(2) && error.is_away());
    server.abort();
    let _ = server.await;
    let error = client.images().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(!format!("{error:?} {client:?}").contains("ink_secret"));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    let body = vec![b' '; BODY_MOST + (1 << 20)];
    let (client, _) = scripted(vec![[head, body].concat()]).await;
    let client = Client { http: reqwest_without_timeout(&client), ..client };
    let error = client.images().await.unwrap_err();
    assert!(error.to_string().contains("an answer of more than"), "{error:?}");
}

fn reqwest_without_timeout(client: &Client) -> reqwest::Client {
    let settings = Settings::new(client.endpoint().clone(), None);
    Client::new(settings).unwrap().http
}

#[tokio::test]
async fn pages_that_go_round_are_refused() {
    let id: InstanceId = "01936b2e-0000-7000-8000-000000000001".parse().unwrap();
    let page = format!(r#"{{"instances":[],"next":"{id}"}}"#);
    let (client, _) = scripted(vec![answer("200 OK", &page), answer("200 OK", &page)]).await;
    let error = client.all_instances(&crate::wire::InstanceQuery::default()).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}
