#![allow(clippy::unwrap_used)]
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

struct Served {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn served(limits: ConnectionLimits) -> Served {
    let large = || async { vec![b'x'; 64 << 20] };
    let router =
        Router::new().route("/", get(|| async { "hello" })).route("/large", get(large)).route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
    Served { address, shutdown, task }
}

/// Sends `request` and reads until the server closes.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().ok();
    answer
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_client_that_stalls_in_its_head_is_cut() {
    let limits =
        ConnectionLimits { head_timeout: Duration::from_millis(200), ..Default::default() };
    let served = served(limits).await;
    let begun = std::time::Instant::now();
    let answer = exchange(served.address, "GET / HTTP/1.1\r\nhost: ").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{answer}");
    assert!(!answer.contains("hello"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits =
        ConnectionLimits { head_timeout: Duration::from_millis(200), ..Default::default() };
    let served = served(limits).await;
    let begun = std::time::Instant::now();
    let answer = exchange(served.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_slot() {
    let stall_timeout = Duration::from_millis(300);
    let limits = ConnectionLimits { connections: 1, stall_timeout, ..Default::default() };
    let served = served(limits).await;
    let mut stalled = TcpStream::connect(served.address).await.unwrap();
    stalled.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let begun = std::time::Instant::now();
    assert!(exchange(served.address, GET).await.ends_with("hello"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut answer = Vec::new();
    let _ = stalled.read_to_end(&mut answer).await;
    assert!(answer.len() < 64 << 20, "{}", answer.len());
}

#[tokio::test]
async fn a_slow_reader_that_goes_on_is_served() {
    let stall_timeout = Duration::from_millis(500);
    let served = served(ConnectionLimits { stall_timeout, ..Default::default() }).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    let request = b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    slow.write_all(request).await.unwrap();
    let (mut total, mut chunk) = (0, vec![0; 8 << 20]);
    loop {
        match slow.read(&mut chunk).await.unwrap() {
            0 => break,
            length => total += length,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(total > 64 << 20, "{total}");
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let served = served(ConnectionLimits::default()).await;
    let many = "x: y\r\n".repeat(100);
    let answer = exchange(served.address, &format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = "y".repeat(20 << 10);
    let answer = exchange(served.address, &format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(exchange(served.address, GET).await.ends_with("hello"));
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_a_slot() {
    let served = served(ConnectionLimits { connections: 1, ..Default::default() }).await;
    let holder = TcpStream::connect(served.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let waiting = tokio::spawn(exchange(served.address, GET));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    drop(holder);
    assert!(waiting.await.unwrap().ends_with("hello"));
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_door_is_closed() {
    let served = served(ConnectionLimits::default()).await;
    let idle = TcpStream::connect(served.address).await.unwrap();
    let request = tokio::spawn(exchange(served.address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.shutdown.cancel();
    assert!(request.await.unwrap().ends_with("slow"));
    tokio::time::timeout(Duration::from_secs(5), served.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("door.sock");
    let first = bind_unix(&path).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(bind_unix(&path).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(first);
    bind_unix(&path).await.unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert_eq!(bind_unix(&file).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}
