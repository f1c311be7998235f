//! Rules of the house that the compiler does not know. They run as tests
//! (`cargo test -p xtask`) and as `cargo xtask tidy`.
//!
//! Each rule is a pure function from facts to problems, one line each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

mod exceptions;
mod graph;
mod licence;
mod manifests;
mod packages;
mod reach;
mod sources;
mod suites;
#[cfg(test)]
mod tests;
mod words;

use exceptions::Exceptions;
use sources::Source;

/// The facts that rules judge, read once.
pub struct Repo {
    root: PathBuf,
    /// Paths of the tracked files that exist, relative to the root.
    files: Vec<String>,
    sources: Vec<Source>,
    exceptions: Exceptions,
    /// `cargo metadata` without dependencies.
    metadata: Value,
}

impl Repo {
    /// Reads the repository that this program was built in.
    pub fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .context("no repository")?;
        let listed = output(&root, "git", &["ls-files", "-z"])?;
        let files: Vec<String> = listed
            .split('\0')
            .filter(|path| root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        ensure!(!files.is_empty(), "git lists no files in {}", root.display());
        let mut sources = Vec::new();
        for path in files.iter().filter(|path| path.ends_with(".rs")) {
            sources.push(Source::parse(path, &read(&root, path)?)?);
        }
        let exceptions = Exceptions::parse(&read(&root, exceptions::PATH)?)?;
        let metadata = output(&root, "cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
        let metadata = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
        Ok(Self { root, files, sources, exceptions, metadata })
    }

    fn read(&self, path: &str) -> Result<String> {
        read(&self.root, path)
    }

    /// The packages that cargo would compile for Linux: `--package` or
    /// `--workspace`, and the kinds of edges to follow.
    fn packages(&self, selection: &[&str], edges: &str) -> Result<Vec<packages::Package>> {
        let fixed = [
            "tree",
            "--target",
            "x86_64-unknown-linux-gnu",
            "--prefix",
            "none",
            "--format",
            "{p} | {l}",
        ];
        let arguments: Vec<&str> =
            fixed.iter().chain(&["--edges", edges]).chain(selection).copied().collect();
        packages::parse(&output(&self.root, "cargo", &arguments)?)
    }
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    // Cargo names the program itself, so that a nested call uses the same toolchain.
    let path = if program == "cargo" {
        std::env::var("CARGO").unwrap_or_else(|_| program.into())
    } else {
        program.into()
    };
    let output = Command::new(path)
        .args(arguments)
        .current_dir(root)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("{program} printed something that is not UTF-8"))
}

/// What a rule finds: one line per problem, with the file or crate in front.
type Problems = Vec<String>;

/// A rule, as it is called and as it is applied to the repository.
type Rule = (&'static str, fn(&Repo) -> Result<Problems>);

const RULES: &[Rule] = &[
    ("crates depend only on what ARCHITECTURE.md allows", graph::edges),
    ("foreign crates stay in their rooms", graph::rooms),
    ("crates have names that say something", graph::names),
    ("manifests inherit from the workspace", manifests::inherited),
    ("licences are on the list", packages::licences),
    ("no banned crate is compiled", packages::bans),
    ("no crate is compiled in two versions", packages::duplicates),
    ("few packages are compiled", packages::number),
    ("files are short", sources::file_lengths),
    ("functions are short", sources::function_lengths),
    ("no test is ignored", sources::ignored),
    ("every source file belongs to a crate", reach::dead),
    ("exceptions name a rule", exceptions::known),
    ("suites have budgets and inputs", suites::table),
    ("files speak of no particular machine", words::machines),
];

/// Applies every rule and prints what it finds; returns the number of problems.
pub fn run(repo: &Repo) -> Result<usize> {
    let mut count = 0;
    for (name, rule) in RULES {
        let problems = rule(repo)?;
        println!("{} {name}", if problems.is_empty() { "ok  " } else { "FAIL" });
        for problem in &problems {
            println!("     {problem}");
        }
        count += problems.len();
    }
    Ok(count)
}
