//! What the firewalls of data centre and guest have in common: rules, options,
//! names for addresses and sets of them; and a guest's log.

use super::{FirewallOptions, GuestFirewall, Rules};
use crate::cluster::ClusterFirewall;
use crate::requests::record;
use crate::resource::{Resource, handle};
use crate::tasks::LogLine;
use crate::{Error, Params};

/// `…/firewall/ipset/NAME`.
#[derive(Clone, Debug)]
pub struct IpSetHandle(Resource);
handle!(IpSetHandle);

record! {
    /// A name for an address or a network.
    Alias {
        /// The name.
        name: String,
        /// The address or network.
        cidr: String,
        /// 4 or 6.
        ipversion: Option<u32>,
        /// A comment.
        comment: Option<String>,
        /// Guards a change.
        digest: Option<String>,
    }
}

record! {
    /// A set of addresses.
    IpSet {
        /// Its name.
        name: String,
        /// A comment.
        comment: Option<String>,
        /// Guards a change.
        digest: Option<String>,
    }
}

record! {
    /// An address or network of a set.
    IpSetEntry {
        /// The address, network or alias.
        cidr: String,
        /// Is it taken out of the set?
        nomatch: bool,
        /// A comment.
        comment: Option<String>,
        /// Guards a change.
        digest: Option<String>,
    }
}

record! {
    /// Something that a rule can name: an alias or a set.
    FirewallRef {
        /// Its name.
        name: String,
        /// How a rule writes it: `+dc/name`.
        #[serde(rename = "ref")]
        reference: Option<String>,
        /// `alias` or `ipset`.
        #[serde(rename = "type")]
        kind: String,
        /// A comment.
        comment: Option<String>,
    }
}

/// What the firewalls of data centre and guest have in common.
macro_rules! sets {
    ($($firewall:ident),*) => {
        $(impl $firewall {
            /// Its own rules.
            pub fn rules(&self) -> Rules {
                Rules(self.0.sub("rules"))
            }

            /// The options. The data centre's `enable` switches the firewall of
            /// the whole cluster; a guest's stands above the one of each
            /// interface.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn options(&self) -> Result<FirewallOptions, Error> {
                self.0.sub("options").get(()).await
            }

            /// Changes options; `delete` resets some, `digest` guards.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn set_options(&self, params: impl Into<Params>) -> Result<(), Error> {
                self.0.sub("options").put(params).await.map(drop)
            }

            /// The aliases.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn aliases(&self) -> Result<Vec<Alias>, Error> {
                self.0.sub("aliases").list(()).await
            }

            /// Makes an alias.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn create_alias(
                &self,
                name: &str,
                cidr: &str,
                comment: Option<&str>,
            ) -> Result<(), Error> {
                let params = Params::new()
                    .set("name", name)
                    .set("cidr", cidr)
                    .opt("comment", comment);
                self.0.sub("aliases").post(params).await.map(drop)
            }

            /// Deletes an alias.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn delete_alias(&self, name: &str) -> Result<(), Error> {
                self.0.sub("aliases").join(name).delete(()).await.map(drop)
            }

            /// The sets of addresses.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn ip_sets(&self) -> Result<Vec<IpSet>, Error> {
                self.0.sub("ipset").list(()).await
            }

            /// Makes an empty set of addresses.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn create_ip_set(
                &self,
                name: &str,
                comment: Option<&str>,
            ) -> Result<(), Error> {
                let params = Params::new().set("name", name).opt("comment", comment);
                self.0.sub("ipset").post(params).await.map(drop)
            }

            /// A set of addresses.
            pub fn ip_set(&self, name: &str) -> IpSetHandle {
                IpSetHandle(self.0.sub("ipset").join(name))
            }

            /// The aliases and sets that rules here can name.
            ///
            /// # Errors
            /// As [`Client::request`](crate::Client::request).
            pub async fn refs(&self) -> Result<Vec<FirewallRef>, Error> {
                self.0.sub("refs").list(()).await
            }
        })*
    };
}
sets!(ClusterFirewall, GuestFirewall);

impl GuestFirewall {
    /// Lines of the firewall's log: at most `limit`, after leaving out
    /// `start`. A log that does not exist is one line that says so.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn log(&self, start: u64, limit: u32) -> Result<Vec<LogLine>, Error> {
        let params = Params::new().set("start", start).set("limit", limit);
        self.0.sub("log").list(params).await
    }
}

impl IpSetHandle {
    /// The addresses.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn list(&self) -> Result<Vec<IpSetEntry>, Error> {
        self.0.list(()).await
    }

    /// Adds an address, network or alias; `nomatch` takes it out of the set.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn add(&self, cidr: &str, nomatch: bool, comment: Option<&str>) -> Result<(), Error> {
        let params = Params::new()
            .set("cidr", cidr)
            .opt("nomatch", nomatch.then_some(true))
            .opt("comment", comment);
        self.0.post(params).await.map(drop)
    }

    /// Removes an address.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn remove(&self, cidr: &str) -> Result<(), Error> {
        self.0.join(cidr).delete(()).await.map(drop)
    }

    /// Deletes the set; one that is not empty needs `force`, which releases
    /// before 7.4 do not know.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete(&self, force: bool) -> Result<(), Error> {
        self.0.delete(Params::new().opt("force", force.then_some(true))).await.map(drop)
    }
}
