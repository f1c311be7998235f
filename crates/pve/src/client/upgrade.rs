//! Calls that turn their connection into a websocket.

use http::Method;
use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::Upgraded;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::send::no_answer;
use super::{Client, Payload, Target};
use crate::error::{Call, Error};
use crate::judge::{judge, lost};
use crate::wire::{collect, send};
use crate::{ApiPath, Auth, Params};

impl Client {
    /// Opens a websocket.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] with an API token; [`Error::Malformed`] when
    /// the server does not change to the protocol; as [`Client::request`].
    pub(crate) async fn websocket(
        &self,
        path: &ApiPath,
        params: &Params,
    ) -> Result<Upgraded, Error> {
        let call = self.checked(Method::GET, path)?;
        self.check_websocket_auth(&call)?;
        let mut tour = self.tour(&call, false);
        loop {
            let result = self.upgraded(tour.target()?, params).await;
            if let Some(result) = tour.judge(result) {
                return result;
            }
        }
    }

    /// # Errors
    /// [`Error::InvalidRequest`] when the client has an API token.
    pub(crate) fn check_websocket_auth(&self, call: &Call) -> Result<(), Error> {
        if !matches!(self.authenticator().auth(), Auth::Token { .. }) {
            return Ok(());
        }
        let reason = "auth: the websockets of consoles do not take API tokens: log in with \
                      Auth::ticket";
        Err(Error::InvalidRequest { call: call.clone(), reason: reason.into() })
    }

    async fn upgraded(&self, target: Target<'_>, params: &Params) -> Result<Upgraded, Error> {
        let mut stale = None;
        loop {
            let credentials = self.0.auth.credentials(self, target, stale).await?;
            let result = self.upgrade_once(target, params, credentials.headers).await;
            let refused = matches!(result, Err(Error::Unauthenticated(_)));
            if !refused || stale.is_some() || !self.0.auth.can_log_in_again() {
                return result;
            }
            stale = credentials.serial;
        }
    }

    async fn upgrade_once(
        &self,
        target: Target<'_>,
        params: &Params,
        mut headers: HeaderMap,
    ) -> Result<Upgraded, Error> {
        let call = target.call;
        let key = generate_key();
        for (name, value) in [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_PROTOCOL, "binary"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let value = HeaderValue::from_str(&key).map_err(|_| malformed(call, "unusable key"))?;
        headers.insert(SEC_WEBSOCKET_KEY, value);
        let request = self.build(target, Payload::Params(params), headers)?;
        let timeout = self.timeouts().connect.saturating_add(self.timeouts().read);
        let wanted = derive_accept_key(key.as_bytes());
        let handshake = self.shake_hands(call, request, params, &wanted);
        tokio::time::timeout(timeout, handshake)
            .await
            .unwrap_or_else(|_| Err(lost(call, no_answer(timeout))))
    }

    async fn shake_hands(
        &self,
        call: &Call,
        request: reqwest::Request,
        params: &Params,
        wanted: &str,
    ) -> Result<Upgraded, Error> {
        let response = send(&self.0.http, call, request).await?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            let answer = collect(call, response, self.config().body_limit).await?;
            judge(call, answer, params)?;
            return Err(malformed(call, "expected a websocket (101)"));
        }
        let shown = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if shown.is_none_or(|shown| shown.as_bytes() != wanted.as_bytes()) {
            return Err(malformed(call, "the websocket's handshake is wrong"));
        }
        response.upgrade().await.map_err(|_| malformed(call, "the connection cannot be taken over"))
    }
}

fn malformed(call: &Call, reason: &str) -> Error {
    Error::Malformed { call: call.clone(), reason: reason.to_owned() }
}
