//! A served house, and requests as bytes.

use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use api::{ConnectionLimits, metadata, native, serve};
use client::wire::Operation;
use client::{Client, Endpoint, Settings, progress};
use model::time::SystemClock;
use model::{OperationId, Role, Timestamp};
use provider::memory::Durations;
use provisioner::NewToken;
use provisioner::testing::TestHouse;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A house with its native and its metadata door on ports of their own.
pub struct Doors {
    pub test: TestHouse,
    pub native: SocketAddr,
    pub metadata: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Doors {
    pub async fn open() -> Self {
        let limits =
            native::Limits { body_timeout: Duration::from_millis(500), ..Default::default() };
        Self::open_with(limits).await
    }

    pub async fn open_with(limits: native::Limits) -> Self {
        let test = provisioner::testing::house().await;
        let step = Duration::from_millis(20);
        test.cloud.set_durations(Durations {
            snapshot: Duration::from_millis(50),
            migrate: Duration::from_millis(50),
            clone: step,
            grow: step,
            start: step,
            boot: step,
            stop: step,
            shutdown: step,
            reboot: step,
            destroy: step,
        });
        let shutdown = CancellationToken::new();
        let clock = Arc::new(SystemClock::new());
        let router = native::router(Arc::clone(&test.house), clock, limits).unwrap();
        let seeds = metadata::router(Arc::clone(&test.house), metadata::Limits::default());
        let native = Self::serve(router, &shutdown).await;
        let metadata = Self::serve(seeds, &shutdown).await;
        Self { test, native, metadata, shutdown }
    }

    async fn serve(router: axum::Router, shutdown: &CancellationToken) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, ConnectionLimits::default(), shutdown.clone()));
        address
    }

    pub async fn token(&self, project: &str, role: Role, expires_at: Option<Timestamp>) -> String {
        self.token_row(project, role, expires_at).await.1.expose_secret().to_owned()
    }

    pub async fn token_row(
        &self,
        project: &str,
        role: Role,
        expires_at: Option<Timestamp>,
    ) -> (model::TokenId, SecretString) {
        let project = project.parse().unwrap();
        let request = NewToken { name: "test".to_owned(), project, role, expires_at };
        let (info, secret) =
            self.test.house.create_token(&self.test.admin(), request).await.unwrap();
        (info.id, secret)
    }

    pub async fn client(&self, project: &str, role: Role) -> Client {
        let token = self.token(project, role, None).await;
        let endpoint = Endpoint::parse_url(&format!("http://{}", self.native)).unwrap();
        Client::new(Settings::new(endpoint, Some(SecretString::from(token)))).unwrap()
    }
}

/// An operation when it has ended.
pub async fn ended(client: &Client, id: OperationId) -> Operation {
    progress::follow(client, id, &mut progress::Silent).await.unwrap()
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends these bytes and reads the answer.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early closes before everything is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer in time");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {answer:?}"));
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

/// A request with a token and a JSON body.
pub async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&str>,
) -> Reply {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    if let Some(token) = token {
        request.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = body {
        let length = body.len();
        request
            .push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or(""));
    raw(address, request.as_bytes()).await
}

/// What is written to it can be read.
#[derive(Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Takes what is logged on this thread, until the guard is dropped.
    pub fn listen(&self) -> Listening {
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
    static LOG: RefCell<Option<Paper>> = const { RefCell::new(None) };
}

/// Ends the listening when it is dropped.
pub struct Listening;

impl Drop for Listening {
    fn drop(&mut self) {
        LOG.set(None);
    }
}
