//! Through an HTTP proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use pve::error::TransportKind;
use pve::{Client, Error, Proxy, Sent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Server, data, soon};

/// Makes tunnels for whoever shows `wanted` as `Proxy-Authorization`, and
/// keeps the heads of the requests.
async fn proxy(wanted: Option<&'static str>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = heads.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(tunnel(socket, wanted, log.clone()));
        }
    });
    (address, heads)
}

async fn tunnel(mut socket: TcpStream, wanted: Option<&'static str>, log: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().push(head.clone());
    let shown = head.to_ascii_lowercase();
    let right = wanted.is_none_or(|wanted| {
        shown.contains(&format!("proxy-authorization: basic {}", wanted.to_ascii_lowercase()))
    });
    if !right {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        socket.write_all(answer).await.unwrap();
        return;
    }
    let target = head.split(' ').nth(1).unwrap();
    let mut far = TcpStream::connect(target).await.unwrap();
    socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut socket, &mut far).await;
}

async fn server() -> Server {
    Server::start(|_| data(r#"{"version":"8.4.21"}"#)).await
}

fn address(proxy: SocketAddr) -> url::Url {
    format!("http://{proxy}").parse().unwrap()
}

#[tokio::test]
async fn a_tunnel_is_made_with_credentials() {
    let server = server().await;
    // me:pass
    let (proxy, heads) = proxy(Some("bWU6cGFzcw==")).await;
    let mut config = server.config();
    config.proxy = Proxy::with_credentials(address(proxy), "me", "pass");
    soon(Client::new(config).unwrap().version()).await.unwrap();
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1", server.address)), "{head}");
    assert!(!head.contains("PVEAPIToken"), "the proxy sees the token: {head}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_means_not_sent() {
    let server = server().await;
    let (proxy, _) = proxy(Some("bWU6cGFzcw==")).await;
    let mut config = server.config();
    config.proxy = Proxy::url(address(proxy));
    let error = soon(Client::new(config).unwrap().pools().create("p", None)).await.unwrap_err();
    assert_eq!(error.was_sent(), Sent::No);
    let Error::NotSent { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind, TransportKind::Connect, "{source}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_unusable_proxy_is_refused_by_name() {
    let mut config = server().await.config();
    config.proxy = Proxy::url("ftp://h".parse().unwrap());
    let error = Client::new(config).unwrap_err().to_string();
    assert!(error.contains("proxy: expected http"), "{error}");
}
