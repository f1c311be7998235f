//! The only place that names concrete providers.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::{Clock, InstallationId};
use provider::Provider;
use provider_pve::ProxmoxProvider;
use secrecy::ExposeSecret as _;

use crate::config::{ProviderConfig, ProxmoxAccess};

/// The provider that this part of the configuration describes.
///
/// # Errors
/// When a file that it names cannot be read or makes no sense.
pub fn provider(
    config: &ProviderConfig,
    clock: Arc<dyn Clock>,
    installation: InstallationId,
) -> Result<Connected> {
    match config {
        ProviderConfig::Proxmox(proxmox) => {
            let client = proxmox_client(&proxmox.access)
                .with_context(|| format!("provider {}", proxmox.settings.name))?;
            let settings = proxmox.settings.clone();
            let provider = ProxmoxProvider::new(settings, client, clock, installation)
                .with_context(|| format!("provider {}", proxmox.settings.name))?;
            Ok(Connected::Proxmox(Arc::new(provider)))
        }
    }
}

/// A provider whose access can be replaced while it works.
#[derive(Clone)]
pub enum Connected {
    /// A Proxmox VE cluster.
    Proxmox(Arc<ProxmoxProvider>),
}

impl Connected {
    /// It as the house knows it.
    pub fn provider(&self) -> Arc<dyn Provider> {
        match self {
            Self::Proxmox(provider) => Arc::clone(provider) as Arc<dyn Provider>,
        }
    }

    /// What takes over the access of this configuration (token, certificates,
    /// endpoints). Its files have been read; nothing has changed yet.
    ///
    /// # Errors
    /// When a file that it names cannot be read or makes no sense.
    pub fn reconnection(&self, config: &ProviderConfig) -> Result<Box<dyn FnOnce() + Send>> {
        let (Self::Proxmox(provider), ProviderConfig::Proxmox(proxmox)) = (self, config);
        let client = proxmox_client(&proxmox.access)
            .with_context(|| format!("provider {}", proxmox.settings.name))?;
        let provider = Arc::clone(provider);
        Ok(Box::new(move || provider.reconnect(client)))
    }
}

/// A client for a cluster.
///
/// # Errors
/// When a file that it names cannot be read or makes no sense.
pub fn proxmox_client(access: &ProxmoxAccess) -> Result<pve::Client> {
    let secret = access.token_secret().read()?.context("token_secret_file: got none")?;
    let auth = pve::Auth::token(access.token_id.clone(), secret.expose_secret().to_owned());
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
