//! From an intent to a plan: pure.

use std::time::Duration;

use model::{ByteCount, CreateIntent, DeviceRequest, HostId, Intent, ResizeIntent, SeedAccess};
use provider::{Action, Error, Facts, IdRequest, Limit, Plan, Rejection, ReservedId};
use pve::VmId;
use serde::Serialize;
use serde_json::{Value, json};

use crate::actions::seed::{self, SeedRef};
use crate::actions::{
    clone, configure, destroy, edit, firewall, grow, mark, migrate, reboot, resize, rollback,
    shutdown, snapshot, start, stop,
};
use crate::native::{self, GuestRef, HostFacts, ImageRef};
use crate::settings::{CloneMode, Settings, is_interface_name};

/// The provider's kind.
pub(crate) const KIND: &str = "proxmox";

/// How long a vmid stays retired, and with it the tombstone of an attempt that
/// was in doubt: much longer than a lease and the longest request together.
const RETIRE_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How many security groups and interfaces a guest may have.
const MOST_GROUPS: usize = 64;
/// Proxmox has net0 to net31.
const MOST_NICS: usize = 32;
/// Proxmox has hostpci0 to hostpci15.
const MOST_DEVICES: usize = 16;

impl Settings {
    /// See [`provider::Provider::ids_needed`].
    pub(crate) fn ids_needed(&self, intent: &Intent, facts: &Facts) -> Vec<IdRequest> {
        match intent {
            Intent::Create(_) => vec![IdRequest {
                pool: format!("{KIND}/{}/vmid", self.name),
                range: self.vmids(),
                taken: HostFacts::taken(facts.host.as_ref()),
                retire_for: RETIRE_FOR,
            }],
            _ => Vec::new(),
        }
    }

    /// See [`provider::Provider::plan`].
    pub(crate) fn plan(
        &self,
        intent: &Intent,
        facts: &Facts,
        ids: &[ReservedId],
    ) -> Result<Plan, Error> {
        if let Intent::Create(create) = intent {
            return self.create(create, facts, ids);
        }
        let guest = GuestRef::read(&facts.native)?;
        if guest.unmarked && *intent == Intent::Release {
            // Nothing of ours is on it.
            let actions = Vec::new();
            return Ok(Plan { provider: KIND.to_owned(), reference: Value::Null, actions });
        }
        if guest.unmarked && !is_power(intent) {
            let text = format!("VM {} is only observed: {} is not ours", guest.vmid, intent.name());
            return Err(Error::rejected(Rejection::Unsupported, text));
        }
        let host = facts.guest.as_ref().map_or(&guest.node, |seen| &seen.host);
        let on = |name, reversible, payload: Value, patience| {
            self.action(name, host, reversible, payload, patience)
        };
        let none = Duration::ZERO;
        let actions = match intent {
            Intent::Create(_) => Vec::new(),
            Intent::Start => vec![on(start::NAME, false, json!({}), none)],
            Intent::Stop => vec![on(stop::NAME, false, json!({}), none)],
            Intent::Shutdown { timeout, force } => {
                let payload = shutdown::Shutdown {
                    timeout_s: seconds(*timeout),
                    force: *force,
                    before_removal: false,
                };
                vec![on(shutdown::NAME, false, payload_of(&payload)?, *timeout)]
            }
            Intent::Reboot { timeout } => {
                let payload = reboot::Reboot { timeout_s: seconds(*timeout) };
                vec![
                    on(reboot::NOTE, true, json!({}), none),
                    on(reboot::NAME, false, payload_of(&payload)?, *timeout),
                ]
            }
            Intent::Destroy => self.destroy(&guest, host)?,
            Intent::Adopt { replaces } => {
                let tagged = facts.guest.as_ref().is_some_and(|seen| seen.labelled);
                let payload = mark::Adopt { replaces: *replaces, tagged };
                vec![on(mark::MARK, true, payload_of(&payload)?, none)]
            }
            Intent::Release => {
                let unmark = on(mark::UNMARK, false, json!({}), none);
                self.drop_seed(&guest, host)?.into_iter().chain([unmark]).collect()
            }
            Intent::DestroyGently { timeout } => {
                let payload = shutdown::Shutdown {
                    timeout_s: seconds(*timeout),
                    force: true,
                    before_removal: true,
                };
                let mut actions = vec![on(shutdown::NAME, false, payload_of(&payload)?, *timeout)];
                actions.extend(self.plan(&Intent::Destroy, facts, ids)?.actions);
                actions
            }
            Intent::DropSeed => self.drop_seed(&guest, host)?,
            other => self.changes(other, host)?,
        };
        Ok(Plan { provider: KIND.to_owned(), reference: Value::Null, actions })
    }

