//! What cargo compiles for Linux: licences, bans, duplicates, their number.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::{Context, Result};

use super::{Problems, Repo, licence};

/// Crates that must not be compiled, and why.
const BANNED: &[(&str, &str)] = &[
    ("native-tls", "rustls is the only TLS"),
    ("openssl", "rustls is the only TLS"),
    ("openssl-sys", "rustls is the only TLS"),
    ("ring", "aws-lc-rs is the only cryptography"),
    ("rsa", "it has timing side channels"),
    ("serde_yaml", "it is deprecated"),
];

/// Packages below the one binary: each costs build time and trust.
const MOST: usize = 420;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    name: String,
    version: String,
    licence: String,
}

/// Reads `name vVERSION … | licence` lines, each package once.
pub fn parse(text: &str) -> Result<Vec<Package>> {
    let mut packages = BTreeSet::new();
    for line in
        text.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty())
    {
        let (package, licence) = line
            .split_once(" |")
            .with_context(|| format!("unexpected line of cargo tree: {line}"))?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let licence = licence.trim().to_owned();
        packages.insert(Package { name: name.to_owned(), version: version.to_owned(), licence });
    }
    Ok(packages.into_iter().collect())
}

fn everything(repo: &Repo) -> Result<Vec<Package>> {
    repo.packages(&["--workspace"], "normal,build,dev")
}

fn product(repo: &Repo) -> Result<Vec<Package>> {
    repo.packages(&["--package", "innkeeper"], "normal,build")
}

/// Every package can be used under an allowed licence.
pub fn licences(repo: &Repo) -> Result<Problems> {
    Ok(check_licences(&everything(repo)?))
}

/// Nothing banned is compiled, not even for tests.
pub fn bans(repo: &Repo) -> Result<Problems> {
    Ok(check_bans(&everything(repo)?))
}

/// The product holds each crate in one version.
pub fn duplicates(repo: &Repo) -> Result<Problems> {
    Ok(repo.exceptions.judge("duplicate", 1, &versions(&product(repo)?)))
}

/// The product is compiled from a bounded number of packages.
pub fn number(repo: &Repo) -> Result<Problems> {
    let packages = product(repo)?;
    // Not with println: this shall be seen when the test passes, too.
    writeln!(
        std::io::stderr(),
        "report: {} packages are compiled for Linux, at most {MOST}",
        packages.len()
    )?;
    Ok(check_number(&packages, MOST))
}

fn check_licences(packages: &[Package]) -> Problems {
    let bad = packages.iter().filter(|package| !licence::is_allowed(&package.licence));
    bad.map(|package| {
        format!("{} {}: licence `{}`", package.name, package.version, package.licence)
    })
    .collect()
}

fn check_bans(packages: &[Package]) -> Problems {
    let reason = |package: &Package| {
        BANNED.iter().find(|(name, _)| *name == package.name).map(|(_, why)| *why)
    };
    packages
        .iter()
        .filter_map(|package| Some(format!("{}: banned, {}", package.name, reason(package)?)))
        .collect()
}

fn versions(packages: &[Package]) -> Vec<(String, usize)> {
    let mut count: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        count.entry(&package.name).or_default().insert(&package.version);
    }
    count.into_iter().map(|(name, versions)| (name.to_owned(), versions.len())).collect()
}

fn check_number(packages: &[Package], most: usize) -> Problems {
    if packages.len() <= most {
        return Problems::new();
    }
    vec![format!("{} packages are compiled, at most {most}", packages.len())]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TREE: &str = "\
innkeeper v0.1.0 (/somewhere/crates/innkeeper) | Apache-2.0 OR MIT
async-trait v0.1.92 (proc-macro) | MIT OR Apache-2.0
rand v0.9.5 | MIT
rand v0.10.3 | MIT (*)
rand v0.9.5 | MIT (*)

ring v0.17.14 | Apache-2.0 AND ISC
secret v1.0.0 |
";

    #[test]
    fn a_tree_is_read_each_package_once() {
        let packages = parse(TREE).unwrap();
        assert_eq!(packages.len(), 6);
        assert_eq!(
            (packages[1].name.as_str(), packages[1].version.as_str()),
            ("innkeeper", "v0.1.0")
        );
        assert!(parse("no licence column").is_err());
    }

    #[test]
    fn a_package_without_an_allowed_licence_is_a_problem() {
        assert_eq!(check_licences(&parse(TREE).unwrap()), ["secret v1.0.0: licence ``"]);
    }

    #[test]
    fn a_banned_package_is_a_problem() {
        assert_eq!(
            check_bans(&parse(TREE).unwrap()),
            ["ring: banned, aws-lc-rs is the only cryptography"]
        );
    }

    #[test]
    fn two_versions_are_counted() {
        let two: Vec<_> =
            versions(&parse(TREE).unwrap()).into_iter().filter(|(_, count)| *count > 1).collect();
        assert_eq!(two, [("rand".to_owned(), 2)]);
    }

    #[test]
    fn too_many_packages_are_a_problem() {
        let packages = parse(TREE).unwrap();
        assert!(check_number(&packages, 6).is_empty());
        assert_eq!(check_number(&packages, 5).len(), 1);
    }
}
