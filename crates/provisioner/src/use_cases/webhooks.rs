//! Who is told of events.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Caller, Error, ProjectId, Role, Sealed, SecretId, WebhookId};
use secrecy::SecretString;
use store::{Change, Event, EventFilter, Webhook, WebhookProgress};

use super::audit::Asked;
use super::public;
use crate::house::House;

/// Webhooks that there may be.
const MOST: usize = 100;
/// What one process at a time does for all.
const LEASE: &str = "webhooks";

impl House {
    /// Makes a webhook that is told of what happens from now on. Its secret is
    /// answered once.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators: the house calls the address
    /// from where it stands. [`Error::InvalidRequest`]; [`Error::QuotaExceeded`].
    pub async fn create_webhook(
        &self,
        caller: &Caller,
        url: String,
        project: Option<ProjectId>,
    ) -> Result<(Webhook, SecretString), Error> {
        caller.require(Role::Admin)?;
        let core = &self.core;
        if core.store.webhooks().await.map_err(public)?.len() >= MOST {
            return Err(Error::QuotaExceeded { message: format!("there are {MOST} webhooks") });
        }
        let mut bytes = [0u8; 32];
        core.random.fill(&mut bytes);
        let secret = SecretString::from(format!("whs_{}", URL_SAFE_NO_PAD.encode(bytes)));
        let sealed = SecretId::generate(&*core.clock, &*core.random);
        let cursor = core.store.sequence().await.map_err(public)?;
        let hook = Webhook {
            id: WebhookId::generate(&*core.clock, &*core.random),
            project,
            url,
            secret: Sealed(sealed),
            created_at: core.clock.now(),
            progress: WebhookProgress { cursor, ..WebhookProgress::default() },
        };
        let target = hook.id.to_string();
        let asked = Asked { action: "webhook.create", target: &target, operation: None };
        let changes = vec![
            Change::PutSecret { id: sealed, owner: None, value: secret.clone() },
            Change::PutWebhook(Box::new(hook.clone())),
        ];
        self.commit(caller, asked, changes).await.map_err(public)?;
        Ok((hook, secret))
    }

    /// The webhooks.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators.
    pub async fn webhooks(&self, caller: &Caller) -> Result<Vec<Webhook>, Error> {
        caller.require(Role::Admin)?;
        self.core.store.webhooks().await.map_err(public)
    }

    /// Forgets a webhook.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] but for administrators.
    pub async fn delete_webhook(&self, caller: &Caller, id: WebhookId) -> Result<(), Error> {
        self.webhook(caller, id).await?;
        let target = id.to_string();
        let asked = Asked { action: "webhook.delete", target: &target, operation: None };
        self.commit(caller, asked, vec![Change::RemoveWebhook(id)]).await.map_err(public)
    }

    /// Lets a webhook go on at once from the event that it did not take.
    ///
    /// # Errors
    /// As [`House::delete_webhook`].
    pub async fn resume_webhook(&self, caller: &Caller, id: WebhookId) -> Result<Webhook, Error> {
        let cursor = self.webhook(caller, id).await?.progress.cursor;
        let target = id.to_string();
        let asked = Asked { action: "webhook.resume", target: &target, operation: None };
        let progress = Box::new(WebhookProgress { cursor, ..WebhookProgress::default() });
        let changes = vec![Change::WebhookProgress { id, progress }];
        self.commit(caller, asked, changes).await.map_err(public)?;
        self.webhook(caller, id).await
    }

    async fn webhook(&self, caller: &Caller, id: WebhookId) -> Result<Webhook, Error> {
        caller.require(Role::Admin)?;
        let found = self.core.store.webhook(id).await.map_err(public)?;
        found.ok_or_else(|| Error::not_found("webhook", id))
    }

    /// The webhooks that this process tells, for the next half of `ttl`: none
    /// while another process does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn webhooks_to_tell(&self, ttl: Duration) -> Result<Vec<Webhook>, Error> {
        let hooks = self.core.store.webhooks().await.map_err(public)?;
        if hooks.is_empty() || !self.core.store.hold(LEASE, ttl).await.map_err(public)? {
            return Ok(Vec::new());
        }
        Ok(hooks)
    }

    /// What a webhook is to be told next, with the secret to sign it with.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn webhook_news(
        &self,
        hook: &Webhook,
        limit: u32,
    ) -> Result<(Vec<Event>, SecretString), Error> {
        let store = &self.core.store;
        let (after, project) = (hook.progress.cursor, hook.project.clone());
        let filter = EventFilter { after, project, instance: None, limit };
        let events = store.events_after(&filter).await.map_err(public)?;
        Ok((events, store.secret(hook.secret).await.map_err(public)?))
    }

    /// Notes how far a webhook has been told.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn webhook_told(
        &self,
        id: WebhookId,
        progress: WebhookProgress,
    ) -> Result<(), Error> {
        let changes = vec![Change::WebhookProgress { id, progress: Box::new(progress) }];
        self.core.store.commit(changes).await.map(drop).map_err(public)
    }
}
