//! One feature set per dependency, one place for versions and lints: every
//! crate inherits from the workspace.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::{Problems, Repo};

const INHERITED: &[&str] =
    &["version", "edition", "rust-version", "license", "repository", "publish"];
/// The crates that may be published. All others inherit that they are not.
const PUBLISHED: &[&str] = &["crates/pve/Cargo.toml"];
/// What a registry shows of a published crate.
const SHOWN: &[&str] = &["description", "keywords", "categories", "readme", "documentation"];
const SECTIONS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Package fields, lints and dependencies come from the workspace, and the
/// workspace declares no dependency that no crate uses.
pub fn inherited(repo: &Repo) -> Result<Problems> {
    let mut manifests = Vec::new();
    for path in repo
        .files
        .iter()
        .filter(|path| path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
    {
        manifests.push((path.clone(), repo.read(path)?));
    }
    check(&repo.read("Cargo.toml")?, &manifests)
}

fn check(workspace: &str, manifests: &[(String, String)]) -> Result<Problems> {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in manifests {
        let manifest: Table = text.parse().with_context(|| format!("{path} is not TOML"))?;
        let package = manifest.get("package");
        let published = PUBLISHED.contains(&path.as_str());
        for field in INHERITED.iter().filter(|field| !(published && **field == "publish")) {
            if !inherits(package.and_then(|package| package.get(field))) {
                problems.push(format!("{path}: expected `{field}.workspace = true`"));
            }
        }
        for field in SHOWN.iter().filter(|_| published) {
            if package.and_then(|package| package.get(field)).is_none() {
                problems.push(format!("{path}: a published crate needs `{field}`"));
            }
        }
        if !inherits(manifest.get("lints")) {
            problems.push(format!("{path}: expected `[lints] workspace = true`"));
        }
        dependencies(path, &manifest, &mut used, &mut problems);
    }
    let workspace: Table = workspace.parse().context("Cargo.toml is not TOML")?;
    let declared = workspace.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    for name in declared.and_then(Value::as_table).into_iter().flat_map(Table::keys) {
        if !used.contains(name) {
            problems.push(format!("Cargo.toml: no crate uses `{name}`"));
        }
    }
    Ok(problems)
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

fn dependencies(
    path: &str,
    manifest: &Table,
    used: &mut BTreeSet<String>,
    problems: &mut Problems,
) {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = std::iter::once(manifest)
        .chain(targets.into_iter().flat_map(Table::values).filter_map(Value::as_table));
    for (section, table) in
        tables.flat_map(|table| SECTIONS.iter().map(move |section| (section, table)))
    {
        for (name, value) in table.get(*section).and_then(Value::as_table).into_iter().flatten() {
            used.insert(name.clone());
            // Tests may switch on what one of our own crates keeps for tests: it
            // changes nothing for any foreign crate.
            let for_tests = *section == "dev-dependencies"
                && value.get("features").is_some_and(|list| list.to_string() == "[\"testing\"]");
            let own_features = (value.get("features").is_some() && !for_tests)
                || value.get("default-features").is_some();
            if !inherits(Some(value)) || own_features {
                problems.push(format!(
                    "{path}: expected `{name}.workspace = true` and nothing else in [{section}]"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WORKSPACE: &str = "[workspace.dependencies]\nserde = \"1\"\n";
    const GOOD: &str = "\
[package]
name = \"a\"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
repository.workspace = true
publish.workspace = true
[lints]
workspace = true
[dependencies]
serde.workspace = true
";

    fn problems(manifest: &str) -> Problems {
        check(WORKSPACE, &[("crates/a/Cargo.toml".to_owned(), manifest.to_owned())]).unwrap()
    }

    #[test]
    fn an_inheriting_manifest_is_fine() {
        assert_eq!(problems(GOOD), Problems::new());
    }

    #[test]
    fn own_values_are_problems() {
        for (from, to) in [
            ("publish.workspace = true\n", ""),
            ("rust-version.workspace = true", "rust-version = \"1.80\""),
            ("workspace = true\n[dependencies]", "rust.unsafe_code = \"allow\"\n[dependencies]"),
            ("serde.workspace = true", "serde = \"1\""),
            ("serde.workspace = true", "serde = { workspace = true, features = [\"rc\"] }"),
            (
                "[dependencies]",
                "[target.'cfg(unix)'.dev-dependencies]\nnix = \"1\"\n[dependencies]",
            ),
        ] {
            let changed = GOOD.replace(from, to);
            assert_ne!(changed, GOOD);
            assert_eq!(problems(&changed).len(), 1, "{to}");
        }
    }

    #[test]
    fn a_published_crate_says_what_a_registry_shows() {
        let shown: String = SHOWN.iter().map(|field| format!("{field} = \"x\"\n")).collect();
        let good = GOOD.replace("publish.workspace = true\n", &format!("publish = true\n{shown}"));
        let check = |path: &str, manifest: &str| {
            check(WORKSPACE, &[(path.to_owned(), manifest.to_owned())]).unwrap()
        };
        assert_eq!(check(PUBLISHED[0], &good), Problems::new());
        for field in SHOWN {
            let without = good.replace(&format!("{field} = \"x\"\n"), "");
            assert_eq!(check(PUBLISHED[0], &without).len(), 1, "{field}");
        }
        assert_eq!(check("crates/a/Cargo.toml", &good).len(), 1, "only named crates are published");
    }

    #[test]
    fn a_declared_dependency_that_nobody_uses_is_a_problem() {
        assert_eq!(
            problems(&GOOD.replace("serde.workspace = true", "")),
            ["Cargo.toml: no crate uses `serde`"]
        );
    }
}
