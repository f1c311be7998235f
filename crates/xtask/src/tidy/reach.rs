//! Dead files: sources that no crate's root reaches through `mod`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::sources::{Module, Source};
use super::{Problems, Repo};

/// Every tracked source file belongs to a crate.
pub fn dead(repo: &Repo) -> Result<Problems> {
    Ok(check(&roots(&repo.metadata, &repo.root)?, &repo.sources))
}

/// The files that cargo compiles, relative to the repository.
fn roots(metadata: &Value, root: &Path) -> Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        for target in package["targets"].as_array().into_iter().flatten() {
            let path = target["src_path"].as_str().context("a target without src_path")?;
            roots.push(Path::new(path).strip_prefix(root).unwrap_or(Path::new(path)).to_owned());
        }
    }
    Ok(roots)
}

fn check(roots: &[PathBuf], sources: &[Source]) -> Problems {
    let by_path: BTreeMap<&Path, &Source> =
        sources.iter().map(|source| (Path::new(&source.path), source)).collect();
    let mut reached: BTreeSet<PathBuf> = BTreeSet::new();
    let mut todo: Vec<(PathBuf, bool)> = roots.iter().map(|root| (root.clone(), true)).collect();
    while let Some((path, is_root)) = todo.pop() {
        let Some(source) = by_path.get(path.as_path()) else { continue };
        if reached.insert(path.clone()) {
            let places =
                source.modules.iter().flat_map(|module| candidates(&path, is_root, module));
            todo.extend(places.map(|place| (place, false)));
        }
    }
    let dead = sources.iter().filter(|source| !reached.contains(Path::new(&source.path)));
    dead.map(|source| format!("{}: no crate reaches it", source.path)).collect()
}

/// Where the compiler looks for the file of a module that `path` declares.
fn candidates(path: &Path, is_root: bool, module: &Module) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_stem().unwrap_or_default();
    let own = if is_root || stem == "mod" { folder.to_owned() } else { folder.join(stem) };
    let inside = module.inside.iter().fold(own, |place, part| place.join(part));
    match &module.at {
        Some(at) if module.inside.is_empty() => vec![normal(&folder.join(at))],
        Some(at) => vec![normal(&inside.join(at))],
        None => vec![
            inside.join(format!("{}.rs", module.name)),
            inside.join(&module.name).join("mod.rs"),
        ],
    }
}

/// Without `..` and `.`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problems(files: &[(&str, &str)]) -> Problems {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| Source::parse(path, text).unwrap()).collect();
        check(&["a/src/lib.rs".into(), "a/tests/it/main.rs".into()], &sources)
    }

    #[test]
    fn modules_are_found_in_all_their_places() {
        let files = [
            ("a/src/lib.rs", "mod b; mod c; mod d { mod e; } #[path = \"../x/f.rs\"] mod f;"),
            ("a/src/b.rs", "mod g;"),
            ("a/src/b/g.rs", ""),
            ("a/src/c/mod.rs", "mod h;"),
            ("a/src/c/h.rs", ""),
            ("a/src/d/e.rs", ""),
            ("a/x/f.rs", ""),
            ("a/tests/it/main.rs", "mod i;"),
            ("a/tests/it/i.rs", ""),
        ];
        assert_eq!(problems(&files), Problems::new());
    }

    #[test]
    fn a_file_that_nothing_declares_is_dead_and_so_is_what_it_declares() {
        let files = [
            ("a/src/lib.rs", "mod b;"),
            ("a/src/b.rs", ""),
            ("a/src/old.rs", "mod x;"),
            ("a/src/old/x.rs", ""),
        ];
        assert_eq!(
            problems(&files),
            ["a/src/old.rs: no crate reaches it", "a/src/old/x.rs: no crate reaches it"]
        );
    }

    #[test]
    fn roots_are_relative_to_the_repository() {
        let metadata = serde_json::json!({"packages": [{"targets": [{"src_path": "/r/crates/a/src/lib.rs"}]}]});
        assert_eq!(
            roots(&metadata, Path::new("/r")).unwrap(),
            [PathBuf::from("crates/a/src/lib.rs")]
        );
    }
}
