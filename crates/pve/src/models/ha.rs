//! High availability: what the cluster keeps running, and where.

use crate::cluster::{self, HaGroupRequest, HaResourceRequest, HaRuleRequest, HaStatusEntry};
use crate::{Client, Error};

/// A model over one of the lists of `/cluster/ha`.
macro_rules! model {
    (
        $(#[$doc:meta])*
        $name:ident($record:ty), $request:ty, $list:ident, $handle:ident, $id:ident
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            client: Client,
            entry: $record,
        }

        impl $name {
            /// All of them.
            ///
            /// # Errors
            /// As [`Client::request`].
            pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
                let entries = client.cluster().ha().$list().await?;
                let model = |entry| Self { client: client.clone(), entry };
                Ok(entries.into_iter().map(model).collect())
            }

            /// One by its id; `None` when there is none.
            ///
            /// # Errors
            /// As [`Client::request`].
            pub async fn get(client: &Client, id: &str) -> Result<Option<Self>, Error> {
                // Asked for by id, one that is not there is an error whose text
                // differs between releases.
                let all = Self::all(client).await?;
                Ok(all.into_iter().find(|one| one.id() == id))
            }

            /// Makes one.
            ///
            /// # Errors
            /// As [`Client::request`]; [`Error::already_exists`].
            pub async fn create(
                client: &Client,
                id: &str,
                request: &$request,
            ) -> Result<Self, Error> {
                let handle = client.cluster().ha().$handle(id);
                handle.create(request).await?;
                let mut entry = handle.get().await?;
                id.clone_into(&mut entry.$id);
                Ok(Self { client: client.clone(), entry })
            }

            /// Its id.
            pub fn id(&self) -> &str {
                &self.entry.$id
            }

            /// What it is like, as last read.
            pub fn entry(&self) -> &$record {
                &self.entry
            }

            /// Reads it again.
            ///
            /// # Errors
            /// As [`Client::request`].
            pub async fn reload(&mut self) -> Result<(), Error> {
                let id = self.id().to_owned();
                self.entry = self.client.cluster().ha().$handle(&id).get().await?;
                self.entry.$id = id;
                Ok(())
            }

            /// Changes it.
            ///
            /// # Errors
            /// As [`Client::request`].
            pub async fn update(&mut self, request: &$request) -> Result<(), Error> {
                self.client.cluster().ha().$handle(self.id()).update(request).await?;
                self.reload().await
            }

            /// Deletes it. Guests stay as they are.
            ///
            /// # Errors
            /// As [`Client::request`].
            pub async fn destroy(&self) -> Result<(), Error> {
                self.client.cluster().ha().$handle(self.id()).delete().await
            }
        }
    };
}

model! {
    /// A guest that the cluster looks after; its id is `vm:100` or `ct:101`.
    HaResource(cluster::HaResource), HaResourceRequest, resources, resource, sid
}

model! {
    /// Nodes that guests may run on. Release 9 has [`HaRule`]s instead, and
    /// answers every call about groups with an error that says so.
    HaGroup(cluster::HaGroup), HaGroupRequest, groups, group, group
}

model! {
    /// Where guests run, and which stay together or apart; since release 9.
    /// Before it, calls about rules are
    /// [`Kind::NotImplemented`](crate::error::Kind::NotImplemented).
    HaRule(cluster::HaRule), HaRuleRequest, rules, rule, rule
}

impl HaResource {
    /// The state that is wanted: `started` unless told otherwise.
    pub fn state(&self) -> &str {
        self.entry.state.as_deref().unwrap_or("started")
    }

    /// What high availability is doing: quorum, master, nodes, guests.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn status(client: &Client) -> Result<Vec<HaStatusEntry>, Error> {
        client.cluster().ha().status().await
    }
}
