//! Who is trusted.

use pve::error::TransportKind;
use pve::{Client, ClientCertificate, Error, Fingerprint, Sent, Tls, TlsVersion};

use crate::server::{Act, Identity, Server, Versions, data, soon};

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

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks() {
    let identity = Identity { asks_for_certificate: true, ..Identity::new() };
    let (chain, key) = identity.client_certificate();
    let pin = Tls::pinned([identity.fingerprint()]);
    let server = Server::start_as(identity, |_| data(r#"{"version":"8.4.21"}"#)).await;
    try_with(&server, pin.clone()).await.unwrap_err();
    assert!(server.requests().is_empty());
    let certificate = ClientCertificate::from_pem(chain, key);
    try_with(&server, pin.client_certificate(certificate)).await.unwrap();
}

#[tokio::test]
async fn an_old_version_of_tls_can_be_refused() {
    static TLS12: Versions = &[&rustls::version::TLS12];
    let identity = Identity { versions: TLS12, ..Identity::new() };
    let server = Server::start_as(identity, |_| data(r#"{"version":"8.4.21"}"#)).await;
    let tls = Tls::pinned([server.identity.fingerprint()]);
    try_with(&server, tls.clone()).await.unwrap();
    assert_not_trusted(try_with(&server, tls.min_version(TlsVersion::V1_3)).await);
}

#[tokio::test]
async fn trusting_anybody_takes_an_explicit_word() {
    let server = server().await;
    try_with(&server, Tls::danger_accept_any_certificate()).await.unwrap();
}

#[tokio::test]
async fn a_bundle_is_read_from_a_file_or_a_folder() {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(folder.path().join("other.pem"), Identity::new().ca_pem).unwrap();
    std::fs::write(&file, &server.identity.ca_pem).unwrap();
    try_with(&server, Tls::ca_file(&file).unwrap()).await.unwrap();
    try_with(&server, Tls::ca_file(folder.path()).unwrap()).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_not_trusted(try_with(&server, Tls::ca_file(folder.path()).unwrap()).await);
}

/// Proxmox closes without TLS's farewell, and not every answer has a length.
#[tokio::test]
async fn a_whole_answer_without_length_and_farewell_is_taken_and_a_cut_one_is_not() {
    let open = |body: &str| {
        Act::SendAndCut(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").into())
    };
    let whole = r#"{"data":{"version":"8.4.21"}}"#;
    let server = Server::scripted([open(whole), open(&whole[..20]), open("")]).await;
    let client = server.client();
    assert_eq!(soon(client.version()).await.unwrap().version, "8.4.21");
    for _ in 0..2 {
        let error = soon(client.version()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
}
