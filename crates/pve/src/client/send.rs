//! One request and its answer.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::Client;
use crate::error::{Call, Error, Transport, TransportKind, with_sources};
use crate::judge::{judge, lost};
use crate::wire::exchange;
use crate::{Params, Reply};

/// The API proxy reads at most 8 KiB of headers, the first line included.
const QUERY_LIMIT: usize = 6 * 1024;
/// The API proxy refuses longer bodies, uploads excepted.
const FORM_LIMIT: usize = 512 * 1024;

/// Where a request goes and what it is.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub base: &'a str,
    pub call: &'a Call,
}

/// What a request carries.
pub(crate) enum Payload<'a> {
    Params(&'a Params),
    /// A multipart form of known length.
    Multipart(reqwest::multipart::Form),
}

impl Client {
    /// One request, one answer.
    pub(crate) async fn once(
        &self,
        target: Target<'_>,
        payload: Payload<'_>,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let call = target.call;
        let none = Params::new();
        let params = match &payload {
            Payload::Params(params) => *params,
            Payload::Multipart(_) => &none,
        };
        let request = self.build(target, payload, headers)?;
        let limit = self.config().body_limit;
        // Connecting has a timeout of its own, which is shorter than this one:
        // when this one strikes, the request is on its way.
        let timeout = self.timeouts().connect.saturating_add(timeout);
        let exchange = exchange(&self.0.http, call, request, limit);
        let answer = match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer?,
            Err(_) => return Err(lost(call, no_answer(timeout))),
        };
        tracing::trace!(%call, status = answer.status, "answered");
        judge(call, answer, params)
    }

    pub(super) fn build(
        &self,
        target: Target<'_>,
        payload: Payload<'_>,
        headers: HeaderMap,
    ) -> Result<reqwest::Request, Error> {
        let Target { base, call } = target;
        let invalid = |error: &dyn std::error::Error| Error::InvalidRequest {
            call: call.clone(),
            reason: with_sources(error),
        };
        let mut address = format!("{base}/{}", call.path);
        let mut form = None;
        if let Payload::Params(params) = &payload {
            let encoded = params.encode();
            let in_query = matches!(call.method, Method::GET | Method::DELETE);
            let limit = if in_query { QUERY_LIMIT } else { FORM_LIMIT };
            if encoded.len() > limit {
                let size = encoded.len();
                return Err(Error::InvalidRequest {
                    call: call.clone(),
                    reason: format!("{size} bytes of parameters, Proxmox takes at most {limit}"),
                });
            }
            if in_query {
                // A body would be refused (501).
                if !encoded.is_empty() {
                    address = format!("{address}?{encoded}");
                }
            } else {
                form = Some(encoded);
            }
        }
        let url = url::Url::parse(&address).map_err(|error| invalid(&error))?;
        let mut request = self.0.http.request(call.method.clone(), url).headers(headers);
        match (payload, form) {
            (Payload::Multipart(multipart), _) => request = request.multipart(multipart),
            // Proxmox wants a length, and no type, on an empty form.
            (_, Some(form)) if form.is_empty() => {
                request = request.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            (_, Some(form)) => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                request = request.header(CONTENT_TYPE, kind).body(form);
            }
            (_, None) => {}
        }
        request.build().map_err(|error| invalid(&error.without_url()))
    }
}

/// Nothing came in time.
pub(super) fn no_answer(timeout: Duration) -> Transport {
    let detail = format!("no whole answer within {} ms", timeout.as_millis());
    Transport { kind: TransportKind::Timeout, detail }
}
