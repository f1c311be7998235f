//! Property strings: `local:100/vm-100-disk-0.qcow2,size=32G,ssd=1`.
//!
//! [`PropertyString`] keeps everything, in order, unknown keys included; the
//! other types are views on it that know the names of one format. [`Format`] is
//! what Proxmox knows about each format: it checks a string for a release and
//! prints it as Proxmox prints it. Options that Proxmox itself reads and prints
//! (disks, interfaces, mount points) print that way by themselves; others it
//! stores as they were sent, and so do the views. Compare values, never text.

mod container;
mod disk;
mod format;
mod guest;
mod nic;
mod services;
mod small;
mod smbios;
mod texts;
mod volume;

use std::fmt;
use std::str::FromStr;

pub use container::{Device, Features, LxcNic, MountPoint, Rootfs};
pub use disk::{Disk, DiskSize, DiskSource};
pub use format::{Format, Key, KeyKind};
pub(crate) use format::{RawKey, expected, fits};
pub use guest::{
    AmdSev, Audio, CiCustom, Cpu, EfiDisk, HostPci, IntelTdx, Ivshmem, Machine, Memory, Meta, Numa,
    Parallel, Rng, SpiceEnhancements, TpmState, Usb, VirtioFs, Watchdog,
};
pub use nic::{NIC_MODELS, Nic};
pub use services::{
    Acme, AcmeDomain, BandwidthLimits, Crs, DomainTfa, Fleecing, HaSettings, Location, Migration,
    NextId, Notify, Performance, PruneBackups, ReplicationSettings, TagStyle, U2f, UserTagAccess,
    WakeOnLan, WebAuthn,
};
pub use small::{Agent, Boot, IpConfig, Serial, Startup, Vga};
pub use smbios::Smbios1;
pub use texts::{Tags, decode_ssh_keys, encode_ssh_keys};
pub use volume::{GuestVolume, VolumeId, VolumeKind};

use crate::params::ParamValue;

/// The longest text that is read, in bytes. Proxmox's own limits are far below.
const MAX_LEN: usize = 64 * 1024;

