//! The repository speaks of no particular machine: no paths of one, no mirror
//! of a registry.

use anyhow::Result;

use super::{Problems, Repo};

/// In halves, because this file is looked at, too.
const PLACES: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/fa", "rm/"),
    ("/root", "/."),
    ("/Use", "rs/"),
    ("artif", "actory"),
    ("/ho", "me/runner/"),
];
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// No file names a path of one machine, and packages come from the public registry.
pub fn machines(repo: &Repo) -> Result<Problems> {
    let mut problems = check_lock(&repo.read("Cargo.lock")?);
    for path in &repo.files {
        let bytes = std::fs::read(repo.root.join(path))?;
        if !bytes.contains(&0) {
            problems.extend(check_text(path, &String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(problems)
}

fn check_text(path: &str, text: &str) -> Problems {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for place in PLACES.iter().map(|(first, second)| format!("{first}{second}")) {
            if line.contains(&place) {
                problems.push(format!(
                    "{path}:{}: names `{place}`, a place of one machine",
                    number + 1
                ));
            }
        }
    }
    problems
}

fn check_lock(lock: &str) -> Problems {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let foreign = sources.filter(|source| source.trim_matches('"') != REGISTRY);
    foreign.map(|source| format!("Cargo.lock: a package comes from {source}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_a_problem() {
        let place = format!("/{}/project/file", "work");
        assert_eq!(check_text("a.md", &format!("fine\nsee {place}\n")).len(), 1);
        assert!(
            check_text("a.md", "a workflow in the network/folder, and PUT /access/users/a\n")
                .is_empty()
        );
    }

    #[test]
    fn a_package_from_elsewhere_is_a_problem() {
        assert!(check_lock(&format!("source = \"{REGISTRY}\"\n")).is_empty());
        assert_eq!(check_lock("source = \"git+https://example.org/x\"\n").len(), 1);
    }
}
