//! A client of few lines over TLS, so that tests see statuses, reason phrases
//! and headers exactly as they are sent.

use std::sync::Arc;
use std::time::Duration;

use pve_sim::{GuestSeed, ManualClock, NodeSeed, Simulator, StorageSeed};
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    pub fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["data"].clone()
    }

    pub fn line(&self) -> String {
        format!("{} {}", self.status, self.reason)
    }

    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn error(&self, parameter: &str) -> String {
        assert_eq!(self.line(), "400 Parameter verification failed.", "{self:?}");
        self.json()["errors"][parameter].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends raw bytes; `None` when the connection is closed without an answer.
pub async fn raw(simulator: &Simulator, request: &[u8]) -> Option<Answer> {
    parse(&exchange(simulator, request).await)
}

/// Sends raw bytes; the head as text, and the body as it came.
pub async fn bytes(simulator: &Simulator, request: &[u8]) -> (String, Vec<u8>) {
    let answer = exchange(simulator, request).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}

/// A connection over TLS.
pub async fn connect(
    simulator: &Simulator,
) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = simulator.certificate_pem().as_bytes();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(simulator.address()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn exchange(simulator: &Simulator, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(simulator).await;
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.splitn(3, ' ');
    first.next()?;
    let status = first.next()?.parse().ok()?;
    let reason = first.next().unwrap_or_default().to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Some(Answer { status, reason, headers, body: body.to_owned() })
}

/// A simulator and how to sign requests.
pub struct Client {
    pub simulator: Simulator,
    pub auth: String,
}

/// The end of a test is the time to judge its answers.
impl Drop for Client {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            crate::answers::judge(&self.simulator);
        }
    }
}

impl Client {
    pub fn new(simulator: &Simulator) -> Self {
        Self::with_token(simulator, simulator.token())
    }

    pub fn with_token(simulator: &Simulator, token: &str) -> Self {
        Self {
            simulator: simulator.clone(),
            auth: format!("Authorization: PVEAPIToken={token}\r\n"),
        }
    }

    /// Logs in and uses the ticket.
    pub async fn with_password(simulator: &Simulator, user: &str, password: &str) -> Self {
        let mut client = Self { simulator: simulator.clone(), auth: String::new() };
        let data = client
            .post("/access/ticket", &format!("username={user}&password={password}"))
            .await
            .data();
        let (ticket, csrf) =
            (data["ticket"].as_str().unwrap(), data["CSRFPreventionToken"].as_str().unwrap());
        client.auth = format!(
            "Cookie: PVEAuthCookie={}\r\nCSRFPreventionToken: {csrf}\r\n",
            ticket.replace('=', "%3D")
        );
        client
    }

    pub async fn try_send(&self, method: &str, path: &str, body: Option<&str>) -> Option<Answer> {
        let mut head = format!(
            "{method} /api2/json{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}",
            self.auth
        );
        if let Some(body) = body {
            head += &format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        raw(&self.simulator, format!("{head}\r\n{}", body.unwrap_or_default()).as_bytes()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.try_send(method, path, body)
            .await
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// Sends, steps the clock until nothing is due, and returns the exit text of the task.
    pub async fn task(&self, method: &str, path: &str, body: &str) -> String {
        let body = (method != "DELETE").then_some(body);
        let upid = self.send(method, path, body).await.data().as_str().unwrap().to_owned();
        self.simulator.settle().await;
        self.exit(&upid).await
    }

    pub async fn exit(&self, upid: &str) -> String {
        let status = self.get(&task_path(upid, "status")).await.data();
        status["exitstatus"].as_str().unwrap_or("running").to_owned()
    }

    /// What a call comes to, in one line for tables of facts: `200`, the status
    /// with its reason, the names and texts of bad parameters, or how its task ended.
    pub async fn says(&self, verb: &str, path: &str, body: &str) -> String {
        let in_body = !matches!(verb, "GET" | "DELETE");
        let answer = self.send(verb, path, in_body.then_some(body)).await;
        match answer.status {
            200 => {}
            400 => {
                let errors = answer.json()["errors"].clone();
                let errors = errors.as_object().cloned().unwrap_or_default();
                let texts = errors.iter().map(|(name, text)| format!("{name}: {text}"));
                return format!("400 {}", texts.collect::<Vec<_>>().join("; ")).replace('"', "");
            }
            _ => return answer.line(),
        }
        match answer.data().as_str().filter(|text| text.starts_with("UPID:")) {
            Some(upid) => {
                self.simulator.settle().await;
                format!("task {}", self.exit(upid).await)
            }
            None => "200".into(),
        }
    }

    /// Plays calls in order and compares what each comes to; a trailing `…`
    /// means that the rest may be anything.
    pub async fn play(&self, calls: &[(&str, &str, &str, &str)]) {
        let mut wrong = Vec::new();
        for (verb, path, body, expected) in calls {
            let said = self.says(verb, path, body).await;
            let fits = match expected.strip_suffix('…') {
                Some(head) => said.starts_with(head),
                None => said == *expected,
            };
            if !fits {
                wrong.push(format!(
                    "{verb} {path} {body}\n expected: {expected}\n came:     {said}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    pub async fn config(&self, vmid: u32) -> Value {
        self.get(&format!("/nodes/pve1/qemu/{vmid}/config")).await.data()
    }
}

pub fn task_path(upid: &str, what: &str) -> String {
    let node = upid.split(':').nth(1).unwrap();
    format!(
        "/nodes/{node}/tasks/{}/{what}",
        upid.replace(':', "%3A").replace('@', "%40").replace('!', "%21")
    )
}

/// Two nodes, one shared and two local storages, a template, a manual clock.
pub fn builder() -> pve_sim::Builder {
    Simulator::builder()
        .clock(Arc::new(ManualClock::new()))
        .node(NodeSeed::new("pve1"))
        .node(NodeSeed::new("pve2"))
        .storage(StorageSeed::new("local", "dir"))
        .storage(StorageSeed::new("local-lvm", "lvmthin"))
        .storage(StorageSeed::new("nas", "nfs"))
        .root_password("secret-password")
        .template(GuestSeed { cloudinit: true, ..GuestSeed::new(9000, "tiny").disk("local", 2048) })
        .template(GuestSeed::new(9001, "lvm").disk("local-lvm", 2048))
        .template(GuestSeed::new(9002, "shared").disk("nas", 2048))
        .guest(GuestSeed { container: true, ..GuestSeed::new(300, "ct") })
}

pub async fn start(builder: pve_sim::Builder) -> Client {
    let simulator = builder.check_answers().start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    Client::new(&simulator)
}

pub async fn default() -> Client {
    start(builder()).await
}

pub const SECOND: Duration = Duration::from_secs(1);
