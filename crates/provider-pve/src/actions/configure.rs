//! Gives the clone its size, its identity and its interfaces: one call.
//!
//! What is there is read first and only what differs is sent, with the digest
//! of what was read. Sending it twice does no harm.

use async_trait::async_trait;
use model::InstanceId;
use provider::{ActionContext, Applied, Error, Probe};
use pve::property::{Agent, HostPci, Nic, PropertyError};
use pve::qemu::{ConfigChange, QemuConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::resize::Size;
use super::seed;
use super::{Carry, ours};
use crate::cluster::Cluster;
use crate::guest::is_protected;

/// The action's name.
pub(crate) const NAME: &str = "configure";

/// The tag of guests that Innkeeper made.
pub(crate) const TAG: &str = "innkeeper";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Configure {
    /// Cores, on one socket.
    pub cores: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whether the guest agent is switched on; not touched when false.
    pub agent: bool,
    /// Whether the guest is told the address of its seed. The address is a
    /// secret and comes with the context.
    pub seed: bool,
    /// The interfaces in order; empty keeps the template's.
    pub nics: Vec<NicPayload>,
    /// The medium with its seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// Devices in order; empty keeps the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DevicePayload>,
}

/// A medium with a seed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Medium {
    /// Its volume id.
    pub volume: String,
    /// The instance. The guest is told it also beside the medium: cloud-init
    /// takes a guest whose medium is gone for the same one only by that.
    pub instance: InstanceId,
}

/// One device that is handed through.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DevicePayload {
    /// The cluster's mapping.
    pub mapping: String,
    /// The type of the part, of a device that can be divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mdev: Option<String>,
}

/// One interface.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NicPayload {
    /// The bridge; `None` keeps the template's.
    pub bridge: Option<String>,
    /// The bridge of an interface that the template does not have.
    pub otherwise: String,
}

#[async_trait]
impl Carry for Configure {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        let changes = self.changes(&guest.config, context.seed_url.as_ref())?;
        if !changes.is_empty() {
            cluster.configure(&guest, changes).await?;
        }
        Ok(Applied::Done(json!({})))
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        let changes = self.changes(&guest.config, context.seed_url.as_ref())?;
        Ok(match changes.is_empty() {
            true => Probe::Done(json!({})),
            false => Probe::NotDone,
        })
    }
}

impl Configure {
    /// What has to be sent so that the configuration becomes as wanted.
    fn changes(
        &self,
        config: &QemuConfig,
        seed_url: Option<&SecretString>,
    ) -> Result<ConfigChange, Error> {
        let size = Size { cores: self.cores, memory_mib: self.memory_mib };
        let mut change = size.changes(config, ConfigChange::new());
        // The template's protection is not the guest's.
        if is_protected(config) {
            change = change.delete("protection");
        }
        let mut tags = config.tags();
        if tags.insert(TAG) {
            let tags: Vec<&str> = tags.into_iter().collect();
            change = change.set("tags", tags.join(";"));
        }
        if let Some(agent) = self.agent(config)? {
            change = change.set("agent", agent);
        }
        change = self.nics(config, change)?;
        change = self.devices(config, change)?;
        if let Some(medium) = &self.medium
            && let Some((drive, disk)) = seed::insert(config, &medium.volume)?
        {
            change = change.set(&drive, disk);
        }
        match self.smbios(config, seed_url)? {
            Some(smbios) => Ok(change.secret("smbios1", smbios)),
            None => Ok(change),
        }
    }

    fn agent(&self, config: &QemuConfig) -> Result<Option<Agent>, Error> {
        let mut agent = config.agent().unwrap_or_else(|| Agent::enabled(false));
        if !self.agent || agent.is_enabled() {
            return Ok(None);
        }
        let has_bare = agent.properties().bare().is_some();
        let properties = agent.properties_mut();
        let set = match has_bare {
            true => properties.set_bare(true),
            false => properties.set("enabled", true),
        };
        set.map_err(|error| bad("agent", &error))?;
        Ok(Some(agent))
    }

