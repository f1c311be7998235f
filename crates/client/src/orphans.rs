//! One method for each route about orphans.

use crate::changes::segment;
use crate::wire::{AcceptedOperation, OrphanList};
use crate::{Client, Error};

impl Client {
    /// `GET /v1/orphans`: guests with our mark that belong to no instance.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn orphans(&self) -> Result<OrphanList, Error> {
        self.get("v1/orphans").await
    }

    /// `POST /v1/orphans/{provider}/{guest}/collect`: removes one.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn collect_orphan(
        &self,
        provider: &str,
        guest: &str,
    ) -> Result<AcceptedOperation, Error> {
        let (provider, guest) = (segment(provider), segment(guest));
        self.post(&format!("v1/orphans/{provider}/{guest}/collect")).await
    }
}
