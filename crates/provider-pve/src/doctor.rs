//! What stands between a cluster and its first guest, in clear words.

mod rights;

use std::sync::Arc;

use model::InstallationId;
use model::time::SystemClock;
use provider::{Error, ImageView, Rejection};
use pve::cluster::ClusterResource;
use pve::qemu::QemuConfig;
use serde::Serialize;

use crate::cluster::{Cluster, ConfigAnswer};
use crate::guest::root_disk;
use crate::native::ImageRef;
use crate::observe::is_labelled;
use crate::settings::Settings;

/// How many templates and storages are described one by one.
const MOST_LINES: usize = 20;

/// Ranges of fewer vmids may run out, because each rests after use.
const FEW_VMIDS: usize = 1_000;

/// Storages with less than this part of their space free are worth a word.
const LITTLE_SPACE: f64 = 0.10;

/// How good or bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but somebody should know.
    Warning,
    /// It does not work like this.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How good or bad it is.
    pub level: Level,
    /// What was looked at: `api`, `version`, `quorum`, `rights`, `templates`,
    /// `storage`, `vmids`, `settings`.
    pub what: &'static str,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty when nothing is to be done.
    pub hint: String,
}

impl Finding {
    fn new(level: Level, what: &'static str, detail: impl Into<String>) -> Self {
        Self { level, what, detail: detail.into(), hint: String::new() }
    }

    fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Level::Ok, what, detail)
    }

    fn warning(what: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Level::Warning, what, detail).hint(hint)
    }

    fn problem(what: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Level::Problem, what, detail).hint(hint)
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Looks at a cluster as this provider would use it. Changes nothing, and says
/// what it could not see.
pub async fn diagnose(client: &pve::Client, settings: &Settings) -> Vec<Finding> {
    if let Err(error) = settings.check() {
        let hint = "correct the provider's table in the configuration file";
        return vec![Finding::problem("settings", error.to_string(), hint)];
    }
    // Nothing is owned or timed here.
    let nobody = InstallationId::from_uuid(uuid::Uuid::nil());
    let clock = Arc::new(SystemClock::new());
    let cluster = Cluster::new(settings.clone(), client.clone(), clock, nobody);
    let mut findings = Vec::new();
    let Some(release) = version(&cluster, &mut findings).await else {
        return findings;
    };
    quorum(&cluster, &mut findings).await;
    let rows = match cluster.resources(None).await {
        Ok(rows) => rows,
        Err(error) => {
            findings.push(Finding::problem("api", error.to_string(), ""));
            return findings;
        }
    };
    let images = cluster.images(&rows).await;
    findings.extend(rights::check(&cluster, release, &images).await);
    templates(&cluster, &images, &mut findings).await;
    storages(settings, &rows, &mut findings);
    findings.push(vmids(settings, &rows));
    findings
}

/// Reaches the cluster and says which release it is; `None` when there is no
/// use in going on.
async fn version(cluster: &Cluster, findings: &mut Vec<Finding>) -> Option<u32> {
    let version = match cluster.read(cluster.client().version()).await {
        Ok(version) => version,
        Err(error) => {
            let hint = match &error {
                Error::Rejected { why: Rejection::Denied(_), .. } => {
                    "check the token's id (user@realm!name) and its secret; an expired or disabled user or token is refused too"
                }
                Error::Unavailable(_) | Error::NotSent(_) => {
                    "check the address and the port (8006), the firewall, and the certificate's fingerprint or CA"
                }
                _ => "is this the address of a Proxmox VE API?",
            };
            findings.push(Finding::problem("api", error.to_string(), hint));
            return None;
        }
    };
    findings.push(Finding::ok("api", "the cluster answers and takes the credentials"));
    let major = version.numbers().map_or(0, |(major, _)| major);
    let text = format!("Proxmox VE {}", version.version);
    findings.push(match major {
        0 => Finding::warning("version", format!("{:?} is not known", version.version), ""),
        1..=7 => Finding::problem(
            "version",
            format!("{text} is too old"),
            "8 and 9 are supported; upgrade the cluster",
        ),
        8 | 9 => Finding::ok("version", text),
        _ => Finding::warning(
            "version",
            format!("{text} is newer than what this release was tested with (8 and 9)"),
            "",
        ),
    });
    Some(major)
}

