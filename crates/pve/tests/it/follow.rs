//! Following a task's log, and looking for tasks.

use futures::StreamExt;
use pve::tasks::{TaskEnd, TaskEvent, TaskFilter, TaskSource};
use pve::{Error, WaitPolicy};

use crate::server::{Act, Request, Server, answer, bare, data, soon};
use crate::tasks::{dreaming, state, upid};

fn running() -> Act {
    state("running", "")
}

/// A page of a log: number and text of each line, and how many there are.
fn page(lines: &[(u64, &str)], total: u64) -> Act {
    let rows: Vec<_> = lines.iter().map(|(n, t)| serde_json::json!({ "n": n, "t": t })).collect();
    let body = serde_json::json!({ "data": rows, "total": total }).to_string();
    Act::Send(answer(200, "OK", &body))
}

async fn follow(server: &Server) -> Vec<Result<TaskEvent, Error>> {
    let (client, _) = dreaming(server);
    soon(client.follow_task(&upid(), &WaitPolicy::default()).collect()).await
}

/// The events in short: text, percentage or outcome.
async fn told(server: &Server) -> Vec<String> {
    let tell = |event: Result<TaskEvent, Error>| match event.unwrap() {
        TaskEvent::Line(line) => line.t,
        TaskEvent::Progress(percent) => format!("{percent} %"),
        TaskEvent::Ended(outcome) => format!("end: {}", outcome.exit),
        other => panic!("{other:?}"),
    };
    follow(server).await.into_iter().map(tell).collect()
}

#[tokio::test]
async fn lines_come_once_and_in_order_with_progress_and_end() {
    let server = Server::scripted([
        running(),
        page(&[(1, "no content")], 1),
        running(),
        page(&[(1, "create full clone"), (2, "transferred 0.5 GiB of 1.0 GiB (50.00%)")], 2),
        running(),
        page(&[], 2),
        state("stopped", "OK"),
        page(&[(3, "transferred 1.0 GiB of 1.0 GiB (100.00%)"), (4, "TASK OK")], 4),
        page(&[], 4),
    ])
    .await;
    let expected = [
        "create full clone",
        "transferred 0.5 GiB of 1.0 GiB (50.00%)",
        "50 %",
        "transferred 1.0 GiB of 1.0 GiB (100.00%)",
        "100 %",
        "TASK OK",
        "end: OK",
    ];
    assert_eq!(told(&server).await, expected);
    let logs: Vec<String> =
        server.requests().iter().map(|request| request.target.clone()).collect();
    assert!(logs[7].ends_with("/log?start=2&limit=500"), "{logs:?}");
}

/// A server that gives 50 lines at most, whatever it is asked for.
#[tokio::test]
async fn long_logs_are_read_to_their_total_page_by_page() {
    let server = Server::start(|request: &Request| {
        if !request.target.contains("/log?") {
            return state("stopped", "OK");
        }
        let start = request.target.split("start=").nth(1).unwrap();
        let start: u64 = start.split('&').next().unwrap().parse().unwrap();
        let lines: Vec<_> = (start + 1..=(start + 50).min(120)).map(|n| (n, "line")).collect();
        page(&lines, 120)
    })
    .await;
    let (client, dream) = dreaming(&server);
    let lines = soon(client.follow_log(&upid(), &WaitPolicy::default()).collect::<Vec<_>>()).await;
    let numbers: Vec<u64> = lines.into_iter().map(|line| line.unwrap().n).collect();
    assert_eq!(numbers, (1..=120).collect::<Vec<_>>());
    assert!(dream.pauses().is_empty(), "there was always more to read");
}

#[tokio::test]
async fn nodes_that_are_away_and_answers_that_get_lost_cost_no_line() {
    let server = Server::scripted([
        running(),
        page(&[(1, "a")], 1),
        bare(595, "Connection refused"),
        running(),
        bare(596, "Connection timed out"),
        Act::SendAndCut(Vec::new()),
        state("stopped", "unexpected status"),
        Act::SendAndCut(Vec::new()),
        page(&[(2, "b")], 2),
    ])
    .await;
    assert_eq!(told(&server).await, ["a", "b", "end: unexpected status"]);
}

