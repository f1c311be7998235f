//! Webhooks.

use model::WebhookId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Secret, Time};

/// A webhook to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where events are posted: an `http` or `https` address without credentials
    /// and query.
    pub url: String,
    /// Only events of this project; absent: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// A webhook without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: WebhookId,
    /// Where events are posted.
    pub url: String,
    /// Only events of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// The sequence of the last event that it has taken.
    pub cursor: u64,
    /// How many times in a row it did not take the next one.
    pub failures: u32,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
    /// Since when it is left alone, after 24 hours of failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_at: Option<Time>,
}

/// Webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookList {
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
}

/// A webhook that was just made, with its secret: answered once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What its messages are signed with.
    pub secret: Secret,
}
