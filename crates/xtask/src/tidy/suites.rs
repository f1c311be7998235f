//! The table of test suites that `./run test` reads.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Problems, Repo};

const PAGE: &str = "docs/reference/test-suites.md";
/// What the quick suites may take together, cold, on two cores.
const QUICK_SECONDS: u64 = 25 * 60;

/// Each suite has a known tier and a budget; full suites name inputs that exist.
pub fn table(repo: &Repo) -> Result<Problems> {
    let exists = |path: &str| repo.root.join(path).exists();
    Ok(check(&repo.read(PAGE)?, &exists))
}

fn check(page: &str, exists: &dyn Fn(&str) -> bool) -> Problems {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    let mut quick = 0;
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [name, tier, budget, inputs, _command] = cells[..] else {
            problems.push(format!("{PAGE}: expected five columns in: {line}"));
            continue;
        };
        if !names.insert(name) {
            problems.push(format!("{PAGE}: two suites are called `{name}`"));
        }
        match (tier, budget.parse::<u64>()) {
            (_, Err(_)) => {
                problems.push(format!("{PAGE}: `{name}` has no budget in whole seconds"))
            }
            ("quick", Ok(seconds)) => quick += seconds,
            ("full", Ok(_)) if inputs.is_empty() => {
                problems.push(format!("{PAGE}: `{name}` names no inputs"))
            }
            ("full", Ok(_)) => {
                let missing = inputs.split_whitespace().filter(|path| !exists(path));
                problems
                    .extend(missing.map(|path| {
                        format!("{PAGE}: `{name}` names {path}, which does not exist")
                    }));
            }
            _ => problems.push(format!("{PAGE}: `{name}` is neither quick nor full")),
        }
    }
    if names.is_empty() {
        problems.push(format!("{PAGE} lists no suite"));
    }
    if quick > QUICK_SECONDS {
        problems.push(format!(
            "{PAGE}: the quick suites have {quick} s together, at most {QUICK_SECONDS}"
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(rows: &str) -> Problems {
        check(rows, &|path| path == "crates")
    }

    #[test]
    fn a_complete_table_is_fine() {
        assert_eq!(
            problems("| `a` | quick | 20 | | `x` |\n| `b` | full | 20 | crates | `x` |\n"),
            Problems::new()
        );
    }

    #[test]
    fn incomplete_rows_are_problems() {
        for rows in [
            "",
            "| `a` | quick | 20 | `x` |",
            "| `a` | quick | soon | | `x` |",
            "| `a` | slow | 20 | | `x` |",
            "| `a` | full | 20 | | `x` |",
            "| `a` | full | 20 | crates old | `x` |",
            "| `a` | quick | 1501 | | `x` |",
            "| `a` | quick | 1 | | `x` |\n| `a` | quick | 1 | | `x` |",
        ] {
            assert!(!problems(rows).is_empty(), "{rows}");
        }
    }
}
