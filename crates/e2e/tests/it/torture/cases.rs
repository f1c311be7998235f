//! One case: a sample, what disturbs it, and the judgement of its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::bench::Bench;
use e2e::crash::Moment;
use e2e::oracle::{check_unwound, everything, same};
use e2e::world::{At, MakeWorld, Trouble, What};
use engine::{Cause, Outcome};
use model::random::SeededRandom;
use model::{Caller, Error, InstanceId, OperationId, OperationKind, Phase, Random};
use provisioner::{House, PowerChange};
use serde_json::Value;

use super::samples::{Sample, ask, effects, is_as_asked, prepare};

/// What disturbs a sample.
#[derive(Clone, Debug)]
pub enum Disturbance {
    /// The provider does.
    Trouble(Trouble),
    /// The process dies at this append.
    Crash(u64, Moment),
    /// A cancel is asked for once so many appends are made.
    Cancel { after: u64 },
    /// The deadline passes then.
    Deadline { after: u64 },
    /// A deletion is asked for then.
    Delete { after: u64 },
    /// Another change is asked for then.
    Second { after: u64 },
}

/// A case of the matrix.
#[derive(Clone, Debug)]
pub struct Case {
    pub sample: Sample,
    pub seed: u64,
    pub disturbances: Vec<Disturbance>,
}

/// The same sample, undisturbed.
pub struct Baseline {
    pub kind: String,
    pub sample: Sample,
    pub effects: Vec<String>,
    pub appends: u64,
    pub after: Value,
}

pub async fn baseline(make: MakeWorld, sample: Sample) -> Baseline {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let ready = prepare(&mut bench, sample).await;
    bench.open(None).await.unwrap();
    bench.look().await;
    let (_, operation) = ask(&mut bench, &ready).await;
    let outcome = bench.settle(operation).await.unwrap();
    assert_eq!(outcome, Outcome::Done, "{}", bench.story(operation).await.unwrap());
    let appends = bench.appends();
    let effects = effects(&bench, operation).await;
    bench.rest(Duration::from_secs(30)).await.unwrap();
    let journal = bench.store().operation_journal(operation).await.unwrap().unwrap();
    let after = everything(&bench).await.unwrap();
    Baseline { kind: journal.kind.to_string(), sample, effects, appends, after }
}

/// Runs a case and judges its end; why it is unlawful. The provider may be
/// changed first.
pub async fn try_run(
    make: MakeWorld,
    good: &Baseline,
    case: &Case,
    wrap: Option<e2e::bench::Wrap>,
) -> Result<(), String> {
    let text = |error: anyhow::Error| format!("{error:#}");
    let mut bench = Bench::wrapped(make, case.seed, wrap).await.map_err(text)?;
    let ready = prepare(&mut bench, case.sample).await;
    let crash = case.disturbances.iter().find_map(|disturbance| match disturbance {
        Disturbance::Crash(at, moment) => Some((*at, *moment)),
        _ => None,
    });
    bench.open(crash).await.map_err(text)?;
    bench.look().await;
    let before = everything(&bench).await.map_err(text)?;
    for disturbance in &case.disturbances {
        if let Disturbance::Trouble(trouble) = disturbance
            && !bench.world.trouble(trouble)
        {
            return Ok(());
        }
    }
    let (instance, operation) = ask(&mut bench, &ready).await;
    let disturbed = disturb(&bench, case, instance, operation);
    let judged = judge(&mut bench, good, case, &before, instance, operation, disturbed).await;
    match judged {
        Ok(()) => Ok(()),
        Err(reason) => {
            let story = bench.story(operation).await.unwrap_or_default();
            Err(format!("{reason}\nstory:\n{story}"))
        }
    }
}

/// What has come of what was asked for on the way.
#[derive(Clone, Default)]
struct Disturbed {
    deletion: Arc<Mutex<Option<OperationId>>>,
    wrong: Arc<Mutex<Option<String>>>,
}

/// Sets up the disturbances that come right after a certain append.
fn disturb(bench: &Bench, case: &Case, instance: InstanceId, operation: OperationId) -> Disturbed {
    let disturbed = Disturbed::default();
    for disturbance in case.disturbances.iter().cloned() {
        let (Disturbance::Cancel { after }
        | Disturbance::Deadline { after }
        | Disturbance::Delete { after }
        | Disturbance::Second { after }) = disturbance
        else {
            continue;
        };
        let (house, admin) = (bench.house(), bench.admin());
        let (clock, world) = (bench.clock.clone(), Arc::clone(&bench.world));
        let disturbed = disturbed.clone();
        let interruption = async move {
            let wrong = match disturbance {
                Disturbance::Cancel { .. } => {
                    match house.cancel_operation(&admin, operation).await {
                        Ok(()) | Err(Error::Conflict { .. }) => None,
                        Err(error) => Some(format!("cancel: {error:?}")),
                    }
                }
                Disturbance::Deadline { .. } => {
                    clock.advance(Duration::from_secs(4000));
                    world.advanced(Duration::from_secs(4000)).await;
                    None
                }
                Disturbance::Delete { .. } => match house.delete_instance(&admin, instance).await {
                    Ok(id) => {
                        *disturbed.deletion.lock().unwrap() = Some(id);
                        None
                    }
                    Err(Error::NotFound { .. }) => None,
                    Err(error) => Some(format!("delete: {error:?}")),
                },
                _ => match house.change_power(&admin, instance, PowerChange::Stop).await {
                    Err(Error::Conflict { .. } | Error::NotFound { .. }) => None,
                    // The first one ended with that very append.
                    Ok(_) if has_ended(&house, &admin, operation).await => None,
                    other => Some(format!("a second change beside the first: {other:?}")),
                },
            };
            *disturbed.wrong.lock().unwrap() = wrong;
        };
        bench.interrupt(after, Box::new(|| Box::pin(interruption)));
    }
    disturbed
}

