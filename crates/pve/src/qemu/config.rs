//! A machine's configuration.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::Qemu;
use crate::lenient::List;
use crate::property::{Agent, Boot, Disk, IpConfig, Nic, PropertyError, Smbios1};
use crate::{Error, ParamValue, Params, Upid, lenient};

/// A machine's configuration: option to value, all as text, whatever the
/// server's type for it is today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QemuConfig {
    /// The options, without the digest.
    pub values: BTreeMap<String, String>,
    /// SHA-1 of the configuration, which guards a change.
    pub digest: Option<String>,
}

impl<'de> Deserialize<'de> for QemuConfig {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Value>::deserialize(d)?;
        let (values, digest) = lenient::options(map);
        Ok(Self { values, digest })
    }
}

/// The buses that disks hang on, with the number of their places.
const DISK_BUSES: [&str; 4] = ["ide", "sata", "scsi", "virtio"];

impl QemuConfig {
    /// An option's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.trim().parse().ok()
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(lenient::parse_bool).unwrap_or(false)
    }

    /// The lock, `clone` for example: what holds it works on the machine.
    pub fn lock(&self) -> Option<&str> {
        self.get("lock")
    }

    /// The name.
    pub fn name(&self) -> Option<&str> {
        self.get("name")
    }

    /// The notes, without a final newline.
    pub fn description(&self) -> Option<&str> {
        self.get("description").map(str::trim_end)
    }

    /// The tags.
    pub fn tags(&self) -> BTreeSet<&str> {
        super::split_tags(self.get("tags").unwrap_or_default())
    }

    /// Is it a template?
    pub fn is_template(&self) -> bool {
        self.flag("template")
    }

    /// Memory in MiB; Proxmox's default is 512.
    pub fn memory_mib(&self) -> u64 {
        let value = self.get("memory").unwrap_or_default();
        let value = value.strip_prefix("current=").unwrap_or(value);
        value.trim().parse().unwrap_or(512)
    }

    /// Cores per socket; Proxmox's default is 1.
    pub fn cores(&self) -> u64 {
        self.number("cores").unwrap_or(1)
    }

    /// Sockets; Proxmox's default is 1.
    pub fn sockets(&self) -> u64 {
        self.number("sockets").unwrap_or(1)
    }

    /// Does it start with its node?
    pub fn on_boot(&self) -> bool {
        self.flag("onboot")
    }

    /// The SMBIOS strings; empty when there are none or they cannot be read.
    pub fn smbios1(&self) -> Option<Smbios1> {
        self.get("smbios1")?.parse().ok()
    }

    /// The guest agent's settings.
    pub fn agent(&self) -> Option<Agent> {
        self.get("agent")?.parse().ok()
    }

    /// The boot order.
    pub fn boot(&self) -> Option<Boot> {
        self.get("boot")?.parse().ok()
    }

    /// The addresses that cloud-init gives interface `index`.
    pub fn ipconfig(&self, index: u8) -> Option<IpConfig> {
        self.get(&format!("ipconfig{index}"))?.parse().ok()
    }

    /// The interfaces, by number.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn nics(&self) -> Result<BTreeMap<u8, Nic>, PropertyError> {
        let numbered = self.numbered("net");
        numbered.map(|(index, text)| Ok((index, text.parse()?))).collect()
    }

    /// Disks and CD drives on ide, sata, scsi and virtio, by name (`scsi0`).
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn disks(&self) -> Result<BTreeMap<String, Disk>, PropertyError> {
        self.disks_on(&DISK_BUSES)
    }

    /// Everything that holds a volume: [`disks`](Self::disks), and `efidisk`,
    /// `tpmstate` and the detached `unused`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn volumes(&self) -> Result<BTreeMap<String, Disk>, PropertyError> {
        let mut disks = self.disks()?;
        disks.append(&mut self.disks_on(&["efidisk", "tpmstate", "unused"])?);
        disks.retain(|_, disk| disk.volid().is_some());
        Ok(disks)
    }

    fn disks_on(&self, buses: &[&str]) -> Result<BTreeMap<String, Disk>, PropertyError> {
        let mut disks = BTreeMap::new();
        for bus in buses {
            for (index, text) in self.numbered(bus) {
                disks.insert(format!("{bus}{index}"), text.parse()?);
            }
        }
        Ok(disks)
    }

    /// `prefix0`, `prefix1`, … with their numbers.
    fn numbered<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (u8, &'a str)> {
        let from = self.values.range(prefix.to_owned()..);
        from.take_while(move |(name, _)| name.starts_with(prefix)).filter_map(
            move |(name, value)| {
                let digits = name.strip_prefix(prefix)?;
                let plain = digits.bytes().all(|c| c.is_ascii_digit());
                Some((plain.then(|| digits.parse().ok()).flatten()?, value.as_str()))
            },
        )
    }
}

/// An option with what it will be after the next stop and start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct PendingValue {
    /// The option.
    pub key: String,
    /// What it is now.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub value: Option<String>,
    /// What it will be.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub pending: Option<String>,
    /// Will it be deleted? 2 means by force.
    #[serde(default, deserialize_with = "lenient::opt_u32")]
    pub delete: Option<u32>,
}

impl PendingValue {
    /// Is there a change that waits?
    pub fn is_pending(&self) -> bool {
        self.pending.is_some() || self.delete.is_some_and(|delete| delete != 0)
    }
}

