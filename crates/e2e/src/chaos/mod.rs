//! The real server is killed at random moments while instances are made,
//! started, stopped and deleted over a cluster where much goes wrong. Nothing
//! may be lost, leaked or doubled.
//!
//! A seed repeats what chance decided, as far as a wall clock lets anything be
//! repeated.

mod load;
mod verdict;
pub mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::Client;
use client::wire::{Operation, OperationKind, OperationState};
use model::Random as _;
use model::random::SeededRandom;
use pve_sim::Simulator;
use serde_json::Value;

use crate::served::{Server, Site};
use load::{Ledger, Worker};
use verdict::Seen;
use world::Planned;

/// How many clients there are.
const WORKERS: usize = 8;
/// How long operations may take to settle: two settle times of a minute each
/// in a row, and as much again and more for a machine that is busy.
const SETTLE: Duration = Duration::from_secs(420);
/// How long the cluster may take to be as the rows say once all is settled:
/// late workers, their collection, the observer.
const CALM: Duration = Duration::from_secs(90);
/// How often stuck operations are resumed.
const RESUMES: u32 = 4;
/// How many kills one cluster sees at most: what goes wrong with it and what is
/// asked of it is bounded, and a short run is easily repeated.
pub const KILLS_OF_A_ROUND: u64 = 20;

/// The least that can be configured: what is in doubt costs a minute each time
/// that it is interrupted.
pub const SETTINGS: &str = "templates = { name = \"debian\" }\n\
    limits = { clones_per_host = 16, tasks_per_host = 32, requests = 16 }\n\
    timeouts = { request_s = 31, settle_s = 31, action_s = 600, clone_s = 600 }";

/// The seed of a run that gives none.
pub fn any_seed() -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
    now.map_or(0, |now| now.subsec_nanos().into())
}

/// The rounds of so many kills: the seed and the kills of each.
pub fn rounds(seed: u64, kills: u64) -> Vec<(u64, u64)> {
    let count = kills.div_ceil(KILLS_OF_A_ROUND);
    (0..count)
        .map(|n| (seed.wrapping_add(n), KILLS_OF_A_ROUND.min(kills - n * KILLS_OF_A_ROUND)))
        .collect()
}

/// One round: a cluster and a server of its own. Answers the line of the report.
///
/// # Errors
/// What was lost, leaked or doubled, with the seed, the folder (which stays) and
/// the end of the server's log.
pub async fn round(seed: u64, kills: u64) -> Result<String> {
    let simulator = world::start(seed).await?;
    let site = Site::new(&simulator, simulator.token(), SETTINGS)?;
    let mut report = Report::default();
    match chaos(&simulator, &site, seed, kills, &mut report).await {
        Ok(()) => Ok(report.line(seed)),
        Err(error) => {
            let (line, tail) = (report.line(seed), site.log_tail(15));
            let folder = site.keep();
            let folder = folder.display();
            Err(error.context(format!("{line}\nseed {seed}, folder {folder}, log:\n{tail}")))
        }
    }
}

