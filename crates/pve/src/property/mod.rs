//! Property strings: `local:100/vm-100-disk-0.qcow2,size=32G,ssd=1`.
//!
//! [`PropertyString`] keeps everything, in order; the other types are views on
//! it that know the names of one format. Reading and printing gives the text
//! back. Proxmox prints them in an order of its own, so compare values, never
//! text.

mod disk;
mod nic;
mod small;
mod smbios;

use std::fmt;
use std::str::FromStr;

pub use disk::{Disk, DiskSize};
pub use nic::{NIC_MODELS, Nic};
pub use small::{Agent, Boot, IpConfig, Serial, Startup, Vga};
pub use smbios::Smbios1;

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

/// A newtype over [`PropertyString`] with a check at reading.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub(super) $crate::property::PropertyString);

        impl $name {
            /// Everything in it, unknown parts included.
            pub fn properties(&self) -> &$crate::property::PropertyString {
                &self.0
            }

            /// Everything in it, to change. Parts that this type has no method
            /// for are set here.
            pub fn properties_mut(&mut self) -> &mut $crate::property::PropertyString {
                &mut self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::property::PropertyError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let view = Self(text.parse()?);
                let check: fn(&Self) -> Result<(), Self::Err> = $check;
                check(&view)?;
                Ok(view)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
pub(crate) use view;

#[cfg(test)]
mod tests;
