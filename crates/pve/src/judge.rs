//! What an answer, or its absence, means.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Call, Doubt, Error, Kind, Rejection, Transport, TransportKind};
use crate::wire::Answer;
use crate::{Params, Reply};

/// A request that was sent and got no answer.
pub(crate) fn lost(call: &Call, source: Transport) -> Error {
    if call.is_read() {
        let reason = match source.kind {
            TransportKind::Timeout => "no answer in time",
            _ => "the connection broke before the answer",
        };
        return Error::Unavailable {
            call: call.clone(),
            status: None,
            reason: reason.to_owned(),
            source: Some(source),
        };
    }
    let doubt = match source.kind {
        TransportKind::Timeout => Doubt::TimedOut,
        _ => Doubt::ConnectionLost,
    };
    Error::Ambiguous { call: call.clone(), doubt, source: Some(source) }
}

/// The JSON body of a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    errors: Option<BTreeMap<String, serde_json::Value>>,
}

pub(crate) fn judge(call: &Call, answer: Answer, params: &Params) -> Result<Reply, Error> {
    let Answer { status, reason, body } = answer;
    let call = call.clone();
    match status {
        200..=299 => return Ok(Reply { call, status, body }),
        100..=399 => {
            return Err(Error::Malformed {
                call,
                reason: format!("status {status} {reason}: is this Proxmox VE's HTTPS address?"),
            });
        }
        // A gateway has too much to do; 595: nothing was sent on to the node.
        429 | 595 => return Err(unavailable(call, status, reason)),
        596..=599 if call.is_agent() && reason == "Broken pipe" => {
            return Err(doubtful(call, status, reason, Doubt::AgentAnswerLost));
        }
        596..=599 => return Err(doubtful(call, status, reason, Doubt::NodeSilent(status))),
        502..=504 | 507..=594 => {
            return Err(doubtful(call, status, reason, Doubt::Gateway(status)));
        }
        _ => {}
    }
    let rejection = rejection(call, status, reason, &body, params);
    Err(match &rejection.kind {
        _ if status == 401 => Error::Unauthenticated(Box::new(rejection)),
        Kind::Busy(lock) => Error::Busy { lock: lock.clone(), rejection: Box::new(rejection) },
        Kind::Unavailable => {
            let reason = rejection.text().to_owned();
            unavailable(rejection.call, status, reason)
        }
        _ => Error::Rejected(Box::new(rejection)),
    })
}

fn unavailable(call: Call, status: u16, reason: String) -> Error {
    Error::Unavailable {
        call,
        status: Some(status),
        reason: if status == 429 || status >= 502 { format!("{status} {reason}") } else { reason },
        source: None,
    }
}

fn doubtful(call: Call, status: u16, reason: String, doubt: Doubt) -> Error {
    if call.is_read() {
        return unavailable(call, status, reason);
    }
    Error::Ambiguous { call, doubt, source: None }
}

fn rejection(call: Call, status: u16, reason: String, body: &[u8], params: &Params) -> Rejection {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let clean = |text: &str| params.blot(text.trim_end().to_owned());
    let reason = clean(&reason);
    let message = refusal.message.map(|text| clean(&text));
    let message = message.filter(|text| !text.is_empty());
    let errors: BTreeMap<String, String> = refusal
        .errors
        .unwrap_or_default()
        .into_iter()
        .map(|(name, text)| {
            let text = crate::lenient::scalar(&text).unwrap_or_else(|| text.to_string());
            (name, clean(&text))
        })
        .collect();
    let text = message.as_deref().unwrap_or(&reason);
    let kind = Kind::of_answer(status, text, errors.values().map(String::as_str));
    Rejection { call, status, reason, message, errors, kind }
}
