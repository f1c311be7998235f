//! The matrix itself: which faults, at which steps, and what each may end as.

use std::time::Duration;

use e2e::crash::Moment;
use e2e::world::{At, MakeWorld, MediaWorld, MemoryWorld, ProxmoxWorld, Trouble, What};

use super::cases::{Baseline, Case, Disturbance, baseline, random_pair, try_run};
use super::samples::{ALL, Sample};

/// Faults of an action, each once, and some for ever.
fn troubles(action: &str) -> Vec<Trouble> {
    let trouble = |at, what, times| Trouble { action: action.to_owned(), at, what, times };
    let mut list = Vec::new();
    for what in [
        What::Refuse,
        What::Partial,
        What::LostReply,
        What::Late(Duration::from_secs(20)),
        What::NotSent,
        What::Busy,
        What::Unavailable,
        What::TaskFails,
        What::TaskLost,
        What::Foreign,
    ] {
        list.push(trouble(At::Apply, what, Some(1)));
    }
    for what in [What::NotSent, What::Busy] {
        list.push(trouble(At::Apply, what, Some(3)));
        list.push(trouble(At::Apply, what, None));
    }
    list.push(trouble(At::Apply, What::LostReply, None));
    list.push(trouble(At::Apply, What::Unavailable, None));
    list.push(trouble(At::Probe, What::Unavailable, Some(2)));
    list
}

async fn matrix(make: MakeWorld, sample: Sample) {
    let good = baseline(make, sample).await;
    let mut cases = Vec::new();
    for action in &good.effects {
        cases.extend(troubles(action).into_iter().map(Disturbance::Trouble));
    }
    for append in 1..=good.appends {
        cases.extend([
            Disturbance::Crash(append, Moment::Before),
            Disturbance::Crash(append, Moment::After),
            Disturbance::Cancel { after: append },
            Disturbance::Deadline { after: append },
            Disturbance::Delete { after: append },
            Disturbance::Second { after: append },
        ]);
    }
    let cases = cases.into_iter().map(|disturbance| vec![disturbance]).collect();
    run_all(make, &good, 1, cases).await;
}

/// Everything that can go wrong while things are taken back: the last action is
/// refused, and then the process dies at every line, or an undo fails.
async fn unwinding(make: MakeWorld, sample: Sample) {
    let good = baseline(make, sample).await;
    let Some(last) = good.effects.last().cloned() else { return };
    let mut cases = Vec::new();
    let refused = Disturbance::Trouble(Trouble {
        action: last,
        at: At::Apply,
        what: What::Refuse,
        times: Some(1),
    });
    for append in 1..=good.appends + 2 * good.effects.len() as u64 + 4 {
        for moment in [Moment::Before, Moment::After] {
            let crash = Disturbance::Crash(append, moment);
            cases.push(vec![refused.clone(), crash]);
        }
    }
    for action in &good.effects {
        for (what, times) in [
            (What::Unavailable, Some(2)),
            (What::NotSent, Some(2)),
            (What::LostReply, Some(1)),
            (What::Refuse, None),
        ] {
            let undo = Trouble { action: action.clone(), at: At::Undo, what, times };
            cases.push(vec![refused.clone(), Disturbance::Trouble(undo)]);
        }
    }
    run_all(make, &good, 1, cases).await;
}

/// Random pairs. A failure prints its seed and its disturbances.
async fn pairs(make: MakeWorld, sample: Sample, count: u64) {
    let good = baseline(make, sample).await;
    let cases = (0..count).map(|seed| random_pair(&good, seed)).collect();
    run_all(make, &good, 100, cases).await;
}

/// Runs all cases, and fails with the first few that end unlawfully.
async fn run_all(make: MakeWorld, good: &Baseline, seed: u64, cases: Vec<Vec<Disturbance>>) {
    let (count, mut wrong) = (cases.len(), Vec::new());
    for disturbances in cases {
        let case = Case { sample: good.sample, seed, disturbances };
        if let Err(reason) = try_run(make, good, &case, None).await {
            wrong.push(format!("{case:?}\n{reason}"));
        }
    }
    println!("{:?}: {count} cases", good.sample);
    let shown = wrong.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} of {count} cases end unlawfully:\n{shown}", wrong.len());
}