#[tokio::test]
async fn a_log_without_content_has_no_lines_and_a_missing_one_says_so() {
    let empty = Server::scripted([state("stopped", "OK"), page(&[(1, "no content")], 1)]).await;
    assert_eq!(told(&empty).await, ["end: OK"]);
    // 8.4 has an object where there should be a list.
    let gone = r#"{"total":1,"data":{"n":1,"t":"unable to open file - No such file"}}"#;
    let gone = || Act::Send(answer(200, "OK", gone));
    let server = Server::scripted([running(), gone(), state("stopped", "OK"), gone()]).await;
    assert_eq!(told(&server).await, ["unable to open file - No such file", "end: OK"]);
}

#[tokio::test]
async fn a_server_that_repeats_itself_is_not_followed_for_ever() {
    let server = Server::start(|request: &Request| match request.target.contains("/log?") {
        true => page(&[(1, "again")], 99),
        false => state("stopped", "OK"),
    })
    .await;
    assert_eq!(told(&server).await, ["again", "end: OK"]);
}

#[tokio::test]
async fn a_stream_ends_with_what_went_wrong() {
    let server = Server::start(|_| crate::server::refuse(403, "Permission check failed")).await;
    let events = follow(&server).await;
    assert_eq!(events.len(), 1);
    assert!(events[0].as_ref().unwrap_err().is_forbidden());
    let server = Server::start(|request: &Request| match request.target.contains("/log?") {
        true => page(&[], 0),
        false => running(),
    })
    .await;
    let (client, _) = dreaming(&server);
    let deadline = Some(std::time::Duration::from_secs(9));
    let policy = WaitPolicy { deadline, ..WaitPolicy::default() };
    let events: Vec<_> = soon(client.follow_task(&upid(), &policy).collect()).await;
    assert!(matches!(events[..], [Err(Error::TaskRunning { .. })]), "{events:?}");
}

#[tokio::test]
async fn a_search_reads_all_pages_and_no_task_twice() {
    let entry = |number: u32| {
        let upid = format!("UPID:pve1:{number:08X}:000AB8AD:6B007E7F:qmstart:100:root@pam:");
        serde_json::json!({ "upid": upid, "status": "OK", "endtime": 1 })
    };
    // Between the pages two tasks begin and push the others down.
    let page = move |numbers: std::ops::Range<u32>, total: u32| {
        let rows: Vec<_> = numbers.map(entry).collect();
        let body = serde_json::json!({ "data": rows, "total": total }).to_string();
        Act::Send(answer(200, "OK", &body))
    };
    let pages = || [page(0..5, 9), page(3..7, 11), page(7..9, 11)];
    let server = Server::scripted(pages()).await;
    let filter = TaskFilter {
        source: Some(TaskSource::All),
        ends: vec![TaskEnd::Ok, TaskEnd::Warning],
        ..TaskFilter::default()
    };
    let client = server.client();
    let found: Vec<_> = soon(client.search_tasks("pve1", &filter).collect()).await;
    let pids: Vec<u32> = found.into_iter().map(|entry| entry.unwrap().upid.pid()).collect();
    assert_eq!(pids, (0..9).collect::<Vec<_>>());
    let targets: Vec<String> = server.requests().into_iter().map(|r| r.target).collect();
    assert!(targets[0].contains("source=all&statusfilter=ok%2Cwarning&limit=500&start=0"));
    assert!(targets[1].ends_with("start=5") && targets[2].ends_with("start=9"), "{targets:?}");
    // A limit is one of all pages together.
    let server = Server::scripted(pages()).await;
    let filter = TaskFilter { limit: Some(6), ..TaskFilter::default() };
    let found = soon(server.client().search_tasks("pve1", &filter).count()).await;
    assert_eq!((found, server.requests().len()), (6, 2));
}

#[tokio::test]
async fn a_search_that_fails_ends() {
    let server = Server::scripted([data("[]"), bare(595, "No route to host")]).await;
    let client = server.client();
    let filter = TaskFilter::default();
    assert_eq!(soon(client.search_tasks("pve1", &filter).count()).await, 0);
    let found: Vec<_> = soon(client.search_tasks("pve1", &filter).collect()).await;
    assert!(matches!(found[..], [Err(Error::Unavailable { .. })]), "{found:?}");
}
