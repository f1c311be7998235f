//! Webhooks: where events are posted.

use model::WebhookId;

use crate::wire::{CreatedWebhook, NewWebhook, Webhook, WebhookList};
use crate::{Client, Error};

impl Client {
    /// `POST /v1/webhooks`. The answer holds the secret that signs its messages, once.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn create_webhook(&self, request: &NewWebhook) -> Result<CreatedWebhook, Error> {
        self.post_json("v1/webhooks", request).await
    }

    /// `GET /v1/webhooks`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        Ok(self.get::<WebhookList>("v1/webhooks").await?.webhooks)
    }

    /// `DELETE /v1/webhooks/{id}`: nothing more is posted there.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<(), Error> {
        self.delete(&format!("v1/webhooks/{id}")).await.map(drop)
    }
}
