//! Reading.

use engine::{ChildEnd, Kind, Recorded, WorkflowId};
use model::{
    Door, Flavour, Image, ImageId, Instance, InstanceId, Operation, OperationId, ProjectId,
    ProviderId, Sealed, Timestamp, TokenId, WebhookId,
};
use secrecy::SecretString;
use serde_json::Value as Json;

use crate::Error;
use crate::db::{last_sequence, text};
use crate::feed::{self, FeedItem};
use crate::flow;
use crate::rows::{
    Alias, AnnotationRow, AuditEntry, AuditFilter, Event, EventFilter, InstanceFilter,
    OperationFilter, Orphan, Project, RetiredId, Seed, Token, Usage, UsedKey, Webhook, aliases,
    annotations, audit, events, flavours, ids, images, instances, keys, operations, orphans,
    projects, secrets, seeds, tokens, webhooks,
};
use crate::store::Store;

/// What an operation has done so far.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationJournal {
    /// The workflow that carries it out.
    pub kind: Kind,
    /// What it was started with.
    pub input: Json,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// Its journal.
    pub entries: Vec<Recorded>,
}

/// Errors of all of these: [`Error::Unavailable`] and [`Error::Busy`] when the
/// data base does not answer, [`Error::Corrupt`] when a row makes no sense.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
impl Store {
    /// An instance, with the operation that is changing it.
    pub async fn instance(&self, id: InstanceId) -> Result<Option<Instance>, Error> {
        instances::get(&mut self.reader().await?, id).await
    }

    /// Instances, by id.
    pub async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, Error> {
        instances::list(&mut self.reader().await?, filter).await
    }

