//! What is sent again, and what never is.

use std::sync::Arc;
use std::time::Duration;

use pve::error::{Doubt, Kind};
use pve::{Client, Error, ExitStatus, Method, RetryPolicy, VmId, WaitPolicy};

use crate::server::{Act, Server, answer, bare, data, refuse, soon};
use crate::tasks::Dream;

const LOCKED: &str = "can't lock file '/var/lock/qemu-server/lock-102.conf' - got timeout";

fn client(server: &Server, retry: Option<RetryPolicy>) -> (Client, Arc<Dream>) {
    let dream = Arc::new(Dream::default());
    let mut config = server.config();
    config.clock = dream.clone();
    config.sleep = dream.clone();
    config.retry = retry;
    (Client::new(config).unwrap(), dream)
}

fn vmid(id: u32) -> VmId {
    VmId::new(id).unwrap()
}

fn upid(number: u32) -> String {
    format!("UPID:pve1:{number:08X}:000AB8AD:6B007E7F:qmstart:102:root@pam:")
}

fn started(number: u32) -> Act {
    data(&format!("{:?}", upid(number)))
}

fn ended(exit: &str) -> Act {
    data(&format!("{{\"upid\":{:?},\"status\":\"stopped\",\"exitstatus\":{exit:?}}}", upid(1)))
}

async fn unlink(client: &Client) -> Result<(), Error> {
    let vm = client.node("pve1").qemu(vmid(102));
    soon(vm.unlink(&["unused0"], false)).await.map(drop)
}

async fn read(client: &Client) -> Result<(), Error> {
    soon(client.request(Method::GET, "nodes", ())).await.map(drop)
}

