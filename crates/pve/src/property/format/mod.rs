//! What Proxmox knows about its property strings, as data: keys, types,
//! ranges, aliases, and the releases that have them.
//!
//! `generated.json` comes from the schemas of the releases 6.4, 7.4, 8.4 and
//! 9.2 (`cargo xtask pve-formats`); `named.json` holds the formats that those
//! schemas only name.

mod check;
mod print;
mod table;
mod value;

#[cfg(test)]
mod tests;

use super::PropertyString;
pub(crate) use table::RawKey;
pub use table::{Format, Key, KeyKind};
pub(crate) use value::{expected, fits};

impl crate::Release {
    /// The oldest release whose formats are known.
    pub const V6_4: Self = Self::new(6, 4);
    /// Release 7.4.
    pub const V7_4: Self = Self::new(7, 4);
    /// Release 8.4.
    pub const V8_4: Self = Self::new(8, 4);
    /// The newest release whose formats and methods are known.
    pub const V9_2: Self = Self::new(9, 2);

    /// The newest known release that is not newer than this one: what its
    /// formats and methods are judged by. Older ones count as 6.4.
    #[must_use]
    pub fn known(self) -> Self {
        // What came with a minor release is known by the last one of its
        // major release only.
        match self.major {
            0..=6 => Self::V6_4,
            7 => Self::V7_4,
            8 => Self::V8_4,
            _ => Self::V9_2,
        }
    }
}

impl Format {
    /// All formats.
    pub fn all() -> &'static [Self] {
        table::formats()
    }

    /// A format by its name: `qemu/net`, `lxc/mp`, `cluster/crs`,
    /// `backup/prune-backups`.
    pub fn named(name: &str) -> Option<&'static Self> {
        let formats = Self::all();
        let place = formats.binary_search_by(|format| format.name().cmp(name)).ok()?;
        formats.get(place)
    }

    /// The format of an option: `Format::of("qemu", "scsi12")`. The groups are
    /// `qemu`, `lxc`, `storage`, `node`, `cluster`, `backup` and `access`.
    pub fn of(group: &str, option: &str) -> Option<&'static Self> {
        let find = |option: &str| Self::named(&format!("{group}/{option}"));
        find(option).or_else(|| {
            let word = option.trim_end_matches(|c: char| c.is_ascii_digit());
            // `rng0` is an option without a number, `net0` one with.
            (word != option).then(|| find(word)).flatten()
        })
    }

    /// Names and values, with aliases resolved and the default key named.
    ///
    /// # Errors
    /// When a key occurs twice, through its aliases for example, or there is a
    /// value without a name and no default key.
    pub(crate) fn resolve<'a>(
        &'a self,
        string: &'a PropertyString,
    ) -> Result<Vec<(&'a str, &'a str)>, super::PropertyError> {
        use super::PropertyError;
        let mut found: Vec<(&str, &str)> = Vec::new();
        let mut put = |name: &'a str, value: &'a str| {
            if found.iter().any(|(known, _)| *known == name) {
                return Err(PropertyError::Duplicate(name.to_owned()));
            }
            found.push((name, value));
            Ok(())
        };
        for (name, value) in string.iter() {
            let Some(name) = name else {
                let key = self.default_key().ok_or_else(|| PropertyError::NoDefault {
                    format: self.name().to_owned(),
                    value: value.to_owned(),
                })?;
                put(key.name(), value)?;
                continue;
            };
            match self.key(name) {
                Some(key) => {
                    if let Some(named) = key.key_alias() {
                        put(named, key.name())?;
                    }
                    put(key.alias().unwrap_or(key.name()), value)?;
                }
                None => put(name, value)?,
            }
        }
        Ok(found)
    }

    /// The value of a key, wherever it stands: `model` of `virtio=AA:…`.
    pub fn get<'a>(&'a self, string: &'a PropertyString, name: &str) -> Option<&'a str> {
        if let Some(value) = string.get(name) {
            return Some(value);
        }
        let resolved = self.resolve(string).ok()?;
        resolved.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}
