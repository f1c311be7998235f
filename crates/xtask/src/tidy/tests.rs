//! The rules, applied to this repository. Each has its own test, so that a
//! report names the rule; that each can fail is tested beside it.

#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use super::{RULES, Repo};

fn keeps(rule: &str) {
    static REPO: OnceLock<Repo> = OnceLock::new();
    let (_, check) = RULES.iter().find(|(name, _)| *name == rule).unwrap();
    let problems = check(REPO.get_or_init(|| Repo::load().unwrap())).unwrap();
    assert!(problems.is_empty(), "{rule}:\n{}", problems.join("\n"));
}

macro_rules! rules {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { keeps($name); })*

        #[test]
        fn every_rule_has_a_test() {
            let tested = [$($name),*];
            assert_eq!(RULES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), tested);
        }
    };
}

rules! {
    crates_depend_only_on_what_architecture_md_allows: "crates depend only on what ARCHITECTURE.md allows",
    foreign_crates_stay_in_their_rooms: "foreign crates stay in their rooms",
    crates_have_names_that_say_something: "crates have names that say something",
    manifests_inherit_from_the_workspace: "manifests inherit from the workspace",
    licences_are_on_the_list: "licences are on the list",
    no_banned_crate_is_compiled: "no banned crate is compiled",
    no_crate_is_compiled_in_two_versions: "no crate is compiled in two versions",
    few_packages_are_compiled: "few packages are compiled",
    files_are_short: "files are short",
    functions_are_short: "functions are short",
    no_test_is_ignored: "no test is ignored",
    every_source_file_belongs_to_a_crate: "every source file belongs to a crate",
    exceptions_name_a_rule: "exceptions name a rule",
    suites_have_budgets_and_inputs: "suites have budgets and inputs",
    files_speak_of_no_particular_machine: "files speak of no particular machine",
}