async fn has_ended(house: &House, caller: &Caller, id: OperationId) -> bool {
    house.operation(caller, id).await.is_ok_and(|operation| operation.state.is_settled())
}

async fn judge(
    bench: &mut Bench,
    good: &Baseline,
    case: &Case,
    before: &Value,
    instance: InstanceId,
    operation: OperationId,
    disturbed: Disturbed,
) -> Result<(), String> {
    let text = |error: anyhow::Error| format!("{error:#}");
    let mut outcome = bench.settle(operation).await.map_err(text)?;
    if let Some(wrong) = disturbed.wrong.lock().unwrap().take() {
        return Err(wrong);
    }
    let deletion = disturbed.deletion.lock().unwrap().filter(|id| *id != operation);
    if let Some(deletion) = deletion {
        let deleted = bench.settle(deletion).await.map_err(text)?;
        bench.world.calm();
        let judged = judge_deleted(bench, case, before, instance, deletion, deleted).await;
        let was_ours = case.sample == Sample::AdoptOwned && outcome == Outcome::Done;
        return if was_ours && is_removed(bench, instance).await { Ok(()) } else { judged };
    }
    bench.world.calm();
    if let Outcome::Stuck { reason, left } = &outcome {
        if !case.sample.has_no_row() {
            is_visible(bench, instance, reason).await?;
        }
        outcome = resumed(bench, operation, left).await?;
    }
    settle_world(bench, case).await.map_err(text)?;
    nothing_collected(bench, case).await?;
    let after = everything(bench).await.map_err(text)?;
    let row = bench.store().instance(instance).await.map_err(|error| error.to_string())?;
    match &outcome {
        Outcome::Done => {
            if !is_as_asked(bench, case.sample, instance).await && !had_second(case) {
                return Err(format!("done, but the row is not as asked for: {row:?}"));
            }
            if case.seed != 1 || had_second(case) || has(case, What::Foreign) {
                return Ok(());
            }
            same("end", &good.after["world"], &after["world"])
        }
        Outcome::Unwound { cause } if case.sample.creates() => {
            let row = row.ok_or("the failed row is gone")?;
            lawful(case, cause)?;
            if has(case, What::Foreign) {
                return Ok(());
            }
            check_unwound(before, &after, &row)
        }
        Outcome::Unwound { cause } if case.sample.has_no_row() => lawful_cause(case, cause)
            .then_some(())
            .ok_or_else(|| format!("unwound without a reason to: {cause:?}")),
        Outcome::Unwound { cause } => {
            let row = row.ok_or("the row is gone")?;
            if row.phase == Phase::Deleting && !case.sample.deletes() {
                return Err("a change of power left it deleting".to_owned());
            }
            lawful(case, cause)?;
            as_before(case, before, &after)
        }
        // Only what refuses for ever, or somebody else's guest in the place,
        // may leave it stuck once the trouble is over.
        Outcome::Stuck { .. } if has(case, What::Foreign) => Ok(()),
        other => Err(format!("unlawful end: {other:?}")),
    }
}

/// How an operation ends that is resumed when somebody has done what it asks for.
async fn resumed(
    bench: &mut Bench,
    operation: OperationId,
    left: &[String],
) -> Result<Outcome, String> {
    bench.world.obey(left).await;
    let (house, admin) = (bench.house(), bench.admin());
    house.resume_operation(&admin, operation).await.map_err(|error| error.to_string())?;
    bench.settle(operation).await.map_err(|error| format!("{error:#}"))
}

fn lawful(case: &Case, cause: &Cause) -> Result<(), String> {
    let reason = lawful_cause(case, cause).then_some(());
    reason.ok_or_else(|| format!("unwound without a reason to: {cause:?}"))
}

/// A guest that had become ours by then is removed with its instance.
async fn is_removed(bench: &Bench, instance: InstanceId) -> bool {
    let row = bench.store().instance(instance).await;
    matches!(row, Ok(None)) && !bench.world.dump().to_string().contains("somebody-elses")
}

/// A change that is unwound has left the world as it was.
fn as_before(case: &Case, before: &Value, after: &Value) -> Result<(), String> {
    let excused = case.seed != 1 || has(case, What::Foreign) || had_second(case);
    if excused || !case.sample.changes() {
        return Ok(());
    }
    same("unwound", &before["world"], &after["world"])
}

