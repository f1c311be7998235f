//! A guest: configuration, snapshots, state.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::firewall::Firewall;
use crate::machine::{DirectKernel, GuestSpec};
use crate::schema::property::boolean;
use crate::schema::{formats, split_index};

/// What kind of guest a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Kind {
    Qemu,
    Lxc,
}

impl Kind {
    /// `qemu` or `lxc`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }
}

/// The options of a guest in their stored text form.
pub(crate) type Config = BTreeMap<String, String>;

/// A saved configuration.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Snapshot {
    pub config: Config,
    pub time: Duration,
    pub description: String,
    pub parent: Option<String>,
    pub with_memory: bool,
}

/// The process of a running guest.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Process {
    pub pid: u32,
    pub since: Duration,
    pub paused: bool,
}

/// A virtual machine or container.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Guest {
    pub vmid: u32,
    pub node: String,
    pub kind: Kind,
    pub config: Config,
    /// Changes that wait for the next start; `None` deletes the option.
    pub pending: BTreeMap<String, Option<String>>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub parent: Option<String>,
    pub process: Option<Process>,
    pub created: Duration,
    /// When the process last started or ended; what lists say lags behind.
    pub changed: Duration,
    pub pool: Option<String>,
    pub firewall: Firewall,
    pub boot: Option<DirectKernel>,
    /// The worker that holds the lock file of the configuration.
    #[serde(skip)]
    pub flock: Option<u64>,
}

impl Guest {
    /// A stopped guest without options.
    pub fn new(vmid: u32, node: &str, kind: Kind, created: Duration) -> Self {
        Self {
            vmid,
            node: node.to_owned(),
            kind,
            config: Config::new(),
            pending: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            parent: None,
            process: None,
            created,
            changed: created,
            pool: None,
            firewall: Firewall::default(),
            boot: None,
            flock: None,
        }
    }

    /// The configuration lock (`clone`, `migrate`, …).
    pub fn lock(&self) -> Option<&str> {
        self.config.get("lock").map(String::as_str)
    }

    /// Fails while a configuration lock is set.
    pub fn check_lock(&self) -> Result<(), String> {
        match self.lock() {
            Some(lock) => Err(format!("{} is locked ({lock})", self.kind.title())),
            None => Ok(()),
        }
    }

    /// Whether it is a template.
    pub fn is_template(&self) -> bool {
        self.config.get("template").is_some_and(|value| value == "1")
    }

    /// The name in lists: Proxmox's default is `VM <vmid>`.
    pub fn name(&self) -> String {
        let key = if self.kind == Kind::Lxc { "hostname" } else { "name" };
        self.config.get(key).cloned().unwrap_or_else(|| match self.kind {
            Kind::Qemu => format!("VM {}", self.vmid),
            Kind::Lxc => format!("CT{}", self.vmid),
        })
    }

    /// `running` or `stopped`.
    pub fn status(&self) -> &'static str {
        if self.process.is_some() { "running" } else { "stopped" }
    }

    /// A number among the options.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.config.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// Virtual processors.
    pub fn cpus(&self) -> u64 {
        self.number("sockets", 1) * self.number("cores", 1)
    }

    /// Memory in bytes.
    pub fn memory(&self) -> u64 {
        self.number("memory", 512) << 20
    }

    /// Size of the first disk in the boot order, as lists show it.
    pub fn disk_size(&self) -> u64 {
        if self.kind == Kind::Lxc {
            let root = Drive::parse(self.config.get("rootfs").map_or("", String::as_str));
            return root.get("size").and_then(parse_size).unwrap_or(0);
        }
        let boot = self.config.get("boot").and_then(|boot| boot.strip_prefix("order="));
        let is_disk = |text: &&String| !text.contains("media=cdrom");
        let ordered = || {
            let mut order = boot?.split(';').filter(|name| formats::disk_rank(name).is_some());
            order.find_map(|device| self.config.get(device).filter(is_disk))
        };
        let any = || {
            let ranked = self.config.iter().filter(|(_, text)| is_disk(text));
            let ranked = ranked.filter_map(|(name, text)| Some((formats::disk_rank(name)?, text)));
            ranked.min_by_key(|(rank, _)| *rank).map(|(_, text)| text)
        };
        ordered()
            .or_else(any)
            .and_then(|text| Drive::parse(text).get("size").and_then(parse_size))
            .unwrap_or(0)
    }

    /// The drives: device name and parsed property string.
    pub fn drives(&self) -> impl Iterator<Item = (&str, Drive)> {
        drives_of(&self.config)
    }

    /// The SHA-1 of the configuration file.
    pub fn digest(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.config {
            let _ = writeln!(text, "{key}: {value}");
        }
        for (key, value) in &self.pending {
            let _ = writeln!(text, "[PENDING] {key}: {value:?}");
        }
        for (name, snapshot) in &self.snapshots {
            let _ =
                writeln!(text, "[{name}] {} {:?}", snapshot.time.as_secs(), snapshot.description);
        }
        sha1(text.as_bytes())
    }

    /// What the backend needs to start this guest.
    pub fn spec(&self) -> GuestSpec {
        let smbios = Drive::parse(self.config.get("smbios1").map_or("", String::as_str));
        let decode = |text: &str| match smbios.get("base64") {
            Some("1") => {
                use base64::Engine as _;
                let bytes =
                    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            _ => text.to_owned(),
        };
        let mut nics: Vec<(u32, (String, String))> = Vec::new();
        for (key, text) in &self.config {
            if let Some(("net", index)) = split_index(key)
                && let Some((model, rest)) = text.split_once('=')
            {
                let mac = rest.split(',').next().unwrap_or_default();
                nics.push((index, (mac.to_owned(), model.to_owned())));
            }
        }
        nics.sort_unstable();
        let disks = self
            .drives()
            .filter(|(_, drive)| !drive.is_cdrom())
            .map(|(device, drive)| (device.to_owned(), drive.volume));
        GuestSpec {
            vmid: self.vmid,
            name: self.name(),
            cores: u32::try_from(self.cpus()).unwrap_or(1),
            memory_mib: self.memory() >> 20,
            disks: disks.collect(),
            nics: nics.into_iter().map(|(_, nic)| nic).collect(),
            smbios_uuid: smbios.get("uuid").unwrap_or_default().to_owned(),
            smbios_serial: smbios.get("serial").map(decode).unwrap_or_default(),
            agent: self.agent_enabled(),
            boot: self.boot.clone(),
        }
    }

    /// Whether the `agent` option enables the guest agent.
    pub fn agent_enabled(&self) -> bool {
        let text = self.config.get("agent").map_or("0", String::as_str);
        text.split(',').any(|part| match part.split_once('=') {
            None => boolean(part) == Some(true),
            Some((key, value)) => key == "enabled" && boolean(value) == Some(true),
        })
    }

    /// Applies the changes that waited for a start.
    pub fn apply_pending(&mut self) {
        for (key, value) in std::mem::take(&mut self.pending) {
            match value {
                Some(value) => self.config.insert(key, value),
                None => self.config.remove(&key),
            };
        }
    }
}

