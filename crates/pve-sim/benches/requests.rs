//! Requests per second over HTTPS, `cluster/resources` of 10,000 guests, and the
//! memory of 100,000. Prints figures, each with its ratio to a baseline of the
//! same run where there is one; judges nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pve_sim::{GuestSeed, NodeSeed, Simulator, StorageSeed};
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Stream = TlsStream<tokio::net::TcpStream>;

async fn connect(simulator: &Simulator) -> Result<Stream, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = simulator.certificate_pem().as_bytes();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(pem)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(simulator.address()).await?;
    stream.set_nodelay(true)?;
    let name = "localhost".try_into()?;
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// Sends a request and reads the whole answer; its body.
async fn ask(stream: &mut Stream, simulator: &Simulator, path: &str) -> Result<Vec<u8>, Failure> {
    let head = format!(
        "GET /api2/json{path} HTTP/1.1\r\nHost: x\r\nAuthorization: PVEAPIToken={}\r\n\r\n",
        simulator.token()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::with_capacity(64 * 1024);
    loop {
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            if !text.starts_with("http/1.1 200") {
                return Err(text.into());
            }
            let length = text.split("content-length: ").nth(1).ok_or("no length")?;
            let length: usize = length.lines().next().unwrap_or_default().trim().parse()?;
            while answer.len() < end + 4 + length {
                if stream.read_buf(&mut answer).await? == 0 {
                    return Err("the answer is cut short".into());
                }
            }
            return Ok(answer.split_off(end + 4));
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("the connection was closed".into());
        }
    }
}

/// The middle of the times of `count` requests on one connection.
async fn middle(
    simulator: &Simulator,
    path: &str,
    count: u32,
) -> Result<(Duration, Vec<u8>), Failure> {
    let mut stream = connect(simulator).await?;
    let mut times = Vec::new();
    let mut body = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        body = ask(&mut stream, simulator, path).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], body))
}

/// Requests per second of several connections together.
async fn rate(simulator: &Simulator, path: &'static str, connections: u32) -> Result<f64, Failure> {
    const EACH: u32 = 500;
    let begun = Instant::now();
    let clients = (0..connections).map(|_| {
        let simulator = simulator.clone();
        tokio::spawn(async move {
            let mut stream = connect(&simulator).await?;
            for _ in 0..EACH {
                ask(&mut stream, &simulator, path).await?;
            }
            Ok::<_, Failure>(())
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    Ok(f64::from(connections * EACH) / begun.elapsed().as_secs_f64())
}

/// `nodes` with 100 guests each.
fn cluster(nodes: u32) -> pve_sim::Builder {
    let mut builder = Simulator::builder().storage(StorageSeed::new("local", "dir"));
    for node in 0..nodes {
        let name = format!("pve{node}");
        builder = builder.node(NodeSeed::new(&name));
        for index in 0..100 {
            let vmid = 1_000 + node * 100 + index;
            builder = builder.guest(GuestSeed::new(vmid, "guest").on(&name).disk("local", 1_024));
        }
    }
    builder
}

/// Resident memory of this process in MiB.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let small = Simulator::builder().start("127.0.0.1:0".parse()?).await?;
    let base = rate(&small, "/version", 16).await?;
    println!("/version, 16 connections        {base:>10.0} requests/s");
    let nodes = rate(&small, "/cluster/resources", 16).await?;
    println!(
        "/cluster/resources, small       {nodes:>10.0} requests/s   {:.2} of /version",
        nodes / base
    );
    let large = cluster(100).start("127.0.0.1:0".parse()?).await?;
    let (took, body) = middle(&large, "/cluster/resources", 30).await?;
    // The baseline: the same rows written by serde_json alone.
    let rows: serde_json::Value = serde_json::from_slice(&body)?;
    let begun = Instant::now();
    let text = serde_json::to_string(&rows)?;
    let writing = begun.elapsed();
    println!(
        "/cluster/resources, 10,000 guests {:>8.1} ms           {:.1} times writing its {} KiB ({:.1} ms)",
        took.as_secs_f64() * 1e3,
        took.as_secs_f64() / writing.as_secs_f64(),
        text.len() / 1024,
        writing.as_secs_f64() * 1e3,
    );
    let before = resident().unwrap_or(0);
    let huge = cluster(1_000).start("127.0.0.1:0".parse()?).await?;
    let after = resident().unwrap_or(0);
    let (_, body) = middle(&huge, "/cluster/resources?type=node", 1).await?;
    let rows: serde_json::Value = serde_json::from_slice(&body)?;
    println!(
        "1,000 nodes with 100 guests each  {:>8} MiB more ({} nodes listed)",
        after.saturating_sub(before),
        rows["data"].as_array().map_or(0, Vec::len)
    );
    Ok(())
}