    /// An operation, without its steps.
    pub async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        operations::get(&mut self.reader().await?, id).await
    }

    /// Operations without their steps, newest first.
    pub async fn operations(&self, filter: &OperationFilter) -> Result<Vec<Operation>, Error> {
        operations::list(&mut self.reader().await?, filter).await
    }

    /// An operation's journal.
    pub async fn operation_journal(
        &self,
        id: OperationId,
    ) -> Result<Option<OperationJournal>, Error> {
        let mut db = self.reader().await?;
        let select = "SELECT kind, input, deadline FROM workflows WHERE id = $1";
        let Some(row) = db.fetch_one(select, &[text(id)]).await? else { return Ok(None) };
        Ok(Some(OperationJournal {
            kind: flow::kind_of(&row.text("kind")?)?,
            input: row.json("input")?,
            deadline: row.time("deadline")?,
            entries: flow::entries(&mut db, WorkflowId::from(id)).await?,
        }))
    }

    /// How the children that a workflow began last have ended so far.
    pub async fn child_ends(&self, parent: WorkflowId) -> Result<Vec<ChildEnd>, Error> {
        let mut db = self.reader().await?;
        let select = "SELECT spawn_group FROM workflows WHERE id = $1";
        let group = db.fetch_one(select, &[text(parent)]).await?;
        match group.map(|row| row.opt_int("spawn_group")).transpose()?.flatten() {
            Some(group) => flow::children_of(&mut db, parent, group).await,
            None => Ok(Vec::new()),
        }
    }

    /// All images.
    pub async fn images(&self) -> Result<Vec<Image>, Error> {
        images::list(&mut self.reader().await?).await
    }

    /// An image.
    pub async fn image(&self, id: ImageId) -> Result<Option<Image>, Error> {
        images::get(&mut self.reader().await?, id).await
    }

    /// All flavours, by name.
    pub async fn flavours(&self) -> Result<Vec<Flavour>, Error> {
        flavours::list(&mut self.reader().await?).await
    }

    /// All tokens, oldest first, the revoked ones included.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        tokens::list(&mut self.reader().await?).await
    }

    /// A token.
    pub async fn token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        tokens::get(&mut self.reader().await?, id).await
    }

    /// What came of the request that used this key less than a day ago.
    pub async fn used_key(&self, scope: &str, key: &str) -> Result<Option<UsedKey>, Error> {
        let mut db = self.reader().await?;
        let now = self.data_base.now(&mut db, &*self.clock).await?;
        keys::get(&mut db, &self.key, now, scope, key).await
    }

    /// An instance's seed.
    pub async fn seed(&self, instance: InstanceId) -> Result<Option<Seed>, Error> {
        seeds::get(&mut self.reader().await?, instance).await
    }

    /// The seed whose token has this SHA-256 (hexadecimal).
    pub async fn seed_by_token(&self, token_hash: &str) -> Result<Option<Seed>, Error> {
        seeds::by_token(&mut self.reader().await?, token_hash).await
    }

    /// Opens a sealed secret. Callers account for it: this is the one place
    /// where a secret leaves the store.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it has been forgotten.
    pub async fn secret(&self, secret: Sealed) -> Result<SecretString, Error> {
        secrets::reveal(&mut self.reader().await?, &self.key, secret.0).await
    }

    /// Whose name this is, or was.
    pub async fn alias(
        &self,
        door: Door,
        scope: &str,
        external_id: &str,
    ) -> Result<Option<Alias>, Error> {
        aliases::get(&mut self.reader().await?, door, scope, external_id).await
    }

    /// Every name that is in use.
    pub async fn aliases_in_use(&self) -> Result<Vec<Alias>, Error> {
        aliases::living(&mut self.reader().await?).await
    }

    /// An instance's names.
    pub async fn aliases(&self, instance: InstanceId) -> Result<Vec<Alias>, Error> {
        aliases::of(&mut self.reader().await?, instance).await
    }

    /// What doors keep about an instance.
    pub async fn annotations(&self, owner: InstanceId) -> Result<Vec<AnnotationRow>, Error> {
        annotations::of(&mut self.reader().await?, &self.key, owner).await
    }

    /// A project, when its row was set.
    pub async fn project(&self, name: &ProjectId) -> Result<Option<Project>, Error> {
        projects::get(&mut self.reader().await?, name).await
    }

    /// The projects that have rows, by name.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        projects::list(&mut self.reader().await?).await
    }

    /// What a project's instances use, with what is being added to them.
    pub async fn usage(&self, name: &ProjectId) -> Result<Usage, Error> {
        projects::usage(&mut self.reader().await?, name).await
    }

    /// How many operations there are in each state.
    pub async fn operation_counts(&self) -> Result<Vec<(String, u64)>, Error> {
        let select = "SELECT state, COUNT(*) AS many FROM operations GROUP BY state ORDER BY state";
        let rows = self.reader().await?.fetch_all(select, &[]).await?;
        rows.iter().map(|row| Ok((row.text("state")?, row.uint("many")?))).collect()
    }

    /// Who is told of events, by id.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        webhooks::list(&mut self.reader().await?).await
    }

    /// Somebody who is told of events.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, Error> {
        webhooks::get(&mut self.reader().await?, id).await
    }

    /// Events, oldest first.
    pub async fn events_after(&self, filter: &EventFilter) -> Result<Vec<Event>, Error> {
        events::after(&mut self.reader().await?, filter).await
    }

    /// The newest event that is not kept any more, 0 when all are.
    pub async fn events_forgotten(&self) -> Result<u64, Error> {
        events::forgotten(&mut self.reader().await?).await
    }

    /// Who asked for what, newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        audit::list(&mut self.reader().await?, filter).await
    }

    /// Events for people, newest first; those of one instance, or all.
    pub async fn events(
        &self,
        instance: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        events::notes(&mut self.reader().await?, instance, limit).await
    }

    /// The guests with our mark that no row claims, by provider and key; at most
    /// 10,000.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, Error> {
        orphans::list(&mut self.reader().await?).await
    }

    /// The orphan of this provider with this key.
    pub async fn orphan(
        &self,
        provider: &ProviderId,
        guest: &str,
    ) -> Result<Option<Orphan>, Error> {
        orphans::get(&mut self.reader().await?, provider, guest).await
    }

    /// The ids of pools whose name begins like this that nobody gets yet.
    pub async fn retired_ids(&self, pool_prefix: &str) -> Result<Vec<RetiredId>, Error> {
        let mut db = self.reader().await?;
        let now = self.data_base.now(&mut db, &*self.clock).await?;
        ids::retired(&mut db, pool_prefix, now).await
    }

    /// What has changed after this sequence, oldest first, each thing once with
    /// its latest change; at most 10,000 things, so that whoever follows asks
    /// again from the last one until nothing comes.
    pub async fn changes_since(&self, sequence: u64) -> Result<Vec<FeedItem>, Error> {
        feed::since(&mut self.reader().await?, sequence).await
    }

    /// The change sequence of the last commit.
    pub async fn sequence(&self) -> Result<u64, Error> {
        let last = last_sequence(&mut self.reader().await?).await?;
        u64::try_from(last).map_err(|_| Error::Corrupt("the change sequence".to_owned()))
    }
}
