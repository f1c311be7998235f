//! Flavours: create, delete, list.

use std::sync::Arc;

use model::{ByteCount, Caller, DeviceRequest, Error, Flavour, FlavourId, Role};
use store::Change;

use super::audit::Asked;
use super::{InstanceLimits, public};
use crate::house::House;

/// A flavour to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFlavour {
    /// Its name, unique.
    pub name: String,
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: ByteCount,
    /// The root disk; `None` keeps the image's.
    pub disk: Option<ByteCount>,
    /// Devices of the host.
    pub devices: Vec<DeviceRequest>,
}

impl House {
    /// All flavours, from memory.
    pub fn flavours(&self, _caller: &Caller) -> Vec<Arc<Flavour>> {
        self.core.read_model.flavours()
    }

    /// Adds a flavour.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] naming the field; [`Error::AlreadyExists`];
    /// [`Error::Forbidden`] unless an administrator asks.
    pub async fn create_flavour(
        &self,
        caller: &Caller,
        request: NewFlavour,
    ) -> Result<Flavour, Error> {
        let flavour = Flavour {
            id: FlavourId::generate(&*self.core.clock, &*self.core.random),
            name: request.name,
            cores: request.cores,
            memory: request.memory,
            disk: request.disk,
            devices: request.devices,
        };
        self.take_over_flavour(caller, flavour.clone()).await?;
        Ok(flavour)
    }

    /// Removes a flavour. Instances that were made with it keep their sizes.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] unless an administrator asks.
    pub async fn delete_flavour(&self, caller: &Caller, id: FlavourId) -> Result<(), Error> {
        caller.require(Role::Admin)?;
        if self.core.read_model.flavour(id).is_none() {
            return Err(Error::not_found("flavour", id));
        }
        let target = id.to_string();
        let asked = Asked { action: "flavour.delete", target: &target, operation: None };
        self.commit(caller, asked, vec![Change::RemoveFlavour(id)]).await.map_err(public)?;
        self.caught_up().await;
        Ok(())
    }
}

pub(super) fn check(request: &Flavour) -> Result<(), Error> {
    use InstanceLimits as Limits;
    let name = &request.name;
    if name.is_empty() || name.chars().count() > 63 || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "expected 1 to 63 printable characters"));
    }
    if !(1..=Limits::CORES).contains(&request.cores) {
        let message = format!("expected 1 to {}, got {}", Limits::CORES, request.cores);
        return Err(Error::invalid("cores", message));
    }
    if !(Limits::MEMORY_LEAST..=Limits::MEMORY_MOST).contains(&request.memory) {
        let (least, most) = (Limits::MEMORY_LEAST, Limits::MEMORY_MOST);
        let message = format!("expected {least} to {most}, got {}", request.memory);
        return Err(Error::invalid("memory", message));
    }
    if let Some(disk) = request.disk
        && (disk == ByteCount::default() || disk > Limits::DISK_MOST)
    {
        let message = format!("expected up to {}, got {disk}", Limits::DISK_MOST);
        return Err(Error::invalid("disk", message));
    }
    let plain = |text: &str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let mut total = 0u32;
    for (index, device) in request.devices.iter().enumerate() {
        if !plain(&device.name) || !device.part.as_deref().is_none_or(plain) {
            let message = "expected letters, digits, '-', '_' and '.', at most 128 of them";
            return Err(Error::invalid(format!("devices[{index}].name"), message));
        }
        total = total.saturating_add(device.count);
        if device.count == 0 || total > Limits::DEVICES {
            let message = format!("expected 1 to {} devices together", Limits::DEVICES);
            return Err(Error::invalid(format!("devices[{index}].count"), message));
        }
    }
    Ok(())
}
