//! Which rights the credentials need, and which of them they lack.

use std::collections::{BTreeMap, BTreeSet};

use provider::ImageView;

use super::{Finding, MOST_LINES};
use crate::cluster::Cluster;
use crate::native::ImageRef;
use crate::settings::CloneMode;

/// One reason why rights are needed.
struct Need {
    /// What for.
    to: String,
    /// The paths on any of which each right will do.
    paths: Vec<String>,
    /// The rights; alternatives are separated by `|`.
    rights: Vec<&'static str>,
}

/// What guests need, on their path or their pool's.
const GUESTS: &[&str] = &[
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];

/// Compares what is needed with what is there.
pub(super) async fn check(cluster: &Cluster, release: u32, images: &[ImageView]) -> Vec<Finding> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut findings = Vec::new();
    for need in needs(cluster, release, images) {
        for path in &need.paths {
            if known.contains_key(path) {
                continue;
            }
            match cluster.privileges(path).await {
                Ok(have) => drop(known.insert(path.clone(), have.into_iter().collect())),
                Err(error) => {
                    let detail = format!("rights on {path}: {error}");
                    findings.push(Finding::problem("rights", detail, ""));
                    return findings;
                }
            }
        }
        let missing = missing(&need, &known);
        if missing.is_empty() {
            continue;
        }
        let path = need.paths.last().cloned().unwrap_or_default();
        let names: Vec<String> = missing.iter().map(|right| right.replace('|', " or ")).collect();
        findings.push(Finding::problem(
            "rights",
            format!("to {}: {} missing on {path}", need.to, names.join(", ")),
            format!(
                "give the credentials a role with them: `pveum acl modify {path} --roles <role> --tokens <user@realm!name>` (a token with privilege separation needs rights of its own, and its user needs them too)"
            ),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("rights", "the credentials have every right that is needed"));
    }
    findings
}

fn missing(need: &Need, known: &BTreeMap<String, BTreeSet<String>>) -> Vec<&'static str> {
    let has = |right: &str| {
        need.paths.iter().filter_map(|path| known.get(path)).any(|have| have.contains(right))
    };
    let mut rights = need.rights.clone();
    rights.retain(|alternatives| !alternatives.split('|').any(has));
    rights
}

fn needs(cluster: &Cluster, release: u32, images: &[ImageView]) -> Vec<Need> {
    let settings = &cluster.settings;
    let need = |to: &str, paths: Vec<String>, rights: Vec<&'static str>| Need {
        to: to.to_owned(),
        paths,
        rights,
    };
    let pool = settings.pool.as_ref().map(|pool| format!("/pool/{pool}"));
    let guests: Vec<String> = std::iter::once("/vms".to_owned()).chain(pool.clone()).collect();
    // Privileges of the other release cannot be given, so they are not asked for.
    let agent = match release {
        ..=8 => "VM.Monitor",
        _ => "VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted",
    };
    let mut needs = vec![
        need("prove that a guest is gone", vec!["/".to_owned()], vec!["Sys.Audit"]),
        need("see the hosts", vec!["/nodes".to_owned()], vec!["Sys.Audit"]),
        need("make, change and remove guests", guests.clone(), GUESTS.to_vec()),
        need("learn the addresses of guests", guests.clone(), vec![agent]),
        need(
            "attach guests to the network",
            vec![format!("/sdn/zones/localnetwork/{}", settings.bridge)],
            vec!["SDN.Use"],
        ),
    ];
    if let Some(storage) = &settings.seed_storage {
        let path = format!("/storage/{storage}");
        let rights = vec!["Datastore.Allocate", "Datastore.AllocateTemplate", "Datastore.Audit"];
        needs.push(need("keep media with seeds", vec![path], rights));
        needs.push(need("put media into guests", guests.clone(), vec!["VM.Config.CDROM"]));
    }
    if let Some(pool) = pool {
        needs.push(need("put guests into the pool", vec![pool], vec!["Pool.Audit", "VM.Allocate"]));
    }
    let templates: Vec<ImageRef> =
        images.iter().filter_map(|image| ImageRef::read(&image.native).ok()).collect();
    for template in templates.iter().take(MOST_LINES) {
        let path = format!("/vms/{}", template.vmid);
        needs.push(need("clone the template", vec![path], vec!["VM.Clone"]));
    }
    let full = settings.clone_mode == CloneMode::Full || templates.iter().any(|t| !t.linked);
    let target = settings.clone_storage.clone().filter(|_| full);
    let storages: BTreeSet<String> =
        templates.iter().flat_map(|template| template.storages.clone()).chain(target).collect();
    for storage in storages.into_iter().take(MOST_LINES) {
        let path = format!("/storage/{storage}");
        let rights = vec!["Datastore.AllocateSpace", "Datastore.Audit"];
        needs.push(need("put disks on the storage", vec![path], rights));
    }
    needs
}
