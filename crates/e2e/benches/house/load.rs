//! Requests one after the other on several connections, and how long they took.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;

/// What a load came to.
pub struct Load {
    pub per_second: f64,
    pub median: Duration,
    pub p99: Duration,
}

/// Runs `ask` on `width` connections for this long.
pub async fn load<S: Clone + Send + 'static>(
    width: usize,
    time: Duration,
    with: S,
    ask: fn(S) -> BoxFuture<'static, Result<()>>,
) -> Result<Load> {
    let begun = Instant::now();
    let run = |with: S| async move {
        let mut times = Vec::new();
        while begun.elapsed() < time || times.is_empty() {
            let asked = Instant::now();
            ask(with.clone()).await?;
            times.push(asked.elapsed());
        }
        Ok::<_, anyhow::Error>(times)
    };
    let tasks: Vec<_> = (0..width).map(|_| tokio::spawn(run(with.clone()))).collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let took = begun.elapsed();
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied();
    Ok(Load {
        per_second: times.len() as f64 / took.as_secs_f64(),
        median: at(0.5).context("no request was made")?,
        p99: at(0.99).context("no request was made")?,
    })
}

/// A plain HTTP client for load: no retries, any certificate.
pub fn http() -> Result<reqwest::Client> {
    // The process may have one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let builder = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy();
    Ok(builder.timeout(Duration::from_secs(60)).build()?)
}

/// A `GET` whose body is read to its end; its length.
pub async fn get(
    client: &reqwest::Client,
    url: &str,
    headers: &[(&'static str, String)],
) -> Result<(u16, usize)> {
    let mut request = client.get(url);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.bytes().await?.len()))
}
