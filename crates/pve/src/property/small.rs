//! The short formats.

use super::{PropertyError, PropertyString, view};
use crate::ParamValue;

view! {
    /// The guest agent's settings, `agent`: `1`, `enabled=1,fstrim_cloned_disks=1`.
    Agent, "qemu/agent", |_| Ok(())
}

impl Agent {
    /// Switched on or off, the rest at its defaults.
    pub fn enabled(enabled: bool) -> Self {
        Self(PropertyString(vec![super::Part {
            name: Some("enabled".to_owned()),
            value: enabled.to_text(),
        }]))
    }

    /// Is it switched on?
    pub fn is_enabled(&self) -> bool {
        let value = self.0.first_of(&["", "enabled"]);
        value.and_then(crate::lenient::parse_bool).unwrap_or(false)
    }
}

view! {
    /// The addresses that cloud-init gives an interface, `ipconfig0`:
    /// `ip=10.0.0.5/24,gw=10.0.0.1,ip6=auto`.
    IpConfig, "qemu/ipconfig", |config| {
        for (gateway, address) in [("gw", "ip"), ("gw6", "ip6")] {
            if config.0.get(gateway).is_some() && config.0.get(address).is_none() {
                return Err(PropertyError::Missing(address));
            }
        }
        Ok(())
    }
}

impl IpConfig {
    /// IPv4 by DHCP.
    pub fn dhcp() -> Self {
        Self(PropertyString(vec![super::Part {
            name: Some("ip".to_owned()),
            value: "dhcp".to_owned(),
        }]))
    }

    /// A fixed IPv4 address with its prefix (`10.0.0.5/24`) and gateway.
    ///
    /// # Errors
    /// When a value would break the format.
    pub fn v4(cidr: &str, gateway: Option<&str>) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set("ip", cidr)?;
        if let Some(gateway) = gateway {
            properties.set("gw", gateway)?;
        }
        Ok(Self(properties))
    }

    /// IPv4: an address with prefix, or `dhcp`.
    pub fn ip(&self) -> Option<&str> {
        self.0.get("ip")
    }

    /// The IPv4 gateway.
    pub fn gw(&self) -> Option<&str> {
        self.0.get("gw")
    }

    /// IPv6: an address with prefix, `dhcp` or `auto`.
    pub fn ip6(&self) -> Option<&str> {
        self.0.get("ip6")
    }

    /// The IPv6 gateway.
    pub fn gw6(&self) -> Option<&str> {
        self.0.get("gw6")
    }
}

view! {
    /// The order in which devices are tried, `boot`: `order=scsi0;net0`.
    Boot, "qemu/boot", |_| Ok(())
}

impl Boot {
    /// These devices, in this order.
    ///
    /// # Errors
    /// When a name would break the format.
    pub fn order<'a>(devices: impl IntoIterator<Item = &'a str>) -> Result<Self, PropertyError> {
        let devices: Vec<&str> = devices.into_iter().collect();
        let mut properties = PropertyString::new();
        properties.set("order", devices.join(";"))?;
        Ok(Self(properties))
    }

    /// The devices, in order; none where the old form (`cdn`) is used.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        let order = self.0.get("order").unwrap_or_default();
        order.split(';').filter(|device| !device.is_empty())
    }

    /// The old form: letters of a (floppy), c (disk), d (CD), n (network).
    pub fn legacy(&self) -> Option<&str> {
        self.0.first_of(&["", "legacy"])
    }
}

view! {
    /// When a guest starts at the node's boot, `startup`: `order=1,up=30,down=60`.
    Startup, "qemu/startup", |_| Ok(())
}

impl Startup {
    /// Its place in the order.
    pub fn order(&self) -> Option<u32> {
        self.0.first_of(&["order", ""])?.parse().ok()
    }

    /// Seconds before the next one starts.
    pub fn up(&self) -> Option<u32> {
        self.0.parse("up")
    }

    /// Seconds that a shutdown may take.
    pub fn down(&self) -> Option<u32> {
        self.0.parse("down")
    }
}

view! {
    /// The display, `vga`: `std`, `serial0`, `qxl,memory=32`.
    Vga, "qemu/vga", |_| Ok(())
}

impl Vga {
    /// A display of this type.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn of_type(kind: &str) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set_bare(kind)?;
        Ok(Self(properties))
    }

    /// The type; `std` unless set.
    pub fn kind(&self) -> &str {
        self.0.first_of(&["", "type"]).unwrap_or("std")
    }

    /// Its memory in MiB.
    pub fn memory(&self) -> Option<u32> {
        self.0.parse("memory")
    }
}

view! {
    /// A serial port, `serial0`: `socket`, or a device of the node.
    Serial, "qemu/serial", |serial| serial.value("port").map(|_| ()).ok_or(PropertyError::Missing("serial port"))
}

impl Serial {
    /// A port that the console reaches.
    pub fn socket() -> Self {
        Self(PropertyString(vec![super::Part { name: None, value: "socket".to_owned() }]))
    }

    /// Is it one that the console reaches?
    pub fn is_socket(&self) -> bool {
        self.value("port") == Some("socket")
    }
}