/// The drives of a configuration.
pub(crate) fn drives_of(config: &Config) -> impl Iterator<Item = (&str, Drive)> {
    config
        .iter()
        .filter(|(key, _)| is_drive(key))
        .map(|(key, text)| (key.as_str(), Drive::parse(text)))
}

/// Whether an option holds a disk: `scsi0`, `efidisk0`, but not `unused0`.
pub(crate) fn is_drive(key: &str) -> bool {
    split_index(key).is_some_and(|(stem, _)| {
        matches!(stem, "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate")
    })
}

/// A disk option: the volume, then `key=value` pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drive {
    pub volume: String,
    pub options: BTreeMap<String, String>,
}

impl Drive {
    /// Splits the text; a `file=` key is the volume.
    pub fn parse(text: &str) -> Self {
        let mut drive = Self { volume: String::new(), options: BTreeMap::new() };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("file" | "volume", value)) => drive.volume = value.to_owned(),
                Some((key, value)) => {
                    drive.options.insert(key.to_owned(), value.to_owned());
                }
                None => drive.volume = part.to_owned(),
            }
        }
        drive
    }

    /// An option's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    /// The text as Proxmox stores it: the volume, then the keys sorted.
    pub fn print(&self) -> String {
        crate::schema::property::print(&self.volume, &self.options)
    }

    /// Whether it is a CD-ROM drive.
    pub fn is_cdrom(&self) -> bool {
        self.get("media") == Some("cdrom")
    }

    /// Whether it is the cloud-init drive.
    pub fn is_cloudinit(&self) -> bool {
        self.is_cdrom() && self.volume.contains("cloudinit")
    }
}

/// `1500M` in bytes. Fractions are allowed, as Proxmox computes with floating point.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let units = ['K', 'M', 'G', 'T'];
    let power = text.chars().last().and_then(|last| units.iter().position(|unit| *unit == last));
    let digits = if power.is_some() { &text[..text.len() - 1] } else { text };
    let number: f64 = digits.parse().ok()?;
    let exponent = power.map_or(0, |power| i32::try_from(power).unwrap_or(0) + 1);
    let bytes = number * 1024_f64.powi(exponent);
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

/// Bytes as Proxmox writes a disk's size: the largest unit that divides it.
pub(crate) fn print_size(bytes: u64) -> String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// SHA-1 in hexadecimal, as Proxmox's digests are.
pub(crate) fn sha1(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    hex(digest.as_ref())
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_written_in_the_largest_unit_that_divides_them() {
        for (text, bytes) in
            [("1G", 1 << 30), ("1500M", 1500 << 20), ("528K", 528 << 10), ("2T", 2 << 40), ("7", 7)]
        {
            assert_eq!(parse_size(text), Some(bytes));
            assert_eq!(print_size(bytes), text);
        }
        assert_eq!(parse_size("1.5G"), Some(3 << 29));
        assert_eq!(parse_size("G"), None);
    }

    proptest! {
        #[test]
        fn drives_print_as_they_were_parsed(text in "[a-z]{1,8}:[a-z0-9/.-]{1,20}(,[b-e]{1,3}=[a-z0-9]{1,4}){0,3}") {
            let drive = Drive::parse(&text);
            prop_assert_eq!(Drive::parse(&drive.print()), drive);
        }

        #[test]
        fn sizes_survive_printing(bytes in 0u64..1 << 50) {
            prop_assert_eq!(parse_size(&print_size(bytes)), Some(bytes));
        }
    }
}
