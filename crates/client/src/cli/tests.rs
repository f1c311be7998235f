#![allow(clippy::unwrap_used, clippy::expect_used)]
use clap::{CommandFactory, Parser};

use super::*;
use crate::wire::ErrorDetail;
use crate::{Endpoint, Error};

#[derive(Debug, Parser)]
#[command(name = "innkeeper")]
struct Program {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

fn parse(line: &str) -> Result<Program, clap::Error> {
    Program::try_parse_from(line.split_whitespace())
}

#[test]
fn the_grammar_is_sound() {
    Program::command().debug_assert();
}

#[test]
fn every_documented_command_parses() {
    let id = "01936b2e-0000-7000-8000-000000000001";
    for line in [
        "innkeeper instance list --in-state running --output json",
        "innkeeper --state /s instance show web-1",
        "innkeeper instance create web-1 --image debian --flavour small --no-start",
        "innkeeper instance create web-1 --image debian --cores 2 --memory 2G --disk 10G --user-data u --ssh-key k --label a=b --wait",
        "innkeeper instance start web-1 --wait",
        "innkeeper instance stop web-1",
        "innkeeper instance shutdown web-1 --timeout 30 --force",
        "innkeeper instance reboot web-1",
        "innkeeper instance resize web-1 --cores 4 --memory 8G --disk 40G --wait",
        "innkeeper instance resize web-1 --flavour large",
        "innkeeper instance edit web-1 --rename web-2 --tag a --tag b --protect",
        "innkeeper instance edit web-1 --description x --no-tags --unprotect",
        "innkeeper instance destinations web-1",
        "innkeeper instance migrate web-1 --host pve2 --online --wait",
        "innkeeper instance snapshot list web-1",
        "innkeeper instance snapshot create web-1 before --memory --description x",
        "innkeeper instance snapshot rollback web-1 before --wait",
        "innkeeper instance snapshot delete web-1 before",
        "innkeeper instance delete web-1 --wait --server http://a/",
        "innkeeper operation list --running",
        &format!("innkeeper operation show {id} --log"),
        &format!("innkeeper operation watch {id}"),
        &format!("innkeeper operation cancel {id}"),
        &format!("innkeeper operation resume {id}"),
        &format!("innkeeper operation abandon {id}"),
        "innkeeper image list",
        "innkeeper flavour list",
        "innkeeper flavour create small --cores 1 --memory 512M",
        "innkeeper flavour delete small",
        "innkeeper token create ci --project p --role reader --expires-in 30d",
        "innkeeper token list",
        &format!("innkeeper token revoke {id}"),
        &format!("innkeeper event list --instance {id} --after 7 --limit 10"),
        "innkeeper event follow --project p --after 0",
        "innkeeper audit list --action create --outcome accepted --limit 1000",
        "innkeeper webhook create https://hooks.example/x --project p",
        "innkeeper webhook list",
        &format!("innkeeper webhook delete {id}"),
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn bad_arguments_say_what_was_expected() {
    for (line, expected) in [
        ("innkeeper instance create a --image i --memory 2G", "--cores"),
        ("innkeeper instance create a --image i --cores 1 --memory 2", "a unit is missing"),
        ("innkeeper instance create a --image i --cores 1 --memory 2GB", "write 2GiB"),
        ("innkeeper instance list --in-state up", "expected one of creating"),
        ("innkeeper operation watch nope", "an operation id (a UUID) expected"),
        ("innkeeper instance create a --image i --flavour f --label x", "expected KEY=VALUE"),
        ("innkeeper token create t --expires-in 30", "30d"),
        ("innkeeper event list --limit 1001", "1001 is not in 1..=1000"),
    ] {
        let error = parse(line).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
}

fn connection(line: &str) -> Connection {
    parse(&format!("innkeeper image list {line}")).unwrap().connection
}

fn endpoint(line: &str, env: &[(&str, &str)], default: Option<&Path>) -> Result<Endpoint, Failure> {
    let env =
        |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    connection(line).client(&env, default).map(|client| client.endpoint().clone())
}

/// A state folder that is removed when the test ends.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ik-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join(ADMIN_TOKEN_FILE), "ink_x\n").unwrap();
        std::fs::write(path.join(SOCKET_FILE), "").unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let folder = Folder::new("wins");
    let socket = Endpoint::Socket(folder.0.join(SOCKET_FILE));
    let state = folder.0.display().to_string();
    let url = |text| Endpoint::parse_url(text).unwrap();
    let env = [("INNKEEPER_SERVER", "http://env/")];
    assert_eq!(endpoint("--server http://arg", &env, None).unwrap(), url("http://arg/"));
    assert_eq!(endpoint("", &env, Some(&folder.0)).unwrap(), url("http://env/"));
    assert_eq!(endpoint(&format!("--state {state}"), &env, None).unwrap(), socket);
    assert_eq!(endpoint("", &[("INNKEEPER_STATE", &state)], None).unwrap(), socket);
    assert_eq!(endpoint("", &[], Some(&folder.0)).unwrap(), socket);
    let nothing = endpoint("", &[], None).unwrap_err();
    assert_eq!(nothing.exit, Exit::Usage);
    assert!(nothing.hint.unwrap().contains("--server"));
}

#[test]
fn a_token_file_that_holds_no_token_is_refused() {
    let folder = Folder::new("token");
    let file = folder.0.join("empty");
    std::fs::write(&file, " \n").unwrap();
    let failure =
        endpoint(&format!("--server http://a --token-file {}", file.display()), &[], None);
    let failure = failure.unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.message.contains("expected one line that is a token"), "{}", failure.message);
}

#[test]
fn each_error_code_has_its_exit_code() {
    let exit = |code: &str| {
        let detail = ErrorDetail {
            code: code.to_owned(),
            message: String::new(),
            field: None,
            operation: None,
            request_id: "r".to_owned(),
        };
        Failure::from(Error::Refused { status: 400, detail: Box::new(detail) }).exit as u8
    };
    let codes = [
        ("invalid_request", 2),
        ("unsupported", 2),
        ("not_found", 3),
        ("gone", 3),
        ("conflict", 4),
        ("already_exists", 4),
        ("precondition_failed", 4),
        ("unauthenticated", 5),
        ("forbidden", 5),
        ("unavailable", 6),
        ("too_many_requests", 6),
        ("insufficient_capacity", 6),
        ("quota_exceeded", 6),
        ("read_only", 6),
        ("internal", 1),
    ];
    for (code, expected) in codes {
        assert_eq!(exit(code), expected, "{code}");
    }
}

#[test]
fn a_failure_is_one_or_two_lines_or_json() {
    let failure = Failure::new(Exit::NotFound, "there is no\ninstance").hint("instance list");
    assert_eq!(
        failure.render(Format::Table),
        "error: there is no instance\n  next: instance list\n"
    );
    let json: serde_json::Value = serde_json::from_str(&failure.render(Format::Json)).unwrap();
    assert_eq!(json["error"]["code"], "not_found");
}
