//! The snippets of the README are parts of the examples.

use std::fs;
use std::path::Path;

/// Text without indentation and blank lines, which a document may set freely.
fn plain(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let rust = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, plain(&fs::read_to_string(path).unwrap()))
    })
    .collect()
}

#[test]
fn every_snippet_is_part_of_an_example_and_every_example_is_shown() {
    let readme = include_str!("../../README.md");
    let examples = examples();
    let mut shown = Vec::new();
    let snippets = readme.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for snippet in snippets {
        for function in snippet.split("\n\npub ") {
            let function = plain(function.trim_start_matches("pub "));
            let example = examples.iter().find(|(_, text)| text.contains(&function));
            let Some((name, _)) = example else { panic!("in no example:\n{function}") };
            shown.push(name.clone());
        }
    }
    for (name, _) in &examples {
        assert!(shown.contains(name), "examples/{name}.rs has no snippet in the README");
        let link = format!("](examples/{name}.rs)");
        assert!(readme.contains(&link), "examples/{name}.rs has no link in the README");
    }
}