/// What happened, in numbers.
#[derive(Default)]
struct Report {
    kills: u64,
    carried_over: usize,
    instances: usize,
    operations: BTreeMap<String, usize>,
    resumed: usize,
    faults: Vec<(String, u32)>,
    interrupted: usize,
    drained: Vec<Duration>,
    phases: Vec<(&'static str, Duration)>,
}

impl Report {
    fn line(&self, seed: u64) -> String {
        let list = |items: Vec<String>| items.join(", ");
        let operations = self.operations.iter().map(|(how, count)| format!("{count} {how}"));
        let faults: u32 = self.faults.iter().map(|(_, hits)| hits).sum();
        let fired = self.faults.iter().filter(|(what, hits)| *hits > 0 && !what.ends_with("slow"));
        let fired = fired.map(|(what, hits)| format!("{what} {hits}"));
        let drained = self.drained.iter().map(|took| format!("{:.1}", took.as_secs_f64()));
        let phases = self.phases.iter().map(|(what, took)| format!("{what} {}", took.as_secs()));
        let total: Duration = self.phases.iter().map(|(_, took)| *took).sum();
        format!(
            "report: chaos: {} kills (seed {seed}), {} operations found in hand after them, {} \
             steps interrupted; {} instances asked for; operations: {}; {} stuck and resumed; \
             {faults} faults: {}; SIGTERM took {} s; {} s ({})",
            self.kills,
            self.carried_over,
            self.interrupted,
            self.instances,
            list(operations.collect()),
            self.resumed,
            list(fired.collect()),
            list(drained.collect()),
            total.as_secs(),
            list(phases.collect()),
        )
    }
}

async fn chaos(
    simulator: &Simulator,
    site: &Site,
    seed: u64,
    kills: u64,
    report: &mut Report,
) -> Result<()> {
    let dice = SeededRandom::new(seed);
    let before = simulator.dump();
    let begun = Instant::now();
    let mut server = site.serve()?;
    let client = site.open(&mut server).await?;
    until_images(&client).await?;
    let planned = world::plan(simulator);
    let ledger = Arc::new(Ledger::default());
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let client = site.client(number % 2 == 1)?;
        let dice = SeededRandom::new(seed.wrapping_add(1 + number as u64));
        let worker = Worker { number, client, ledger: Arc::clone(&ledger), dice };
        workers.push(tokio::spawn(worker.run()));
    }
    for _ in 0..kills {
        server = kill(site, server, &dice, report).await?;
    }
    report.phases.push(("kills", begun.elapsed()));

    // Under load it also ends in order when it is asked to.
    let begun = Instant::now();
    site.open(&mut server).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    report.drained.push(server.terminate().await.context("SIGTERM under load")?);
    server = site.serve()?;
    site.open(&mut server).await?;
    ledger.stop();
    for worker in workers {
        worker.await.context("a client panicked")?;
    }
    report.phases.push(("in order", begun.elapsed()));

    let begun = Instant::now();
    // What needs somebody is tended to at once: its minute of doubt passes
    // together with that of the others.
    tend(simulator, &client, report).await?;
    load::settle(&client, SETTLE).await?;
    report.phases.push(("settle", begun.elapsed()));
    let begun = Instant::now();
    report.faults = hits(simulator, &planned);
    simulator.clear_faults();
    resume(simulator, &client, report).await?;
    delete_some(&client, &ledger).await?;
    resume(simulator, &client, report).await?;
    report.phases.push(("clear up", begun.elapsed()));

    let begun = Instant::now();
    let seen = calm(simulator, &client, &ledger, &before, report).await;
    report.drained.push(server.terminate().await.context("SIGTERM at rest")?);
    report.interrupted = seen.as_ref().map_or(0, |seen| seen.interrupted);
    report.phases.push(("calm", begun.elapsed()));
    let mut problems = ledger.wrong();
    let seen = seen?;
    problems.extend(seen.problems(&ledger));
    problems.extend(verdict::of_store(&seen, &site.state()).await?);
    problems.extend(vacuous(report));
    ensure!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    Ok(())
}

