//! What steps and use cases commit.

use model::{
    Address, AttemptId, Door, ExpiryNotes, Fault, Flavour, FlavourId, Image, ImageId, Instance,
    InstanceId, InstanceSpec, Observed, OperationId, Ownership, Phase, PowerState, ProjectId,
    ProviderId, SecretId, TokenId, WebhookId,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::Error;
use crate::db::Tx;
use crate::rows::{
    AuditEntry, Orphan, Project, RequestKey, Seed, Token, Webhook, WebhookProgress, aliases,
    annotations, audit, events, flavours, ids, images, instances, keys, orphans, projects, secrets,
    seeds, tokens, webhooks,
};

/// A change to the store. Applied in order, in one transaction with whatever
/// else is committed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new instance. Its `operation` and `sequence` are not stored: they
    /// follow from the claim and the feed.
    InsertInstance(Box<Instance>),
    /// Changes an instance. One that is gone is left alone, unless the update
    /// carries a spec.
    UpdateInstance {
        /// Which.
        id: InstanceId,
        /// What changes.
        update: Box<InstanceUpdate>,
    },
    /// Forgets an instance: its row, annotations, seed and secrets go, its
    /// reserved ids retire, and its aliases become tombstones.
    RemoveInstance(InstanceId),
    /// Retires the ids that were reserved for an attempt (or for all attempts):
    /// nobody gets them before their time is over.
    RetireIds {
        /// The instance.
        owner: InstanceId,
        /// The attempt; `None` for all.
        attempt: Option<AttemptId>,
        /// Whether something of the attempt may still appear there: then the id
        /// keeps the mark by which that is recognised.
        watch: bool,
    },
    /// Seals a secret, or replaces it.
    PutSecret {
        /// The id to refer to it by.
        id: SecretId,
        /// The instance that it goes with, if any.
        owner: Option<InstanceId>,
        /// The secret.
        value: SecretString,
    },
    /// Forgets a secret.
    RemoveSecret(SecretId),
    /// Sets an instance's seed. Its secrets are put by the same commit or
    /// earlier; those of the seed it replaces are forgotten.
    PutSeed(Seed),
    /// Forgets an instance's seed with its secrets.
    RemoveSeed {
        /// The instance.
        instance: InstanceId,
    },
    /// Gives an instance a name of a dialect. A name that is taken, or was
    /// taken not long ago, is [`Error::Constraint`].
    PutAlias {
        /// The dialect's door.
        door: Door,
        /// Within which the name is unique.
        scope: String,
        /// The name.
        external_id: String,
        /// The instance.
        instance: InstanceId,
    },
    /// Gives an instance the next number of a door as its name, in the scope
    /// [`crate::NUMBERS`]: one that was never given before.
    NumberInstance {
        /// The dialect's door.
        door: Door,
        /// The least number.
        first: u64,
        /// The instance.
        instance: InstanceId,
    },
    /// Sets a door's own data about an instance.
    PutAnnotation {
        /// The instance.
        owner: InstanceId,
        /// The door.
        door: Door,
        /// What it is.
        key: String,
        /// The data.
        value: Annotation,
    },
    /// Forgets a door's own data about an instance.
    RemoveAnnotation {
        /// The instance.
        owner: InstanceId,
        /// The door.
        door: Door,
        /// What it is.
        key: String,
    },
    /// Adds or replaces an image.
    PutImage(Box<Image>),
    /// Changes an image, if it is there.
    UpdateImage {
        /// Which.
        id: ImageId,
        /// What changes.
        update: ImageUpdate,
    },
    /// Adds or replaces a flavour.
    PutFlavour(Box<Flavour>),
    /// Forgets a flavour, if it is there.
    RemoveFlavour(FlavourId),
    /// Adds a token.
    PutToken(Box<Token>),
    /// Revokes a token. It is [`Error::NotFound`] when there is none.
    RevokeToken(TokenId),
    /// Adds or replaces a guest with our mark that no row claims.
    PutOrphan(Box<Orphan>),
    /// Forgets one, if it is there.
    RemoveOrphan {
        /// Where it was.
        provider: ProviderId,
        /// The provider's key of the guest.
        guest: String,
    },
    /// Uses a caller's key for asking again. It is [`Error::KeyUsed`] when it
    /// was used already, less than a day ago.
    TakeKey {
        /// The key.
        key: RequestKey,
        /// What the request begins, if it begins an operation.
        begun: Option<(OperationId, InstanceId)>,
    },
    /// Keeps what the request with this key was answered.
    KeepAnswer {
        /// The key.
        key: RequestKey,
        /// The door's own text, sealed at rest.
        answer: SecretString,
    },
    /// Changes nothing. It is [`Error::Moved`] when an instance does not stand at
    /// one of these change sequences.
    ExpectSequence {
        /// The instance.
        id: InstanceId,
        /// The sequences.
        sequences: Vec<u64>,
    },
    /// Adds somebody who is told of events.
    PutWebhook(Box<Webhook>),
    /// Notes how far somebody has been told. One that is gone is left alone.
    WebhookProgress {
        /// Who.
        id: WebhookId,
        /// How far.
        progress: Box<WebhookProgress>,
    },
    /// Forgets one, with its secret. It is [`Error::NotFound`] when there is none.
    RemoveWebhook(WebhookId),
    /// Adds a project or replaces what it may use.
    PutProject(Box<Project>),
    /// Forgets what a project may use. It is [`Error::NotFound`] when there is no
    /// such row.
    RemoveProject(ProjectId),
    /// Changes nothing. It is [`Error::Quota`] when an instance that was inserted
    /// just before, or this intent for it, is beyond its project's quota.
    CheckQuota {
        /// The instance.
        id: InstanceId,
        /// What is asked of it; `None`: that it is made.
        intent: Option<Box<model::Intent>>,
    },
    /// Writes down who asked for what; its sequence and time are given here.
    Audit(Box<AuditEntry>),
    /// An event for people.
    Note {
        /// The instance that it is about, if any.
        instance: Option<InstanceId>,
        /// What happened.
        text: String,
    },
}