    fn nics(&self, config: &QemuConfig, mut change: ConfigChange) -> Result<ConfigChange, Error> {
        if self.nics.is_empty() {
            return Ok(change);
        }
        let have = config.nics().map_err(|error| bad("net", &error))?;
        for (index, wanted) in (0_u8..).zip(&self.nics) {
            let name = format!("net{index}");
            let changed = match (have.get(&index), &wanted.bridge) {
                (Some(_), None) => None,
                (Some(nic), Some(bridge)) if nic.bridge() == Some(bridge) => None,
                // With its MAC address: otherwise Proxmox would make a new one.
                (Some(nic), Some(bridge)) => Some(nic.clone().with("bridge", bridge)),
                (None, bridge) => {
                    let bridge = bridge.as_ref().unwrap_or(&wanted.otherwise);
                    Some(Nic::new("virtio").and_then(|nic| nic.with("bridge", bridge)))
                }
            };
            if let Some(nic) = changed {
                let nic = nic.map_err(|error| bad(&name, &error))?;
                change = change.set(&name, nic);
            }
        }
        for index in have.keys().filter(|&&index| usize::from(index) >= self.nics.len()) {
            change = change.delete(&format!("net{index}"));
        }
        Ok(change)
    }

    fn devices(
        &self,
        config: &QemuConfig,
        mut change: ConfigChange,
    ) -> Result<ConfigChange, Error> {
        // PCI Express is there with this chip set alone.
        let express = config.get("machine").is_some_and(|machine| machine.contains("q35"));
        for (index, wanted) in self.devices.iter().enumerate() {
            let name = format!("hostpci{index}");
            let have: Option<HostPci> = config.get(&name).and_then(|text| text.parse().ok());
            let same = |have: &HostPci| {
                have.mapping() == Some(&wanted.mapping) && have.mdev() == wanted.mdev.as_deref()
            };
            if have.as_ref().is_some_and(same) {
                continue;
            }
            let mut text = format!("mapping={}", wanted.mapping);
            if let Some(mdev) = &wanted.mdev {
                text.push_str(&format!(",mdev={mdev}"));
            }
            if express {
                text.push_str(",pcie=1");
            }
            let device: HostPci = text.parse().map_err(|error| bad(&name, &error))?;
            change = change.set(&name, device);
        }
        Ok(change)
    }

    /// The SMBIOS strings with the address of the seed, when they differ. The
    /// clone's UUID and everything else stays.
    fn smbios(
        &self,
        config: &QemuConfig,
        seed_url: Option<&SecretString>,
    ) -> Result<Option<SecretString>, Error> {
        let serial = match (&self.medium, seed_url) {
            (Some(medium), _) => format!("ds=nocloud;i={}", medium.instance),
            (None, _) if !self.seed => return Ok(None),
            (None, Some(url)) => format!("ds=nocloud-net;s={}", url.expose_secret()),
            (None, None) => {
                return Err(Error::invalid("the address of the guest's seed is missing"));
            }
        };
        let Some(mut smbios) = config.smbios1() else {
            return Err(Error::Malformed("the guest has no SMBIOS strings".to_owned()));
        };
        if smbios.text("serial").as_deref() == Some(&serial) {
            return Ok(None);
        }
        let set = smbios.set_text("serial", &serial);
        // The error would show the value.
        set.map_err(|_| Error::invalid("the address of the guest's seed cannot be stored"))?;
        Ok(Some(smbios.to_string().into()))
    }
}

