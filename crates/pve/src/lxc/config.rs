//! A container's configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

use super::Lxc;
use crate::property::{Features, LxcNic, MountPoint, PropertyError, Rootfs};
use crate::qemu::PendingValue;
use crate::{Error, Params, Upid, lenient};

pub use crate::qemu::ConfigChange;

/// A container's configuration: option to value, all as text, whatever the
/// server's type for it is today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LxcConfig {
    /// The options, without the digest.
    pub values: BTreeMap<String, String>,
    /// Lines for LXC itself (`lxc.…`), which only the node's root can write.
    pub raw: Vec<(String, String)>,
    /// SHA-1 of the configuration, which guards a change.
    pub digest: Option<String>,
}

impl<'de> Deserialize<'de> for LxcConfig {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut map = BTreeMap::<String, Value>::deserialize(d)?;
        let raw = match map.remove("lxc") {
            Some(Value::Array(lines)) => lines.iter().filter_map(raw_line).collect(),
            _ => Vec::new(),
        };
        let (values, digest) = lenient::options(map);
        Ok(Self { values, raw, digest })
    }
}

/// `["lxc.apparmor.profile", "unconfined"]`.
fn raw_line(line: &Value) -> Option<(String, String)> {
    Some((lenient::scalar(line.get(0)?)?, lenient::scalar(line.get(1)?)?))
}

impl LxcConfig {
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

    /// The lock, `backup` for example: what holds it works on the container.
    pub fn lock(&self) -> Option<&str> {
        self.get("lock")
    }

    /// The host name.
    pub fn hostname(&self) -> Option<&str> {
        self.get("hostname")
    }

    /// The notes, without a final newline.
    pub fn description(&self) -> Option<&str> {
        self.get("description").map(str::trim_end)
    }

    /// The tags.
    pub fn tags(&self) -> BTreeSet<&str> {
        crate::qemu::split_tags(self.get("tags").unwrap_or_default())
    }

    /// Is it a template?
    pub fn is_template(&self) -> bool {
        self.flag("template")
    }

    /// Does it run without rights on the node?
    pub fn is_unprivileged(&self) -> bool {
        self.flag("unprivileged")
    }

    /// Does it start with its node?
    pub fn on_boot(&self) -> bool {
        self.flag("onboot")
    }

    /// Cores; `None` is all of the node.
    pub fn cores(&self) -> Option<u64> {
        self.number("cores")
    }

    /// Memory in MiB; Proxmox's default is 512.
    pub fn memory_mib(&self) -> u64 {
        self.number("memory").unwrap_or(512)
    }

    /// Swap in MiB; Proxmox's default is 512.
    pub fn swap_mib(&self) -> u64 {
        self.number("swap").unwrap_or(512)
    }

    /// The root file system.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn rootfs(&self) -> Result<Option<Rootfs>, PropertyError> {
        self.get("rootfs").map(str::parse).transpose()
    }

    /// The mount points, by number.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn mount_points(&self) -> Result<BTreeMap<u8, MountPoint>, PropertyError> {
        self.numbered("mp")
    }

    /// The network interfaces, by number.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn nics(&self) -> Result<BTreeMap<u8, LxcNic>, PropertyError> {
        self.numbered("net")
    }

    /// What it may do beyond the usual.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn features(&self) -> Result<Option<Features>, PropertyError> {
        self.get("features").map(str::parse).transpose()
    }

    /// `prefix0`, `prefix1`, … with their numbers.
    fn numbered<T: FromStr<Err = PropertyError>>(
        &self,
        prefix: &str,
    ) -> Result<BTreeMap<u8, T>, PropertyError> {
        let numbered = self.values.iter().filter_map(|(name, value)| {
            let digits = name.strip_prefix(prefix)?;
            let plain = digits.bytes().all(|c| c.is_ascii_digit());
            Some((plain.then(|| digits.parse().ok()).flatten()?, value))
        });
        numbered.map(|(index, value)| Ok((index, value.parse()?))).collect()
    }
}

impl Lxc {
    /// The configuration, with changes that wait for the next start already
    /// in it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_guest_missing`].
    pub async fn config(&self) -> Result<LxcConfig, Error> {
        self.0.sub("config").get(()).await
    }

    /// The configuration that the running container has.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn current_config(&self) -> Result<LxcConfig, Error> {
        let params = Params::new().set("current", true);
        self.0.sub("config").get(params).await
    }

    /// Every option with what waits for the next start.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn pending(&self) -> Result<Vec<PendingValue>, Error> {
        self.0.sub("pending").list(()).await
    }

    /// Changes the configuration. All releases answer null, so there is
    /// nothing to wait for; a task is accepted should a newer one answer one.
    ///
    /// # Errors
    /// As [`config`](Self::config); [`Error::is_digest_mismatch`],
    /// [`Error::Busy`].
    pub async fn configure(&self, change: &ConfigChange) -> Result<Option<Upid>, Error> {
        self.0.sub("config").put(change).await?.task()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn raw_lines_stand_beside_the_options() {
        let config: LxcConfig = serde_json::from_str(
            r#"{"memory":128,"swap":"0","unprivileged":1,"digest":"ab","hostname":"ct1",
                "rootfs":"local:1/a.raw,size=1G","mp0":"local:1/b.raw,mp=/x,size=2G","mpx":"no",
                "net0":"name=eth0,bridge=vmbr0,ip=dhcp,type=veth","features":"nesting=1",
                "lxc":[["lxc.apparmor.profile","unconfined"],["odd"]],"description":"x\n"}"#,
        )
        .unwrap();
        assert_eq!((config.memory_mib(), config.swap_mib(), config.cores()), (128, 0, None));
        assert!(config.is_unprivileged() && !config.is_template());
        assert_eq!(config.raw, [("lxc.apparmor.profile".into(), "unconfined".into())]);
        assert_eq!((config.hostname(), config.description()), (Some("ct1"), Some("x")));
        assert_eq!(config.digest.as_deref(), Some("ab"));
        assert_eq!(config.rootfs().unwrap().unwrap().size().unwrap().to_string(), "1G");
        let points = config.mount_points().unwrap();
        assert_eq!((points.len(), points[&0].mp()), (1, Some("/x")));
        assert_eq!(config.nics().unwrap()[&0].name(), Some("eth0"));
        assert_eq!(config.features().unwrap().unwrap().nesting(), Some(true));
    }
}
