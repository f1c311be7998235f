//! From intents to plans.

use std::time::Duration;

use model::{CreateIntent, EditIntent, HostId, Intent, SeedAccess};
use serde_json::Value;

use super::actions::{Act, Size};
use super::standing::Reference;
use crate::{Action, Error, Facts, IdRequest, Limit, Plan, Rejection, ReservedId};

/// The provider's kind.
pub(super) const KIND: &str = "memory";

pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(600);
/// Longer than a lease and the longest request together.
const RETIRE_FOR: Duration = Duration::from_secs(24 * 3_600);
const CLONES_PER_HOST: u32 = 4;
const TASKS_PER_HOST: u32 = 16;
const IDS: std::ops::RangeInclusive<u64> = 100_000..=199_999;

/// Plans for the cloud of this name.
pub(super) struct Planner<'a> {
    pub cloud: &'a str,
}

impl Planner<'_> {
    pub fn pool(&self) -> String {
        format!("memory/{}/id", self.cloud)
    }

    pub fn ids_needed(&self, intent: &Intent, facts: &Facts) -> Result<Vec<IdRequest>, Error> {
        let Intent::Create(create) = intent else {
            return Ok(Vec::new());
        };
        check(create, facts)?;
        let host = facts.host.as_ref();
        let taken = host.and_then(|host| host.native.get("taken")?.as_array());
        let taken = taken.map(|ids| ids.iter().filter_map(Value::as_u64).collect());
        Ok(vec![IdRequest {
            pool: self.pool(),
            range: IDS,
            taken: taken.unwrap_or_default(),
            retire_for: RETIRE_FOR,
        }])
    }

    pub fn plan(&self, intent: &Intent, facts: &Facts, ids: &[ReservedId]) -> Result<Plan, Error> {
        if let Intent::Create(create) = intent {
            return self.create(create, facts, ids);
        }
        let Reference { host, id, unmarked, .. } = Reference::read(&facts.native)?;
        let power = matches!(
            intent,
            Intent::Start | Intent::Stop | Intent::Shutdown { .. } | Intent::Reboot { .. }
        );
        if unmarked && *intent == Intent::Release {
            // Nothing of ours is on it.
            return self.assemble(Vec::new(), &host, Value::Null);
        }
        if unmarked && !power {
            let text = format!("guest {id} is only observed");
            return Err(Error::rejected(Rejection::Unsupported, text));
        }
        let acts = match intent {
            Intent::Create(_) => Vec::new(),
            Intent::Start => vec![(Act::Start {}, false)],
            Intent::Stop => vec![(Act::Stop { before_removal: false }, false)],
            Intent::Shutdown { timeout, force } => {
                vec![(shutdown(*timeout, *force, false), false)]
            }
            // A restart leaves no trace but the counter of boots. Noting it is
            // an action of its own, so that it is journalled before the restart
            // is asked for, and a lost answer can be told from a lost request.
            Intent::Reboot { timeout } => vec![
                (Act::NoteBoot {}, true),
                (Act::Reboot { timeout_s: timeout.as_secs() }, false),
            ],
            Intent::Destroy => {
                vec![(Act::Stop { before_removal: true }, false), (Act::Destroy {}, false)]
            }
            Intent::DestroyGently { timeout } => vec![
                (shutdown(*timeout, true, true), false),
                (Act::Stop { before_removal: true }, false),
                (Act::Destroy {}, false),
            ],
            Intent::Resize(resize) => {
                let size = |cores, memory| Size { cores, memory };
                let before = size(resize.cores_before, resize.memory_before);
                let to = size(resize.cores, resize.memory);
                let grow = resize.root_disk.map(|size| (Act::Grow { size }, false));
                [(Act::Resize { to, before }, true)].into_iter().chain(grow).collect()
            }
            Intent::Edit(edit) => edit_acts(edit.clone()),
            Intent::TakeSnapshot { name, memory, token, .. } => {
                let (name, memory, token) = (name.clone(), *memory, *token);
                vec![(Act::Snapshot { name, memory, token }, true)]
            }
            // As for a restart: what tells a rollback from none is noted first.
            Intent::RollBack { name } => {
                vec![(Act::NoteState {}, true), (Act::Rollback { name: name.clone() }, false)]
            }
            Intent::DropSnapshot { name } => vec![(Act::Discard { name: name.clone() }, false)],
            Intent::Migrate { host, online } => {
                vec![(Act::Migrate { host: host.clone(), online: *online }, false)]
            }
            Intent::Adopt { replaces } => vec![(Act::Mark { replaces: *replaces }, true)],
            Intent::Release => vec![(Act::Unmark {}, false)],
            Intent::DropSeed => {
                let text = "guests have no media here".to_owned();
                return Err(Error::rejected(Rejection::Unsupported, text));
            }
        };
        self.assemble(acts, &host, Value::Null)
    }

    fn create(
        &self,
        create: &CreateIntent,
        facts: &Facts,
        ids: &[ReservedId],
    ) -> Result<Plan, Error> {
        let image = check(create, facts)?;
        let [id] = ids else {
            let text = format!("one reserved id was expected, got {}", ids.len());
            return Err(Error::invalid(text));
        };
        if id.pool != self.pool() {
            return Err(Error::invalid(format!("an id of another pool: {}", id.pool)));
        }
        let host = create.host.clone();
        let mut acts = vec![
            (
                Act::Clone { id: id.value, image, host: host.clone(), name: create.name.clone() },
                true,
            ),
            (
                Act::Configure {
                    cores: create.cores,
                    memory: create.memory,
                    networks: create.nics.iter().map(|nic| nic.network.clone()).collect(),
                    seed: create.seed == SeedAccess::Http,
                },
                true,
            ),
        ];
        if let Some(size) = create.root_disk {
            acts.push((Act::Grow { size }, true));
        }
        if !create.security_groups.is_empty() {
            acts.push((Act::Firewall { groups: create.security_groups.clone() }, true));
        }
        if !create.about.is_empty() {
            acts.push((Act::Edit { edit: create.about.clone() }, true));
        }
        if create.power_on {
            acts.push((Act::Start {}, true));
        }
        let reference =
            Reference { id: id.value, host: host.clone(), uuid: None, unmarked: false }.write();
        self.assemble(acts, &host, reference)
    }

    fn assemble(
        &self,
        acts: Vec<(Act, bool)>,
        host: &HostId,
        reference: Value,
    ) -> Result<Plan, Error> {
        let base = format!("host/{}/{host}", self.cloud);
        let actions = acts.into_iter().map(|(act, reversible)| {
            let mut limits = vec![Limit { key: base.clone(), at_most: TASKS_PER_HOST }];
            if matches!(act, Act::Clone { .. }) {
                limits.push(Limit { key: format!("{base}/clone"), at_most: CLONES_PER_HOST });
            }
            let timeout = match &act {
                Act::Shutdown { timeout_s, .. } | Act::Reboot { timeout_s } => {
                    Duration::from_secs(*timeout_s)
                }
                _ => Duration::ZERO,
            };
            Ok(Action {
                name: act.name().to_owned(),
                version: 1,
                payload: act.write()?,
                reversible,
                limits,
                request_timeout: REQUEST_TIMEOUT,
                settle: SETTLE,
                deadline: DEADLINE.saturating_add(timeout),
                attempts: None,
            })
        });
        Ok(Plan {
            provider: KIND.to_owned(),
            reference,
            actions: actions.collect::<Result<_, Error>>()?,
        })
    }
}

