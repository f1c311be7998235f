//! What a request for an instance may say.

use std::collections::BTreeSet;

use model::{
    ByteCount, DiskSpec, Error, Flavour, Image, ImageId, InstanceSpec, Timestamp, check_tag,
};
use secrecy::ExposeSecret;

use super::CreateInstance;

/// What a request may not exceed.
pub struct InstanceLimits;

impl InstanceLimits {
    /// Cores of one instance.
    pub const CORES: u32 = 1024;
    /// The least memory of one instance.
    pub const MEMORY_LEAST: ByteCount = ByteCount::mib(16);
    /// The most memory of one instance.
    pub const MEMORY_MOST: ByteCount = ByteCount::gib(64 * 1024);
    /// The largest disk.
    pub const DISK_MOST: ByteCount = ByteCount::gib(1024 * 1024);
    /// Bytes of user data, and of a network configuration. cloud-init's sources commonly allow 64 KiB or less.
    pub const USER_DATA: usize = 64 * 1024;
    /// Disks, interfaces, groups, keys and labels of one instance, each.
    pub const PARTS: usize = 32;
    /// Devices of hosts that one instance has: Proxmox VE, the narrowest of the
    /// providers, takes 16.
    pub const DEVICES: u32 = 16;
    /// Bytes of a label's key or value.
    pub const LABEL: usize = 255;
    /// Bytes of a description. Proxmox VE, the narrowest of the providers, takes
    /// 8 KiB with the mark.
    pub const DESCRIPTION: usize = 4 * 1024;
    /// Bytes of an authorized key.
    pub const KEY: usize = 16 * 1024;
}

use InstanceLimits as Limits;

/// The spec that a request asks for.
pub(super) fn spec_of(
    request: &CreateInstance,
    image: ImageId,
    flavour: Option<&Flavour>,
) -> Result<InstanceSpec, Error> {
    let needed =
        |field: &str| Error::invalid(field, "expected a value, or a flavour that gives it");
    let mut disks = request.disks.clone();
    if let (true, Some(size)) = (disks.is_empty(), flavour.and_then(|flavour| flavour.disk)) {
        disks.push(DiskSpec { size });
    }
    Ok(InstanceSpec {
        name: request.name.clone(),
        image: Some(image),
        flavour: request.flavour,
        cores: request
            .cores
            .or(flavour.map(|flavour| flavour.cores))
            .ok_or_else(|| needed("cores"))?,
        memory: request
            .memory
            .or(flavour.map(|flavour| flavour.memory))
            .ok_or_else(|| needed("memory"))?,
        disks,
        nics: request.nics.clone(),
        devices: flavour.map(|flavour| flavour.devices.clone()).unwrap_or_default(),
        security_groups: request.security_groups.clone(),
        host: request.host.clone(),
        start: request.start,
        labels: request.labels.clone(),
        description: request.description.trim().to_owned(),
        tags: request.tags.clone(),
        protected: request.protected,
        expires_at: request.expires_at,
    })
}

/// Refuses a spec that no provider could carry out.
pub(super) fn check_spec(spec: &InstanceSpec, image: &Image) -> Result<(), Error> {
    check_size(spec)?;
    if let (Some(root), Some(size)) = (spec.disks.first(), image.size)
        && root.size < size
    {
        let message = format!("the image {} needs at least {size}, got {}", image.name, root.size);
        return Err(Error::invalid("disks[0].size", message));
    }
    Ok(())
}

/// Refuses a size that no provider could give.
pub(super) fn check_size(spec: &InstanceSpec) -> Result<(), Error> {
    if !(1..=Limits::CORES).contains(&spec.cores) {
        let message = format!("expected 1 to {}, got {}", Limits::CORES, spec.cores);
        return Err(Error::invalid("cores", message));
    }
    if !(Limits::MEMORY_LEAST..=Limits::MEMORY_MOST).contains(&spec.memory) {
        let (least, most) = (Limits::MEMORY_LEAST, Limits::MEMORY_MOST);
        let message = format!("expected {least} to {most}, got {}", spec.memory);
        return Err(Error::invalid("memory", message));
    }
    for (index, disk) in spec.disks.iter().enumerate() {
        if disk.size == ByteCount::default() || disk.size > Limits::DISK_MOST {
            let message = format!("expected up to {}, got {}", Limits::DISK_MOST, disk.size);
            return Err(Error::invalid(format!("disks[{index}].size"), message));
        }
    }
    // Only what a provider can carry out is accepted.
    if spec.disks.len() > 1 {
        return Err(Error::Unsupported {
            message: "disks: more than the root disk is not supported yet".to_owned(),
        });
    }
    Ok(())
}

