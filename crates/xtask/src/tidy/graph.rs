//! Which crate may depend on which: the table in `ARCHITECTURE.md`, the single
//! source, against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Problems, Repo};

const PAGE: &str = "ARCHITECTURE.md";

/// Two independent readings of the same facts: never joined, not even for tests.
const APART: (&str, &str) = ("pve", "pve-sim");

/// Foreign crates and the only crates that may use them.
const ROOMS: &[(&[&str], &[&str])] = &[
    (
        &[
            "axum",
            "axum-server",
            "http",
            "http-body-util",
            "hyper",
            "hyper-util",
            "reqwest",
            "tower-http",
            "tokio-tungstenite",
        ],
        &["api", "client", "e2e", "innkeeper", "pve", "pve-sim"],
    ),
    (&["sqlx"], &["store"]),
    (
        &["tokio"],
        &[
            "api",
            "client",
            "e2e",
            "engine",
            "innkeeper",
            "provider",
            "provider-pve",
            "provisioner",
            "pve",
            "pve-sim",
            "store",
        ],
    ),
];

/// Names that say nothing about what is inside.
const NAMELESS: &[&str] =
    &["common", "core", "helpers", "shared", "test-utils", "types", "util", "utils"];

/// One crate of ours, named by its folder.
#[derive(Debug)]
struct Crate {
    name: String,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct Edge {
    to: String,
    ours: bool,
    for_tests: bool,
}

/// What the table allows one crate.
#[derive(Debug, PartialEq)]
enum Allowed {
    All,
    These { code: BTreeSet<String>, tests: BTreeSet<String> },
}

/// Crates and their edges are exactly those of the table.
pub fn edges(repo: &Repo) -> Result<Problems> {
    Ok(check_edges(&table(&repo.read(PAGE)?)?, &crates(&repo.metadata)?))
}

/// HTTP stops at the doors and clients, SQL at the store, tokio before `model`.
pub fn rooms(repo: &Repo) -> Result<Problems> {
    Ok(check_rooms(&crates(&repo.metadata)?))
}

/// A crate's name says what it is.
pub fn names(repo: &Repo) -> Result<Problems> {
    Ok(check_names(&crates(&repo.metadata)?))
}

/// The rows of the table whose first column is headed "crate", by crate. Columns:
/// crate, what it is, may depend on, its tests also on.
fn table(page: &str) -> Result<BTreeMap<String, Allowed>> {
    let mut rows = BTreeMap::new();
    let lines = page.lines().skip_while(|line| !line.starts_with("| crate |")).skip(2);
    for line in lines.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, code, tests] = cells[..] else {
            bail!("{PAGE}: expected four columns in: {line}")
        };
        let name = name.trim_matches('`').to_owned();
        let allowed = if code == "all" {
            Allowed::All
        } else {
            Allowed::These { code: quoted(code, line)?, tests: quoted(tests, line)? }
        };
        ensure!(rows.insert(name.clone(), allowed).is_none(), "{PAGE}: two rows for `{name}`");
    }
    ensure!(!rows.is_empty(), "{PAGE} has no table that begins with `| crate |`");
    Ok(rows)
}

fn quoted(cell: &str, line: &str) -> Result<BTreeSet<String>> {
    if cell == "–" {
        return Ok(BTreeSet::new());
    }
    let name = |part: &str| {
        let inner = part.trim().strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        inner
            .map(str::to_owned)
            .with_context(|| format!("{PAGE}: expected –, all or `names` in: {line}"))
    };
    cell.split(',').map(name).collect()
}

/// The crates of the workspace with their direct dependencies of every kind.
fn crates(metadata: &Value) -> Result<Vec<Crate>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages.iter().map(one_crate).collect()
}

fn one_crate(package: &Value) -> Result<Crate> {
    let manifest = package["manifest_path"].as_str().context("a package without manifest_path")?;
    let folder = |path: &str| {
        path.trim_end_matches("/Cargo.toml").rsplit('/').next().unwrap_or_default().to_owned()
    };
    let mut edges = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let path = dependency["path"].as_str();
        let name = dependency["name"].as_str().context("a dependency without name")?;
        edges.push(Edge {
            to: path.map_or_else(|| name.to_owned(), folder),
            ours: path.is_some(),
            for_tests: dependency["kind"] == "dev",
        });
    }
    Ok(Crate { name: folder(manifest), edges })
}

fn check_edges(table: &BTreeMap<String, Allowed>, crates: &[Crate]) -> Problems {
    let mut problems = Vec::new();
    for name in table.keys().filter(|name| !crates.iter().any(|krate| &krate.name == *name)) {
        problems.push(format!("{PAGE} has a row for `{name}`, which is no crate"));
    }
    for krate in crates {
        let name = &krate.name;
        let Some(allowed) = table.get(name) else {
            problems.push(format!("{name}: {PAGE} has no row for it"));
            continue;
        };
        for edge in krate.edges.iter().filter(|edge| edge.ours) {
            if !allows(allowed, edge) {
                let whose = if edge.for_tests { "its tests" } else { "it" };
                problems
                    .push(format!("{name}: {PAGE} does not let {whose} depend on `{}`", edge.to));
            }
            let pair = (name.as_str(), edge.to.as_str());
            if pair == APART || pair == (APART.1, APART.0) {
                problems.push(format!(
                    "{name}: must never depend on `{}`, not even for tests",
                    edge.to
                ));
            }
        }
    }
    problems
}