/// Refuses what cannot be made. Returns the image's name in the cloud.
fn check(create: &CreateIntent, facts: &Facts) -> Result<String, Error> {
    let Some(image) = &facts.image else {
        return Err(Error::invalid("image: it is not known"));
    };
    let Some(name) = image.native.get("name").and_then(Value::as_str) else {
        return Err(Error::Malformed("the image's reference has no name".to_owned()));
    };
    if !image.presence.hosts.contains(&create.host) {
        let text = format!("image {name:?} is not on {}: {}", create.host, image.presence.reason);
        return Err(Error::rejected(Rejection::Unsupported, text));
    }
    if let (Some(wanted), Some(least)) = (create.root_disk, image.size)
        && wanted < least
    {
        let text = format!("root_disk: the image needs at least {least}, got {wanted}");
        return Err(Error::invalid(text));
    }
    if create.cores == 0 {
        return Err(Error::invalid("cores: at least 1 was expected, got 0"));
    }
    Ok(name.to_owned())
}

/// What the text means that a task failed with.
pub(super) fn failure(text: &str) -> Error {
    let has = |part: &str| text.contains(part);
    let why = match () {
        () if has("locked") || has("got lock timeout") => return Error::Busy(text.to_owned()),
        () if has("no quorum") => return Error::Unavailable(text.to_owned()),
        () if has("already exists") => Rejection::Exists,
        () if has("does not exist") || has("is gone") => Rejection::NotFound,
        () if has("no space") => Rejection::Quota,
        () => Rejection::Invalid,
    };
    Error::rejected(why, text)
}

fn shutdown(timeout: Duration, force: bool, before_removal: bool) -> Act {
    Act::Shutdown { timeout_s: timeout.as_secs(), force, before_removal }
}

/// Security groups are an act of their own.
fn edit_acts(mut edit: EditIntent) -> Vec<(Act, bool)> {
    let groups = edit.security_groups.take();
    let mut acts = Vec::new();
    if !edit.is_empty() || groups.is_none() {
        acts.push((Act::Edit { edit }, false));
    }
    acts.extend(groups.map(|groups| (Act::Firewall { groups }, false)));
    acts
}
