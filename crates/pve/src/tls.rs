//! Which servers to trust: the system's roots, a CA bundle, pinned
//! fingerprints, or a CA bundle and fingerprints at once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Error, ParseError};

/// Which servers to trust.
///
/// | `ca_bundle` | `fingerprints` | trusted |
/// |---|---|---|
/// | – | – | what the system trusts, for the host's name |
/// | given | – | what that CA signed, for the host's name |
/// | – | given | these certificates; name, signer and expiry do not matter |
/// | given | given | both must hold |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM text with one or more CA certificates.
    pub ca_bundle: Option<String>,
    /// SHA-256 fingerprints of server certificates, one per node for example.
    pub fingerprints: Vec<Fingerprint>,
}

impl Tls {
    /// Trust what this CA signed.
    pub fn ca_bundle(pem: impl Into<String>) -> Self {
        Self { ca_bundle: Some(pem.into()), fingerprints: Vec::new() }
    }

    /// Trust these certificates only.
    pub fn pinned(fingerprints: impl IntoIterator<Item = Fingerprint>) -> Self {
        Self { ca_bundle: None, fingerprints: fingerprints.into_iter().collect() }
    }

    /// The configuration for rustls.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain: Option<Arc<dyn ServerCertVerifier>> =
            match (&self.ca_bundle, self.fingerprints.is_empty()) {
                (Some(pem), _) => Some(ca_verifier(pem, &provider)?),
                (None, true) => Some(system_verifier(&provider)?),
                (None, false) => None,
            };
        let verifier: Arc<dyn ServerCertVerifier> = match chain {
            Some(chain) if self.fingerprints.is_empty() => chain,
            chain => Arc::new(PinVerifier {
                pins: self.fingerprints.clone(),
                chain,
                algorithms: provider.signature_verification_algorithms,
            }),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Config(format!("tls: {error}")))?;
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
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

/// The SHA-256 of a certificate. Written as Proxmox shows it: 32 pairs of hex
/// digits separated by colons; reading takes any case, and no colons too.
///
/// ```
/// let text = "AB:".repeat(31) + "0F";
/// let pin: pve::Fingerprint = text.to_lowercase().parse()?;
/// assert_eq!(pin.to_string(), text);
/// # Ok::<(), pve::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    pub fn of_der(der: &[u8]) -> Self {
        let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, der);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = || ParseError::new(text, "a SHA-256 fingerprint (32 hex pairs)");
        let digits: String = text.trim().split(':').collect();
        let colons = text.trim().split(':').count();
        let proper = digits.len() == 64
            && digits.bytes().all(|c| c.is_ascii_hexdigit())
            && matches!(colons, 1 | 32);
        if !proper {
            return Err(fail());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let pair = digits.get(2 * index..2 * index + 2).ok_or_else(fail)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| fail())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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

/// Compares the server's own certificate with the pins. That it owns the
/// certificate's key is proven by the handshake's signature as usual.
#[derive(Debug)]
struct PinVerifier {
    pins: Vec<Fingerprint>,
    chain: Option<Arc<dyn ServerCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Fingerprint::of_der(end_entity);
        if !self.pins.contains(&found) {
            let mismatch = PinMismatch { found, expected: self.pins.clone() };
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fingerprints_read_in_both_forms() {
        let bare = "0123456789abcdef".repeat(4);
        let pin: Fingerprint = bare.parse().unwrap();
        assert!(pin.to_string().starts_with("01:23:45:67:89:AB:CD:EF:01"));
        assert_eq!(pin.to_string().parse::<Fingerprint>().unwrap(), pin);
        for bad in ["", "01:23", &bare[1..], &bare.replace('0', "g"), &format!("{bare}:")] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        let error = Tls::ca_bundle("hello").client_config().unwrap_err();
        assert!(error.to_string().contains("tls.ca_bundle"), "{error}");
    }
}
