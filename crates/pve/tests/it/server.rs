//! A TLS server that answers byte for byte what a test tells it to.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use pve::{Auth, Client, Config, Fingerprint, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What to do with a request.
pub enum Act {
    /// Send these bytes, keep the connection.
    Send(Vec<u8>),
    /// Send these bytes and close without a farewell.
    SendAndCut(Vec<u8>),
    /// Wait, then send.
    Late(Duration, Vec<u8>),
    /// Send this once the gate is open.
    When(Arc<Semaphore>, Vec<u8>),
    /// Change to a websocket and go on as this says.
    Websocket(fn(Socket) -> BoxFuture<'static, ()>),
}

/// The server's end of a websocket.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// The agreement to change to a websocket.
fn agreement(request: &Request) -> Vec<u8> {
    let key = request.header("sec-websocket-key").unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
    )
    .into_bytes()
}

/// An answer with a body; the reason phrase is free.
pub fn answer(status: u16, reason: &str, body: &str) -> Vec<u8> {
    let kind = match body {
        "" => "",
        _ => "Content-Type: application/json;charset=UTF-8\r\n",
    };
    format!("HTTP/1.1 {status} {reason}\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// An answer as Proxmox gives it where it has nothing to say: no body, no
/// length, the connection cut without a farewell.
pub fn bare(status: u16, reason: &str) -> Act {
    Act::SendAndCut(format!("HTTP/1.1 {status} {reason}\r\nConnection: close\r\n\r\n").into_bytes())
}

/// 200 with this `data`.
pub fn data(json: &str) -> Act {
    Act::Send(answer(200, "OK", &format!("{{\"data\":{json}}}")))
}

/// An error as Proxmox writes it.
pub fn refuse(status: u16, text: &str) -> Act {
    let body = format!("{{\"data\":null,\"message\":{:?}}}", format!("{text}\n"));
    Act::Send(answer(status, text, &body))
}

pub type Versions = &'static [&'static rustls::SupportedProtocolVersion];

pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: Vec<u8>,
    pub ca_pem: String,
    pub versions: Versions,
    /// Is a client without a certificate of this CA refused?
    pub asks_for_certificate: bool,
    pub ca_der: CertificateDer<'static>,
    pub issuer: Issuer<'static, KeyPair>,
}

impl Identity {
    /// A certificate for 127.0.0.1, signed by a CA of its own.
    pub fn new() -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = leaf.signed_by(&key, &issuer).unwrap();
        Self {
            chain: vec![cert.der().clone()],
            key: key.serialize_der(),
            ca_pem: ca_cert.pem(),
            versions: rustls::DEFAULT_VERSIONS,
            asks_for_certificate: false,
            ca_der: ca_cert.der().clone(),
            issuer,
        }
    }

    /// Another certificate of the same CA, and its key, in PEM form.
    pub fn client_certificate(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        let cert = leaf.signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_der(&self.chain[0])
    }

    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        // Not `with_single_cert`, which would notice a stolen certificate.
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certified = CertifiedKey::new(self.chain.clone(), key);
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)
            .unwrap();
        let config = match self.asks_for_certificate {
            false => config.with_no_client_auth(),
            true => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(self.ca_der.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        TlsAcceptor::from(Arc::new(config))
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub identity: Identity,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    /// Stops the server when it is dropped.
    _running: tokio::task::JoinSet<()>,
}

impl Server {
    /// Answers each request with what `script` says.
    pub async fn start(script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        Self::start_as(Identity::new(), script).await
    }

    /// The same, under a given identity.
    pub async fn start_as(
        identity: Identity,
        script: impl Fn(&Request) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, script) = (identity.acceptor(), Arc::new(script));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let mut running = tokio::task::JoinSet::new();
        running.spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else {
                    return;
                };
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, script, log) = (acceptor.clone(), script.clone(), log.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    while let Some(request) = read_request(&mut stream).await {
                        log.lock().unwrap().push(request.clone());
                        let (bytes, cut) = match script(&request) {
                            Act::Websocket(go_on) => {
                                stream.write_all(&agreement(&request)).await.unwrap();
                                let role = Role::Server;
                                let socket = Socket::from_raw_socket(stream, role, None).await;
                                return go_on(socket).await;
                            }
                            Act::Send(bytes) => (bytes, false),
                            Act::SendAndCut(bytes) => (bytes, true),
                            Act::Late(pause, bytes) => {
                                tokio::time::sleep(pause).await;
                                (bytes, false)
                            }
                            Act::When(gate, bytes) => {
                                gate.acquire().await.unwrap().forget();
                                (bytes, false)
                            }
                        };
                        if stream.write_all(&bytes).await.is_err() || cut {
                            let _ = stream.flush().await;
                            return;
                        }
                        let _ = stream.flush().await;
                    }
                });
            }
        });
        Self { address, identity, requests, connections, _running: running }
    }

    /// Counts the bytes that come in, keeps none of them, and gives this answer
    /// to each request once it is over.
    pub async fn swallowing(taken: Arc<AtomicUsize>, answer: Vec<u8>) -> Self {
        let identity = Identity::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = identity.acceptor();
        let mut running = tokio::task::JoinSet::new();
        running.spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(socket).await.unwrap();
            let (mut head, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().split('\r').next();
            let length: usize = length.unwrap().parse().unwrap();
            while taken.load(Ordering::SeqCst) < length {
                let count = stream.read(&mut buffer).await.unwrap();
                taken.fetch_add(count, Ordering::SeqCst);
            }
            stream.write_all(&answer).await.unwrap();
            stream.flush().await.unwrap();
            std::future::pending::<()>().await;
        });
        let (requests, connections) = (Arc::default(), Arc::default());
        Self { address, identity, requests, connections, _running: running }
    }

    /// Answers the requests one after the other with these, then with null.
    pub async fn scripted(acts: impl IntoIterator<Item = Act>) -> Self {
        let acts: Vec<Act> = acts.into_iter().collect();
        let acts = Mutex::new(acts.into_iter());
        Self::start(move |_| acts.lock().unwrap().next().unwrap_or_else(|| data("null"))).await
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn last_request(&self) -> Request {
        self.requests.lock().unwrap().last().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A configuration that pins this server, with a token and short waits.
    pub fn config(&self) -> Config {
        let auth = Auth::token("root@pam!test", "00000000-secret");
        let mut config = Config::new([self.url().parse().unwrap()], auth);
        config.tls = Tls::pinned([self.identity.fingerprint()]);
        config.timeouts.connect = Duration::from_secs(5);
        config.timeouts.read = Duration::from_secs(10);
        config.timeouts.task = Duration::from_secs(10);
        config
    }

    pub fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }
}

async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { method, target, headers, body })
}

/// Fails loudly instead of hanging.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, future).await.expect("hangs")
}

/// The last request: its line, and its body.
#[track_caller]
pub fn line(server: &Server) -> (String, String) {
    let request = server.last_request();
    let line = format!("{} {}", request.method, request.target);
    (line, request.text())
}

/// The last request was this one; the path is below `/api2/json`.
#[track_caller]
pub fn assert_last(server: &Server, expected: &str, body: &str) {
    let line = line(server);
    let expected = match expected.split_once(' ') {
        Some((method, path)) => format!("{method} /api2/json/{path}"),
        None => panic!("{expected}"),
    };
    assert_eq!((line.0.as_str(), line.1.as_str()), (expected.as_str(), body));
}