fn bad(option: &str, error: &PropertyError) -> Error {
    Error::Malformed(format!("the guest's option {option}: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guest::tests::config;

    fn wanted() -> Configure {
        Configure {
            cores: 2,
            memory_mib: 2048,
            agent: true,
            seed: false,
            nics: Vec::new(),
            medium: None,
            devices: Vec::new(),
        }
    }

    fn nic(bridge: Option<&str>) -> NicPayload {
        NicPayload { bridge: bridge.map(str::to_owned), otherwise: "vmbr9".to_owned() }
    }

    const AS_WANTED: &[(&str, &str)] = &[
        ("cores", "2"),
        ("memory", "2048"),
        ("agent", "enabled=1,fstrim_cloned_disks=1"),
        ("tags", "b innkeeper,a"),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
    ];

    fn sent(wanted: &Configure, config: &QemuConfig, url: Option<&SecretString>) -> pve::Params {
        (&wanted.changes(config, url).unwrap()).into()
    }

    #[test]
    fn nothing_is_sent_when_nothing_differs() {
        let changes = wanted().changes(&config(AS_WANTED), None).unwrap();
        assert!(changes.is_empty(), "{changes:?}");
    }

    #[test]
    fn only_what_differs_is_sent_and_the_rest_is_kept() {
        let template = config(&[
            ("cores", "1"),
            ("sockets", "2"),
            ("memory", "4096"),
            ("balloon", "3000"),
            ("agent", "0,type=isa"),
            ("tags", "b a"),
            ("protection", "1"),
        ]);
        let changes = sent(&wanted(), &template, None);
        assert_eq!(changes.get("cores"), Some("2"));
        assert_eq!(changes.get("memory"), Some("2048"));
        assert_eq!(changes.get("agent"), Some("1,type=isa"));
        assert_eq!(changes.get("tags"), Some("a;b;innkeeper"));
        assert_eq!(changes.get("delete"), Some("sockets,balloon,protection"));
        assert_eq!(changes.names().count(), 5);
    }

    #[test]
    fn an_interface_keeps_its_mac_when_its_bridge_changes() {
        let mut configure = wanted();
        configure.nics = vec![nic(Some("vmbr1")), nic(None)];
        let mut options = AS_WANTED.to_vec();
        options.push(("net3", "e1000=BC:24:11:00:00:03,bridge=vmbr3"));
        let changes = sent(&configure, &config(&options), None);
        assert_eq!(changes.get("net0"), Some("virtio=BC:24:11:00:00:01,bridge=vmbr1"));
        assert_eq!(changes.get("net1"), Some("virtio,bridge=vmbr9"));
        assert_eq!(changes.get("delete"), Some("net3"));
    }

    #[test]
    fn devices_are_named_by_their_mapping_and_on_pci_express_where_there_is_one() {
        let mut configure = wanted();
        let device = |mapping: &str, mdev: Option<&str>| DevicePayload {
            mapping: mapping.to_owned(),
            mdev: mdev.map(str::to_owned),
        };
        configure.devices = vec![device("gpu", None), device("vgpu", Some("nvidia-63"))];
        let mut options = AS_WANTED.to_vec();
        options.push(("machine", "q35"));
        let changes = sent(&configure, &config(&options), None);
        assert_eq!(changes.get("hostpci0"), Some("mapping=gpu,pcie=1"));
        assert_eq!(changes.get("hostpci1"), Some("mapping=vgpu,mdev=nvidia-63,pcie=1"));
        options.extend([("hostpci0", "mapping=gpu"), ("hostpci1", "mdev=nvidia-63,mapping=vgpu")]);
        assert!(configure.changes(&config(&options), None).unwrap().is_empty());
    }

    #[test]
    fn the_seed_keeps_the_uuid_and_never_prints() {
        let mut configure = wanted();
        configure.seed = true;
        let url = SecretString::from("http://10.0.0.1:8775/seed/hunter2/");
        let uuid = "c74d5326-7922-4c57-a238-004489f2fcd4";
        let before = format!("uuid={uuid},manufacturer=ACME");
        let mut options = AS_WANTED.to_vec();
        options.push(("smbios1", &before));
        let template = config(&options);
        let change = configure.changes(&template, Some(&url)).unwrap();
        assert!(!format!("{change:?}").contains("hunter2"));
        let secret = configure.smbios(&template, Some(&url)).unwrap().unwrap();
        let smbios: pve::property::Smbios1 = secret.expose_secret().parse().unwrap();
        assert_eq!(smbios.uuid(), Some(uuid));
        assert_eq!(smbios.text("manufacturer").as_deref(), Some("ACME"));
        let serial = smbios.text("serial").unwrap();
        assert_eq!(serial, "ds=nocloud-net;s=http://10.0.0.1:8775/seed/hunter2/");
        // Read back, nothing differs any more.
        let after = smbios.to_string();
        options.pop();
        options.push(("smbios1", &after));
        assert!(configure.changes(&config(&options), Some(&url)).unwrap().is_empty());
        assert!(configure.changes(&config(&options), None).is_err());
    }
}