    /// Removes the guest, and the medium with its seed if it still has one.
    fn destroy(&self, guest: &GuestRef, host: &HostId) -> Result<Vec<Action>, Error> {
        let none = Duration::ZERO;
        let payload = payload_of(&stop::Stop { before_removal: true })?;
        let mut actions = vec![
            self.action(stop::NAME, host, false, payload, none),
            self.action(destroy::NAME, host, false, json!({}), none),
        ];
        actions.extend(self.unseed(guest)?);
        Ok(actions)
    }

    /// Removes the medium with the guest's seed, if it still has one.
    fn unseed(&self, guest: &GuestRef) -> Result<Option<Action>, Error> {
        let Some(medium) = guest.seed.clone() else { return Ok(None) };
        let node = medium.node.clone();
        let payload = payload_of(&seed::Unseed { medium })?;
        Ok(Some(self.action(seed::UNSEED, &node, false, payload, Duration::ZERO)))
    }

    /// Takes the medium out of a guest that has read it, and removes it.
    fn drop_seed(&self, guest: &GuestRef, host: &HostId) -> Result<Vec<Action>, Error> {
        let Some(medium) = guest.seed.clone() else { return Ok(Vec::new()) };
        let payload = payload_of(&seed::Eject { medium })?;
        let mut actions = vec![self.action(seed::EJECT, host, false, payload, Duration::ZERO)];
        actions.extend(self.unseed(guest)?);
        Ok(actions)
    }

    /// The medium that a new guest's seed comes on.
    fn medium(
        &self,
        intent: &CreateIntent,
        facts: &Facts,
        vmid: VmId,
    ) -> Result<Option<(SeedRef, configure::Medium)>, Error> {
        if intent.seed != SeedAccess::Medium {
            return Ok(None);
        }
        let (Some(storage), Some(mark)) = (&self.seed_storage, facts.mark) else {
            return Err(Error::invalid("seed_storage: there is no storage for seeds"));
        };
        let medium = SeedRef::new(&intent.host, storage, vmid, mark.attempt);
        let volume = medium.volume();
        Ok(Some((medium, configure::Medium { volume, instance: mark.instance })))
    }

    /// The actions that change a guest which stays.
    fn changes(&self, intent: &Intent, host: &HostId) -> Result<Vec<Action>, Error> {
        let none = Duration::ZERO;
        Ok(match intent {
            Intent::Resize(resize) => {
                let mut actions = vec![self.action(
                    resize::NAME,
                    host,
                    true,
                    payload_of(&resize_payload(resize))?,
                    none,
                )];
                if let Some(size) = resize.root_disk {
                    let payload = payload_of(&grow_payload(size, None)?)?;
                    actions.push(self.action(grow::NAME, host, false, payload, none));
                }
                actions
            }
            Intent::Edit(edit) => {
                let mut edit = edit.clone();
                let groups = edit.security_groups.take();
                let mut actions = Vec::new();
                if !edit.is_empty() || groups.is_none() {
                    let payload = payload_of(&edit::Edit { edit })?;
                    actions.push(self.action(edit::NAME, host, false, payload, none));
                }
                if let Some(groups) = groups {
                    let payload = payload_of(&firewall_payload(&groups)?)?;
                    actions.push(self.action(firewall::NAME, host, false, payload, none));
                }
                actions
            }
            Intent::TakeSnapshot { name, description, memory, token } => {
                let take = snapshot::Take {
                    name: name.clone(),
                    description: description.clone(),
                    memory: *memory,
                    token: *token,
                };
                let patience = self.timeouts.clone();
                vec![self.action(snapshot::TAKE, host, true, payload_of(&take)?, patience)]
            }
            Intent::RollBack { name } => {
                let payload = payload_of(&rollback::Rollback { name: name.clone() })?;
                vec![
                    self.action(rollback::NOTE, host, true, json!({}), none),
                    self.action(rollback::NAME, host, false, payload, self.timeouts.clone()),
                ]
            }
            Intent::DropSnapshot { name } => {
                let payload = payload_of(&snapshot::Discard { name: name.clone() })?;
                vec![self.action(snapshot::DISCARD, host, false, payload, self.timeouts.clone())]
            }
            Intent::Migrate { host: node, online } => {
                let payload =
                    payload_of(&migrate::Migrate { node: node.clone(), online: *online })?;
                vec![self.action(migrate::NAME, host, false, payload, self.timeouts.clone())]
            }
            other => {
                let text = format!("{} is not a change of a guest", other.name());
                return Err(Error::rejected(Rejection::Unsupported, text));
            }
        })
    }

