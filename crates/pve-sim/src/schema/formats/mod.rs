//! The text formats that Proxmox knows by name, with its error texts. A format
//! that is not listed accepts everything.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;

use super::{Parameter, property, split_index};

mod addresses;
mod guests;
mod names;

/// Compiles a Perl pattern from the schema, anchored at both ends.
pub(crate) fn perl(pattern: &str) -> Option<Regex> {
    // Perl prints compiled sub-patterns as `(?^:…)` and `(?^i:…)`.
    let pattern = pattern.replace("(?^:", "(?:").replace("(?^i:", "(?i:").replace("{,", "{0,");
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

/// How many numbered options of a kind exist (`scsi0` to `scsi30`).
/// Source: the limits in Proxmox's QemuServer/Drive.pm and QemuServer.pm.
pub(crate) fn indexed_limit(stem: &str) -> u32 {
    match stem {
        "ide" | "serial" => 4,
        "sata" => 6,
        "scsi" => 31,
        "virtio" | "hostpci" => 16,
        "net" | "ipconfig" => 32,
        "usb" => 14,
        "parallel" => 3,
        "numa" => 8,
        "virtiofs" => 10,
        "unused" | "mp" | "dev" => 256,
        "link" => 8,
        "acmedomain" => 6,
        _ => 0,
    }
}

/// The place of a device name that holds a disk in Proxmox's order of them;
/// nothing for other names.
pub(crate) fn disk_rank(name: &str) -> Option<(usize, u32)> {
    const STEMS: [&str; 6] = ["ide", "scsi", "virtio", "sata", "efidisk", "tpmstate"];
    let (stem, index) = split_index(name)?;
    let rank = STEMS.iter().position(|known| *known == stem)?;
    let limit = if rank < 4 { indexed_limit(stem) } else { 1 };
    (index < limit).then_some((rank, index))
}

/// What the rules of one group say of a text: nothing when the format is not theirs.
type Verdict = Option<Result<(), String>>;

/// Checks a text against a format by name. `name` is the parameter, for the
/// errors of property strings.
pub(crate) fn named(format: &str, name: &str, text: &str) -> Result<(), String> {
    if let Some(keys) = property_string(format) {
        property::check(keys, name, text)?;
    }
    let rules = [names::check, addresses::check, guests::check];
    if let Some(verdict) = rules.iter().find_map(|rule| rule(format, text)) {
        return verdict;
    }
    if let Some(of_each) = format.strip_suffix("-list") {
        return each(text, |part| named(of_each, name, part));
    }
    match format.strip_suffix("-opt") {
        Some(format) if !text.is_empty() => named(format, name, text),
        _ => Ok(()),
    }
}

/// The keys of a property string that the schema only names.
fn property_string(format: &str) -> Option<&'static BTreeMap<String, Parameter>> {
    static READ: OnceLock<BTreeMap<String, BTreeMap<String, Parameter>>> = OnceLock::new();
    READ.get_or_init(read).get(format)
}

#[allow(clippy::expect_used, reason = "the table is part of the program; a test reads it")]
fn read() -> BTreeMap<String, BTreeMap<String, Parameter>> {
    serde_json::from_str(include_str!("property_strings.json")).expect("the table is well-formed")
}

fn each(text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    text.split([',', ';', ' ', '\0']).filter(|part| !part.is_empty()).try_for_each(check)
}

fn require(fits: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(text()) }
}

#[cfg(test)]
mod tests;