async fn quorum(cluster: &Cluster, findings: &mut Vec<Finding>) {
    let status = match cluster.status().await {
        Ok(status) => status,
        Err(error) => {
            let hint = "without it nothing can be proven to be gone";
            findings.push(Finding::problem("quorum", error.to_string(), hint));
            return;
        }
    };
    findings.push(match &status.name {
        Some(name) if !status.is_quorate() => Finding::problem(
            "quorum",
            format!("the cluster {name} is not quorate"),
            "nothing can be changed before enough nodes are back",
        ),
        Some(name) => Finding::ok("quorum", format!("the cluster {name} is quorate")),
        None => Finding::ok("quorum", "a single node"),
    });
    let offline = status.nodes.iter().filter(|node| !node.online);
    let offline: Vec<&str> = offline.map(|node| node.name.as_str()).collect();
    if !offline.is_empty() {
        let (count, all) = (offline.len(), status.nodes.len());
        findings.push(Finding::warning(
            "quorum",
            format!("{count} of {all} nodes are offline: {}", offline.join(", ")),
            "their guests cannot be reached, and no guest is called lost meanwhile",
        ));
    }
}

async fn templates(cluster: &Cluster, images: &[ImageView], findings: &mut Vec<Finding>) {
    if images.is_empty() {
        findings.push(Finding::problem(
            "templates",
            "there is no template that the settings select and the credentials may see",
            "make one with `qm template <vmid>`, and give the credentials VM.Audit and VM.Clone on it",
        ));
        return;
    }
    if images.len() > MOST_LINES {
        findings.push(Finding::ok("templates", format!("{} templates", images.len())));
    }
    for image in images.iter().take(MOST_LINES) {
        let Ok(template) = ImageRef::read(&image.native) else {
            continue;
        };
        let config = match cluster.config(&template.node, template.vmid).await {
            Ok(ConfigAnswer::Found(config)) => *config,
            _ => continue,
        };
        findings.push(one_template(image, &template, &config, cluster.settings.agent));
    }
}

fn one_template(
    image: &ImageView,
    template: &ImageRef,
    config: &QemuConfig,
    agent: bool,
) -> Finding {
    let hosts: Vec<&str> = image.presence.hosts.iter().map(|host| host.as_str()).collect();
    let clones = if template.linked { "linked clones" } else { "full clones only" };
    let detail = format!(
        "{} (VM {} on {}): {clones}, usable on {}",
        image.name,
        template.vmid,
        template.node,
        hosts.join(", ")
    );
    if root_disk(config).is_none() {
        return Finding::warning("templates", format!("{detail}; it has no disk"), "add one");
    }
    let is_on = config.agent().is_some_and(|agent| agent.is_enabled());
    match (is_on, agent) {
        (true, _) => Finding::ok("templates", format!("{detail}; guest agent on")),
        (false, true) => Finding::warning(
            "templates",
            format!("{detail}; guest agent off"),
            "it is switched on in each guest; make sure that qemu-guest-agent is installed in the template",
        ),
        (false, false) => Finding::warning(
            "templates",
            format!("{detail}; guest agent off"),
            "without it the addresses of guests are not known: set agent = true, and install qemu-guest-agent in the template",
        ),
    }
}