/// A change of a machine's configuration.
///
/// ```
/// use pve::qemu::ConfigChange;
/// use pve::property::Nic;
/// let change = ConfigChange::new()
///     .set("cores", 4)
///     .set("net0", Nic::new("virtio")?.with("bridge", "vmbr0")?)
///     .delete("ide2")
///     .digest("4bc75082e62d26f00c19c5ae0e530d3c7d0d507a");
/// # Ok::<(), pve::property::PropertyError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConfigChange {
    params: Params,
    delete: Vec<String>,
    revert: Vec<String>,
}

impl ConfigChange {
    /// Nothing yet. Proxmox refuses an empty change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an option.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ParamValue) -> Self {
        self.params.push(name, value);
        self
    }

    /// Sets an option whose value never prints: `cipassword`.
    #[must_use]
    pub fn secret(mut self, name: &str, value: SecretString) -> Self {
        self.params = self.params.secret(name, value);
        self
    }

    /// Sets the SSH keys that cloud-init installs, one per line. Proxmox wants
    /// this value percent-encoded, inside the form's own encoding.
    #[must_use]
    pub fn ssh_keys(mut self, keys: &str) -> Self {
        let encoded = percent_encoding::utf8_percent_encode(keys, crate::path::ENCODED);
        self.params.push("sshkeys", encoded.to_string());
        self
    }

    /// Resets an option; a disk is detached and becomes `unusedN`.
    #[must_use]
    pub fn delete(mut self, name: &str) -> Self {
        self.delete.push(name.to_owned());
        self
    }

    /// Drops a change of this option that waits for the next start.
    #[must_use]
    pub fn revert(mut self, name: &str) -> Self {
        self.revert.push(name.to_owned());
        self
    }

    /// Refuses the change when the configuration is another one by now.
    #[must_use]
    pub fn digest(mut self, digest: &str) -> Self {
        self.params.push("digest", digest);
        self
    }

    /// Would it change nothing?
    pub fn is_empty(&self) -> bool {
        let changes = self.params.names().any(|name| name != "digest");
        !changes && self.delete.is_empty() && self.revert.is_empty()
    }
}

impl From<&ConfigChange> for Params {
    fn from(change: &ConfigChange) -> Self {
        let list = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
        change
            .params
            .clone()
            .opt("delete", list(&change.delete))
            .opt("revert", list(&change.revert))
    }
}

impl Qemu {
    /// The configuration, with changes that wait for the next start already
    /// in it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_guest_missing`].
    pub async fn config(&self) -> Result<QemuConfig, Error> {
        self.0.sub("config").get(()).await
    }

    /// The configuration that the running machine has.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn current_config(&self) -> Result<QemuConfig, Error> {
        let params = Params::new().set("current", true);
        self.0.sub("config").get(params).await
    }

    /// Every option with what waits for the next start.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn pending(&self) -> Result<Vec<PendingValue>, Error> {
        let List(rows) = self.0.sub("pending").get(()).await?;
        Ok(rows)
    }

    /// Changes the configuration at once. New disks are made before the
    /// answer, so use [`configure_task`](Self::configure_task) for those.
    ///
    /// # Errors
    /// As [`config`](Self::config); [`Error::is_digest_mismatch`],
    /// [`Error::Busy`].
    pub async fn configure(&self, change: &ConfigChange) -> Result<(), Error> {
        self.0.sub("config").put(change).await.map(drop)
    }

    /// Changes the configuration in a task; `None` when none was needed.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    pub async fn configure_task(&self, change: &ConfigChange) -> Result<Option<Upid>, Error> {
        self.0.sub("config").post(change).await?.task()
    }

    /// Makes the cloud-init disk anew.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    pub async fn regenerate_cloudinit(&self) -> Result<(), Error> {
        self.0.sub("cloudinit").put(()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(json: &str) -> QemuConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn types_do_not_matter() {
        let config = config(
            r#"{"memory":"384","cores":2,"template":"1","digest":"ab","tags":"b a,c","name":"x",
                "net0":"virtio=BC:24:11:AF:DC:DE,bridge=vmbr0","net10":"e1000,bridge=vmbr1",
                "network":"no","scsi0":"local:1/a.raw,size=1G","scsihw":"virtio-scsi-single",
                "ide2":"none,media=cdrom","unused3":"local:1/b.raw","description":"me\n"}"#,
        );
        assert_eq!((config.memory_mib(), config.cores(), config.sockets()), (384, 2, 1));
        assert!(config.is_template());
        assert_eq!(config.digest.as_deref(), Some("ab"));
        assert_eq!(config.description(), Some("me"));
        assert_eq!(config.tags(), ["a", "b", "c"].into());
        let nics = config.nics().unwrap();
        assert_eq!(nics.keys().copied().collect::<Vec<_>>(), [0, 10]);
        let disks = config.disks().unwrap();
        assert_eq!(disks.keys().collect::<Vec<_>>(), ["ide2", "scsi0"]);
        let volumes = config.volumes().unwrap();
        assert_eq!(volumes.keys().collect::<Vec<_>>(), ["scsi0", "unused3"]);
    }

    #[test]
    fn changes_become_parameters() {
        let change = ConfigChange::new()
            .set("cores", 2)
            .ssh_keys("ssh-ed25519 AA+A me\n")
            .delete("ide2")
            .delete("vga")
            .revert("memory")
            .digest("ab");
        assert!(!change.is_empty());
        assert_eq!(
            Params::from(&change).encode(),
            "cores=2&sshkeys=ssh-ed25519%2520AA%252BA%2520me%250A&digest=ab&delete=ide2%2Cvga&revert=memory"
        );
        assert!(ConfigChange::new().digest("ab").is_empty());
    }
}
