//! A guest's addresses, asked of its guest agent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::Address;
use provider::Error;
use pve::qemu::AgentInterface;

use crate::cluster::Cluster;
use crate::guest::{self, Guest};
use crate::native::GuestRef;

/// How many addresses of a guest are kept. A guest says what it likes.
const MOST: usize = 64;

impl Cluster {
    /// See [`provider::Provider::addresses`].
    pub async fn addresses(&self, reference: &GuestRef) -> Result<Option<Vec<Address>>, Error> {
        // The node of the reference is where the guest was made; it may have moved.
        let Some(guest) = self.whereabouts(reference.vmid, &reference.node).await? else {
            return Ok(None);
        };
        if reference.uuid.is_some() && guest::uuid(&guest.config) != reference.uuid {
            return Ok(None);
        }
        let interfaces = self.interfaces(&guest).await?;
        Ok(interfaces.map(|answer| ours(&guest, &answer)))
    }
}

/// The addresses of the guest's interfaces that are ours, by MAC: in the order
/// of the interfaces, global ones before link-local ones.
fn ours(guest: &Guest, interfaces: &[AgentInterface]) -> Vec<Address> {
    let macs: BTreeMap<String, u8> = guest
        .config
        .nics()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(index, nic)| Some((nic.mac()?.to_ascii_lowercase(), index)))
        .collect();
    let mut found: Vec<(bool, u8, Address)> = Vec::new();
    for interface in interfaces {
        let mac = interface.mac.as_deref().unwrap_or_default();
        let mac = mac.to_ascii_lowercase();
        let Some(index) = macs.get(&mac) else {
            continue;
        };
        let addresses = interface.addresses.iter();
        found.extend(
            addresses
                .filter_map(|address| address.address.parse::<IpAddr>().ok())
                .filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast())
                .map(|ip| {
                    let mac = Some(mac.clone());
                    (is_link_local(&ip), *index, Address { ip, mac })
                }),
        );
    }
    found.sort_by_key(|(local, index, _)| (*local, *index));
    found.truncate(MOST);
    found.into_iter().map(|(_, _, address)| address).collect()
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guest::tests::config;

    #[test]
    fn only_our_interfaces_count_and_global_addresses_come_first() {
        let guest = Guest {
            vmid: pve::VmId::MIN,
            node: "pve1".parse().unwrap(),
            config: config(&[
                ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
                ("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr1"),
            ]),
        };
        let interfaces: Vec<AgentInterface> = serde_json::from_str(
            r#"[
            {"name":"lo","hardware-address":"00:00:00:00:00:00","ip-addresses":[{"ip-address":"127.0.0.1"}]},
            {"name":"docker0","hardware-address":"02:42:00:00:00:01","ip-addresses":[{"ip-address":"172.17.0.1"}]},
            {"name":"eth1","hardware-address":"bc:24:11:00:00:02","ip-addresses":[{"ip-address":"10.0.1.5"}]},
            {"name":"eth0","hardware-address":"bc:24:11:00:00:01","ip-addresses":[
                {"ip-address":"fe80::1"},{"ip-address":"10.0.0.5"},{"ip-address":"2001:db8::5"},{"ip-address":"junk"},{"ip-address":"127.0.0.2"}]},
            {"name":"down","hardware-address":"bc:24:11:00:00:01"}]"#,
        )
        .unwrap();
        let ips: Vec<String> = ours(&guest, &interfaces).iter().map(|a| a.ip.to_string()).collect();
        assert_eq!(ips, ["10.0.0.5", "2001:db8::5", "10.0.1.5", "fe80::1"]);
    }
}
