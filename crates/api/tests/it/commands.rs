//! The commands over the door's Unix socket.

use std::path::Path;
use std::sync::Arc;

use api::{ConnectionLimits, bind_unix, native, serve};
use clap::Parser;
use client::cli::{ADMIN_TOKEN_FILE, Command, Connection, SOCKET_FILE, Screen};
use model::Role;
use model::time::SystemClock;
use provider::memory::Call;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::life::refuse;
use crate::support::{Doors, Paper};

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// What a command printed, its exit code, and its error.
struct Ran {
    out: String,
    exit: u8,
    error: String,
}

async fn innkeeper(state: &Path, line: &str) -> Ran {
    let words = ["innkeeper", "--state", state.to_str().unwrap()];
    let program = Program::try_parse_from(words.into_iter().chain(line.split(' '))).unwrap();
    let format = program.connection.output;
    let paper = Paper::default();
    let mut screen = Screen::new(format, paper.clone(), None);
    let result = match program.connection.client(&|_| None, None) {
        Ok(client) => client::cli::run_with(&client, program.command, &mut screen).await,
        Err(failure) => Err(failure),
    };
    let out = paper.text();
    match result {
        Ok(exit) => Ran { out, exit: exit as u8, error: String::new() },
        Err(failure) => Ran { out, exit: failure.exit as u8, error: failure.render(format) },
    }
}

/// The house's native door on a socket in a state folder with this token.
struct Socket {
    state: tempfile::TempDir,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

impl Socket {
    async fn open(doors: &Doors, token: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let socket = bind_unix(&state.path().join(SOCKET_FILE)).await.unwrap();
        let clock = Arc::new(SystemClock::new());
        let house = Arc::clone(&doors.test.house);
        let router = native::router(house, clock, native::Limits::default()).unwrap();
        let shutdown = CancellationToken::new();
        let limits = ConnectionLimits::default();
        let served = tokio::spawn(serve(socket, router, limits, shutdown.clone()));
        std::fs::write(state.path().join(ADMIN_TOKEN_FILE), format!("{token}\n")).unwrap();
        Self { state, shutdown, served }
    }