fn pairs_to_sample() -> u64 {
    std::env::var("INNKEEPER_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(25)
}

macro_rules! torture {
    ($($name:ident: $world:ident, $sample:ident;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn every_fault_at_every_step_ends_lawfully() {
                matrix($world::make, Sample::$sample).await;
            }

            #[tokio::test]
            async fn every_fault_while_unwinding_ends_lawfully() {
                unwinding($world::make, Sample::$sample).await;
            }

            #[tokio::test]
            async fn random_pairs_of_faults_end_lawfully() {
                pairs($world::make, Sample::$sample, pairs_to_sample()).await;
            }
        }
    )*};
}

torture! {
    create_bare_over_memory: MemoryWorld, CreateBare;
    create_full_over_memory: MemoryWorld, CreateFull;
    start_over_memory: MemoryWorld, Start;
    stop_over_memory: MemoryWorld, Stop;
    shutdown_over_memory: MemoryWorld, Shutdown;
    reboot_over_memory: MemoryWorld, Reboot;
    delete_running_over_memory: MemoryWorld, DeleteRunning;
    delete_stopped_over_memory: MemoryWorld, DeleteStopped;
    delete_failed_over_memory: MemoryWorld, DeleteFailed;
    resize_over_memory: MemoryWorld, Resize;
    edit_over_memory: MemoryWorld, Edit;
    snapshot_over_memory: MemoryWorld, Snapshot;
    rollback_over_memory: MemoryWorld, Rollback;
    discard_over_memory: MemoryWorld, Discard;
    migrate_over_memory: MemoryWorld, Migrate;
    collect_over_memory: MemoryWorld, Collect;
    long_collect_over_proxmox: ProxmoxWorld, Collect;
    adopt_owned_over_memory: MemoryWorld, AdoptOwned;
    long_adopt_owned_over_proxmox: ProxmoxWorld, AdoptOwned;
    adopt_observed_over_memory: MemoryWorld, AdoptObserved;
    long_adopt_observed_over_proxmox: ProxmoxWorld, AdoptObserved;
    release_over_memory: MemoryWorld, Release;
    long_release_over_proxmox: ProxmoxWorld, Release;
    delete_observed_over_memory: MemoryWorld, DeleteObserved;
    long_delete_observed_over_proxmox: ProxmoxWorld, DeleteObserved;
    delete_adopted_over_memory: MemoryWorld, DeleteAdopted;
    long_delete_adopted_over_proxmox: ProxmoxWorld, DeleteAdopted;
    // These take minutes each: a suite of their own (docs/reference/test-suites.md).
    long_resize_over_proxmox: ProxmoxWorld, Resize;
    long_snapshot_over_proxmox: ProxmoxWorld, Snapshot;
    long_rollback_over_proxmox: ProxmoxWorld, Rollback;
    long_migrate_over_proxmox: ProxmoxWorld, Migrate;
    long_create_with_medium_over_proxmox: MediaWorld, CreateFull;
    long_delete_with_medium_over_proxmox: MediaWorld, DeleteRunning;
    long_drop_seed_over_proxmox: MediaWorld, DropSeed;
    long_edit_over_proxmox: ProxmoxWorld, Edit;
    long_discard_over_proxmox: ProxmoxWorld, Discard;
    create_bare_over_proxmox: ProxmoxWorld, CreateBare;
    create_full_over_proxmox: ProxmoxWorld, CreateFull;
    start_over_proxmox: ProxmoxWorld, Start;
    stop_over_proxmox: ProxmoxWorld, Stop;
    shutdown_over_proxmox: ProxmoxWorld, Shutdown;
    long_reboot_over_proxmox: ProxmoxWorld, Reboot;
    delete_running_over_proxmox: ProxmoxWorld, DeleteRunning;
    delete_stopped_over_proxmox: ProxmoxWorld, DeleteStopped;
    delete_failed_over_proxmox: ProxmoxWorld, DeleteFailed;
}

#[tokio::test]
async fn the_samples_visit_every_workflow() {
    let mut kinds = vec!["guest.collect@1".to_owned()]; // cases::late_guest
    for sample in ALL {
        kinds.push(baseline(MemoryWorld::make, sample).await.kind);
    }
    let bench = e2e::bench::Bench::new(MemoryWorld::make, 1).await.unwrap();
    for kind in provisioner::registry(&bench.core()).unwrap().kinds() {
        assert!(kinds.contains(&kind.to_string()), "no sample visits {kind}");
    }
}
