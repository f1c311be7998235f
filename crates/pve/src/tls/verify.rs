//! How a server's certificate is judged.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Fingerprint, Tls};
use crate::Error;

/// What `tls` asks for.
pub(super) fn verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let pinned = !tls.fingerprints.is_empty();
    let direct = |pins, chain| {
        let algorithms = provider.signature_verification_algorithms;
        Ok(Arc::new(DirectVerifier { pins, chain, algorithms }) as Arc<dyn ServerCertVerifier>)
    };
    if tls.danger_accept_any_certificate {
        if pinned || tls.ca_bundle.is_some() {
            return Err(Error::Config(
                "tls.danger_accept_any_certificate: contradicts tls.ca_bundle and tls.fingerprints"
                    .into(),
            ));
        }
        return direct(None, None);
    }
    match &tls.ca_bundle {
        Some(pem) if pinned => {
            direct(Some(tls.fingerprints.clone()), Some(ca_verifier(pem, provider)?))
        }
        Some(pem) => ca_verifier(pem, provider),
        None if pinned => direct(Some(tls.fingerprints.clone()), None),
        None => system_verifier(provider),
    }
}

fn system_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    rustls_platform_verifier::Verifier::new(provider.clone())
        .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
        .map_err(|error| Error::Config(format!("tls: the system's roots: {error}")))
}

fn ca_verifier(
    pem: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let fail = |what: String| Error::Config(format!("tls.ca_bundle: {what}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fail("holds no PEM certificate".into()));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| fail(error.to_string()))?;
    Ok(verifier)
}

/// The server showed another certificate than a pinned one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's certificate has the fingerprint {found}, expected {}", Pins(.expected))]
pub(crate) struct PinMismatch {
    /// What the server showed.
    found: Fingerprint,
    /// What would be accepted.
    expected: Vec<Fingerprint>,
}

struct Pins<'a>(&'a [Fingerprint]);

impl fmt::Display for Pins<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pin) in self.0.iter().enumerate() {
            write!(f, "{}{pin}", if index == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}

/// Compares the server's own certificate with the pins, if there are any. That
/// it owns the certificate's key is proven by the handshake's signature as
/// usual.
#[derive(Debug)]
struct DirectVerifier {
    /// None: any certificate will do.
    pins: Option<Vec<Fingerprint>>,
    chain: Option<Arc<dyn ServerCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for DirectVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Fingerprint::of_der(end_entity);
        if let Some(pins) = self.pins.as_ref().filter(|pins| !pins.contains(&found)) {
            let mismatch = PinMismatch { found, expected: pins.clone() };
            return Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into());
        }
        match &self.chain {
            None => Ok(ServerCertVerified::assertion()),
            Some(chain) => {
                chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
