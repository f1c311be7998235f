//! Environment files: `NAME=value` on each line, behind the real environment.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// What the last file said that was read. Secrets are looked up here when the
/// environment does not hold them.
static LAST: RwLock<BTreeMap<String, String>> = RwLock::new(BTreeMap::new());

/// Variables.
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    #[cfg(test)]
    pub(super) fn of(all: BTreeMap<String, String>) -> Self {
        Self(all)
    }

    /// Those of a file's text, with the environment over them.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut all = parse(text)?;
        LAST.write().unwrap_or_else(PoisonError::into_inner).clone_from(&all);
        all.extend(std::env::vars());
        Ok(Self(all))
    }

    /// Those of a second file's text, with the environment over them. Secrets are
    /// not looked up in it.
    pub(super) fn beside(text: &str) -> Result<Self, String> {
        let mut all = parse(text)?;
        all.extend(std::env::vars());
        Ok(Self(all))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those whose name begins like this.
    pub(super) fn beginning(&self, prefix: &str) -> BTreeMap<String, String> {
        let of_prefix = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        of_prefix.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// A variable of the environment, or else of the last file.
pub(crate) fn variable(name: &str) -> Option<String> {
    let last = || LAST.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    std::env::var(name).ok().or_else(last)
}

/// Comments have a line of their own. A value may stand in single quotes, or in
/// double ones, where `\n` is a line's end.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {}: expected NAME=value", index + 1));
        };
        let value = value.trim();
        let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
        let value = match (inside('"'), inside('\'')) {
            (Some(text), _) => text.replace("\\n", "\n"),
            (None, Some(text)) => text.to_owned(),
            (None, None) => value.to_owned(),
        };
        all.insert(name.trim().to_owned(), value);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_names_and_values() {
        let all = parse("# c\nA=1\n export B = 'x # y' \nC=\"a\\nb\"\nD=a=b#c\nE=\n").unwrap();
        let pairs: Vec<(&str, &str)> = all.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x # y"), ("C", "a\nb"), ("D", "a=b#c"), ("E", "")]);
        assert_eq!(parse("A=1\nnothing").unwrap_err(), "line 2: expected NAME=value");
    }
}
