//! Reads at 100, 2,000 and 100,000 instances, beside a handler that asks the
//! hypervisor for every guest.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use client::wire::LIST_MOST;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use pve_sim::Simulator;

use crate::fleet::Fleet;
use crate::load::{Load, get, http, load};

/// Connections at the same time.
const WIDTH: usize = 16;
/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(3);

/// The native door's URLs with the header that opens it.
#[derive(Clone)]
struct Door {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Door {
    fn of(fleet: &Fleet) -> Result<Self> {
        let token = std::fs::read_to_string(fleet.site.state().join("admin.token"))?;
        let base = format!("http://{}", fleet.site.native());
        Ok(Self { http: http()?, base, token: format!("Bearer {}", token.trim()) })
    }

    async fn get(&self, path: &str, expected: u16) -> Result<usize> {
        let url = format!("{}{path}", self.base);
        let headers = [("authorization", self.token.clone())];
        let (status, length) = get(&self.http, &url, &headers).await?;
        ensure!(status == expected, "{path}: {status}");
        Ok(length)
    }

    /// All pages of the list; their bytes.
    async fn list(&self) -> Result<usize> {
        let mut path = format!("/v1/instances?limit={LIST_MOST}");
        let mut bytes = 0;
        loop {
            let request = self.http.get(format!("{}{path}", self.base));
            let answer = request.header("authorization", &self.token).send().await?;
            ensure!(answer.status() == 200, "{path}: {}", answer.status());
            let link = answer.headers().get("link").map(|link| link.to_str().map(str::to_owned));
            bytes += answer.bytes().await?.len();
            let Some(link) = link else { return Ok(bytes) };
            let link = link?;
            path = link.trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
        }
    }

    /// The entity tag of a path.
    async fn tag(&self, path: &str) -> Result<String> {
        let request = self.http.get(format!("{}{path}", self.base));
        let answer = request.header("authorization", &self.token).send().await?;
        let tag = answer.headers().get("etag").context("no entity tag")?;
        Ok(tag.to_str()?.to_owned())
    }

    async fn unchanged(&self, path: &str, tag: &str) -> Result<()> {
        let url = format!("{}{path}", self.base);
        let headers = [("authorization", self.token.clone()), ("if-none-match", tag.to_owned())];
        let (status, _) = get(&self.http, &url, &headers).await?;
        // What the observer has seen meanwhile may have changed a list.
        ensure!(status == 304 || status == 200, "{path}: {status}");
        Ok(())
    }
}

/// What a handler without a store does for a list: asks for each guest.
#[derive(Clone)]
struct PassThrough {
    http: reqwest::Client,
    base: String,
    token: String,
    vmids: Vec<u32>,
}

impl PassThrough {
    fn of(simulator: &Simulator) -> Result<Self> {
        let dump = simulator.dump();
        let guests = dump["guests"].as_object().context("no guests in the dump")?;
        let vmids = guests.keys().filter_map(|vmid| vmid.parse().ok());
        Ok(Self {
            http: http()?,
            base: simulator.url(),
            token: format!("PVEAPIToken={}", simulator.token()),
            vmids: vmids.filter(|vmid| *vmid != 9000).collect(),
        })
    }

    async fn one(&self, vmid: u32) -> Result<()> {
        let url = format!("{}/api2/json/nodes/pve1/qemu/{vmid}/status/current", self.base);
        let (status, _) = get(&self.http, &url, &[("authorization", self.token.clone())]).await?;
        ensure!(status == 200, "{url}: {status}");
        Ok(())
    }