#[tokio::test]
async fn without_a_policy_nothing_is_repeated() {
    let server = Server::start(|_| refuse(500, LOCKED)).await;
    let (client, _) = client(&server, None);
    assert!(matches!(unlink(&client).await.unwrap_err(), Error::Busy { .. }));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn locks_and_crowds_are_waited_for_by_reads_and_writes() {
    let server = Server::scripted([
        refuse(500, LOCKED),
        refuse(500, "VM is locked (clone)"),
        Act::Send(answer(429, "Too Many Requests", "")),
    ])
    .await;
    let (client, dream) = client(&server, Some(RetryPolicy::default()));
    unlink(&client).await.unwrap();
    assert_eq!((server.requests().len(), dream.pauses().len()), (4, 3));
}

#[tokio::test]
async fn reads_outlive_a_node_that_is_away_and_writes_do_not() {
    for away in [|| bare(595, "Connection refused"), || bare(596, "Connection timed out")] {
        let server = Server::scripted([away(), Act::SendAndCut(Vec::new())]).await;
        let (client, _) = client(&server, Some(RetryPolicy::default()));
        read(&client).await.unwrap();
        assert_eq!(server.requests().len(), 3);
    }
    let server = Server::start(|_| bare(595, "Connection refused")).await;
    let (client, _) = client(&server, Some(RetryPolicy::default()));
    assert!(matches!(unlink(&client).await.unwrap_err(), Error::Unavailable { .. }));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_ambiguous_and_sent_once() {
    let acts: [(fn() -> Act, Doubt); 3] = [
        (|| bare(596, "Connection timed out"), Doubt::NodeSilent(596)),
        (|| bare(599, "Too many redirections"), Doubt::NodeSilent(599)),
        (|| Act::SendAndCut(Vec::new()), Doubt::ConnectionLost),
    ];
    for (act, why) in acts {
        let server = Server::start(move |_| act()).await;
        let (client, _) = client(&server, Some(RetryPolicy::default()));
        match unlink(&client).await.unwrap_err() {
            Error::Ambiguous { doubt, .. } => assert_eq!(doubt, why),
            error => panic!("{error:?}"),
        }
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn tries_have_a_limit_and_a_refusal_that_stays_ends_them() {
    let server = Server::start(|_| refuse(500, LOCKED)).await;
    let mut policy = RetryPolicy::default();
    policy.attempts = 3;
    let (client, dream) = client(&server, Some(policy));
    assert!(matches!(unlink(&client).await.unwrap_err(), Error::Busy { .. }));
    assert_eq!(server.requests().len(), 3);
    assert!(dream.pauses().iter().all(|pause| *pause <= policy.longest_pause));
    let server = Server::start(|_| refuse(500, "no such luck")).await;
    let (client, _) = self::client(&server, Some(policy));
    unlink(&client).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_whole_has_a_limit_too() {
    let server = Server::start(|_| Act::Late(Duration::from_secs(60), Vec::new())).await;
    let mut config = server.config();
    config.timeouts.whole = Some(Duration::from_millis(300));
    let client = Client::new(config).unwrap();
    let error = unlink(&client).await.unwrap_err();
    assert!(matches!(error, Error::Ambiguous { .. }), "{error:?}");
    assert!(error.to_string().contains("outcome unknown"), "{error}");
    let error = read(&client).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_whole_that_ends_before_anything_was_sent_says_so() {
    let server = Server::start(|_| refuse(500, LOCKED)).await;
    let mut config = server.config();
    config.timeouts.whole = Some(Duration::from_millis(300));
    config.retry = Some(RetryPolicy::default());
    let error = unlink(&Client::new(config).unwrap()).await.unwrap_err();
    // It waited for the lock when time was up.
    assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_task_that_could_not_have_its_lock_is_started_again() {
    let server = Server::scripted([
        started(1),
        ended(LOCKED),
        refuse(500, "VM is locked (backup)"),
        started(2),
        ended("OK"),
    ])
    .await;
    let (client, dream) = client(&server, None);
    let vm = client.node("pve1").qemu(vmid(102));
    let (wait, retry) = (WaitPolicy::default(), RetryPolicy::default());
    let end = soon(client.start_and_wait(&wait, &retry, || vm.start())).await.unwrap().unwrap();
    assert!(end.is_success());
    assert_eq!(dream.pauses().len(), 2);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_task_that_fails_for_another_reason_is_not() {
    let server = Server::scripted([started(1), ended("start failed: no bridge")]).await;
    let (client, _) = client(&server, None);
    let vm = client.node("pve1").qemu(vmid(102));
    let (wait, retry) = (WaitPolicy::default(), RetryPolicy::default());
    let end = soon(client.start_and_wait(&wait, &retry, || vm.start())).await.unwrap().unwrap();
    assert_eq!(end.exit, ExitStatus::Failed("start failed: no bridge".into()));
    assert_eq!(server.requests().len(), 2);
}

/// `nextid` answers these ids, one after the other.
fn next(id: u32) -> Act {
    data(&format!("\"{id}\""))
}

async fn clone(client: &Client) -> Result<pve::Allocated, pve::AllocationError> {
    let template = client.node("pve1").qemu(vmid(9000));
    let clone = async |id| template.clone_to(&pve::qemu::CloneRequest::new(id)).await;
    let (wait, retry) = (WaitPolicy::default(), RetryPolicy::default());
    soon(client.allocate(&wait, &retry, clone)).await
}

#[tokio::test]
async fn a_lost_race_for_an_id_goes_on_with_the_next_one() {
    let taken = r#"{"data":null,"errors":{"vmid":"VM 792 already exists"}}"#;
    let server = Server::scripted([
        next(790),
        refuse(500, "unable to create VM 790 - VM 790 already exists on node 'pve1'"),
        next(791),
        started(1),
        ended("unable to create VM 791: config file already exists"),
        next(792),
        Act::Send(answer(400, "Parameter verification failed.", taken)),
        next(793),
        started(2),
        ended("OK"),
    ])
    .await;
    let (client, _) = client(&server, None);
    let made = clone(&client).await.unwrap();
    assert_eq!(made.id, vmid(793));
    assert!(made.outcome.unwrap().is_success());
    let requests = server.requests();
    assert_eq!(requests.len(), 10);
    assert!(requests[7 + 1].text().contains("newid=793"), "{}", requests[8].text());
}

#[tokio::test]
async fn something_else_that_exists_is_no_lost_race() {
    let server = Server::scripted([
        next(790),
        refuse(500, "disk image '/x/images/790/vm-790-disk-0.raw' already exists"),
    ])
    .await;
    let (client, _) = client(&server, None);
    let error = clone(&client).await.unwrap_err();
    assert_eq!(error.source.kind(), Some(&Kind::AlreadyExists));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_unknown_outcome_names_the_id_to_look_at() {
    let server = Server::scripted([next(790), bare(596, "Connection timed out")]).await;
    let (client, _) = client(&server, None);
    let error = clone(&client).await.unwrap_err();
    assert_eq!(error.id, Some(vmid(790)));
    assert!(matches!(error.source, Error::Ambiguous { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn races_have_a_limit() {
    let server = Server::start(|request| match request.method.as_str() {
        "GET" => next(790),
        _ => refuse(500, "unable to create VM 790: config file already exists"),
    })
    .await;
    let (client, _) = client(&server, None);
    let error = clone(&client).await.unwrap_err();
    assert!(error.source.already_exists(), "{error:?}");
    assert_eq!(server.requests().len(), 10);
}
