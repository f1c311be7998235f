//! How Proxmox prints a property string.

use super::{Format, Key, KeyKind};
use crate::property::{DiskSize, Part, PropertyError, PropertyString};

impl Format {
    /// The string as Proxmox prints it: the default key first, without its name
    /// or joined with a key alias (`virtio=AA:…`); then the required keys and
    /// then the others, sorted. Booleans are 1 and 0, disk sizes are in the
    /// largest exact unit. Unknown keys stand among the others.
    ///
    /// # Errors
    /// When a key occurs twice, through its aliases for example.
    pub fn normalise(&self, string: &PropertyString) -> Result<PropertyString, PropertyError> {
        let mut left = self.resolve(string)?;
        left.sort_unstable();
        let mut parts = Vec::new();
        if let Some(default) = self.default_key() {
            parts.extend(self.first_part(default, &mut left));
        }
        let required = |name: &str| self.key(name).is_some_and(Key::is_required);
        let (first, rest): (Vec<_>, Vec<_>) = left.iter().partition(|(name, _)| required(name));
        for (name, value) in first.into_iter().chain(rest) {
            let value = self.key(name).map_or_else(|| value.to_owned(), |key| printed(key, value));
            parts.push(Part { name: Some(name.to_owned()), value });
        }
        Ok(PropertyString(parts))
    }

    /// The default key's part, which is taken out of `left` together with what
    /// is joined to it.
    fn first_part(&self, default: &Key, left: &mut Vec<(&str, &str)>) -> Option<Part> {
        let place = left.iter().position(|(name, _)| *name == default.name())?;
        let (_, value) = left.remove(place);
        let joined = self.key(value).filter(|key| key.key_alias() == Some(default.name()));
        if let Some(target) = joined.and_then(Key::alias)
            && let Some(place) = left.iter().position(|(name, _)| *name == target)
        {
            let (_, target) = left.remove(place);
            return Some(Part { name: Some(value.to_owned()), value: target.to_owned() });
        }
        let value = printed(default, value);
        // With a `=` in it, the value would read as a name.
        let name = (value.contains('=') || value.is_empty()).then(|| default.name().to_owned());
        Some(Part { name, value })
    }

    /// The string as Proxmox prints it, or as it is when that cannot be.
    pub fn print(&self, string: &PropertyString) -> String {
        self.normalise(string).map_or_else(|_| string.to_string(), |normal| normal.to_string())
    }
}

fn printed(key: &Key, value: &str) -> String {
    match key.kind() {
        KeyKind::Boolean => match crate::lenient::parse_bool(value) {
            Some(flag) => u8::from(flag).to_string(),
            None => value.to_owned(),
        },
        KeyKind::Text { format: Some(format), .. } if format == "disk-size" => {
            match value.parse::<DiskSize>() {
                Ok(size) => size.to_string(),
                Err(_) => value.to_owned(),
            }
        }
        _ => value.to_owned(),
    }
}
