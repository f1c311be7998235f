//! One method for each route.

use model::{FlavourId, ImageId, InstanceId, OperationId, TokenId};

use crate::wire::{
    Accepted, AuditList, AuditQuery, CreateInstance, CreatedToken, DryRun, EventList, EventQuery,
    Flavour, FlavourList, Image, ImageList, Instance, InstanceList, InstanceQuery, LIST_MOST,
    NewFlavour, NewToken, Operation, OperationList, OperationLog, OperationQuery, Reboot, Shutdown,
    TokenList,
};
use crate::{Client, Error};

impl Client {
    /// `POST /v1/instances`: asks for an instance.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn create_instance(&self, request: &CreateInstance) -> Result<Accepted, Error> {
        self.post_json("v1/instances", request).await
    }

    /// `POST /v1/instances?dry_run=true`: what [`Self::create_instance`] would do;
    /// nothing is done.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn plan_instance(&self, request: &CreateInstance) -> Result<DryRun, Error> {
        self.post_json("v1/instances?dry_run=true", request).await
    }

    /// `GET /v1/instances/{id}`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn instance(&self, id: InstanceId) -> Result<Instance, Error> {
        self.get(&format!("v1/instances/{id}")).await
    }

    /// `GET /v1/instances`: one page.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn instances(&self, query: &InstanceQuery) -> Result<InstanceList, Error> {
        self.get_with("v1/instances", query).await
    }

    /// All pages of `GET /v1/instances`. `query.limit` is the size of a page.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn all_instances(&self, query: &InstanceQuery) -> Result<Vec<Instance>, Error> {
        let most = u32::try_from(LIST_MOST).unwrap_or(u32::MAX);
        let mut query = query.clone();
        query.limit.get_or_insert(most);
        let mut instances = Vec::new();
        loop {
            let page = self.instances(&query).await?;
            instances.extend(page.instances);
            // Pages go forward only: a server that goes round is refused.
            match page.next {
                Some(next) if query.after.is_none_or(|after| next > after) => {
                    query.after = Some(next);
                }
                Some(_) => return Err(self.malformed("pages that do not go on".to_owned())),
                None => return Ok(instances),
            }
        }
    }

    /// `POST /v1/instances/{id}/start`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn start_instance(&self, id: InstanceId) -> Result<Accepted, Error> {
        self.post(&format!("v1/instances/{id}/start")).await
    }

    /// `POST /v1/instances/{id}/stop`: powers it off, hard.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn stop_instance(&self, id: InstanceId) -> Result<Accepted, Error> {
        self.post(&format!("v1/instances/{id}/stop")).await
    }

    /// `POST /v1/instances/{id}/shutdown`: asks the guest.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn shutdown_instance(
        &self,
        id: InstanceId,
        request: &Shutdown,
    ) -> Result<Accepted, Error> {
        self.post_json(&format!("v1/instances/{id}/shutdown"), request).await
    }

    /// `POST /v1/instances/{id}/reboot`: asks the guest.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn reboot_instance(
        &self,
        id: InstanceId,
        request: &Reboot,
    ) -> Result<Accepted, Error> {
        self.post_json(&format!("v1/instances/{id}/reboot"), request).await
    }

    /// `DELETE /v1/instances/{id}`. Repeated, it joins the deletion under way.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn delete_instance(&self, id: InstanceId) -> Result<Accepted, Error> {
        let body = self.delete(&format!("v1/instances/{id}")).await?;
        serde_json::from_slice(&body).map_err(|error| self.malformed(error.to_string()))
    }

    /// `GET /v1/operations/{id}`, with its steps.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn operation(&self, id: OperationId) -> Result<Operation, Error> {
        self.get(&format!("v1/operations/{id}")).await
    }

    /// `GET /v1/operations`, newest first.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn operations(&self, query: &OperationQuery) -> Result<Vec<Operation>, Error> {
        Ok(self.operations_page(query).await?.operations)
    }

    /// `GET /v1/operations`, newest first: one page, with where the next begins.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn operations_page(&self, query: &OperationQuery) -> Result<OperationList, Error> {
        self.get_with("v1/operations", query).await
    }

    /// `GET /v1/operations/{id}/log`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn operation_log(&self, id: OperationId) -> Result<OperationLog, Error> {
        self.get(&format!("v1/operations/{id}/log")).await
    }

    /// `POST /v1/operations/{id}/cancel`: asks it to take back what it did.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn cancel_operation(&self, id: OperationId) -> Result<Operation, Error> {
        self.post(&format!("v1/operations/{id}/cancel")).await
    }

    /// `POST /v1/operations/{id}/resume`: lets a stuck one go on.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn resume_operation(&self, id: OperationId) -> Result<Operation, Error> {
        self.post(&format!("v1/operations/{id}/resume")).await
    }

    /// `POST /v1/operations/{id}/abandon`: gives a stuck one up.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn abandon_operation(&self, id: OperationId) -> Result<Operation, Error> {
        self.post(&format!("v1/operations/{id}/abandon")).await
    }

    /// `GET /v1/events`: one page, oldest first.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn events(&self, query: &EventQuery) -> Result<EventList, Error> {
        self.get_with("v1/events", query).await
    }

    /// `GET /v1/audit`: one page, newest first.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditList, Error> {
        self.get_with("v1/audit", query).await
    }

    /// `GET /v1/images`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn images(&self) -> Result<Vec<Image>, Error> {
        Ok(self.get::<ImageList>("v1/images").await?.images)
    }

    /// `GET /v1/images/{id}`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn image(&self, id: ImageId) -> Result<Image, Error> {
        self.get(&format!("v1/images/{id}")).await
    }

    /// `GET /v1/flavours`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn flavours(&self) -> Result<Vec<Flavour>, Error> {
        Ok(self.get::<FlavourList>("v1/flavours").await?.flavours)
    }

    /// `POST /v1/flavours`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn create_flavour(&self, request: &NewFlavour) -> Result<Flavour, Error> {
        self.post_json("v1/flavours", request).await
    }

    /// `DELETE /v1/flavours/{id}`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn delete_flavour(&self, id: FlavourId) -> Result<(), Error> {
        self.delete(&format!("v1/flavours/{id}")).await.map(drop)
    }

    /// `POST /v1/tokens`. The answer holds the secret, once.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn create_token(&self, request: &NewToken) -> Result<CreatedToken, Error> {
        self.post_json("v1/tokens", request).await
    }

    /// `GET /v1/tokens`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn tokens(&self) -> Result<TokenList, Error> {
        self.get("v1/tokens").await
    }

    /// `DELETE /v1/tokens/{id}`: ends it at once.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), Error> {
        self.delete(&format!("v1/tokens/{id}")).await.map(drop)
    }

    /// `GET /readyz`: whether the server can do its work.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn ready(&self) -> Result<(), Error> {
        self.probe("readyz").await
    }
}
