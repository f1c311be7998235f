//! A call's way: a place among the limits, credentials, endpoints, retries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;

use super::send::no_answer;
use super::{Client, Payload, Target};
use crate::error::{Call, Error, Transport, TransportKind};
use crate::judge::lost;
use crate::{ApiPath, Params, Reply};

/// Is a request of a call under way? Decides what it means when time is up.
#[derive(Default)]
struct InFlight(AtomicBool);

impl Client {
    /// Carries a call out, within the time that it has as a whole.
    pub(super) async fn dispatch(&self, call: &Call, params: &Params) -> Result<Reply, Error> {
        let in_flight = InFlight::default();
        let work = self.with_retries(call, params, &in_flight);
        let Some(limit) = self.timeouts().whole else {
            return work.await;
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) if in_flight.0.load(Ordering::Relaxed) => Err(lost(call, no_answer(limit))),
            Err(_) => Err(Error::NotSent {
                call: call.clone(),
                source: Transport {
                    kind: TransportKind::Timeout,
                    detail: format!("not sent within {} ms", limit.as_millis()),
                },
            }),
        }
    }

    async fn with_retries(
        &self,
        call: &Call,
        params: &Params,
        in_flight: &InFlight,
    ) -> Result<Reply, Error> {
        let Some(policy) = &self.config().retry else {
            return self.on_endpoints(call, params, in_flight).await;
        };
        let mut pauses = policy.pauses();
        loop {
            let result = self.on_endpoints(call, params, in_flight).await;
            let Err(error) = result else {
                return result;
            };
            let pause = policy.allows(&error).then(|| pauses.next()).flatten();
            let Some(pause) = pause else {
                return Err(error);
            };
            tracing::debug!(%error, pause_ms = pause.as_millis(), "sent again after a pause");
            self.sleep(pause).await;
        }
    }

    async fn on_endpoints(
        &self,
        call: &Call,
        params: &Params,
        in_flight: &InFlight,
    ) -> Result<Reply, Error> {
        let mut tour = self.tour(call, false);
        loop {
            let result = self.authenticated(tour.target()?, params, in_flight).await;
            if let Some(result) = tour.judge(result) {
                return result;
            }
        }
    }

    /// Sends a call once, and a second time after a new log-in if the ticket
    /// was refused: a call that gets a 401 was not carried out.
    async fn authenticated(
        &self,
        target: Target<'_>,
        params: &Params,
        in_flight: &InFlight,
    ) -> Result<Reply, Error> {
        let call = target.call;
        let timeout = match call.is_read() {
            true => self.timeouts().read,
            false => self.timeouts().task,
        };
        let _place = self.0.gates.enter(call).await?;
        let auth = &self.0.auth;
        let mut stale = None;
        loop {
            let credentials = auth.credentials(self, target, stale).await?;
            in_flight.0.store(true, Ordering::Relaxed);
            let payload = Payload::Params(params);
            let result = self.once(target, payload, credentials.headers, timeout).await;
            in_flight.0.store(false, Ordering::Relaxed);
            let refused = matches!(result, Err(Error::Unauthenticated(_)));
            if !refused || stale.is_some() || !auth.can_log_in_again() {
                return result;
            }
            stale = credentials.serial;
        }
    }

    /// Sends a multipart form. It is streamed, so it cannot be sent again.
    pub(crate) async fn send_multipart(
        &self,
        path: &ApiPath,
        form: reqwest::multipart::Form,
    ) -> Result<Reply, Error> {
        let call = self.checked(Method::POST, path)?;
        let _place = self.0.gates.enter(&call).await?;
        let mut tour = self.tour(&call, true);
        let target = tour.target()?;
        let credentials = self.0.auth.credentials(self, target, None).await?;
        let timeout: Duration = self.timeouts().upload;
        let payload = Payload::Multipart(form);
        let result = self.once(target, payload, credentials.headers, timeout).await;
        match tour.judge(result) {
            Some(result) => result,
            None => tour.give_up(),
        }
    }
}