async fn until_images(client: &Client) -> Result<()> {
    let begun = Instant::now();
    while client.images().await?.is_empty() {
        ensure!(begun.elapsed() < Duration::from_secs(60), "no image is seen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Kills the server at a random moment, one time in four while it is opening,
/// and starts it again.
async fn kill(
    site: &Site,
    mut server: Server,
    dice: &SeededRandom,
    report: &mut Report,
) -> Result<Server> {
    if dice.below(4) == 0 {
        tokio::time::sleep(Duration::from_millis(dice.below(800))).await;
    } else {
        let client = site.open(&mut server).await?;
        let open = load::operations(&client, None, Some(false)).await?;
        report.carried_over += open.len();
        tokio::time::sleep(Duration::from_millis(dice.below(3500))).await;
    }
    if let Some(status) = server.ended()? {
        anyhow::bail!("the server has ended by itself ({status}):\n{}", site.log_tail(30));
    }
    server.kill().await?;
    report.kills += 1;
    tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
    site.serve()
}

fn hits(simulator: &Simulator, planned: &[Planned]) -> Vec<(String, u32)> {
    planned.iter().map(|fault| (fault.what.clone(), simulator.fault_hits(fault.id))).collect()
}

/// Does what an administrator does with stuck operations: what they say is
/// needed, and then resume them. Answers how many there were.
async fn tend(simulator: &Simulator, client: &Client, report: &mut Report) -> Result<usize> {
    let stuck = stuck(client).await?;
    for operation in &stuck {
        for command in &operation.left {
            // The second command, to remove it, is for who does not resume.
            if let Some(Ok(vmid)) = command.strip_prefix("qm unlock ").map(str::parse) {
                simulator.set_option(vmid, "lock", None);
            }
        }
        match load::until_answered(|| client.resume_operation(operation.id)).await {
            Ok(_) => report.resumed += 1,
            // A deletion has taken it over since.
            Err(error) if error.code() == Some("conflict") => {}
            Err(error) => Err(error).with_context(|| format!("resume {}", operation.id))?,
        }
    }
    Ok(stuck.len())
}

async fn stuck(client: &Client) -> Result<Vec<Operation>> {
    let settled = load::operations(client, None, Some(true)).await?;
    Ok(settled.into_iter().filter(|one| one.state == OperationState::Stuck).collect())
}

/// Resumes what is stuck until nothing is.
async fn resume(simulator: &Simulator, client: &Client, report: &mut Report) -> Result<()> {
    for _ in 0..RESUMES {
        load::settle(client, SETTLE).await?;
        if tend(simulator, client, report).await? == 0 {
            return Ok(());
        }
    }
    load::settle(client, SETTLE).await?;
    let stuck = stuck(client).await?;
    let describe = |one: &Operation| {
        format!("{} {}: {:?} {:?}", one.kind, one.instance_name, one.reason, one.left)
    };
    let stuck: Vec<String> = stuck.iter().map(describe).collect();
    ensure!(stuck.is_empty(), "still stuck without faults:\n{}", stuck.join("\n"));
    Ok(())
}

/// Deletes every second one of those that failed, and every third of those that
/// are there.
async fn delete_some(client: &Client, ledger: &Ledger) -> Result<()> {
    let all = load::instances(client).await?;
    let mut count = [0, 0];
    for instance in all {
        let failed = usize::from(instance.phase == client::wire::Phase::Failed);
        count[failed] += 1;
        if count[failed] % [3, 2][failed] == 0 {
            load::delete(client, ledger, &instance.name, instance.id).await;
        }
    }
    Ok(())
}

/// Waits until the cluster is as the rows say, which late workers and the
/// observer may still change, and answers the last look at both.
async fn calm(
    simulator: &Simulator,
    client: &Client,
    ledger: &Ledger,
    before: &Value,
    report: &mut Report,
) -> Result<Seen> {
    let begun = Instant::now();
    loop {
        load::settle(client, SETTLE).await?;
        let seen = Seen::look(simulator, client, ledger, before).await?;
        if seen.problems(ledger).is_empty() || begun.elapsed() > CALM {
            report.instances = ledger.wishes().len();
            report.operations = seen.operations();
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What makes a run prove nothing.
fn vacuous(report: &Report) -> Vec<String> {
    let count = |kind: OperationKind| {
        let wanted = format!("{kind} succeeded");
        report.operations.get(&wanted).copied().unwrap_or(0)
    };
    let struck = report.faults.iter().filter(|(_, hits)| *hits > 0).count();
    let checks = [
        (count(OperationKind::Create) > 0, "no creation succeeded"),
        (count(OperationKind::Delete) > 0, "no deletion succeeded"),
        (report.kills < 10 || report.carried_over > 0, "no kill left an operation in hand"),
        (struck >= 5, "hardly a fault struck"),
    ];
    let proves_nothing = checks.iter().filter(|(good, _)| !good);
    proves_nothing.map(|(_, what)| format!("the run proves nothing: {what}")).collect()
}
