//! What the client costs per request, against bare reqwest on the same server
//! in the same run: `cargo bench -p innkeeper-pve --bench client`.
//!
//! Both keep their connections, speak TLS, and read the answer's JSON into the
//! same type. Rounds alternate, so that whatever else the machine does meets
//! both; printed are the medians and their ratio. Without `--bench` (as `cargo
//! test` runs it) one short round shows that it works.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "../tests/it/server.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use pve::cluster::ClusterResource;
use pve::{Auth, Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use server::{Request, Server, data};

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// A thing that is measured on both sides.
struct Case {
    name: &'static str,
    path: &'static str,
    /// Requests of one round.
    count: usize,
    /// So many at once.
    width: usize,
}

const CASES: [Case; 4] = [
    Case { name: "small answer", path: "version", count: 100, width: 1 },
    Case { name: "small answer, 16 at once", path: "version", count: 200, width: 16 },
    Case { name: "1,000 guests", path: "cluster/resources", count: 10, width: 1 },
    Case { name: "1,000 guests, 16 at once", path: "cluster/resources", count: 20, width: 16 },
];

fn resources() -> String {
    let row = |id: u32| {
        serde_json::json!({
            "id": format!("qemu/{id}"), "type": "qemu", "vmid": id, "node": "pve1",
            "name": format!("guest-{id}"), "status": "running", "cpu": 0.013, "maxcpu": 2,
            "mem": 402_653_184, "maxmem": 536_870_912, "disk": 0, "maxdisk": 3_221_225_472_u64,
            "uptime": 86_400, "template": 0, "tags": "a;b",
        })
    };
    serde_json::to_string(&(100..1100).map(row).collect::<Vec<_>>()).unwrap()
}

/// Reqwest as the client sets it up, and nothing else.
fn bare(server: &Server) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.identity.ca_der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    builder.http1_only().gzip(true).no_proxy().build().unwrap()
}

async fn by_reqwest<T: DeserializeOwned>(http: &reqwest::Client, url: &str) {
    let request = http.get(url).header("authorization", "PVEAPIToken=root@pam!test=x");
    let body = request.send().await.unwrap().bytes().await.unwrap();
    let envelope: Envelope<T> = serde_json::from_slice(&body).unwrap();
    drop(envelope.data);
}

async fn by_client<T: DeserializeOwned>(client: &Client, path: &str) {
    let reply = client.request(Method::GET, path, ()).await.unwrap();
    drop(reply.data::<T>().unwrap());
}

/// The time of one request when `count` are made, `width` at once.
async fn round<F: Future<Output = ()>>(case: &Case, mut call: impl FnMut() -> F) -> Duration {
    let begin = Instant::now();
    let calls = stream::iter(0..case.count).map(|_| call());
    calls.buffer_unordered(case.width).for_each(|()| std::future::ready(())).await;
    begin.elapsed() / u32::try_from(case.count).unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn compare<T: DeserializeOwned>(server: &Server, case: &Case, rounds: usize) {
    let http = bare(server);
    let url = format!("{}/api2/json/{}", server.url(), case.path);
    let with_token = server.client();
    let mut config = server.config();
    config.auth = Auth::ticket("root@pam", "x");
    let with_ticket = Client::new(config).unwrap();
    let (mut plain, mut token, mut ticket) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(round(case, || by_reqwest::<T>(&http, &url)).await);
        token.push(round(case, || by_client::<T>(&with_token, case.path)).await);
        ticket.push(round(case, || by_client::<T>(&with_ticket, case.path)).await);
    }
    let (plain, token, ticket) = (median(plain), median(token), median(ticket));
    let ratio = |time: Duration| time.as_secs_f64() / plain.as_secs_f64();
    println!(
        "{:26} bare {:8.1} us, token {:8.1} us ({:.3}), ticket {:8.1} us ({:.3})",
        case.name,
        plain.as_secs_f64() * 1e6,
        token.as_secs_f64() * 1e6,
        ratio(token),
        ticket.as_secs_f64() * 1e6,
        ratio(ticket),
    );
}

#[tokio::main]
async fn main() {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let rounds = if measure { 11 } else { 1 };
    let resources = resources();
    let server = Server::start(move |request: &Request| match request.target.as_str() {
        target if target.ends_with("/cluster/resources") => data(&resources),
        target if target.ends_with("/access/ticket") => {
            data(r#"{"ticket":"T","CSRFPreventionToken":"C","username":"root@pam"}"#)
        }
        _ => data(r#"{"version":"8.4.21","release":"8.4","repoid":"2606ac85"}"#),
    })
    .await;
    for case in &CASES {
        match case.path {
            "version" => compare::<pve::access::Version>(&server, case, rounds).await,
            _ => compare::<Vec<ClusterResource>>(&server, case, rounds).await,
        }
    }
}
