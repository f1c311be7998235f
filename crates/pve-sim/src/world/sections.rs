//! Objects that Proxmox keeps in section files (`domains.cfg`, `jobs.cfg`,
//! `ha/resources.cfg`, …): an id, a type and options in text form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::guest::sha1;

/// The file with the resources under high availability, by `vm:ID` or `ct:ID`.
pub(crate) const HA_RESOURCES: &str = "ha/resources";

/// One object of a section file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    /// Its type (`ldap`, `vm`, `vzdump`, …); empty in files with a single type.
    pub kind: String,
    /// Its options as they are stored.
    pub values: BTreeMap<String, String>,
}

/// All section files, by the name of the file and the id of the object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sections(BTreeMap<String, BTreeMap<String, Section>>);

impl Sections {
    /// The objects of a file, by id.
    pub fn all(&self, file: &str) -> impl Iterator<Item = (&String, &Section)> {
        self.0.get(file).into_iter().flatten()
    }

    /// One object.
    pub fn get(&self, file: &str, id: &str) -> Option<&Section> {
        self.0.get(file)?.get(id)
    }

    /// One object, to change it.
    pub fn get_mut(&mut self, file: &str, id: &str) -> Option<&mut Section> {
        self.0.get_mut(file)?.get_mut(id)
    }

    /// Adds or replaces an object.
    pub fn insert(&mut self, file: &str, id: &str, section: Section) {
        self.0.entry(file.to_owned()).or_default().insert(id.to_owned(), section);
    }

    /// Removes an object.
    pub fn remove(&mut self, file: &str, id: &str) -> Option<Section> {
        self.0.get_mut(file)?.remove(id)
    }

    /// A copy of the files whose names begin with `prefix`.
    pub fn part(&self, prefix: &str) -> Self {
        let files = self.0.iter().filter(|(file, _)| file.starts_with(prefix));
        Self(files.map(|(file, objects)| (file.clone(), objects.clone())).collect())
    }

    /// Puts the files whose names begin with `prefix` back to such a copy.
    pub fn restore(&mut self, prefix: &str, part: &Self) {
        self.0.retain(|file, _| !file.starts_with(prefix));
        self.0.extend(part.0.clone());
    }

    /// The digest of a file; that of the empty text when it holds nothing.
    pub fn digest(&self, file: &str) -> String {
        match self.0.get(file).filter(|objects| !objects.is_empty()) {
            None => sha1(b""),
            Some(objects) => sha1(format!("{objects:?}").as_bytes()),
        }
    }
}

impl super::World {
    /// The high-availability resource of a guest: its id and its entry.
    pub fn ha_resource(&self, vmid: u32) -> Option<(String, &Section)> {
        ["vm", "ct"].iter().find_map(|kind| {
            let id = format!("{kind}:{vmid}");
            self.sections.get(HA_RESOURCES, &id).map(|section| (id, section))
        })
    }

    /// What a guest's status says about high availability.
    pub fn ha_status(&self, vmid: u32) -> Value {
        let state = |section: &Section| section.values.get("state").cloned();
        match self.ha_resource(vmid) {
            Some((_, section)) if state(section).as_deref() != Some("ignored") => {
                let state = state(section).unwrap_or_else(|| "started".into());
                let mut row = json!({"managed": 1, "state": state});
                if let Some(group) = section.values.get("group") {
                    row["group"] = json!(group);
                }
                row
            }
            _ => json!({"managed": 0}),
        }
    }

    /// Removes a destroyed guest from what refers to it (`purge`).
    pub fn purge_guest(&mut self, vmid: u32) {
        if let Some((id, _)) = self.ha_resource(vmid) {
            self.sections.remove(HA_RESOURCES, &id);
        }
        let id = vmid.to_string();
        for section in self.sections.0.get_mut("jobs").into_iter().flatten().map(|(_, job)| job) {
            if let Some(list) = section.values.get_mut("vmid") {
                let left: Vec<&str> = list.split(',').filter(|other| *other != id).collect();
                *list = left.join(",");
            }
        }
        if let Some(jobs) = self.sections.0.get_mut("replication") {
            jobs.retain(|job, _| job.split('-').next() != Some(id.as_str()));
        }
    }
}
