//! The server's self-signed certificate.

use std::sync::Arc;

use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate and what a client needs to trust it.
pub(crate) struct Identity {
    pub config: Arc<rustls::ServerConfig>,
    /// SHA-256 of the certificate: `AB:CD:…`.
    pub fingerprint: String,
    /// The certificate in PEM form.
    pub pem: String,
}

/// Makes a new certificate for localhost.
pub(crate) fn identity() -> Result<Identity, String> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| format!("cannot make a certificate: {error}"))?;
    let certificate = made.cert.der().clone();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate);
    let fingerprint: Vec<String> =
        digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(|error| format!("cannot set up TLS: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity {
        config: Arc::new(config),
        fingerprint: fingerprint.join(":"),
        pem: made.cert.pem(),
    })
}
