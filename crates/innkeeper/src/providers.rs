//! The only place that names concrete providers.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::{Clock, InstallationId};
use provider::Provider;
use provider_pve::ProxmoxProvider;

use crate::config::{ProviderConfig, ProxmoxAccess};

/// The provider that this part of the configuration describes.
///
/// # Errors
/// When a file that it names cannot be read or makes no sense.
pub fn provider(
    config: &ProviderConfig,
    clock: Arc<dyn Clock>,
    installation: InstallationId,
) -> Result<Arc<dyn Provider>> {
    match config {
        ProviderConfig::Proxmox(proxmox) => {
            let client = proxmox_client(&proxmox.access)
                .with_context(|| format!("provider {}", proxmox.settings.name))?;
            let settings = proxmox.settings.clone();
            let provider = ProxmoxProvider::new(settings, client, clock, installation)
                .with_context(|| format!("provider {}", proxmox.settings.name))?;
            Ok(Arc::new(provider))
        }
    }
}

/// A client for a cluster.
///
/// # Errors
/// When a file that it names cannot be read or makes no sense.
pub fn proxmox_client(access: &ProxmoxAccess) -> Result<pve::Client> {
    let path = &access.token_secret_file;
    let secret = std::fs::read_to_string(path)
        .with_context(|| format!("token_secret_file: cannot read {}", path.display()))?;
    let auth = pve::Auth::token(access.token_id.clone(), secret.trim().to_owned());
    let mut endpoints = Vec::new();
    for text in &access.endpoints {
        endpoints.push(text.parse().with_context(|| format!("endpoints: {text:?}"))?);
    }
    let mut config = pve::Config::new(endpoints, auth);
    for text in &access.fingerprints {
        let pin = text.parse().with_context(|| format!("fingerprints: {text:?}"))?;
        config.tls.fingerprints.push(pin);
    }
    if let Some(path) = &access.ca_file {
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("ca_file: cannot read {}", path.display()))?;
        config.tls.ca_bundle = Some(pem);
    }
    pve::Client::new(config).context("cannot make a client")
}
