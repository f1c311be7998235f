//! The library can be published by itself.

use std::process::Command;

use serde_json::Value;

fn cargo(arguments: &[&str]) -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../pve/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--manifest-path", manifest, "--offline"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_package_holds_what_a_user_needs() {
    let list = cargo(&["package", "--list", "--allow-dirty"]);
    let files: Vec<&str> = list.lines().collect();
    for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "src/lib.rs"] {
        assert!(files.contains(&file), "{file} is not in the package:\n{list}");
    }
    assert!(files.iter().any(|file| file.starts_with("examples/")));
    assert!(!files.iter().any(|file| file.starts_with("tests/")), "tests need the repository");
}

#[test]
fn the_package_depends_on_nothing_of_ours_and_on_versions() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let pve = packages.iter().find(|package| package["name"] == "innkeeper-pve").unwrap();
    assert_eq!(pve["publish"], Value::Null, "it may go to any registry");
    for dependency in pve["dependencies"].as_array().unwrap() {
        assert_ne!(dependency["req"], "*", "{}", dependency["name"]);
        assert_eq!(dependency.get("path"), None, "{}", dependency["name"]);
    }
    for package in packages.iter().filter(|package| package["name"] != "innkeeper-pve") {
        assert_eq!(package["publish"], Value::Array(Vec::new()), "{}", package["name"]);
    }
}