fn storages(settings: &Settings, rows: &[ClusterResource], findings: &mut Vec<Finding>) {
    let holds_images = |row: &&ClusterResource| {
        let content = row.content.as_deref().unwrap_or_default();
        row.kind == "storage" && content.split(',').any(|kind| kind.trim() == "images")
    };
    let found: Vec<&ClusterResource> = rows.iter().filter(holds_images).collect();
    if found.is_empty() {
        findings.push(Finding::problem(
            "storage",
            "there is no storage for disks that the credentials may see",
            "give the credentials Datastore.Audit and Datastore.AllocateSpace on it",
        ));
    }
    if let Some(name) = &settings.clone_storage
        && !found.iter().any(|row| row.storage.as_ref() == Some(name))
    {
        findings.push(Finding::problem(
            "storage",
            format!("clone_storage: there is no storage {name} for disks"),
            "name one that holds disk images, and that the credentials may see",
        ));
    }
    let mut shared_seen = Vec::new();
    let mut listed = 0;
    for row in found {
        let name = row.storage.as_deref().unwrap_or_default();
        if row.shared == Some(true) {
            if shared_seen.contains(&name) {
                continue;
            }
            shared_seen.push(name);
        }
        listed += 1;
        if listed <= MOST_LINES {
            findings.push(one_storage(name, row));
        }
    }
}

fn one_storage(name: &str, row: &ClusterResource) -> Finding {
    let place = match (row.shared, row.node.as_deref()) {
        (Some(true), _) => "shared".to_owned(),
        (_, node) => format!("local to {}", node.unwrap_or("one node")),
    };
    let kind = row.plugintype.as_deref().unwrap_or("unknown");
    let snapshots = match kind {
        "lvm" | "iscsi" | "iscsidirect" | "esxi" => "no snapshots or linked clones",
        "dir" | "nfs" | "cifs" | "glusterfs" => "linked clones, snapshots of qcow2 disks",
        _ => "snapshots and linked clones",
    };
    let detail = format!("{name} ({kind}, {place}): {snapshots}");
    let status = row.status.as_deref().unwrap_or("unknown");
    if status != "available" {
        let detail = format!("{detail}; {status}");
        return Finding::warning("storage", detail, "guests on it cannot be made or started");
    }
    let (Some(used), Some(all)) = (row.disk, row.maxdisk.filter(|all| *all > 0)) else {
        return Finding::ok("storage", detail);
    };
    #[allow(clippy::cast_precision_loss, reason = "a rough part of the whole")]
    let free = all.saturating_sub(used) as f64 / all as f64;
    let percent = (free * 100.0).round();
    let detail = format!("{detail}; {percent} % free");
    match free < LITTLE_SPACE {
        true => Finding::warning("storage", detail, "new guests may not fit"),
        false => Finding::ok("storage", detail),
    }
}

fn vmids(settings: &Settings, rows: &[ClusterResource]) -> Finding {
    let [first, last] = settings.vmid_range;
    let in_range = |row: &&ClusterResource| {
        matches!(row.kind.as_str(), "qemu" | "lxc")
            && row.vmid.is_some_and(|vmid| (first..=last).contains(&vmid.get()))
    };
    let taken = rows.iter().filter(in_range);
    let (ours, others): (Vec<&ClusterResource>, Vec<&ClusterResource>) =
        taken.partition(|row| is_labelled(row));
    let size = (last - first) as usize + 1;
    let free = size.saturating_sub(ours.len() + others.len());
    let detail = format!("{first} to {last}: {free} of {size} free");
    match (free, others.first().and_then(|row| row.vmid)) {
        (0, _) => Finding::problem("vmids", detail, "widen vmid_range"),
        _ if size < FEW_VMIDS => Finding::warning(
            "vmids",
            detail,
            format!("a vmid rests for a day after use, so that {size} guests can be made in a day"),
        ),
        (_, Some(vmid)) => Finding::warning(
            "vmids",
            format!(
                "{detail}; {} taken by guests that Innkeeper did not make ({vmid}, …)",
                others.len()
            ),
            "they are left alone, but each may cost a retry: choose a vmid_range of its own",
        ),
        _ => Finding::ok("vmids", detail),
    }
}
