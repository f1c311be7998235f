//! The list of what may break a rule for now. It may only shrink.

use anyhow::{Context, Result, ensure};

use super::{Problems, Repo};

pub const PATH: &str = "crates/xtask/exceptions.txt";
/// The rules that know exceptions.
const KNOWN: &[&str] = &["duplicate", "file", "function"];

pub struct Exceptions(Vec<Exception>);

struct Exception {
    rule: String,
    subject: String,
    most: usize,
}

impl Exceptions {
    /// Lines of `rule subject most # why`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut list = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let at = || format!("{PATH}, line {}: expected `rule subject most # why`", number + 1);
            let (entry, why) = line.split_once(" # ").with_context(at)?;
            ensure!(!why.trim().is_empty(), at());
            let fields: Vec<&str> = entry.split_whitespace().collect();
            let [rule, subject, most] = fields[..] else { anyhow::bail!(at()) };
            let most = most.parse().with_context(at)?;
            list.push(Exception { rule: rule.to_owned(), subject: subject.to_owned(), most });
        }
        Ok(Self(list))
    }

    /// Judges measured subjects by a limit: too large without an exception,
    /// larger than the exception allows, and exceptions that nothing needs.
    pub fn judge(&self, rule: &str, limit: usize, measured: &[(String, usize)]) -> Problems {
        let mut problems = Vec::new();
        for (subject, size) in measured.iter().filter(|(_, size)| *size > limit) {
            let exception =
                self.0.iter().find(|entry| entry.rule == rule && &entry.subject == subject);
            let most = exception.map_or(limit, |entry| entry.most);
            if *size > most {
                problems.push(format!("{subject}: {size}, at most {most}"));
            }
        }
        for entry in self.0.iter().filter(|entry| entry.rule == rule) {
            if !measured.iter().any(|(subject, size)| subject == &entry.subject && *size > limit) {
                problems.push(format!(
                    "{PATH}: nothing needs `{rule} {}` any more; remove it",
                    entry.subject
                ));
            }
        }
        problems
    }
}

/// A misspelt rule would hide a stale entry.
pub fn known(repo: &Repo) -> Result<Problems> {
    Ok(unknown(&repo.exceptions))
}

fn unknown(exceptions: &Exceptions) -> Problems {
    let unknown = exceptions.0.iter().filter(|entry| !KNOWN.contains(&entry.rule.as_str()));
    unknown
        .map(|entry| {
            format!("{PATH}: no rule is called `{}`; there are: {}", entry.rule, KNOWN.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn measured(size: usize) -> Vec<(String, usize)> {
        vec![("a.rs".to_owned(), size)]
    }

    #[test]
    fn an_exception_covers_its_subject_up_to_its_number() {
        let exceptions = Exceptions::parse("file a.rs 600 # grew\n").unwrap();
        assert!(exceptions.judge("file", 500, &measured(600)).is_empty());
        assert_eq!(exceptions.judge("file", 500, &measured(601)), ["a.rs: 601, at most 600"]);
    }

    #[test]
    fn without_an_exception_the_limit_counts() {
        let exceptions = Exceptions::parse("# only a comment\n\n").unwrap();
        assert!(exceptions.judge("file", 500, &measured(500)).is_empty());
        assert_eq!(exceptions.judge("file", 500, &measured(501)), ["a.rs: 501, at most 500"]);
    }

    #[test]
    fn a_stale_exception_is_a_problem() {
        let exceptions =
            Exceptions::parse("file a.rs 600 # grew\nfunction b 80 # other rule\n").unwrap();
        let problems = exceptions.judge("file", 500, &measured(500));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("nothing needs `file a.rs`"), "{problems:?}");
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_known_rule() {
        assert!(Exceptions::parse("file a.rs 600\n").is_err());
        assert!(Exceptions::parse("file a.rs many # why\n").is_err());
        assert_eq!(unknown(&Exceptions::parse("fil a.rs 600 # why\n").unwrap()).len(), 1);
    }
}
