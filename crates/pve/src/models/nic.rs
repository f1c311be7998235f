//! Network interfaces of guests.

use std::fmt;

use super::{Controller, DeviceId};
use crate::ParamValue;
use crate::property::{NIC_MODELS, PropertyError, PropertyString};

/// A network interface of a virtual machine (`virtio=MAC,bridge=vmbr0`) or a
/// container (`name=eth0,bridge=vmbr0,hwaddr=MAC`).
///
/// Written back without its MAC address it gets a new one: change what was
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    index: u16,
    value: PropertyString,
}

impl Nic {
    pub(super) fn read(index: u16, text: &str) -> Result<Self, PropertyError> {
        Ok(Self { index, value: text.parse()? })
    }

    /// A new interface of a virtual machine; `model` is one of [`NIC_MODELS`].
    ///
    /// # Errors
    /// When there is no such model.
    pub fn new(index: u16, model: &str) -> Result<Self, PropertyError> {
        let value = crate::property::Nic::new(model)?.properties().clone();
        Ok(Self { index, value })
    }

    /// A new interface of a container, called `name` there.
    ///
    /// # Errors
    /// When the name would break the format.
    pub fn in_container(index: u16, name: &str) -> Result<Self, PropertyError> {
        Self { index, value: PropertyString::new() }.with("name", name)
    }

    /// With `name` set to `value`: `bridge`, `tag`, `firewall`, `ip`, `gw`, …
    ///
    /// # Errors
    /// [`PropertyError::Separator`] when it would break the format.
    pub fn with(mut self, name: &str, value: impl ParamValue) -> Result<Self, PropertyError> {
        self.value.set(name, value)?;
        Ok(self)
    }

    /// Its number: 0 of `net0`.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Its name in the configuration: `net0`.
    pub fn id(&self) -> String {
        format!("{}{}", Controller::Net.word(), self.index)
    }

    /// The MAC address, in the case it is stored in.
    pub fn mac(&self) -> Option<&str> {
        let model = NIC_MODELS.iter().find_map(|model| self.value.get(model));
        model.or_else(|| self.value.get("macaddr")).or_else(|| self.value.get("hwaddr"))
    }

    /// The model that a virtual machine sees.
    pub fn model(&self) -> Option<&str> {
        let named = NIC_MODELS.iter().copied().find(|model| self.value.get(model).is_some());
        named.or_else(|| self.value.get("model")).or_else(|| self.value.bare())
    }

    /// The name that a container sees: `eth0`.
    pub fn name(&self) -> Option<&str> {
        self.value.get("name")
    }

    /// The bridge of the node that it hangs on.
    pub fn bridge(&self) -> Option<&str> {
        self.value.get("bridge")
    }

    /// The VLAN.
    pub fn tag(&self) -> Option<u16> {
        self.value.parse("tag")
    }

    /// Do the guest's firewall rules apply to it?
    pub fn firewall(&self) -> bool {
        self.value.flag("firewall").unwrap_or(false)
    }

    /// A container's IPv4 address: a CIDR, `dhcp` or `manual`.
    pub fn ip(&self) -> Option<&str> {
        self.value.get("ip")
    }

    /// Everything in it, unknown parts included.
    pub fn properties(&self) -> &PropertyString {
        &self.value
    }

    /// As a device's name.
    pub fn device(&self) -> Option<DeviceId> {
        DeviceId::new(Controller::Net, self.index)
    }
}

/// As it stands in the configuration.
impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_kinds_of_guests_are_read() {
        let nic = Nic::read(0, "e1000-82540em=BC:24:11:AF:DC:DE,bridge=vmbr0,tag=7").unwrap();
        assert_eq!((nic.model(), nic.mac()), (Some("e1000-82540em"), Some("BC:24:11:AF:DC:DE")));
        assert_eq!((nic.tag(), nic.id().as_str()), (Some(7), "net0"));
        let text = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:11:22,ip=dhcp,type=veth";
        let nic = Nic::read(3, text).unwrap();
        assert_eq!((nic.name(), nic.mac()), (Some("eth0"), Some("BC:24:11:00:11:22")));
        assert_eq!((nic.model(), nic.ip()), (None, Some("dhcp")));
        assert_eq!(Nic::new(1, "virtio").unwrap().model(), Some("virtio"));
    }
}
