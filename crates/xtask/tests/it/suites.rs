//! How `./run test` runs its suites and counts.

use crate::machine::{Ended, Machine};

const TWO: &str = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; echo 'test result: ok. 3 passed; 0 failed;'";

/// A machine with these rows: name, tier, budget, inputs, command.
fn machine(rows: &[[&str; 5]]) -> Machine {
    let machine = Machine::complete();
    let row = |cells: &[&str; 5]| {
        format!(
            "| `{}` | {} | {} | {} | `{}` |\n",
            cells[0], cells[1], cells[2], cells[3], cells[4]
        )
    };
    let table: String = rows.iter().map(row).collect();
    machine.write(
        "docs/reference/test-suites.md",
        &format!("# Suites\n\n| suite | tier |\n|---|---|\n{table}"),
    );
    let git = std::process::Command::new("git")
        .args(["init", "--quiet"])
        .arg(machine.at(""))
        .status()
        .unwrap();
    assert!(git.success());
    machine
}

fn last_line(ended: &Ended) -> &str {
    ended.out.lines().last().unwrap_or_default()
}

#[test]
fn results_are_summed_and_the_last_line_is_for_programs() {
    let ended = machine(&[["fmt", "quick", "20", "", "true"], ["units", "quick", "20", "", TWO]])
        .run(&["test"]);
    assert_eq!((ended.code, last_line(&ended)), (0, "6 passed, 0 failed"), "{}", ended.out);
}

#[test]
fn a_failure_is_shown_counted_and_does_not_hide_the_rest() {
    let bad =
        "echo 'test story ... FAILED'; echo 'test result: FAILED. 4 passed; 2 failed;'; exit 101";
    let ended = machine(&[
        ["units", "quick", "20", "", bad],
        ["crash", "quick", "20", "", "echo boom; exit 3"],
        ["fmt", "quick", "20", "", "true"],
    ])
    .run(&["test"]);
    assert_eq!((ended.code, last_line(&ended)), (1, "5 passed, 3 failed"), "{}", ended.out);
    assert!(
        ended.out.contains("test story ... FAILED") && ended.out.contains("boom"),
        "{}",
        ended.out
    );
}

#[test]
fn nothing_runs_when_it_does_not_build() {
    let ended =
        machine(&[["build", "quick", "20", "", "false"], ["units", "quick", "20", "", TWO]])
            .run(&["test"]);
    assert_eq!((ended.code, last_line(&ended)), (1, "0 passed, 1 failed"), "{}", ended.out);
}

#[test]
fn a_suite_of_tests_that_runs_none_has_failed() {
    let machine = machine(&[["units", "quick", "20", "", "cargo test nothing"]]);
    let ended = machine.run(&["test"]);
    assert_eq!((ended.code, last_line(&ended)), (1, "0 passed, 1 failed"), "{}", ended.out);
    assert!(ended.out.contains("ran no test at all"), "{}", ended.out);
}

#[test]
fn a_suite_that_hangs_is_stopped() {
    let ended = machine(&[["slow", "quick", "1", "", "sleep 60"]]).run(&["test"]);
    assert_eq!((ended.code, last_line(&ended)), (1, "0 passed, 1 failed"), "{}", ended.out);
    assert!(ended.out.contains("stopped: it hung"), "{}", ended.out);
}

#[test]
fn a_full_suite_runs_when_its_inputs_changed_since_it_passed() {
    let machine = machine(&[
        ["fmt", "quick", "20", "", "true"],
        ["long", "full", "20", "input", "test ! -e broken"],
    ]);
    machine.write("input", "one");
    assert_eq!(last_line(&machine.run(&["test"])), "2 passed, 0 failed");

    let again = machine.run(&["test"]);
    assert_eq!(last_line(&again), "1 passed, 0 failed");
    assert!(again.out.contains("Left out") && again.out.contains(" long "), "{}", again.out);
    assert_eq!(last_line(&machine.run(&["test", "--full"])), "2 passed, 0 failed");

    machine.write("input", "two");
    machine.write("broken", "");
    assert_eq!(last_line(&machine.run(&["test"])), "1 passed, 1 failed");
    machine.remove("broken");
    assert_eq!(last_line(&machine.run(&["test"])), "2 passed, 0 failed", "a failure is no pass");
}

#[test]
fn full_suites_that_nobody_named_begin_while_there_is_time_or_are_named_as_left_out() {
    let machine =
        machine(&[["fmt", "quick", "20", "", "true"], ["long", "full", "20", "input", "true"]]);
    let none = [("INNKEEPER_TEST_SECONDS", "0")];
    let ended = machine.run_with(&["test"], &none);
    assert_eq!(last_line(&ended), "1 passed, 0 failed");
    assert!(ended.out.contains("for want of time: long"), "{}", ended.out);
    assert_eq!(last_line(&machine.run_with(&["test", "--full"], &none)), "2 passed, 0 failed");
    assert_eq!(last_line(&machine.run_with(&["test", "long"], &none)), "1 passed, 0 failed");
}

#[test]
fn named_suites_run_alone_and_a_wrong_name_is_refused() {
    let machine = machine(&[["fmt", "quick", "20", "", "true"], ["units", "quick", "20", "", TWO]]);
    assert_eq!(last_line(&machine.run(&["test", "units"])), "5 passed, 0 failed");
    let ended = machine.run(&["test", "unit"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("no suite \"unit\"; there are: fmt units"), "{}", ended.err);
}

#[test]
fn a_report_line_of_a_suite_is_shown() {
    let ended =
        machine(&[["tidy", "quick", "20", "", "echo 'report: 12 packages'"]]).run(&["test"]);
    assert!(ended.out.contains("    12 packages\n"), "{}", ended.out);
}
