//! Who is trusted.

use pve::error::TransportKind;
use pve::{Client, Error, Fingerprint, Sent, Tls};

use crate::server::{Identity, Server, Versions, data, soon};

async fn try_with(server: &Server, tls: Tls) -> Result<(), Error> {
    let mut config = server.config();
    config.tls = tls;
    let client = Client::new(config).unwrap();
    soon(client.version()).await.map(drop)
}

async fn server() -> Server {
    Server::start(|_| data(r#"{"version":"8.4.21"}"#)).await
}

#[track_caller]
fn assert_not_trusted(result: Result<(), Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.was_sent(), Sent::No);
    assert!(!error.is_retryable_read(), "trust does not come by waiting");
    let Error::NotSent { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind, TransportKind::Tls, "{source}");
    source.to_string()
}

#[tokio::test]
async fn right_pin_is_accepted() {
    let server = server().await;
    let other = Fingerprint::of_der(b"another node's");
    let tls = Tls::pinned([other, server.identity.fingerprint()]);
    try_with(&server, tls).await.unwrap();
}

#[tokio::test]
async fn wrong_pin_is_refused_and_both_fingerprints_are_named() {
    let server = server().await;
    let wrong = Fingerprint::of_der(b"somebody else's");
    let text = assert_not_trusted(try_with(&server, Tls::pinned([wrong])).await);
    assert!(server.requests().is_empty());
    assert!(text.contains(&wrong.to_string()), "{text}");
    assert!(text.contains(&server.identity.fingerprint().to_string()), "{text}");
}

#[tokio::test]
async fn signer_in_the_bundle_is_accepted() {
    let server = server().await;
    let tls = Tls::ca_bundle(server.identity.ca_pem.clone());
    try_with(&server, tls).await.unwrap();
}

#[tokio::test]
async fn another_signer_is_refused() {
    let server = server().await;
    let tls = Tls::ca_bundle(Identity::new().ca_pem);
    assert_not_trusted(try_with(&server, tls).await);
}

#[tokio::test]
async fn without_pin_or_bundle_a_private_signer_is_refused() {
    let server = server().await;
    assert_not_trusted(try_with(&server, Tls::default()).await);
}

#[tokio::test]
async fn bundle_and_pin_must_both_hold() {
    let server = server().await;
    let mut tls = Tls::ca_bundle(server.identity.ca_pem.clone());
    tls.fingerprints = vec![server.identity.fingerprint()];
    try_with(&server, tls.clone()).await.unwrap();
    tls.fingerprints = vec![Fingerprint::of_der(b"x")];
    assert_not_trusted(try_with(&server, tls).await);
    let mut tls = Tls::ca_bundle(Identity::new().ca_pem);
    tls.fingerprints = vec![server.identity.fingerprint()];
    assert_not_trusted(try_with(&server, tls).await);
}

/// A man in the middle has the certificate, which is public, but not its key.
#[tokio::test]
async fn pinned_certificate_without_its_key_is_refused() {
    static TLS12: Versions = &[&rustls::version::TLS12];
    static TLS13: Versions = &[&rustls::version::TLS13];
    for versions in [TLS12, TLS13] {
        let honest = Identity { versions, ..Identity::new() };
        let pin = honest.fingerprint();
        let stolen = Identity { chain: honest.chain.clone(), versions, ..Identity::new() };
        let thief = Server::start_as(stolen, |_| data("null")).await;
        assert_not_trusted(try_with(&thief, Tls::pinned([pin])).await);
        assert!(thief.requests().is_empty());
        let server = Server::start_as(honest, |_| data(r#"{"version":"8.4.21"}"#)).await;
        try_with(&server, Tls::pinned([pin])).await.unwrap();
    }
}
