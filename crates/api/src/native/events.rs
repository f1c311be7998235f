//! Events: a page of them, or a stream (server-sent events) of what happens.
//!
//! A stream asks the store for what comes after the last event that its reader
//! has taken, so that it holds one page and no queue. A reader that does not keep
//! up with what happens is cut, and told so; it can go on from where it was.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::{OriginalUri, State};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use client::wire;
use futures::stream;
use http::{HeaderMap, HeaderValue, header};
use model::{Caller, Error, Timestamp};
use provisioner::{Event, EventQuery};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, Params};
use super::instances::name_of;
use super::{Native, page};

/// Events that a stream holds at most.
const HELD: usize = 256;
/// How far behind what happens a reader may be.
const LAG_MOST: Duration = Duration::from_secs(60);
/// How often a quiet stream says that it lives, and looks whether its caller may
/// still read.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Where a reader went on, after its connection broke.
const LAST_EVENT_ID: &str = "last-event-id";

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list))
}

fn view(event: Event) -> wire::Event {
    wire::Event {
        sequence: event.sequence,
        at: event.at.into(),
        kind: event.kind,
        project: event.project.map(|project| project.to_string()),
        instance: event.instance,
        operation: event.operation,
        data: event.data,
        text: event.text,
    }
}

/// List events, oldest first, or follow them
///
/// With `accept: text/event-stream` the answer is a stream of what happens from
/// now on, or after `last-event-id`. Each event has its sequence as `id`, its
/// kind as `event` and the same JSON as in the list as `data`. The last event of
/// a stream is `cut`, with the reason: the reader was too slow, its token ended,
/// or the server closes. Events are kept for 30 days.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(wire::EventQuery),
    responses((status = 200, description = "One page, or the stream", content(
        (wire::EventList = "application/json"),
        (String = "text/event-stream")
    )))
)]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Params(query): Params<wire::EventQuery>,
) -> Result<Response, Failure> {
    let limit = page::limit(query.limit)?;
    let mut wanted = EventQuery {
        instance: query.instance,
        project: name_of("project", query.project)?,
        after: query.after.unwrap_or(0),
        limit: limit + 1,
    };
    page::check_sequence("after", wanted.after)?;
    if wants_stream(&headers) {
        let after = last_event_id(&headers)?.or(query.after);
        return follow(native, caller, wanted, after).await;
    }
    let mut events = native.house.events(&caller, &wanted).await?;
    let next = page::cut(&mut events, limit, |last| last.sequence);
    wanted.after = next.unwrap_or(wanted.after);
    let events = events.into_iter().map(view).collect();
    let body = Answer(wire::EventList { events, next });
    Ok((page::link(&uri, next.as_ref()), body).into_response())
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    accepts.flat_map(|value| value.to_str()).any(|value| value.contains("text/event-stream"))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let sequence = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let sequence = sequence
        .ok_or_else(|| Error::invalid(LAST_EVENT_ID, "expected the sequence of an event"))?;
    page::check_sequence(LAST_EVENT_ID, sequence)?;
    Ok(Some(sequence))
}

async fn follow(
    native: Native,
    caller: Caller,
    mut query: EventQuery,
    after: Option<u64>,
) -> Result<Response, Failure> {
    let slot = native.streams.clone().try_acquire_owned().map_err(|_| Error::TooManyRequests {
        message: "too many streams of events at the same time".to_owned(),
        retry_after: HEARTBEAT,
    })?;
    query.limit = HELD;
    let news = native.house.news();
    query.after = match after {
        Some(after) => after,
        None => native.house.now().await?,
    };
    // What cannot be answered is refused before the stream begins.
    let first = native.house.events(&caller, &query).await?;
    let closing = native.house.closing();
    let begun_at = native.clock.now();
    let mut follower = Follower {
        native,
        caller,
        query,
        held: VecDeque::new(),
        news,
        closing,
        begun_at,
        _slot: slot,
    };
    follower.take(first);
    let events = stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(event) => Some((Ok::<_, Infallible>(sent(event)), Some(follower))),
            Err(reason) => Some((Ok(cut(&reason)), None)),
        }
    });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    let uncached = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, uncached);
    Ok(response)
}

/// An event as the list, the stream and webhooks have it.
pub(crate) fn json(event: Event) -> String {
    serde_json::to_string(&view(event)).unwrap_or_default()
}

fn sent(event: Event) -> Sent {
    let (id, kind) = (event.sequence.to_string(), event.kind.clone());
    Sent::default().id(id).event(kind).data(json(event))
}

fn cut(reason: &str) -> Sent {
    let data = serde_json::json!({ "reason": reason }).to_string();
    Sent::default().event("cut").data(data)
}

struct Follower {
    native: Native,
    caller: Caller,
    query: EventQuery,
    held: VecDeque<Event>,
    news: watch::Receiver<u64>,
    closing: CancellationToken,
    begun_at: Timestamp,
    _slot: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event once there is one, or why there will be none.
    async fn next(&mut self) -> Result<Event, String> {
        loop {
            if self.closing.is_cancelled() {
                return Err("the server closes".to_owned());
            }
            if let Some(event) = self.held.pop_front() {
                self.query.after = event.sequence;
                return self.in_time(event);
            }
            self.news.borrow_and_update();
            let house = &self.native.house;
            let events = house.events(&self.caller, &self.query).await;
            let events = events.map_err(|error| error.to_string())?;
            if events.is_empty() {
                self.wait().await?;
            }
            self.take(events);
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        self.held.extend(events);
    }

    /// What happened before the stream began is read as fast as the reader can;
    /// what happened since must not wait for it.
    fn in_time(&self, event: Event) -> Result<Event, String> {
        let behind = self.native.clock.now().since(event.at);
        if event.at > self.begun_at && behind > LAG_MOST {
            return Err(format!(
                "the reader is {} s behind, at most {} are allowed: go on after {}",
                behind.as_secs(),
                LAG_MOST.as_secs(),
                self.query.after
            ));
        }
        Ok(event)
    }

    async fn wait(&mut self) -> Result<(), String> {
        tokio::select! {
            () = self.closing.cancelled() => return Ok(()),
            changed = self.news.changed() => changed.map_err(|_| "the store is closed".to_owned())?,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        self.native.house.still_valid(&self.caller).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stream_is_what_accepts_one_and_goes_on_after_a_number() {
        let mut headers = HeaderMap::new();
        assert!(!wants_stream(&headers));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream; q=1, */*"));
        assert!(wants_stream(&headers));
        assert_eq!(last_event_id(&headers).unwrap(), None);
        headers.insert(LAST_EVENT_ID, HeaderValue::from_static(" 7"));
        assert_eq!(last_event_id(&headers).unwrap(), Some(7));
        for bad in ["x", "-1", "", "9223372036854775808"] {
            headers.insert(LAST_EVENT_ID, HeaderValue::from_str(bad).unwrap());
            assert!(last_event_id(&headers).is_err(), "{bad}");
        }
    }
}
