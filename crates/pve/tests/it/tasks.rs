//! Following tasks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pve::error::{Kind, Missing};
use pve::tasks::TaskFilter;
use pve::{Client, Clock, Error, ExitStatus, Sleep, Upid, WaitPolicy};

use crate::server::{Act, Server, answer, bare, data, refuse, soon};

const UPID: &str = "UPID:pve1:0000314F:000AB8AD:6B007E7F:qmclone:505:root@pam!full:";

pub fn upid() -> Upid {
    UPID.parse().unwrap()
}

pub fn state(status: &str, exit: &str) -> Act {
    let exit = match exit {
        "" => String::new(),
        exit => format!(",\"exitstatus\":{exit:?}"),
    };
    data(&format!("{{\"upid\":\"{UPID}\",\"status\":\"{status}\",\"id\":505{exit}}}"))
}

/// Time that passes only by sleeping.
#[derive(Debug, Default)]
pub struct Dream(Mutex<Vec<Duration>>);

impl Dream {
    pub fn pauses(&self) -> Vec<Duration> {
        self.0.lock().unwrap().clone()
    }
}

impl Clock for Dream {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().iter().sum()
    }
}

impl Sleep for Dream {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

pub fn dreaming(server: &Server) -> (Client, Arc<Dream>) {
    let dream = Arc::new(Dream::default());
    let mut config = server.config();
    config.clock = dream.clone();
    config.sleep = dream.clone();
    (Client::new(config).unwrap(), dream)
}

async fn end_of(exit: &str) -> ExitStatus {
    let server = Server::scripted([state("running", ""), state("stopped", exit)]).await;
    let (client, _) = dreaming(&server);
    let end = soon(client.wait_task(&upid(), &WaitPolicy::default())).await;
    end.unwrap().exit
}

#[tokio::test]
async fn tasks_end_well_badly_or_by_force() {
    assert_eq!(end_of("OK").await, ExitStatus::Ok);
    assert_eq!(end_of("WARNINGS: 2").await, ExitStatus::Warnings(2));
    assert!(!end_of("unexpected status").await.is_success());
    assert!(!end_of("received interrupt").await.is_success());
    let race = end_of("unable to create VM 791: config file already exists").await;
    assert_eq!(race.kind(), Some(Kind::AlreadyExists));
    // Stopped, and no word of how: not a success.
    assert!(!end_of("").await.is_success());
}

#[tokio::test]
async fn pauses_grow_to_their_limit() {
    let running = (0..20).map(|_| state("running", ""));
    let server = Server::scripted(running.chain([state("stopped", "OK")])).await;
    let (client, dream) = dreaming(&server);
    let policy = WaitPolicy::default();
    soon(client.wait_task(&upid(), &policy)).await.unwrap();
    let pauses = dream.pauses();
    assert_eq!(pauses.len(), 20);
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!((pauses[0], pauses[19]), (policy.first_pause, policy.longest_pause));
}

#[tokio::test]
async fn outages_in_between_are_outlived() {
    let server = Server::scripted([
        bare(595, "Connection refused"),
        bare(596, "Connection timed out"),
        Act::SendAndCut(Vec::new()),
        refuse(500, "cluster not ready - no quorum?"),
        state("running", ""),
        bare(599, "x"),
        state("stopped", "OK"),
    ])
    .await;
    let (client, _) = dreaming(&server);
    let end = soon(client.wait_task(&upid(), &WaitPolicy::default())).await.unwrap();
    assert!(end.is_success());
    assert_eq!(server.requests().len(), 7);
}

#[tokio::test]
async fn outages_have_a_limit() {
    let server = Server::start(|_| bare(595, "Connection refused")).await;
    let (client, dream) = dreaming(&server);
    let policy = WaitPolicy { longest_outage: Duration::from_secs(30), ..WaitPolicy::default() };
    let error = soon(client.wait_task(&upid(), &policy)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    let waited = dream.now();
    assert!(waited >= policy.longest_outage && waited < Duration::from_secs(40), "{waited:?}");
}

#[tokio::test]
async fn deadline_leaves_the_task_running() {
    let server = Server::start(|_| state("running", "")).await;
    let (client, dream) = dreaming(&server);
    let policy = WaitPolicy { deadline: Some(Duration::from_secs(12)), ..WaitPolicy::default() };
    let error = soon(client.wait_task(&upid(), &policy)).await.unwrap_err();
    assert!(matches!(error, Error::TaskRunning { .. }), "{error:?}");
    assert_eq!(dream.now(), Duration::from_secs(12));
}

#[tokio::test]
async fn unknown_tasks_end_the_wait() {
    let body = r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"upid":"no such task"}}"#;
    let server =
        Server::start(|_| Act::Send(answer(400, "Parameter verification failed.", body))).await;
    let (client, _) = dreaming(&server);
    let error = soon(client.wait_task(&upid(), &WaitPolicy::default())).await.unwrap_err();
    assert_eq!(error.missing(), Some(&Missing::Task));
}

#[tokio::test]
async fn logs_come_in_pages_even_when_there_is_no_file() {
    let server = Server::scripted([
        Act::Send(answer(
            200,
            "OK",
            r#"{"total":3,"data":[{"n":2,"t":"b"},{"n":"3","t":"TASK OK"}]}"#,
        )),
        Act::Send(answer(200, "OK", r#"{"total":1,"data":{"n":1,"t":"unable to open file - x"}}"#)),
    ])
    .await;
    let task = server.client().task(&upid());
    let page = soon(task.log(1, 50)).await.unwrap();
    assert_eq!((page.total, page.lines.len(), page.lines[1].n), (Some(3), 2, 3));
    assert!(server.requests()[0].target.ends_with("/log?start=1&limit=50"));
    let page = soon(task.log(0, 50)).await.unwrap();
    assert_eq!(page.lines.len(), 1);
}

#[tokio::test]
async fn the_end_of_a_log_is_what_tells_of_a_failure() {
    let page = |total: u32, text: &str| {
        let body = format!("{{\"total\":{total},\"data\":[{{\"n\":1,\"t\":\"{text}\"}}]}}");
        Act::Send(answer(200, "OK", &body))
    };
    let server = Server::scripted([page(100, "begin"), page(100, "end"), page(1, "all")]).await;
    let task = server.client().task(&upid());
    assert_eq!(soon(task.last_lines(20)).await.unwrap()[0].t, "end");
    assert!(server.requests()[1].target.ends_with("/log?start=80&limit=20"));
    assert_eq!(soon(task.last_lines(20)).await.unwrap()[0].t, "all");
}

#[tokio::test]
async fn active_tasks_are_running() {
    let server = Server::scripted([data(&format!(
        "[{{\"upid\":\"{UPID}\",\"status\":\"RUNNING\",\"user\":\"root@pam!full\"}},{{\"upid\":\"{UPID}\",\"status\":\"boom\",\"endtime\":1}}]"
    ))])
    .await;
    let node = server.client().node("pve1");
    let page = soon(node.tasks(&TaskFilter::default())).await.unwrap();
    assert_eq!(page.tasks[0].exit(), None);
    assert_eq!(page.tasks[1].exit(), Some(ExitStatus::Failed("boom".into())));
}
