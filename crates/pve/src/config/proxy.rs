//! A proxy between us and the cluster.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::Error;

/// How to get to the cluster. Through a proxy the client asks for a tunnel
/// (`CONNECT`), in which it speaks TLS with the cluster as always: the proxy
/// reads nothing.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// Directly, whatever the environment says.
    #[default]
    Direct,
    /// As the environment says when the client is built: `HTTPS_PROXY`, else
    /// `ALL_PROXY`, for every host that `NO_PROXY` does not name; the names in
    /// lower case count too, and first. Directly where they are not set.
    Environment,
    /// Through this one, `http://host:port` or `https://host:port`. The
    /// certificate of an `https` proxy is judged like that of the cluster.
    Url {
        /// Its address, without credentials.
        url: Url,
        /// User name and password, when it asks for them.
        credentials: Option<(String, SecretString)>,
    },
}

impl Proxy {
    /// A proxy without credentials.
    pub fn url(url: Url) -> Self {
        Self::Url { url, credentials: None }
    }

    /// A proxy that asks who we are.
    pub fn with_credentials(
        url: Url,
        username: impl Into<String>,
        password: impl Into<SecretString>,
    ) -> Self {
        Self::Url { url, credentials: Some((username.into(), password.into())) }
    }

    /// For the HTTP library.
    pub(super) fn resolve(&self) -> Result<Option<reqwest::Proxy>, Error> {
        match self {
            Self::Direct => Ok(None),
            Self::Environment => from_environment(|name| std::env::var(name).ok()),
            Self::Url { url, credentials } => {
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(fail("proxy", "credentials do not belong in the address"));
                }
                let mut proxy = build("proxy", url.clone())?;
                if let Some((username, password)) = credentials {
                    proxy = proxy.basic_auth(username, password.expose_secret());
                }
                Ok(Some(proxy))
            }
        }
    }
}

fn fail(name: &str, what: &str) -> Error {
    Error::Config(format!("{name}: {what}"))
}

fn build(name: &str, url: Url) -> Result<reqwest::Proxy, Error> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(fail(name, "expected http://host:port or https://host:port"));
    }
    reqwest::Proxy::all(url).map_err(|_| fail(name, "is not a usable address"))
}

/// What the variables say; `get` reads one.
fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Option<reqwest::Proxy>, Error> {
    let read = |name: &str| get(name).filter(|value| !value.trim().is_empty());
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let Some((name, text)) = names.iter().find_map(|name| Some((*name, read(name)?))) else {
        return Ok(None);
    };
    let text = text.trim();
    // curl and others take an address without a scheme for http.
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // The text may hold a password: it is not quoted.
    let url = Url::parse(&text).map_err(|_| fail(name, "is not a usable address"))?;
    let except = read("no_proxy").or_else(|| read("NO_PROXY"));
    let except = except.and_then(|list| reqwest::NoProxy::from_string(&list));
    Ok(Some(build(name, url)?.no_proxy(except)))
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("Direct"),
            Self::Environment => f.write_str("Environment"),
            Self::Url { url, credentials } => {
                let user = credentials.as_ref().map(|(username, _)| username);
                let host = url.host_str().unwrap_or_default();
                let place = format!("{}://{host}:{:?}", url.scheme(), url.port());
                f.debug_struct("Url").field("url", &place).field("username", &user).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Result<Option<String>, Error> {
        let get = |name: &str| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Ok(from_environment(get)?.map(|proxy| format!("{proxy:?}")))
    }

    #[test]
    fn the_environment_names_a_proxy_and_its_exceptions() {
        assert_eq!(environment(&[]).unwrap(), None);
        assert_eq!(environment(&[("HTTPS_PROXY", " ")]).unwrap(), None);
        // Plain HTTP is never spoken, so its proxy does not matter.
        assert_eq!(environment(&[("http_proxy", "http://other:1")]).unwrap(), None);
        let both = [("ALL_PROXY", "http://all:1"), ("HTTPS_PROXY", "only:3128")];
        let proxy = environment(&both).unwrap().unwrap();
        assert!(proxy.contains("only") && !proxy.contains("all:1"), "{proxy}");
        let lower = [("https_proxy", "http://low:1"), ("HTTPS_PROXY", "http://up:1")];
        assert!(environment(&lower).unwrap().unwrap().contains("low"));
        let except = [("ALL_PROXY", "http://all:1"), ("NO_PROXY", "pve1.example")];
        let proxy = environment(&except).unwrap().unwrap();
        assert!(proxy.contains("pve1.example"), "{proxy}");
    }

    #[test]
    fn unusable_proxies_are_named_and_not_quoted() {
        let error = environment(&[("https_proxy", "ftp://u:hush@h:1")]).unwrap_err().to_string();
        assert!(error.contains("https_proxy") && !error.contains("hush"), "{error}");
        let proxy = Proxy::url(Url::parse("http://u:hush@h:1").unwrap());
        let error = proxy.resolve().unwrap_err().to_string();
        assert!(error.contains("proxy") && !error.contains("hush"), "{error}");
        let proxy = Proxy::with_credentials(Url::parse("http://h:1").unwrap(), "me", "hush");
        let text = format!("{proxy:?}");
        assert!(text.contains("me") && !text.contains("hush"), "{text}");
    }
}