/// Why a text is no property string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// `=value` without a name.
    #[error("'{0}' has no name before the '='")]
    NoName(String),
    /// A name occurs twice.
    #[error("'{0}' occurs twice")]
    Duplicate(String),
    /// Two parts without a name.
    #[error("only one part may have no name, found '{0}' and '{1}'")]
    TwoBare(String, String),
    /// The text is longer than anything that Proxmox writes.
    #[error("{0} bytes are too long")]
    TooLong(usize),
    /// A part that the format requires is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value cannot be read.
    #[error("{name}: '{value}' is not {expected}")]
    Value {
        /// The part's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A value without a name, in a format that has no default key.
    #[error("'{value}' needs a name: {format} has no default key")]
    NoDefault {
        /// The format.
        format: String,
        /// The value.
        value: String,
    },
    /// A key that the format does not have.
    #[error("{format} has no key '{key}'{}", nearest.as_ref().map(|name| format!(", did you mean '{name}'?")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// The format.
        format: String,
        /// The known key that is most like it.
        nearest: Option<String>,
    },
    /// A key that another release has, but not this one.
    #[error("release {release} has no key '{key}'")]
    Release {
        /// The key.
        key: String,
        /// The release.
        release: crate::Release,
    },
    /// A key that must be there is not.
    #[error("{0} is missing")]
    Absent(String),
    /// A value is not what the key wants.
    #[error("{key}: '{value}' is not {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A key that may not be without another one.
    #[error("{key} needs {needed}")]
    Requires {
        /// The key.
        key: String,
        /// The other one.
        needed: String,
    },
    /// A name or value holds a character that would break the format.
    #[error("'{0}' must not contain commas or line ends, nor '=' in a name")]
    Separator(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Part {
    /// `None` for the value of the format's default key.
    name: Option<String>,
    value: String,
}

/// Named values separated by commas, at most one of them without its name.
///
/// ```
/// use pve::property::PropertyString;
/// let mut disk: PropertyString = "local:100/a.qcow2,size=2G,new-in-pve-10=x".parse()?;
/// assert_eq!(disk.bare(), Some("local:100/a.qcow2"));
/// assert_eq!(disk.get("size"), Some("2G"));
/// disk.set("ssd", true)?;
/// assert_eq!(disk.to_string(), "local:100/a.qcow2,size=2G,new-in-pve-10=x,ssd=1");
/// # Ok::<(), pve::property::PropertyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PropertyString(Vec<Part>);

impl PropertyString {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let part = self.0.iter().find(|part| part.name.as_deref() == Some(name))?;
        Some(&part.value)
    }

    /// The value of `name` as a boolean in any of Proxmox's spellings.
    pub fn flag(&self, name: &str) -> Option<bool> {
        crate::lenient::parse_bool(self.get(name)?)
    }

    /// The value of `name`, read into a type.
    pub fn parse<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// The part without a name: the value of the format's default key.
    pub fn bare(&self) -> Option<&str> {
        let part = self.0.iter().find(|part| part.name.is_none())?;
        Some(&part.value)
    }

    /// The first of `names` that is there, with its value; `""` stands for the
    /// part without a name.
    pub(crate) fn first_of(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| match *name {
            "" => self.bare(),
            name => self.get(name),
        })
    }

    /// Sets `name`, where it stands or at the end.
    ///
    /// # Errors
    /// [`PropertyError::Separator`] when name or value would break the format.
    pub fn set(&mut self, name: &str, value: impl ParamValue) -> Result<(), PropertyError> {
        let value = value.to_text();
        if name.is_empty() || name.contains(['=', ',', '\n', '\r']) || name.trim() != name {
            return Err(PropertyError::Separator(name.to_owned()));
        }
        check_value(&value)?;
        self.put(Some(name), value);
        Ok(())
    }

    /// Sets the part without a name, which stands first when it is new.
    ///
    /// # Errors
    /// [`PropertyError::Separator`] when the value would break the format; one
    /// with a `=` would read as a name.
    pub fn set_bare(&mut self, value: impl ParamValue) -> Result<(), PropertyError> {
        let value = value.to_text();
        check_value(&value)?;
        if value.is_empty() || value.contains('=') {
            return Err(PropertyError::Separator(value));
        }
        self.put(None, value);
        Ok(())
    }

    fn put(&mut self, name: Option<&str>, value: String) {
        let found = self.0.iter_mut().find(|part| part.name.as_deref() == name);
        match (found, name) {
            (Some(part), _) => part.value = value,
            (None, Some(name)) => self.0.push(Part { name: Some(name.to_owned()), value }),
            (None, None) => self.0.insert(0, Part { name: None, value }),
        }
    }

    /// Takes `name` out and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|part| part.name.as_deref() == Some(name))?;
        Some(self.0.remove(index).value)
    }

    /// Names and values in order; the name is `None` for the default key.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let parts = self.0.iter();
        parts.map(|part| (part.name.as_deref(), part.value.as_str()))
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same names with the same values, in whatever order?
    pub fn same_as(&self, other: &Self) -> bool {
        let sorted = |string: &Self| {
            let mut parts: Vec<(Option<String>, String)> = string
                .iter()
                .map(|(name, value)| (name.map(str::to_owned), value.to_owned()))
                .collect();
            parts.sort();
            parts
        };
        sorted(self) == sorted(other)
    }
}

fn check_value(value: &str) -> Result<(), PropertyError> {
    // Blanks at the ends would not survive the way back.
    if value.contains([',', '\n', '\r']) || value.trim() != value {
        return Err(PropertyError::Separator(value.to_owned()));
    }
    Ok(())
}

impl FromStr for PropertyString {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<Self, PropertyError> {
        if text.len() > MAX_LEN {
            return Err(PropertyError::TooLong(text.len()));
        }
        let mut string = Self::new();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        for part in parts {
            match part.split_once('=') {
                Some(("", _)) => return Err(PropertyError::NoName(part.to_owned())),
                Some((name, value)) => {
                    let name = name.trim_end();
                    if string.get(name).is_some() {
                        return Err(PropertyError::Duplicate(name.to_owned()));
                    }
                    string.put(Some(name), value.trim_start().to_owned());
                }
                None => match string.bare() {
                    Some(first) => {
                        return Err(PropertyError::TwoBare(first.to_owned(), part.to_owned()));
                    }
                    None => string.0.push(Part { name: None, value: part.to_owned() }),
                },
            }
        }
        Ok(string)
    }
}

impl fmt::Display for PropertyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match &part.name {
                Some(name) => write!(f, "{name}={}", part.value)?,
                None => f.write_str(&part.value)?,
            }
        }
        Ok(())
    }
}