    fn create(
        &self,
        intent: &CreateIntent,
        facts: &Facts,
        ids: &[ReservedId],
    ) -> Result<Plan, Error> {
        let Some(image) = &facts.image else {
            return Err(Error::invalid("image: its row is missing"));
        };
        let template = ImageRef::read(&image.native)?;
        let [id] = ids else {
            let count = ids.len();
            return Err(Error::invalid(format!("expected one vmid, got {count}")));
        };
        let vmid = native::vmid(id.value)?;
        let clone = self.clone_payload(intent, &template, &image.name, vmid)?;
        let (medium, inserted) = self.medium(intent, facts, vmid)?.unzip();
        let mut reference = json!({
            "vmid": vmid,
            "node": intent.host,
            "source": template.vmid,
            "source_node": template.node,
        });
        let host = &intent.host;
        let none = Duration::ZERO;
        let mut actions = Vec::new();
        if let Some(medium) = medium {
            // Before the guest, so that it is taken back after the guest.
            reference["seed"] = payload_of(&medium)?;
            let payload = payload_of(&seed::Upload { medium })?;
            actions.push(self.action(seed::NAME, host, true, payload, none));
        }
        actions.push(self.clone_action(&clone)?);
        let configure = self.configure_payload(intent)?;
        let configure = payload_of(&configure::Configure { medium: inserted, ..configure })?;
        actions.push(self.action(configure::NAME, host, true, configure, none));
        if let Some(size) = intent.root_disk {
            let payload = payload_of(&grow_payload(size, image.size)?)?;
            actions.push(self.action(grow::NAME, host, true, payload, none));
        }
        if !intent.security_groups.is_empty() {
            let payload = payload_of(&firewall_payload(&intent.security_groups)?)?;
            actions.push(self.action(firewall::NAME, host, true, payload, none));
        }
        if !intent.about.is_empty() {
            // Taken back with the guest, as all that is done to it.
            let payload = payload_of(&edit::Edit { edit: intent.about.clone() })?;
            actions.push(self.action(edit::NAME, host, true, payload, none));
        }
        if intent.power_on {
            actions.push(self.action(start::NAME, host, true, json!({}), none));
        }
        Ok(Plan { provider: KIND.to_owned(), reference, actions })
    }

    fn clone_payload(
        &self,
        intent: &CreateIntent,
        template: &ImageRef,
        image: &str,
        vmid: VmId,
    ) -> Result<clone::Clone, Error> {
        let cannot = |text| Err(Error::rejected(Rejection::Unsupported, text));
        if intent.host != template.node && !template.shared {
            return cannot(format!(
                "the image {image} is on {}'s own storage and cannot become a guest on {}",
                template.node, intent.host
            ));
        }
        if self.clone_mode == CloneMode::Linked && !template.linked {
            return cannot(format!(
                "the storage of the image {image} ({}) cannot make linked clones; set clone_mode to auto or full",
                template.storages.join(", ")
            ));
        }
        let full = !self.clones_linked(template.linked);
        Ok(clone::Clone {
            vmid,
            source: template.vmid,
            source_node: template.node.clone(),
            node: intent.host.clone(),
            name: intent.name.clone(),
            full,
            storage: self.clone_storage.clone().filter(|_| full),
            pool: self.pool.clone(),
        })
    }

    fn configure_payload(&self, intent: &CreateIntent) -> Result<configure::Configure, Error> {
        if intent.nics.len() > MOST_NICS {
            return Err(Error::invalid(format!("nics: at most {MOST_NICS}")));
        }
        let mut nics = Vec::new();
        for (index, nic) in intent.nics.iter().enumerate() {
            if let Some(bridge) = &nic.network
                && !is_interface_name(bridge)
            {
                return Err(Error::invalid(format!(
                    "nics[{index}].network: expected a bridge such as {}, got {bridge:?}",
                    self.bridge
                )));
            }
            nics.push(configure::NicPayload {
                bridge: nic.network.clone(),
                otherwise: self.bridge.clone(),
            });
        }
        Ok(configure::Configure {
            cores: intent.cores,
            memory_mib: intent.memory.as_mib_ceil(),
            agent: self.agent,
            seed: intent.seed == SeedAccess::Http,
            nics,
            medium: None,
            devices: device_payloads(&intent.devices)?,
        })
    }

