//! Firewalls: of the data centre, of nodes, of guests.

use super::{Guest, GuestKind};
use crate::firewall::{Alias, FirewallOptions, IpSet, IpSetEntry, Rules};
use crate::lenient::List;
use crate::resource::Resource;
use crate::{Client, Error, Params};

/// A firewall. Rules are in force when the firewall is switched on at the data
/// centre, at the node or guest, and at the guest's interface.
#[derive(Clone, Debug)]
pub struct Firewall(Resource);

impl Firewall {
    /// The data centre's.
    pub fn of_cluster(client: &Client) -> Self {
        Self(Resource::new(client, "cluster/firewall"))
    }

    /// A node's. It has rules and options; aliases and sets are the data
    /// centre's.
    pub fn of_node(client: &Client, node: &str) -> Self {
        Self(Resource::new(client, "nodes").join(node).sub("firewall"))
    }

    /// The rules.
    pub fn rules(&self) -> Rules {
        Rules(self.0.sub("rules"))
    }

    /// The options.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn options(&self) -> Result<FirewallOptions, Error> {
        self.0.sub("options").get(()).await
    }

    /// Changes options; `delete` resets some, `digest` guards.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_digest_mismatch`].
    pub async fn set_options(&self, options: impl Into<Params>) -> Result<(), Error> {
        self.0.sub("options").put(options).await.map(drop)
    }

    /// Switches it on or off.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn enable(&self, enable: bool) -> Result<(), Error> {
        self.set_options([("enable", enable)]).await
    }

    /// The aliases.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn aliases(&self) -> Result<Vec<Alias>, Error> {
        let List(rows) = self.0.sub("aliases").get(()).await?;
        Ok(rows)
    }

    /// Makes an alias.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create_alias(
        &self,
        name: &str,
        cidr: &str,
        comment: Option<&str>,
    ) -> Result<(), Error> {
        let params = Params::new().set("name", name).set("cidr", cidr).opt("comment", comment);
        self.0.sub("aliases").post(params).await.map(drop)
    }

    /// Makes an alias stand for something else.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn update_alias(&self, name: &str, cidr: &str) -> Result<(), Error> {
        self.0.sub("aliases").join(name).put([("cidr", cidr)]).await.map(drop)
    }

    /// Deletes an alias.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn destroy_alias(&self, name: &str) -> Result<(), Error> {
        self.0.sub("aliases").join(name).delete(()).await.map(drop)
    }

    /// The sets of addresses.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn ip_sets(&self) -> Result<Vec<IpSet>, Error> {
        let List(rows) = self.0.sub("ipset").get(()).await?;
        Ok(rows)
    }

    /// Makes an empty set.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create_ip_set(&self, name: &str, comment: Option<&str>) -> Result<(), Error> {
        let params = Params::new().set("name", name).opt("comment", comment);
        self.0.sub("ipset").post(params).await.map(drop)
    }

    /// What is in a set.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn ip_set(&self, name: &str) -> Result<Vec<IpSetEntry>, Error> {
        let List(rows) = self.0.sub("ipset").join(name).get(()).await?;
        Ok(rows)
    }

    /// Puts an address or network into a set.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn add_to_ip_set(&self, name: &str, cidr: &str) -> Result<(), Error> {
        self.0.sub("ipset").join(name).post([("cidr", cidr)]).await.map(drop)
    }

    /// Takes an address or network out of a set.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn remove_from_ip_set(&self, name: &str, cidr: &str) -> Result<(), Error> {
        self.0.sub("ipset").join(name).join(cidr).delete(()).await.map(drop)
    }

    /// Deletes a set, which must be empty.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn destroy_ip_set(&self, name: &str) -> Result<(), Error> {
        self.0.sub("ipset").join(name).delete(()).await.map(drop)
    }
}

impl<K: GuestKind> Guest<K> {
    /// Its firewall.
    pub fn firewall(&self) -> Firewall {
        Firewall(self.resource().sub("firewall"))
    }
}
