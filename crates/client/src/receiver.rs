//! Somebody who is sent messages: the other direction of the API.

use std::time::Duration;

use crate::Error;
use crate::http::{Endpoint, tls};

/// A receiver of signed messages.
#[derive(Clone, Debug)]
pub struct Receiver {
    http: reqwest::Client,
    url: url::Url,
}

impl Receiver {
    /// A receiver at this address (`http` or `https`). A message may take `timeout`.
    ///
    /// # Errors
    /// [`Error::Settings`] that says what was expected of the address.
    pub fn new(address: &str, timeout: Duration) -> Result<Self, Error> {
        let endpoint = Endpoint::parse_url(address)?;
        let url = url::Url::parse(address).map_err(|error| Error::Settings(error.to_string()))?;
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(&endpoint)?)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("innkeeper/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout);
        let builder = if endpoint.is_local() { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self { http, url })
    }

    /// Sends a message; it is taken when the answer is a success.
    ///
    /// # Errors
    /// Why it was not taken, in words.
    pub async fn send(&self, headers: &[(&str, String)], body: String) -> Result<(), String> {
        let mut request = self.http.post(self.url.clone()).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status())),
            Err(error) => Err(error.without_url().to_string()),
        }
    }
}
