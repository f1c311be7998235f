//! Telling webhooks of events.
//!
//! A webhook is told of one event after the other, in their order; the store
//! keeps how far it has been, so that nothing is forgotten when this process ends.
//! An event can come twice, with the same sequence. One that is not taken is tried
//! again with growing pauses, and after [`DEAD_AFTER`] of that the webhook is left
//! alone until somebody resumes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use client::Receiver;
use model::{Clock, Error, Timestamp, WebhookId};
use provisioner::{Event, House, Webhook};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::native::event_json;

/// How long a webhook is tried before it is left alone.
pub const DEAD_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const PAUSE_MOST: Duration = Duration::from_secs(300);
/// Events of one webhook in one round: the others have their turn then.
const AT_ONCE: u32 = 20;
/// How long this process is the one that tells.
const LEASE: Duration = Duration::from_secs(600);
/// How long nothing is looked at while nothing happens.
const IDLE: Duration = Duration::from_secs(1);

/// The message's signature: `v1=` and the HMAC-SHA256, in hexadecimal, of the
/// timestamp, a dot and the body, under the webhook's secret.
pub const SIGNATURE_HEADER: &str = "innkeeper-signature";
/// When it was signed, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "innkeeper-timestamp";
/// The sequence of the event.
pub const EVENT_HEADER: &str = "innkeeper-event";

/// Tells webhooks of events.
pub struct Teller {
    house: Arc<House>,
    clock: Arc<dyn Clock>,
    receivers: BTreeMap<WebhookId, Receiver>,
}

impl Teller {
    /// One for this house.
    pub fn new(house: Arc<House>, clock: Arc<dyn Clock>) -> Self {
        Self { house, clock, receivers: BTreeMap::new() }
    }

    /// Tells until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut news = self.house.news();
        while !stop.is_cancelled() {
            news.borrow_and_update();
            let told = tokio::select! {
                () = stop.cancelled() => return,
                told = self.round() => told,
            };
            match told {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::warn!(%error, "webhooks are not told; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }

    /// Tells each webhook that is due some of what it has not been told. How many
    /// events were taken.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn round(&mut self) -> Result<usize, Error> {
        let hooks = self.house.webhooks_to_tell(LEASE).await?;
        self.receivers.retain(|id, _| hooks.iter().any(|hook| hook.id == *id));
        let now = self.clock.now();
        let due = |hook: &Webhook| {
            let progress = &hook.progress;
            progress.dead_at.is_none() && progress.next_at.is_none_or(|at| at <= now)
        };
        let due: Vec<Webhook> = hooks.into_iter().filter(due).collect();
        for hook in &due {
            if !self.receivers.contains_key(&hook.id)
                && let Ok(receiver) = Receiver::new(&hook.url, TIMEOUT)
            {
                self.receivers.insert(hook.id, receiver);
            }
        }
        // At the same time: one that does not answer holds nobody else up for
        // longer than its timeout.
        let this = &*self;
        let told = futures::future::join_all(due.into_iter().map(|hook| this.tell(hook))).await;
        told.into_iter().sum()
    }

    async fn tell(&self, mut hook: Webhook) -> Result<usize, Error> {
        let (events, secret) = self.house.webhook_news(&hook, AT_ONCE).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let mut taken = 0;
        for event in events {
            let sequence = event.sequence;
            let sent = match self.receivers.get(&hook.id) {
                Some(receiver) => send(receiver, &secret, event, self.clock.now()).await,
                None => Err("its address cannot be used".to_owned()),
            };
            if let Err(reason) = sent {
                self.failed(&mut hook, reason);
                break;
            }
            taken += 1;
            hook.progress = provisioner::WebhookProgress { cursor: sequence, ..Default::default() };
        }
        self.house.webhook_told(hook.id, hook.progress).await?;
        Ok(taken)
    }

    fn failed(&self, hook: &mut Webhook, reason: String) {
        let now = self.clock.now();
        let progress = &mut hook.progress;
        let since = *progress.failing_since.get_or_insert(now);
        progress.failures = progress.failures.saturating_add(1);
        let pause = Duration::from_secs(1u64 << progress.failures.saturating_sub(1).min(16));
        progress.next_at = Some(now.plus(pause.min(PAUSE_MOST)));
        if now.since(since) >= DEAD_AFTER {
            progress.dead_at = Some(now);
            tracing::warn!(webhook = %hook.id, reason, "a webhook is left alone until it is resumed");
        }
        progress.last_error = Some(reason);
    }
}

async fn send(
    receiver: &Receiver,
    secret: &SecretString,
    event: Event,
    now: Timestamp,
) -> Result<(), String> {
    let sequence = event.sequence;
    let body = event_json(event);
    let timestamp = (now.as_millis() / 1000).to_string();
    let headers = [
        ("content-type", "application/json".to_owned()),
        (SIGNATURE_HEADER, signature(secret, &timestamp, &body)),
        (TIMESTAMP_HEADER, timestamp),
        (EVENT_HEADER, sequence.to_string()),
    ];
    receiver.send(&headers, body).await
}

/// What a receiver compares with [`SIGNATURE_HEADER`].
pub fn signature(secret: &SecretString, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_other_programs_compute() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac whs_test
        let signed = signature(&SecretString::from("whs_test"), "1700000000", "{}");
        assert_eq!(signed, "v1=048174e9aecf1432be2ee152542bca032a1c03acbf12d737f11cb17705604333");
    }
}
