//! Creations, 1, 10 and 100 at once, beside the same calls made by hand: clone,
//! configure, start, each waited for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use pve_sim::{RequestRecord, Simulator};
use serde_json::Value;

use crate::fleet::{Fleet, PATIENCE, request, succeeded};
use crate::load::http;

/// How long each of the cluster's tasks takes.
const TASK: Duration = Duration::from_millis(500);
/// Between two looks at a task by hand.
const LOOK: Duration = Duration::from_millis(50);

/// The calls of a creation, made by hand.
struct ByHand {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl ByHand {
    fn of(simulator: &Simulator) -> Result<Self> {
        Ok(Self {
            http: http()?,
            base: format!("{}/api2/json", simulator.url()),
            token: format!("PVEAPIToken={}", simulator.token()),
        })
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.header("authorization", &self.token).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "{status}: {text}");
        Ok(serde_json::from_str::<Value>(&text)?["data"].take())
    }

    async fn done(&self, upid: Value) -> Result<()> {
        let upid = upid.as_str().context("no task")?;
        let url = format!("{}/nodes/pve1/tasks/{upid}/status", self.base);
        loop {
            let status = self.call(self.http.get(&url)).await?;
            if status["status"] == "stopped" {
                ensure!(status["exitstatus"] == "OK", "{status}");
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn create(&self, vmid: u32) -> Result<()> {
        let guests = format!("{}/nodes/pve1/qemu", self.base);
        let (id, name) = (vmid.to_string(), format!("by-hand-{vmid}"));
        let clone = [("newid", id.as_str()), ("name", &name), ("full", "1"), ("target", "pve1")];
        let upid = self.call(self.http.post(format!("{guests}/9000/clone")).form(&clone)).await?;
        self.done(upid).await?;
        let config = [("cores", "2"), ("memory", "512"), ("description", "by hand")];
        self.call(self.http.put(format!("{guests}/{vmid}/config")).form(&config)).await?;
        let upid = self.call(self.http.post(format!("{guests}/{vmid}/status/start"))).await?;
        self.done(upid).await
    }
}

async fn by_hand(simulator: &Simulator, count: u32) -> Result<Duration> {
    let hand = ByHand::of(simulator)?;
    let begun = Instant::now();
    let all = futures::stream::iter(0..count).map(|index| hand.create(500 + index));
    all.buffer_unordered(usize::try_from(count)?).try_collect::<()>().await?;
    Ok(begun.elapsed())
}

async fn ours(fleet: &Fleet, count: u32) -> Result<(Duration, Duration)> {
    let begun = Instant::now();
    let ask = |index| async move {
        let made = fleet.client.create_instance(&request(&format!("guest-{index}"))).await?;
        Ok::<_, anyhow::Error>(made.operation)
    };
    let asked = futures::stream::iter(0..count).map(ask).buffer_unordered(usize::try_from(count)?);
    let operations: Vec<_> = asked.try_collect().await?;
    let answered = begun.elapsed();
    for operation in operations {
        succeeded(&fleet.client, operation).await?;
        ensure!(begun.elapsed() < PATIENCE, "{count} creations take too long");
    }
    Ok((begun.elapsed(), answered))
}

fn status_calls(records: &[RequestRecord]) -> usize {
    records.iter().filter(|record| record.method == "GET" && record.path.contains("/tasks")).count()
}

async fn at_once(count: u32) -> Result<()> {
    let fleet = Fleet::empty(TASK).await?;
    let bare = by_hand(&fleet.simulator, count).await?;
    let before = fleet.simulator.requests().last().map_or(0, |record| record.sequence);
    let (took, answered) = ours(&fleet, count).await?;
    let records = fleet.simulator.requests();
    let mine: Vec<_> = records.into_iter().filter(|record| record.sequence > before).collect();
    println!(
        "{count:>4} at once  {:>8.0} ms  {:>6.2} x by hand ({:.0} ms)  answered after {:.0} ms  {:.1} calls each  {:.1} status calls/s",
        took.as_secs_f64() * 1e3,
        took.as_secs_f64() / bare.as_secs_f64(),
        bare.as_secs_f64() * 1e3,
        answered.as_secs_f64() * 1e3,
        mine.len() as f64 / f64::from(count),
        status_calls(&mine) as f64 / took.as_secs_f64(),
    );
    fleet.server.terminate().await?;
    Ok(())
}

pub async fn run(quick: bool) -> Result<()> {
    println!("creations (clone, configure, start; a task takes {} ms)", TASK.as_millis());
    for count in if quick { vec![1] } else { vec![1, 10, 100] } {
        at_once(count).await?;
    }
    Ok(())
}
