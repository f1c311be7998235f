//! What `./run` does before it runs anything.

use crate::machine::Machine;

#[test]
fn a_complete_machine_is_left_alone_and_the_demo_gets_its_arguments() {
    let machine = Machine::complete();
    let ended = machine.run(&["demo", "--once", "two words"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.ends_with("innkeeper demo --once two words\n"), "{}", ended.out);
    assert_eq!(machine.calls(), "cargo build --package innkeeper\n");
}

#[test]
fn root_installs_exactly_what_is_missing() {
    let machine = Machine::complete().without("cpio").without("libc6-dev");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let calls = machine.calls();
    assert!(calls.contains("update\n"), "{calls}");
    assert!(calls.contains("install --no-install-recommends libc6-dev cpio\n"), "{calls}");
}

#[test]
fn a_held_backport_is_replaced_by_the_package_of_the_release() {
    let machine = Machine::complete().without("qemu-system-x86").with("held");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(
        machine.calls().contains("--allow-downgrades qemu-system-x86 qemu-utils/"),
        "{}",
        machine.calls()
    );
}

#[test]
fn a_package_that_cannot_be_installed_stops_with_the_end_of_the_log() {
    let machine = Machine::complete().without("zstd").with("held");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("held broken packages"), "{}", ended.out);
    assert!(ended.err.contains("Could not install: zstd"), "{}", ended.err);
}

#[test]
fn without_root_the_line_to_run_is_printed_and_nothing_is_done() {
    let machine = Machine::complete().without("qemu-utils").without("cpio").without_root();
    let ended = machine.run(&["test"]);
    assert_eq!(ended.code, 1);
    let line = "    sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-utils cpio\n";
    assert!(ended.err.ends_with(line), "{}", ended.err);
    assert_eq!(machine.calls(), "");
}

#[test]
fn sudo_without_a_password_is_used() {
    let machine = Machine::complete().without("cpio").without_root().with("sudoer");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(machine.calls().starts_with("sudo\napt-get"), "{}", machine.calls());
}

#[test]
fn an_empty_package_index_is_filled_by_root_and_told_to_others() {
    let machine = Machine::complete();
    machine.remove("index");
    let told = machine.run(&["help"]);
    assert_eq!((told.code, machine.calls().as_str()), (0, ""));
    assert_eq!(machine.run(&["demo"]).code, 0);
    assert!(machine.at("index").exists());

    let machine = Machine::complete().without_root();
    machine.remove("index");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.ends_with("    sudo apt-get update\n"), "{}", ended.err);
}

#[test]
fn rust_comes_from_the_installer_and_then_as_toolchain() {
    let machine = Machine::complete().without_rust();
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let calls = machine.calls();
    assert!(calls.contains("https://sh.rustup.rs\nrustup toolchain install stable"), "{calls}");
}

#[test]
fn curl_is_installed_for_the_installer() {
    let machine = Machine::complete().without_rust().without("curl");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(
        machine.calls().contains("install --no-install-recommends curl\ncurl "),
        "{}",
        machine.calls()
    );
}

#[test]
fn an_old_cargo_is_passed_over() {
    for old in ["1.93.1", "0.99.0"] {
        let machine = Machine::complete();
        machine.write("rust", old);
        let ended = machine.run(&["demo"]);
        assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
        assert!(
            machine.calls().starts_with("rustup toolchain install stable"),
            "{}",
            machine.calls()
        );
    }
    for new in ["1.94.0", "1.94.0-nightly", "2.0.0"] {
        let machine = Machine::complete();
        machine.write("rust", new);
        assert_eq!(machine.run(&["demo"]).code, 0);
        assert!(!machine.calls().contains("rustup"), "{}", machine.calls());
    }
}

#[test]
fn when_rust_cannot_be_had_the_line_to_run_is_printed() {
    let machine = Machine::complete().without_rust().without_root().with("offline");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("Rust 1.94 or newer is needed"), "{}", ended.err);
    assert!(ended.err.contains("https://sh.rustup.rs | sh"), "{}", ended.err);
}

#[test]
fn another_system_is_told_what_is_needed() {
    let machine = Machine::complete();
    machine.remove("bin/apt-get");
    let ended = machine.run(&["demo"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains("Debian or Ubuntu") && ended.err.contains(" qemu-utils "),
        "{}",
        ended.err
    );
}

#[test]
fn an_unknown_command_prints_the_usage() {
    let ended = Machine::complete().run(&["dmeo"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("./run demo"), "{}", ended.err);
}