/// A newtype over [`PropertyString`] for one format, with a check at reading.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident, $format:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub(super) $crate::property::PropertyString);

        impl $name {
            /// The format's name in the table.
            pub const FORMAT: &str = $format;

            /// Everything in it, unknown parts included.
            pub fn properties(&self) -> &$crate::property::PropertyString {
                &self.0
            }

            /// Everything in it, to change. Parts that this type has no method
            /// for are set here.
            pub fn properties_mut(&mut self) -> &mut $crate::property::PropertyString {
                &mut self.0
            }

            /// What Proxmox knows about the format.
            pub fn format_table() -> &'static $crate::property::Format {
                #[allow(clippy::expect_used, reason = "a test reads every view's format")]
                $crate::property::Format::named(Self::FORMAT).expect("the table has the format")
            }

            /// The value of a key, by any of its names.
            pub fn value(&self, name: &str) -> Option<&str> {
                Self::format_table().get(&self.0, name)
            }

            /// Would this release accept it?
            ///
            /// # Errors
            /// The first fault, with the key and what was expected.
            pub fn check(
                &self,
                release: $crate::Release,
            ) -> Result<(), $crate::property::PropertyError> {
                Self::format_table().check(&self.0, release)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::property::PropertyError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let view = Self(text.parse()?);
                Self::format_table().resolve(&view.0)?;
                let check: fn(&Self) -> Result<(), Self::Err> = $check;
                check(&view)?;
                Ok(view)
            }
        }

        /// As Proxmox prints it, or in the order in which it was set where
        /// Proxmox stores it as it was sent.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let format = Self::format_table();
                match format.is_reprinted() {
                    true => f.write_str(&format.print(&self.0)),
                    false => self.0.fmt(f),
                }
            }
        }

        impl $crate::ParamValue for $name {
            fn to_text(&self) -> String {
                self.to_string()
            }
        }
    };
}
pub(crate) use view;

/// A view with a method per key, and `with` for all of them.
macro_rules! typed {
    (
        $(#[$doc:meta])*
        $name:ident = $format:literal {
            $( $(#[$kdoc:meta])* $field:ident : $kind:ident $key:literal, )*
        }
    ) => {
        $crate::property::view! { $(#[$doc])* $name, $format, |_| Ok(()) }

        impl $name {
            $( $crate::property::getter! { $(#[$kdoc])* $field $kind $key } )*

            /// With `name` set to `value`; any key, known here or not.
            ///
            /// # Errors
            /// [`PropertyError::Separator`](crate::property::PropertyError::Separator)
            /// when it would break the format.
            pub fn with(
                mut self,
                name: &str,
                value: impl $crate::ParamValue,
            ) -> Result<Self, $crate::property::PropertyError> {
                $crate::property::put(&mut self.0, Self::format_table(), name, value.to_text())?;
                Ok(self)
            }
        }
    };
}
pub(crate) use typed;

/// A method of a view that reads one key.
macro_rules! getter {
    ($(#[$doc:meta])* $field:ident text $key:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> Option<&str> {
            self.value($key)
        }
    };
    ($(#[$doc:meta])* $field:ident flag $key:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> Option<bool> {
            $crate::lenient::parse_bool(self.value($key)?)
        }
    };
    // Items with semicolons between them.
    ($(#[$doc:meta])* $field:ident list $key:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> Vec<&str> {
            let items = self.value($key).unwrap_or_default().split(';');
            items.map(str::trim).filter(|item| !item.is_empty()).collect()
        }
    };
    ($(#[$doc:meta])* $field:ident $kind:ident $key:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> Option<$crate::property::scalar!($kind)> {
            self.value($key)?.parse().ok()
        }
    };
}
pub(crate) use getter;

macro_rules! scalar {
    (uint) => {
        u64
    };
    (number) => {
        f64
    };
    (size) => {
        $crate::property::DiskSize
    };
    (volume) => {
        $crate::property::VolumeId
    };
}
pub(crate) use scalar;

/// A new view whose default key has this value.
macro_rules! of_default {
    ($value:expr) => {{
        let mut properties = $crate::property::PropertyString::new();
        properties.set_bare($value)?;
        Ok(Self(properties))
    }};
}
pub(crate) use of_default;

/// Sets a key where it stands: the default key without its name, if it is so
/// written, and an alias under its own name.
fn put(
    string: &mut PropertyString,
    format: &Format,
    name: &str,
    value: String,
) -> Result<(), PropertyError> {
    let default = format.default_key().is_some_and(|key| key.name() == name);
    if default && string.get(name).is_none() && !value.is_empty() && !value.contains('=') {
        return string.set_bare(value);
    }
    let known = |key: &&Key| key.alias() == Some(name) && string.get(key.name()).is_some();
    let written = format.keys().iter().find(known).map_or(name, Key::name);
    string.set(written, value)
}

#[cfg(test)]
mod tests;
