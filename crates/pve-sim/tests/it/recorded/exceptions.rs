//! The list of rows that may differ, with the reason of each.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The exceptions of a release: name of the row to reason.
pub fn of(version: &str) -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/recorded/exceptions");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "txt")) {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut parts = line.splitn(3, ' ');
            let (name, versions) = (parts.next().unwrap(), parts.next().unwrap_or_default());
            let reason = parts.next().unwrap_or_default().trim();
            assert!(
                !reason.is_empty(),
                "{}: expected NAME VERSIONS REASON: {line}",
                file.display()
            );
            if versions.split(',').any(|one| one == version) {
                let before = found.insert(name.to_owned(), reason.to_owned());
                assert!(before.is_none(), "{name} {version} is excepted twice");
            }
        }
    }
    found
}