/// A door's own data.
#[derive(Clone, Debug)]
pub enum Annotation {
    /// Stored as it is.
    Plain(String),
    /// Sealed at rest.
    Sealed(SecretString),
}

/// What changes of an instance; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct InstanceUpdate {
    /// Where it is in its life.
    pub phase: Option<Phase>,
    /// Merged into the provider's reference; `Null` empties it.
    pub native: Option<Value>,
    /// What was seen.
    pub observed: Option<Option<Observed>>,
    /// Its power state alone, with the present time, if it was ever seen.
    pub power: Option<PowerState>,
    /// Its addresses alone, with the present time, if it was ever seen.
    pub addresses: Option<Vec<Address>>,
    /// Its host alone, with the present time, if it was ever seen.
    pub host: Option<model::HostId>,
    /// What waits for the guest's next start, if it was ever seen.
    pub pending: Option<Vec<String>>,
    /// Its snapshots.
    pub snapshots: Option<model::Snapshots>,
    /// How its guest came to be ours, if it is.
    pub ownership: Option<Ownership>,
    /// What has been said about its expiry.
    pub expiry: Option<ExpiryNotes>,
    /// What is wrong with it. A fault without an operation gets the one whose
    /// workflow commits it.
    pub fault: Option<Option<Fault>>,
    /// The attempt whose mark its guest carries.
    pub attempt: Option<AttemptId>,
    /// How many times its creation was tried.
    pub attempts: Option<u32>,
    /// Where it lives.
    pub provider: Option<ProviderId>,
    /// A new spec.
    pub spec: Option<SpecUpdate>,
    /// Nothing is changed when the row's sequence is another one: what the
    /// update was decided on is not true any more.
    pub if_sequence: Option<u64>,
}

/// A new spec for an instance.
#[derive(Clone, Debug)]
pub struct SpecUpdate {
    /// The generation that it replaces; another one is [`Error::Conflict`].
    pub replaces: u64,
    /// The spec.
    pub spec: Box<InstanceSpec>,
}

/// What changes of an image; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct ImageUpdate {
    /// Its root disk's size.
    pub size: Option<Option<model::ByteCount>>,
    /// Where instances can be made from it.
    pub presence: Option<model::ImagePresence>,
    /// The provider's own reference.
    pub native: Option<Value>,
    /// When it was last seen.
    pub seen_at: Option<model::Timestamp>,
}

pub(crate) async fn apply(tx: &mut Tx, change: Change) -> Result<(), Error> {
    match change {
        Change::InsertInstance(instance) => instances::insert(tx, &instance).await,
        Change::UpdateInstance { id, update } => instances::update(tx, id, *update).await,
        Change::RemoveInstance(id) => instances::remove(tx, id).await,
        Change::RetireIds { owner, attempt, watch } => ids::retire(tx, owner, attempt, watch).await,
        Change::PutSecret { id, owner, value } => secrets::put(tx, id, owner, &value).await,
        Change::RemoveSecret(id) => secrets::remove(tx, id).await,
        Change::PutSeed(seed) => seeds::put(tx, &seed).await,
        Change::RemoveSeed { instance } => seeds::remove(tx, instance).await,
        Change::PutAlias { door, scope, external_id, instance } => {
            aliases::put(tx, door, &scope, &external_id, instance).await
        }
        Change::NumberInstance { door, first, instance } => {
            aliases::number(tx, door, first, instance).await
        }
        Change::PutAnnotation { owner, door, key, value } => {
            annotations::put(tx, owner, door, &key, &value).await
        }
        Change::RemoveAnnotation { owner, door, key } => {
            annotations::remove(tx, owner, door, &key).await
        }
        Change::PutImage(image) => images::put(tx, &image).await,
        Change::UpdateImage { id, update } => images::update(tx, id, update).await,
        Change::PutFlavour(flavour) => flavours::put(tx, &flavour).await,
        Change::RemoveFlavour(id) => flavours::remove(tx, id).await,
        Change::PutToken(token) => tokens::put(tx, &token).await,
        Change::RevokeToken(id) => tokens::revoke(tx, id).await,
        Change::PutOrphan(orphan) => orphans::put(tx, &orphan).await,
        Change::RemoveOrphan { provider, guest } => orphans::remove(tx, &provider, &guest).await,
        Change::TakeKey { key, begun } => keys::take(tx, &key, begun).await,
        Change::KeepAnswer { key, answer } => keys::answer(tx, &key, &answer).await,
        Change::ExpectSequence { id, sequences } => instances::expect(tx, id, &sequences).await,
        Change::PutWebhook(hook) => webhooks::put(tx, &hook).await,
        Change::WebhookProgress { id, progress } => webhooks::progress(tx, id, &progress).await,
        Change::RemoveWebhook(id) => webhooks::remove(tx, id).await,
        Change::PutProject(project) => projects::put(tx, &project).await,
        Change::RemoveProject(name) => projects::remove(tx, &name).await,
        Change::CheckQuota { id, intent } => projects::check(tx, id, intent.as_deref()).await,
        Change::Audit(entry) => audit::write(tx, &entry).await,
        Change::Note { instance, text } => events::note(tx, instance, &text).await,
    }
}

pub(crate) async fn apply_all(tx: &mut Tx, changes: Vec<Change>) -> Result<(), Error> {
    for change in changes {
        apply(tx, change).await?;
    }
    Ok(())
}