fn has(case: &Case, what: What) -> bool {
    case.disturbances.iter().any(
        |disturbance| matches!(disturbance, Disturbance::Trouble(trouble) if trouble.what == what),
    )
}

fn had_second(case: &Case) -> bool {
    case.disturbances.iter().any(|disturbance| matches!(disturbance, Disturbance::Second { .. }))
}

/// A workflow unwinds only when something refused, was beyond the retries, or
/// somebody asked for it.
fn lawful_cause(case: &Case, cause: &Cause) -> bool {
    case.disturbances.iter().any(|disturbance| match (disturbance, cause) {
        (Disturbance::Cancel { .. }, Cause::Cancelled) => true,
        (Disturbance::Deadline { .. }, Cause::Deadline { .. } | Cause::Failed { .. }) => true,
        (Disturbance::Trouble(trouble), Cause::Failed { .. } | Cause::Deadline { .. }) => {
            let harmless = matches!(
                (trouble.what, trouble.times),
                (What::LostReply | What::NotSent | What::Busy | What::Unavailable, Some(1..=3))
                    | (What::Late(_), Some(1))
                    | (What::TaskLost, Some(1))
            );
            !harmless || case.disturbances.len() > 1
        }
        _ => false,
    })
}

async fn judge_deleted(
    bench: &mut Bench,
    case: &Case,
    before: &Value,
    instance: InstanceId,
    deletion: OperationId,
    mut deleted: Outcome,
) -> Result<(), String> {
    let text = |error: anyhow::Error| format!("{error:#}");
    if let Outcome::Stuck { left, .. } = &deleted {
        deleted = resumed(bench, deletion, left).await?;
    }
    if deleted != Outcome::Done {
        let story = bench.story(deletion).await.map_err(text)?;
        return Err(format!("the deletion ended {deleted:?}\n{story}"));
    }
    settle_world(bench, case).await.map_err(text)?;
    let row = bench.store().instance(instance).await.map_err(|error| error.to_string())?;
    if row.is_some() {
        return Err("the row is still there".to_owned());
    }
    let after = everything(bench).await.map_err(text)?;
    if case.sample.creates() {
        return same("world", &before["world"], &after["world"]);
    }
    Ok(())
}

/// What is stuck is visible, and goes on once the trouble is over.
async fn is_visible(bench: &Bench, instance: InstanceId, reason: &str) -> Result<(), String> {
    let row = bench.store().instance(instance).await.map_err(|error| error.to_string())?;
    let fault = row.and_then(|row| row.fault);
    match fault.is_some_and(|fault| fault.stuck) {
        true => Ok(()),
        false => Err(format!("stuck ({reason}), and the row does not say so")),
    }
}

/// Only what comes late may have to be collected: everything else is taken back
/// by whoever did it.
async fn nothing_collected(bench: &Bench, case: &Case) -> Result<(), String> {
    if is_late(case) || case.sample.has_no_row() {
        return Ok(());
    }
    let all = store::OperationFilter { limit: 1000, ..store::OperationFilter::default() };
    let operations = bench.store().operations(&all).await.map_err(|error| error.to_string())?;
    match operations.iter().find(|operation| operation.kind == OperationKind::Collect) {
        Some(operation) => Err(format!("left in the world, and collected: {operation:?}")),
        None => Ok(()),
    }
}

fn is_late(case: &Case) -> bool {
    case.disturbances.iter().any(|disturbance| {
        matches!(disturbance, Disturbance::Trouble(Trouble { what: What::Late(_), .. }))
    })
}

/// Lets what is late come, and be collected.
async fn settle_world(bench: &mut Bench, case: &Case) -> anyhow::Result<()> {
    let time = if is_late(case) { 300 } else { 15 };
    bench.rest(Duration::from_secs(time)).await
}

/// Two disturbances of different kinds, by chance.
pub fn random_pair(good: &Baseline, seed: u64) -> Vec<Disturbance> {
    let random = SeededRandom::new(seed);
    let mut pair = Vec::new();
    let append = |random: &SeededRandom| 1 + random.below(good.appends.max(1));
    if !good.effects.is_empty() {
        let action = &good.effects[random.below(good.effects.len() as u64) as usize];
        let whats = [
            What::Refuse,
            What::Partial,
            What::LostReply,
            What::Late(Duration::from_secs(5 + random.below(50))),
            What::NotSent,
            What::Busy,
            What::Unavailable,
            What::TaskFails,
            What::TaskLost,
        ];
        let what = whats[random.below(whats.len() as u64) as usize];
        let times = Some(1 + random.below(3) as u32);
        let trouble = Trouble { action: action.clone(), at: At::Apply, what, times };
        pair.push(Disturbance::Trouble(trouble));
    }
    pair.push(match random.below(5) {
        0 => Disturbance::Crash(append(&random), Moment::Before),
        1 => Disturbance::Crash(append(&random), Moment::After),
        2 => Disturbance::Cancel { after: append(&random) },
        3 => Disturbance::Deadline { after: append(&random) },
        _ => Disturbance::Delete { after: append(&random) },
    });
    pair
}