    async fn run(&self, line: &str) -> Ran {
        innkeeper(self.state.path(), line).await
    }
}

#[tokio::test]
async fn commands_end_with_their_exit_codes() {
    let doors = Doors::open().await;
    let socket = Socket::open(&doors, &doors.token("default", Role::Member, None).await).await;
    let create = "instance create web-1 --image debian --cores 1 --memory 1G --wait -o json";
    let exit = async |line: &str| socket.run(line).await.exit;
    assert_eq!(exit(create).await, 0);
    assert_eq!(exit("instance show web-1").await, 0);
    assert_eq!(exit("instance stop web-1 --wait -o json").await, 0);
    assert_eq!(exit("operation list --settled").await, 0);
    assert_eq!(exit("instance show nobody").await, 3);
    assert_eq!(exit("instance create a --image nope --cores 1 --memory 1G").await, 2);
    assert_eq!(exit("flavour create small --cores 1 --memory 1G").await, 5);
    doors.test.cloud.faults().add(refuse(Call::Apply));
    let failed = socket.run(&create.replace("web-1", "web-2")).await;
    assert_eq!(failed.exit, 1);
    assert!(failed.error.contains("no permission"), "{}", failed.error);
    let again = socket.run("instance start web-2").await;
    assert_eq!(again.exit, 4, "{}", again.error);
    doors.test.cloud.faults().end();
    assert_eq!(exit("instance delete web-2 --wait -o json").await, 0);
    assert_eq!(exit("instance delete web-1 --wait -o json").await, 0);
    assert!(doors.test.cloud.guests().is_empty());
    let token = socket.state.path().join(ADMIN_TOKEN_FILE);
    std::fs::write(&token, "ink_forged").unwrap();
    let denied = socket.run("image list").await;
    assert_eq!(denied.exit, 5);
    assert!(denied.error.contains("next: give a valid token"), "{}", denied.error);
    socket.shutdown.cancel();
    let Socket { state, served, .. } = socket;
    served.await.unwrap();
    assert_eq!(innkeeper(state.path(), "image list").await.exit, 6);
}

#[tokio::test]
async fn results_are_tables_for_people_and_json_for_programs() {
    let doors = Doors::open().await;
    let socket = Socket::open(&doors, &doors.token("default", Role::Admin, None).await).await;
    let created = socket.run("flavour create small --cores 2 --memory 2G --disk 4G").await;
    assert!(created.out.starts_with("flavour small ("), "{}", created.out);
    let flavours = socket.run("flavour list").await.out;
    assert!(
        flavours.starts_with("NAME   CORES  MEMORY  DISK  ID\nsmall  2      2G      4G    "),
        "{flavours}"
    );
    let accepted = socket.run("instance create web-1 --image debian --flavour small").await.out;
    assert!(accepted.contains("create of web-1 is accepted"), "{accepted}");
    let operation = accepted.split_whitespace().last().unwrap();
    assert_eq!(socket.run(&format!("operation watch {operation} -o json")).await.exit, 0);
    let list = socket.run("instance list --name web-1 -o json").await.out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["instances"][0]["image"]["name"], "debian");
    let shown = socket.run("instance show web-1").await.out;
    assert!(shown.contains("flavour:     small (") && shown.contains("memory:      2G"), "{shown}");
    let steps = socket.run(&format!("operation show {operation} --log")).await.out;
    assert!(
        steps.contains("STEP") && steps.contains("place: done") || steps.contains("place: host"),
        "{steps}"
    );
    doors.test.cloud.add_foreign(777, "old-server", &"host1".parse().unwrap(), None);
    let mut adopted = socket.run("instance adopt lab 777 --expires-in 30d --wait -o json").await;
    while adopted.exit == 3 {
        // The observer has yet to see it.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        adopted = socket.run("instance adopt lab 777 --expires-in 30d --wait -o json").await;
    }
    assert_eq!(adopted.exit, 0, "{}", adopted.error);
    let shown = socket.run("instance show old-server").await.out;
    assert!(shown.contains("observed") && shown.contains("expires:"), "{shown}");
    assert_eq!(socket.run("instance edit old-server --no-expiry --wait -o json").await.exit, 0);
    assert_eq!(socket.run("instance resize old-server --cores 2").await.exit, 4);
    assert_eq!(socket.run("instance delete old-server --wait -o json").await.exit, 0);
    assert!(doors.test.cloud.guest(777).is_some());
    let token = socket.run("token create ci --role reader --expires-in 30d").await.out;
    assert!(token.starts_with("ink_") && token.lines().count() == 1, "{token}");
    std::fs::write(socket.state.path().join(ADMIN_TOKEN_FILE), &token).unwrap();
    assert_eq!(socket.run("instance delete web-1").await.exit, 5);
    assert_eq!(socket.run("instance list").await.exit, 0);
}

#[tokio::test]
async fn what_happened_and_who_asked_is_listed_and_posted() {
    let doors = Doors::open().await;
    let socket = Socket::open(&doors, &doors.token("default", Role::Admin, None).await).await;
    let create = "instance create web-1 --image debian --cores 1 --memory 1G --wait -o json";
    assert_eq!(socket.run(create).await.exit, 0);
    let events = socket.run("event list --limit 1000").await.out;
    assert!(events.contains("instance.created"), "{events}");
    let following = socket.run("event follow --after 0 -o json");
    let cut = tokio::time::timeout(std::time::Duration::from_millis(300), following).await;
    assert!(cut.is_err(), "it goes on until it is interrupted");
    let audit = socket.run("audit list --action create --outcome accepted").await.out;
    assert_eq!(audit.lines().count(), 2, "a title and one line: {audit}");
    let made = socket.run("webhook create https://hooks.example/x --project default").await;
    assert_eq!((made.exit, made.out.lines().count()), (0, 1), "{}{}", made.out, made.error);
    let hooks = socket.run("webhook list -o json").await.out;
    let hooks: serde_json::Value = serde_json::from_str(&hooks).unwrap();
    assert_eq!(hooks["webhooks"][0]["url"], "https://hooks.example/x");
    let id = hooks["webhooks"][0]["id"].as_str().unwrap();
    assert_eq!(socket.run(&format!("webhook delete {id}")).await.exit, 0);
    let hooks = socket.run("webhook list -o json").await.out;
    assert!(hooks.contains("\"webhooks\": []"), "{hooks}");
    socket.shutdown.cancel();
}