fn allows(allowed: &Allowed, edge: &Edge) -> bool {
    match allowed {
        Allowed::All => true,
        Allowed::These { code, tests } => {
            code.contains(&edge.to) || edge.for_tests && tests.contains(&edge.to)
        }
    }
}

fn check_rooms(crates: &[Crate]) -> Problems {
    let mut problems = Vec::new();
    for (guests, rooms) in ROOMS {
        for krate in crates.iter().filter(|krate| !rooms.contains(&krate.name.as_str())) {
            for edge in krate.edges.iter().filter(|edge| guests.contains(&edge.to.as_str())) {
                problems.push(format!(
                    "{}: `{}` may be used only in {}",
                    krate.name,
                    edge.to,
                    rooms.join(", ")
                ));
            }
        }
    }
    problems
}

fn check_names(crates: &[Crate]) -> Problems {
    let bad = crates.iter().filter(|krate| NAMELESS.contains(&krate.name.as_str()));
    bad.map(|krate| format!("{}: the name says nothing; name it after what it does", krate.name))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PAGE_TEXT: &str = "\
# Architecture

| crate | what it is | may depend on | its tests also on |
|---|---|---|---|
| `model` | words | – | – |
| `pve` | client | – | – |
| `provider-pve` | map | `model`, `pve` | `pve-sim` |
| `pve-sim` | server | – | – |
| `innkeeper` | binary | all | – |

after
";

    fn krate(name: &str, code: &[&str], tests: &[&str]) -> Crate {
        let edge = |for_tests| {
            move |to: &&str| Edge { to: (*to).to_owned(), ours: *to != "sqlx", for_tests }
        };
        Crate {
            name: name.to_owned(),
            edges: code.iter().map(edge(false)).chain(tests.iter().map(edge(true))).collect(),
        }
    }

    fn five(changed: Crate) -> Vec<Crate> {
        let mut all: Vec<Crate> = [
            krate("model", &[], &[]),
            krate("pve", &[], &[]),
            krate("provider-pve", &["model"], &[]),
            krate("pve-sim", &[], &[]),
            krate("innkeeper", &["model", "pve-sim"], &[]),
        ]
        .into_iter()
        .filter(|krate| krate.name != changed.name)
        .collect();
        all.push(changed);
        all
    }

    fn problems(changed: Crate) -> Problems {
        check_edges(&table(PAGE_TEXT).unwrap(), &five(changed))
    }

    #[test]
    fn edges_of_the_table_are_allowed() {
        assert_eq!(
            problems(krate("provider-pve", &["model", "pve"], &["pve-sim"])),
            Problems::new()
        );
        assert_eq!(
            problems(krate("innkeeper", &["model", "pve", "pve-sim"], &[])),
            Problems::new()
        );
    }

    #[test]
    fn other_edges_are_problems_for_code_and_for_tests() {
        assert_eq!(problems(krate("provider-pve", &["pve-sim"], &[])).len(), 1);
        assert_eq!(problems(krate("model", &[], &["pve"])).len(), 1);
    }

    #[test]
    fn client_and_simulator_stay_apart_whatever_the_table_says() {
        let page =
            PAGE_TEXT.replace("| `pve` | client | – | – |", "| `pve` | client | – | `pve-sim` |");
        let problems = check_edges(&table(&page).unwrap(), &five(krate("pve", &[], &["pve-sim"])));
        assert_eq!(problems, ["pve: must never depend on `pve-sim`, not even for tests"]);
    }

    #[test]
    fn crates_and_rows_match_one_to_one() {
        assert_eq!(
            problems(krate("extra", &[], &[])),
            ["extra: ARCHITECTURE.md has no row for it"]
        );
        let four = five(krate("model", &[], &[]))
            .into_iter()
            .filter(|krate| krate.name != "pve")
            .collect::<Vec<_>>();
        assert_eq!(
            check_edges(&table(PAGE_TEXT).unwrap(), &four),
            ["ARCHITECTURE.md has a row for `pve`, which is no crate"]
        );
    }

    #[test]
    fn a_table_that_cannot_be_read_is_an_error() {
        assert!(table("no table").is_err());
        assert!(
            table("| crate | what | may | tests |\n|---|---|---|---|\n| `a` | x | model | – |\n")
                .is_err()
        );
        assert!(table("| crate | what | may |\n|---|---|---|\n| `a` | x | – |\n").is_err());
    }

    #[test]
    fn metadata_names_crates_by_their_folder() {
        let metadata = serde_json::json!({"packages": [{"name": "innkeeper-pve", "manifest_path": "/x/crates/pve/Cargo.toml",
            "dependencies": [{"name": "m", "path": "/x/crates/model", "kind": null}, {"name": "axum", "kind": "dev"}]}]});
        let crates = crates(&metadata).unwrap();
        assert_eq!(crates[0].name, "pve");
        assert_eq!((crates[0].edges[0].to.as_str(), crates[0].edges[0].ours), ("model", true));
        assert!(crates[0].edges[1].for_tests && !crates[0].edges[1].ours);
    }

    #[test]
    fn sql_outside_the_store_is_a_problem() {
        assert_eq!(check_rooms(&[krate("store", &["sqlx"], &[])]), Problems::new());
        assert_eq!(
            check_rooms(&[krate("e2e", &[], &["sqlx"])]),
            ["e2e: `sqlx` may be used only in store"]
        );
        assert_eq!(check_rooms(&[krate("provisioner", &["http"], &[])]).len(), 1);
    }

    #[test]
    fn a_crate_called_utils_is_a_problem() {
        assert_eq!(check_names(&[krate("utils", &[], &[]), krate("store", &[], &[])]).len(), 1);
    }
}
