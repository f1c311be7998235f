//! Which servers to trust, and how to show who we are to them.

mod fingerprint;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};

pub use fingerprint::Fingerprint;
pub(crate) use verify::PinMismatch;

use crate::Error;

/// The most that is read from a file or folder of CA certificates: 4 MiB. The
/// bundle of a whole operating system has about 0.25 MiB.
const BUNDLE_LIMIT: u64 = 4 * 1024 * 1024;

/// Which servers to trust, and how to show who we are.
///
/// | `ca_bundle` | `fingerprints` | trusted |
/// |---|---|---|
/// | – | – | what the system trusts, for the host's name |
/// | given | – | what that CA signed, for the host's name |
/// | – | given | these certificates; name, signer and expiry do not matter |
/// | given | given | both must hold |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// PEM text with one or more CA certificates.
    pub ca_bundle: Option<String>,
    /// SHA-256 fingerprints of server certificates, one per node for example.
    pub fingerprints: Vec<Fingerprint>,
    /// The certificate to show to a server that asks for one: a gateway in
    /// front of the cluster, for example. Proxmox VE itself does not.
    pub client_certificate: Option<ClientCertificate>,
    /// The oldest version of TLS to speak: 1.2 unless set.
    pub min_version: TlsVersion,
    /// Trust whoever answers. Anybody on the way can then read the password or
    /// the token: for experiments only. Not together with `ca_bundle` or
    /// `fingerprints`.
    pub danger_accept_any_certificate: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, which every release of Proxmox VE speaks.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// A certificate of ours and its key.
#[derive(Clone)]
pub struct ClientCertificate {
    chain: String,
    key: SecretString,
}

impl ClientCertificate {
    /// `chain` is PEM text: our certificate first, then what signed it. `key`
    /// is PEM text: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub fn from_pem(chain: impl Into<String>, key: impl Into<SecretString>) -> Self {
        Self { chain: chain.into(), key: key.into() }
    }

    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let fail = |what: String| Error::Config(format!("tls.client_certificate: {what}"));
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect();
        let chain = chain.map_err(|error| fail(error.to_string()))?;
        if chain.is_empty() {
            return Err(fail("holds no PEM certificate".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret().as_bytes())
            .map_err(|_| fail("the key is not an unencrypted private key in PEM form".into()))?;
        Ok((chain, key))
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl Eq for ClientCertificate {}

/// Without the key.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Tls {
    /// Trust what this CA signed.
    pub fn ca_bundle(pem: impl Into<String>) -> Self {
        Self { ca_bundle: Some(pem.into()), ..Self::default() }
    }

    /// Trust what the CAs in this file signed, or in all files of this folder.
    /// It is read now, and not looked at again.
    ///
    /// # Errors
    /// [`Error::Config`] names `tls.ca_bundle` when something cannot be read
    /// or is larger than 4 MiB in all. Whether it makes sense shows when the
    /// client is built.
    pub fn ca_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let fail =
            |what: String| Error::Config(format!("tls.ca_bundle: {}: {what}", path.display()));
        let text = read_bundle(path).map_err(|error| fail(error.to_string()))?;
        Ok(Self::ca_bundle(text))
    }

    /// Trust these certificates only.
    pub fn pinned(fingerprints: impl IntoIterator<Item = Fingerprint>) -> Self {
        Self { fingerprints: fingerprints.into_iter().collect(), ..Self::default() }
    }

    /// Trust whoever answers; see [`Tls::danger_accept_any_certificate`].
    pub fn danger_accept_any_certificate() -> Self {
        Self { danger_accept_any_certificate: true, ..Self::default() }
    }

    /// The same, and show this certificate.
    #[must_use]
    pub fn client_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.client_certificate = Some(certificate);
        self
    }

    /// The same, with nothing older than `version`.
    #[must_use]
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// The configuration for rustls.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verify::verifier(self, &provider)?;
        let versions: &[&rustls::SupportedProtocolVersion] = match self.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| Error::Config(format!("tls: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let Some(certificate) = &self.client_certificate else {
            return Ok(builder.with_no_client_auth());
        };
        let (chain, key) = certificate.read()?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| Error::Config(format!("tls.client_certificate: {error}")))
    }
}

/// The text of a file, or of all files in a folder, one after the other.
fn read_bundle(path: &Path) -> std::io::Result<String> {
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let file = entry?.path();
            if file.is_file() {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    let (mut text, mut left) = (String::new(), BUNDLE_LIMIT);
    for file in files {
        let size = std::fs::metadata(&file)?.len();
        left = left.checked_sub(size).ok_or_else(|| {
            std::io::Error::other(format!("more than {BUNDLE_LIMIT} bytes of certificates"))
        })?;
        text.push_str(&String::from_utf8_lossy(&std::fs::read(&file)?));
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(tls: &Tls) -> String {
        tls.client_config().unwrap_err().to_string()
    }

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        let error = refusal(&Tls::ca_bundle("hello"));
        assert!(error.contains("tls.ca_bundle"), "{error}");
        let error = Tls::ca_file("/nowhere/ca.pem").unwrap_err().to_string();
        assert!(error.contains("tls.ca_bundle: /nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn trusting_anybody_and_somebody_at_once_is_refused() {
        let mut tls = Tls::danger_accept_any_certificate();
        tls.fingerprints.push(Fingerprint::of_der(b"x"));
        let error = refusal(&tls);
        assert!(error.contains("tls.danger_accept_any_certificate"), "{error}");
    }

    #[test]
    fn unusable_client_certificates_are_refused_without_quoting_the_key() {
        let tls = |chain: &str| {
            Tls::pinned([]).client_certificate(ClientCertificate::from_pem(chain, "hush"))
        };
        let error = refusal(&tls("hello"));
        assert!(error.contains("tls.client_certificate"), "{error}");
        assert!(!format!("{:?}", tls("hello")).contains("hush"));
    }
}