    async fn list(&self) -> Result<()> {
        let asked = futures::stream::iter(self.vmids.clone()).map(|vmid| self.one(vmid));
        asked.buffer_unordered(WIDTH).try_collect().await
    }
}

/// How many requests the simulator has seen.
fn seen(simulator: &Simulator) -> u64 {
    simulator.requests().last().map_or(0, |record| record.sequence)
}

fn print(what: &str, figures: &Load, base: Option<f64>, more: &str) {
    let ratio =
        base.map_or("       -".into(), |base| format!("{:>8.1}", figures.per_second / base));
    println!(
        "  {what:<26} {:>9.0}/s  median {:>7.2} ms  p99 {:>7.2} ms  {ratio} x pass-through  {more}",
        figures.per_second,
        figures.median.as_secs_f64() * 1e3,
        figures.p99.as_secs_f64() * 1e3,
    );
}

/// One size. The whole list of a very large one is not asked for.
async fn size(count: u32) -> Result<()> {
    let fleet = Fleet::of(count).await?;
    let door = Door::of(&fleet)?;
    // The observer's first looks are over then.
    tokio::time::sleep(Duration::from_secs(4)).await;
    println!("{count} instances; {WIDTH} connections");
    println!("  resident memory            {:>9} MiB", resident(&fleet)?);
    let through = PassThrough::of(&fleet.simulator)?;
    let vmid = *through.vmids.first().context("no guest")?;
    let asked = (through.clone(), vmid);
    let one = load(WIDTH, TIME, asked, |(all, vmid)| async move { all.one(vmid).await }.boxed());
    let one = one.await?.per_second;
    let before = (seen(&fleet.simulator), Instant::now());
    let mut between = Duration::ZERO;
    let mut through_calls = 0;
    if count <= 2_000 {
        let bytes = door.list().await?;
        let asked = door.clone();
        let run =
            load(WIDTH, TIME, asked, |door| async move { door.list().await.map(drop) }.boxed());
        let figures = run.await?;
        let (calls, begun) = (seen(&fleet.simulator), Instant::now());
        let all = load(1, TIME, through, |all| async move { all.list().await }.boxed()).await?;
        (through_calls, between) = (seen(&fleet.simulator) - calls, begun.elapsed());
        print("list", &figures, Some(all.per_second), &format!("{} KiB", bytes / 1024));
    }
    let page = "/v1/instances?limit=100".to_owned();
    let id = format!("/v1/instances/{}", fleet.ids[fleet.ids.len() / 2]);
    for (what, path, base) in [("page of 100", &page, None), ("get by id", &id, Some(one))] {
        let asked = (door.clone(), path.clone());
        let run = load(WIDTH, TIME, asked, |(door, path)| {
            async move { door.get(&path, 200).await.map(drop) }.boxed()
        });
        print(what, &run.await?, base, "");
    }
    for (what, path) in [("304 of one", id), ("304 of a page", page)] {
        let asked = (door.clone(), door.tag(&path).await?, path);
        let run = load(WIDTH, TIME, asked, |(door, tag, path)| {
            async move { door.unchanged(&path, &tag).await }.boxed()
        });
        print(what, &run.await?, None, "");
    }
    let calls = seen(&fleet.simulator) - before.0 - through_calls;
    let rate = calls as f64 / (before.1.elapsed() - between).as_secs_f64();
    println!("  hypervisor calls meanwhile {calls:>9} ({rate:.1}/s: the observer's own)");
    fleet.server.terminate().await?;
    Ok(())
}

fn resident(fleet: &Fleet) -> Result<u64> {
    let id = fleet.server.id().context("the server has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// From the start of the process to its first answer, beside the time that a
/// process takes that only prints its version.
async fn start(fleet: Fleet) -> Result<()> {
    let Fleet { site, server, simulator: _simulator, .. } = fleet;
    server.terminate().await?;
    let mut times = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let server = site.serve()?;
        while http()?.get(format!("http://{}/healthz", site.native())).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed());
        server.kill().await?;
    }
    let mut versions = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        ensure!(site.command(&["--version"]).output()?.status.success(), "--version fails");
        versions.push(begun.elapsed());
    }
    times.sort_unstable();
    versions.sort_unstable();
    println!(
        "start to first answer        {:>9.1} ms  {:.1} times `innkeeper --version`",
        times[5].as_secs_f64() * 1e3,
        times[5].as_secs_f64() / versions[5].as_secs_f64()
    );
    Ok(())
}

pub async fn run(quick: bool) -> Result<()> {
    let idle = Fleet::empty(Duration::ZERO).await?;
    println!("resident memory, idle        {:>9} MiB", resident(&idle)?);
    start(idle).await?;
    for count in if quick { vec![5] } else { vec![100, 2_000, 10_000, 100_000] } {
        size(count).await?;
    }
    Ok(())
}