    fn clone_action(&self, clone: &clone::Clone) -> Result<Action, Error> {
        let payload = payload_of(clone)?;
        let mut action =
            self.action(clone::NAME, &clone.source_node, true, payload, Duration::ZERO);
        action.deadline = self.timeouts.clone();
        action.limits.push(Limit {
            key: format!("clones/{}/{}", self.name, clone.source_node),
            at_most: self.limits.clones_per_host,
        });
        Ok(action)
    }

    /// An action on a host. `patience` is how long it waits for the guest on
    /// top of everything else.
    fn action(
        &self,
        name: &str,
        host: &HostId,
        reversible: bool,
        payload: Value,
        patience: Duration,
    ) -> Action {
        Action {
            name: name.to_owned(),
            version: 1,
            payload,
            reversible,
            limits: vec![Limit {
                key: format!("host/{}/{host}", self.name),
                at_most: self.limits.tasks_per_host,
            }],
            request_timeout: self.timeouts.request(),
            settle: self.timeouts.settle(),
            deadline: self.timeouts.action() + patience,
            attempts: (name == start::NAME).then_some(self.start_retries.saturating_add(1)),
        }
    }
}

/// Whether an intent changes nothing but the power of a guest.
const fn is_power(intent: &Intent) -> bool {
    matches!(intent, Intent::Start | Intent::Stop | Intent::Shutdown { .. } | Intent::Reboot { .. })
}

/// One payload for each device, with names that Proxmox takes.
fn device_payloads(devices: &[DeviceRequest]) -> Result<Vec<configure::DevicePayload>, Error> {
    let plain = |text: &str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let mut all = Vec::new();
    for device in devices {
        if !plain(&device.name) || !device.part.as_deref().is_none_or(plain) {
            return Err(Error::invalid(format!(
                "devices: expected the name of a PCI resource mapping, got {:?}",
                device.name
            )));
        }
        for _ in 0..device.count {
            all.push(configure::DevicePayload {
                mapping: device.name.clone(),
                mdev: device.part.clone(),
            });
        }
    }
    match all.len() > MOST_DEVICES {
        true => Err(Error::invalid(format!("devices: at most {MOST_DEVICES}"))),
        false => Ok(all),
    }
}

fn payload_of(payload: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(payload).map_err(|error| Error::Malformed(error.to_string()))
}

fn resize_payload(resize: &ResizeIntent) -> resize::Resize {
    let size = |cores, memory: ByteCount| resize::Size { cores, memory_mib: memory.as_mib_ceil() };
    resize::Resize {
        to: size(resize.cores, resize.memory),
        before: size(resize.cores_before, resize.memory_before),
    }
}

/// Whole seconds, at least one.
fn seconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// Sizes are whole GiB, rounded up.
fn grow_payload(size: ByteCount, image: Option<ByteCount>) -> Result<grow::Grow, Error> {
    if let Some(image) = image
        && size < image
    {
        return Err(Error::invalid(format!(
            "disks[0].size: the image's disk has {image} and cannot shrink to {size}"
        )));
    }
    Ok(grow::Grow { gib: size.as_gib_ceil() })
}

/// Names as Proxmox takes them: 2 to 18 letters, digits, `-` and `_`, a letter
/// first.
fn firewall_payload(groups: &[String]) -> Result<firewall::Firewall, Error> {
    if groups.len() > MOST_GROUPS {
        return Err(Error::invalid(format!("security_groups: at most {MOST_GROUPS}")));
    }
    for (index, group) in groups.iter().enumerate() {
        let fits = (2..=18).contains(&group.len())
            && group.starts_with(|c: char| c.is_ascii_alphabetic())
            && group.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
        if !fits {
            return Err(Error::invalid(format!(
                "security_groups[{index}]: expected 2 to 18 letters, digits, '-' or '_' with a letter first, got {group:?}"
            )));
        }
    }
    Ok(firewall::Firewall { groups: groups.to_vec() })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