/// Refuses a description that a guest could not carry beside its mark.
pub(super) fn check_description(text: &str) -> Result<(), Error> {
    if text.len() > Limits::DESCRIPTION {
        let message = format!("expected at most {} bytes, got {}", Limits::DESCRIPTION, text.len());
        return Err(Error::invalid("description", message));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Error::invalid("description", "expected text without control characters"));
    }
    if text.lines().any(|line| line.trim_start().starts_with("innkeeper")) {
        return Err(Error::invalid("description", "lines that begin with innkeeper are ours"));
    }
    Ok(())
}

/// Refuses tags that a guest could not carry.
pub(super) fn check_tags(tags: &BTreeSet<String>) -> Result<(), Error> {
    if tags.len() > Limits::PARTS {
        let message = format!("expected at most {}, got {}", Limits::PARTS, tags.len());
        return Err(Error::invalid("tags", message));
    }
    tags.iter().try_for_each(|tag| check_tag("tags", tag))
}

/// Refuses security groups that a guest could not have.
pub(super) fn check_groups(groups: &[String]) -> Result<(), Error> {
    if groups.len() > Limits::PARTS {
        let message = format!("expected at most {}, got {}", Limits::PARTS, groups.len());
        return Err(Error::invalid("security_groups", message));
    }
    for (index, name) in groups.iter().enumerate() {
        // The names that Proxmox VE, the narrowest of the providers, allows.
        let good = (2..=18).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !good {
            let field = format!("security_groups[{index}]");
            let message = "expected 2 to 18 letters, digits, '-', '_', beginning with a letter";
            return Err(Error::invalid(field, message));
        }
    }
    Ok(())
}

/// Refuses an expiry that is over.
pub(super) fn check_expiry(at: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    match at {
        Some(at) if at <= now => {
            Err(Error::invalid("expires_at", format!("expected a time after {now}, got {at}")))
        }
        _ => Ok(()),
    }
}

/// Refuses what a guest could not be given.
pub(super) fn check_guest(request: &CreateInstance) -> Result<(), Error> {
    check_description(&request.description)?;
    check_tags(&request.tags)?;
    let parts = [
        ("nics", request.nics.len()),
        ("ssh_authorized_keys", request.ssh_authorized_keys.len()),
        ("labels", request.labels.len()),
    ];
    for (field, count) in parts {
        if count > Limits::PARTS {
            let message = format!("expected at most {}, got {count}", Limits::PARTS);
            return Err(Error::invalid(field, message));
        }
    }
    check_groups(&request.security_groups)?;
    for (index, key) in request.ssh_authorized_keys.iter().enumerate() {
        let control = key.chars().any(char::is_control);
        if key.trim().is_empty() || control || key.len() > Limits::KEY {
            let message = "expected one line of an authorized_keys file, at most 16 KiB";
            return Err(Error::invalid(format!("ssh_authorized_keys[{index}]"), message));
        }
    }
    for (key, value) in &request.labels {
        if key.is_empty() || key.len() > Limits::LABEL || value.len() > Limits::LABEL {
            let message = format!("expected keys and values of at most {} bytes", Limits::LABEL);
            return Err(Error::invalid("labels", message));
        }
    }
    for (field, text) in [
        ("user_data", &request.user_data),
        ("meta_data", &request.meta_data),
        ("network_config", &request.network_config),
    ] {
        let length = text.as_ref().map_or(0, |text| text.expose_secret().len());
        if length > Limits::USER_DATA {
            let message = format!("expected at most {} bytes, got {length}", Limits::USER_DATA);
            return Err(Error::invalid(field, message));
        }
    }
    Ok(())
}
