//! Is a property string what a release accepts?

use super::{Format, Key, value};
use crate::Release;
use crate::property::{PropertyError, PropertyString};

impl Format {
    /// Would this release accept the string? Values are judged by type, words,
    /// range, pattern and, where it is known, by what they must be.
    ///
    /// # Errors
    /// The first fault, with the key and what was expected: an unknown key with
    /// the nearest known one, a key of another release, a value that cannot
    /// be, a key that is missing.
    pub fn check(&self, string: &PropertyString, release: Release) -> Result<(), PropertyError> {
        for name in string.iter().filter_map(|(name, _)| name) {
            match self.key(name) {
                None => return Err(self.unknown(name)),
                Some(key) if !key.is_in(release) => {
                    return Err(PropertyError::Release { key: name.to_owned(), release });
                }
                Some(_) => {}
            }
        }
        let found = self.resolve(string)?;
        let has = |name: &str| found.iter().any(|(known, _)| *known == name);
        for (name, text) in &found {
            let Some(key) = self.key(name) else { return Err(self.unknown(name)) };
            if !value::fits(key.kind(), text) {
                return Err(PropertyError::Invalid {
                    key: (*name).to_owned(),
                    value: text.chars().take(200).collect(),
                    expected: value::expected(key.kind()),
                });
            }
            if let Some(needed) = key.requires().filter(|needed| !has(needed)) {
                return Err(PropertyError::Requires {
                    key: (*name).to_owned(),
                    needed: needed.to_owned(),
                });
            }
        }
        let absent = |key: &&Key| key.is_required() && key.is_in(release) && !has(key.name());
        match self.keys().iter().find(absent) {
            Some(key) => Err(PropertyError::Absent(key.name().to_owned())),
            None => Ok(()),
        }
    }

    fn unknown(&self, name: &str) -> PropertyError {
        let names = self.keys().iter().map(Key::name);
        PropertyError::Unknown {
            key: name.to_owned(),
            format: self.name().to_owned(),
            nearest: crate::nearest::nearest(name, names).map(str::to_owned),
        }
    }
}
