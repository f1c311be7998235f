//! A node's network interfaces. Changes wait until they are applied.

use serde::Deserialize;

use super::Node;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Error, Params, Upid, lenient};

/// `/nodes/NODE/network/IFACE`.
#[derive(Clone, Debug)]
pub struct InterfaceHandle(Resource);
handle!(InterfaceHandle);

record! {
    /// A network interface.
    Interface {
        /// `vmbr0`; absent when one interface was asked for.
        iface: String,
        /// `bridge`, `bond`, `eth`, `alias`, `vlan`, `OVSBridge`, …
        #[serde(rename = "type")]
        kind: String,
        /// Is it up?
        active: bool,
        /// Does it come up with the node?
        autostart: bool,
        /// Is there such a device now?
        exists: Option<bool>,
        /// `static`, `dhcp`, `manual`: how it gets its IPv4 address.
        method: Option<String>,
        /// The same for IPv6.
        method6: Option<String>,
        /// IPv4 address with its prefix.
        cidr: Option<String>,
        /// IPv4 address.
        address: Option<String>,
        /// IPv4 netmask: the prefix, or four numbers in old releases.
        netmask: Option<String>,
        /// IPv4 gateway.
        gateway: Option<String>,
        /// IPv6 address with its prefix.
        cidr6: Option<String>,
        /// IPv6 gateway.
        gateway6: Option<String>,
        /// The ports of a bridge, separated by blanks.
        bridge_ports: Option<String>,
        /// Does the bridge know VLANs?
        bridge_vlan_aware: bool,
        /// The VLANs of the bridge: `2-4094`.
        bridge_vids: Option<String>,
        /// The interfaces of a bond, separated by blanks.
        slaves: Option<String>,
        /// The bond's mode.
        bond_mode: Option<String>,
        /// The VLAN's number.
        #[serde(rename = "vlan-id")]
        vlan_id: Option<u32>,
        /// The interface below the VLAN.
        #[serde(rename = "vlan-raw-device")]
        vlan_raw_device: Option<String>,
        /// The MTU.
        mtu: Option<u32>,
        /// Comments.
        comments: Option<String>,
        /// Its place among the interfaces.
        priority: Option<u32>,
    }
}

request! {
    /// An interface to make or to change.
    ///
    /// ```
    /// use pve::nodes::InterfaceRequest;
    /// let bridge = InterfaceRequest::new("bridge").cidr("10.9.0.1/24").autostart(true);
    /// # let _ = bridge;
    /// ```
    InterfaceRequest(kind: &str = "type") {
        /// Comes up with the node.
        autostart: flag "autostart",
        /// IPv4 address with its prefix.
        cidr: text "cidr",
        /// IPv4 gateway.
        gateway: text "gateway",
        /// IPv6 address with its prefix.
        cidr6: text "cidr6",
        /// IPv6 gateway.
        gateway6: text "gateway6",
        /// The ports of a bridge, separated by blanks.
        bridge_ports: text "bridge_ports",
        /// The bridge knows VLANs.
        bridge_vlan_aware: flag "bridge_vlan_aware",
        /// The VLANs of the bridge; since release 8.
        bridge_vids: text "bridge_vids",
        /// The interfaces of a bond, separated by blanks.
        slaves: text "slaves",
        /// The bond's mode: `802.3ad`, `active-backup`, …
        bond_mode: text "bond_mode",
        /// The bond's first interface.
        bond_primary: text "bond-primary",
        /// How a bond spreads packets.
        bond_xmit_hash_policy: text "bond_xmit_hash_policy",
        /// The VLAN's number, 1 to 4094.
        vlan_id: uint "vlan-id",
        /// The interface below the VLAN.
        vlan_raw_device: text "vlan-raw-device",
        /// The MTU, 1280 to 65520.
        mtu: uint "mtu",
        /// Comments.
        comments: text "comments",
        /// Settings to reset; for changes.
        delete: list "delete",
    }
}

/// The interfaces, with what waits to be applied.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct NetworkConfig {
    /// The interfaces as they will be.
    pub interfaces: Vec<Interface>,
    /// What applying would change, as a diff of the file. `None`: nothing.
    pub changes: Option<String>,
}

impl Node {
    /// The interfaces, of one kind (`bridge`, `bond`, `any_bridge`, …) or all.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn networks(&self, kind: Option<&str>) -> Result<NetworkConfig, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(deserialize_with = "lenient::list")]
            data: Vec<Interface>,
            #[serde(default, deserialize_with = "lenient::opt_string")]
            changes: Option<String>,
        }
        let params = Params::new().opt("type", kind);
        let reply = self.0.sub("network").send(http::Method::GET, params).await?;
        let body: Body = reply.whole()?;
        Ok(NetworkConfig { interfaces: body.data, changes: body.changes })
    }

    /// An interface.
    pub fn network(&self, iface: &str) -> InterfaceHandle {
        InterfaceHandle(self.0.sub("network").join(iface))
    }

    /// Applies the waiting changes.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn apply_network(&self) -> Result<Option<Upid>, Error> {
        self.0.sub("network").put(()).await?.task()
    }

    /// Drops the waiting changes.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn revert_network(&self) -> Result<(), Error> {
        self.0.sub("network").delete(()).await.map(drop)
    }
}

impl InterfaceHandle {
    /// The interface as it will be.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn get(&self) -> Result<Interface, Error> {
        self.0.get(()).await
    }

    /// Makes it; it waits to be applied.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create(&self, request: &InterfaceRequest) -> Result<(), Error> {
        let name = self.0.path.last();
        let params = Params::new().set("iface", name).and(request);
        self.0.parent().post(params).await.map(drop)
    }

    /// Changes it; what the request does not name goes back to its default.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn update(&self, request: &InterfaceRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Removes it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}
