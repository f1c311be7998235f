//! Network interfaces of virtual machines: `net0`, `net1`, …

use super::{PropertyError, PropertyString, view};

/// The models that Proxmox emulates. Each is also a name in the property
/// string, whose value is the MAC address.
pub const NIC_MODELS: &[&str] = &[
    "virtio",
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "vmxnet3",
];

view! {
    /// A network interface: `virtio=BC:24:11:AF:DC:DE,bridge=vmbr0,firewall=1`.
    ///
    /// Sent without its MAC address, the interface gets a new one: read it
    /// back and keep it.
    ///
    /// ```
    /// use pve::property::Nic;
    /// let nic = Nic::new("virtio")?.with("bridge", "vmbr0")?.with("firewall", true)?;
    /// assert_eq!(nic.to_string(), "virtio,bridge=vmbr0,firewall=1");
    /// let nic = nic.with_mac("BC:24:11:AF:DC:DE")?;
    /// assert_eq!(nic.to_string(), "virtio=BC:24:11:AF:DC:DE,bridge=vmbr0,firewall=1");
    /// # Ok::<(), pve::property::PropertyError>(())
    /// ```
    Nic, "qemu/net", |nic| nic.model().map(|_| ()).ok_or(PropertyError::Missing("model"))
}

impl Nic {
    /// An interface of this model, without a MAC address or bridge.
    ///
    /// # Errors
    /// When the model is none of [`NIC_MODELS`].
    pub fn new(model: &str) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set_bare(check_model(model)?)?;
        Ok(Self(properties))
    }

    /// With `name` set to `value`: `bridge`, `tag`, `firewall`, `rate`, …
    ///
    /// # Errors
    /// [`PropertyError::Separator`] when it would break the format.
    pub fn with(
        mut self,
        name: &str,
        value: impl crate::ParamValue,
    ) -> Result<Self, PropertyError> {
        self.0.set(name, value)?;
        Ok(self)
    }

    /// With this MAC address.
    ///
    /// # Errors
    /// When it is no MAC address.
    pub fn with_mac(mut self, mac: &str) -> Result<Self, PropertyError> {
        let pairs = mac.split(':').collect::<Vec<_>>();
        let proper = pairs.len() == 6
            && pairs
                .iter()
                .all(|pair| pair.len() == 2 && pair.bytes().all(|c| c.is_ascii_hexdigit()));
        if !proper {
            return Err(PropertyError::Value {
                name: "macaddr",
                value: mac.to_owned(),
                expected: "a MAC address like BC:24:11:AF:DC:DE",
            });
        }
        let model = self.model().ok_or(PropertyError::Missing("model"))?.to_owned();
        if self.0.get("model").is_some() || self.0.get("macaddr").is_some() {
            self.0.set("macaddr", mac)?;
            return Ok(self);
        }
        // `virtio=OLD`, or else `virtio`, becomes `virtio=NEW`, where it stands.
        let combined = self.model_part().is_some();
        let name = combined.then_some(model.as_str());
        let parts = self.0.0.iter_mut();
        for part in parts.filter(|part| part.name.as_deref() == name) {
            part.name = Some(model.clone());
            mac.clone_into(&mut part.value);
        }
        Ok(self)
    }

    fn model_part(&self) -> Option<(&str, &str)> {
        NIC_MODELS.iter().find_map(|model| self.0.get(model).map(|mac| (*model, mac)))
    }

    /// The model.
    pub fn model(&self) -> Option<&str> {
        let named = self.model_part().map(|(model, _)| model);
        named.or_else(|| self.0.first_of(&["model", ""]))
    }

    /// The MAC address, as it is written: Proxmox writes upper case, the guest
    /// agent lower case.
    pub fn mac(&self) -> Option<&str> {
        let combined = self.model_part().map(|(_, mac)| mac);
        combined.or_else(|| self.0.get("macaddr"))
    }

    /// The bridge; without one, the interface has NAT to the node's network.
    pub fn bridge(&self) -> Option<&str> {
        self.0.get("bridge")
    }

    /// Does the Proxmox firewall guard it? Off unless set.
    pub fn firewall(&self) -> bool {
        self.0.flag("firewall").unwrap_or(false)
    }

    /// The VLAN tag, 1 to 4094.
    pub fn tag(&self) -> Option<u16> {
        self.0.parse("tag")
    }

    /// The limit in megabytes (10^6) per second.
    pub fn rate(&self) -> Option<f64> {
        self.0.parse("rate")
    }

    /// The MTU; 1 means the bridge's.
    pub fn mtu(&self) -> Option<u32> {
        self.0.parse("mtu")
    }

    /// Is the link taken down?
    pub fn link_down(&self) -> bool {
        self.0.flag("link_down").unwrap_or(false)
    }
}

fn check_model(model: &str) -> Result<&str, PropertyError> {
    if NIC_MODELS.contains(&model) {
        return Ok(model);
    }
    Err(PropertyError::Value {
        name: "model",
        value: model.to_owned(),
        expected: "a network card model that Proxmox knows",
    })
}
