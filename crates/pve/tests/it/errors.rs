//! What each kind of failure says.

use std::time::{Duration, Instant};

use pve::error::{Doubt, Kind, Lock, Missing, TransportKind};
use pve::qemu::CloneRequest;
use pve::{Auth, Client, Config, Error, Method, Sent, Tls, VmId};
use tokio::net::TcpListener;

use crate::server::{Act, Server, answer, bare, data, refuse, soon};

fn vmid() -> VmId {
    VmId::new(500).unwrap()
}

/// The error of a read and of a write that get the same answer.
async fn both(act: fn() -> Act) -> (Error, Error) {
    let server = Server::start(move |_| act()).await;
    let vm = server.client().node("pve1").qemu(vmid());
    let read = soon(vm.status()).await.unwrap_err();
    let write = soon(vm.start()).await.unwrap_err();
    (read, write)
}

#[tokio::test]
async fn reason_phrase_is_kept() {
    let text = "Configuration file 'nodes/pve1/qemu-server/500.conf' does not exist";
    // An older server, and a proxy that eats bodies: only the status line.
    let server = Server::scripted([Act::Send(answer(500, text, "")), refuse(500, text)]).await;
    let vm = server.client().node("pve1").qemu(vmid());
    for _ in 0..2 {
        let error = soon(vm.config()).await.unwrap_err();
        assert!(error.is_guest_missing(vmid()) && error.is_not_found(), "{error:?}");
        assert_eq!(error.rejection().unwrap().reason, text);
        assert_eq!(error.rejection().unwrap().text(), text);
        assert_eq!(error.was_sent(), Sent::Yes);
        assert!(!error.may_have_happened());
    }
}

#[tokio::test]
async fn a_missing_storage_is_not_a_missing_guest() {
    let (read, write) = both(|| refuse(500, "storage 'fast' does not exist")).await;
    for error in [read, write] {
        assert_eq!(error.missing(), Some(&Missing::Storage("fast".into())));
        assert!(!error.is_guest_missing(vmid()));
    }
}

#[tokio::test]
async fn empty_401_keeps_its_text() {
    let (read, write) = both(|| bare(401, "Authentication failed!")).await;
    for error in [read, write] {
        assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
        assert!(error.to_string().contains("Authentication failed!"), "{error}");
        assert!(!error.may_have_happened() && !error.is_retryable_read());
    }
}

#[tokio::test]
async fn missing_privilege_is_named() {
    let (_, write) = both(|| refuse(403, "Permission check failed (/vms/500, VM.PowerMgmt)")).await;
    assert_eq!(write.missing_privilege(), Some(("/vms/500", "VM.PowerMgmt")));
    assert!(write.is_forbidden());
    let (_, bare) = both(|| refuse(403, "Permission check failed")).await;
    assert!(bare.is_forbidden() && bare.missing_privilege().is_none());
}

#[tokio::test]
async fn refused_parameters_are_named() {
    let server = Server::scripted([Act::Send(answer(
        400,
        "Parameter verification failed.",
        r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"newid":"VM 102 already exists","name":"value does not look like a valid DNS name\n"}}"#,
    ))])
    .await;
    let vm = server.client().node("pve1").qemu(vmid());
    let request = CloneRequest::new(VmId::new(102).unwrap());
    let error = soon(vm.clone_to(&request)).await.unwrap_err();
    let named: Vec<_> = error.invalid_parameters().collect();
    assert_eq!(
        named,
        [("name", "value does not look like a valid DNS name"), ("newid", "VM 102 already exists"),]
    );
    assert!(error.already_exists());
    assert!(error.to_string().contains("valid DNS name"), "{error}");
}

#[tokio::test]
async fn locks_are_busy() {
    let (read, write) = both(|| refuse(500, "VM is locked (clone)")).await;
    for error in [read, write] {
        let Error::Busy { lock, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*lock, Lock::Guest("clone".into()));
        assert!(error.is_retryable_read() && !error.may_have_happened());
    }
}

#[tokio::test]
async fn no_quorum_is_unavailable_and_nothing_happened() {
    let (_, write) = both(|| refuse(500, "cluster not ready - no quorum?")).await;
    assert!(matches!(write, Error::Unavailable { status: Some(500), .. }), "{write:?}");
    assert!(!write.may_have_happened());
}

#[tokio::test]
async fn status_595_means_not_executed() {
    let (read, write) = both(|| bare(595, "Connection refused")).await;
    for error in [read, write] {
        assert!(matches!(error, Error::Unavailable { status: Some(595), .. }), "{error:?}");
        assert_eq!(error.was_sent(), Sent::No);
        assert!(!error.may_have_happened() && error.is_retryable_read());
    }
}

#[tokio::test]
async fn status_596_and_599_after_a_write_leave_it_open() {
    type Script = fn() -> Act;
    let scripts: [(u16, Script); 3] = [
        (596, || bare(596, "Connection timed out")),
        (596, || bare(596, "Broken pipe")),
        (599, || bare(599, "Too many redirections")),
    ];
    for (status, script) in scripts {
        let (read, write) = both(script).await;
        assert!(matches!(read, Error::Unavailable { .. }) && read.is_retryable_read());
        let Error::Ambiguous { doubt, .. } = &write else {
            panic!("{write:?}");
        };
        assert_eq!(*doubt, Doubt::NodeSilent(status));
        assert_eq!(write.was_sent(), Sent::Maybe);
        assert!(write.may_have_happened());
    }
}

#[tokio::test]
async fn gateway_errors_after_a_write_leave_it_open() {
    let (read, write) = both(|| Act::Send(answer(502, "Bad Gateway", "<html>"))).await;
    assert!(matches!(read, Error::Unavailable { status: Some(502), .. }));
    assert!(matches!(write, Error::Ambiguous { doubt: Doubt::Gateway(502), .. }));
}

#[tokio::test]
async fn agent_answers_that_get_lost_say_nothing_about_the_node() {
    let server = Server::start(|_| bare(596, "Broken pipe")).await;
    let agent = server.client().node("pve1").qemu(vmid()).agent();
    let error = soon(agent.exec(&["/no/such"], None)).await.unwrap_err();
    let lost = matches!(error, Error::Ambiguous { doubt: Doubt::AgentAnswerLost, .. });
    assert!(lost, "{error:?}");
}

#[tokio::test]
async fn agent_that_boots_can_be_told_from_none() {
    let server = Server::scripted([
        refuse(500, "QEMU guest agent is not running"),
        refuse(500, "No QEMU guest agent configured"),
    ])
    .await;
    let agent = server.client().node("pve1").qemu(vmid()).agent();
    assert!(soon(agent.ping()).await.unwrap_err().is_agent_not_running());
    let none = soon(agent.ping()).await.unwrap_err();
    assert_eq!(none.kind(), Some(&Kind::AgentNotConfigured));
}

#[tokio::test]
async fn connection_cut_after_the_request_leaves_a_write_open() {
    let half = || {
        let mut bytes = answer(200, "OK", "{\"data\":null}");
        bytes.truncate(bytes.len() - 4);
        Act::SendAndCut(bytes)
    };
    type Script = fn() -> Act;
    let scripts: [Script; 3] =
        [|| Act::SendAndCut(Vec::new()), || Act::SendAndCut(b"HTTP/1.1 200".to_vec()), half];
    for script in scripts {
        let (read, write) = both(script).await;
        assert!(matches!(read, Error::Unavailable { status: None, .. }), "{read:?}");
        let lost = matches!(write, Error::Ambiguous { doubt: Doubt::ConnectionLost, .. });
        assert!(lost, "{write:?}");
        assert_eq!(write.was_sent(), Sent::Maybe);
    }
}

#[tokio::test]
async fn whole_answers_count_even_if_the_connection_is_cut_behind_them() {
    let server = Server::start(|_| Act::SendAndCut(answer(200, "OK", "{\"data\":\"103\"}"))).await;
    let cluster = server.client().cluster();
    for _ in 0..3 {
        soon(cluster.next_id()).await.unwrap();
    }
    // A refusal without a length, as old proxies send it: the body is read.
    let server = Server::start(|_| {
        let body = "{\"data\":null,\"errors\":{\"vmid\":\"bad\"}}";
        let head = "HTTP/1.1 400 Parameter verification failed.\r\nConnection: close\r\n\r\n";
        Act::SendAndCut(format!("{head}{body}").into_bytes())
    })
    .await;
    let error = soon(server.client().cluster().next_id()).await.unwrap_err();
    assert_eq!(error.invalid_parameters().next(), Some(("vmid", "bad")));
}

#[tokio::test]
async fn a_refusal_counts_even_if_its_body_is_cut() {
    let (_, write) = both(|| {
        let mut bytes = answer(500, "VM 500 is running - destroy failed", "{\"data\":null}");
        bytes.truncate(bytes.len() - 4);
        Act::SendAndCut(bytes)
    })
    .await;
    assert!(matches!(write, Error::Rejected(_)), "{write:?}");
}

#[tokio::test]
async fn writes_are_sent_once() {
    let server = Server::start(|_| Act::SendAndCut(Vec::new())).await;
    let _ = soon(server.client().node("pve1").qemu(vmid()).start()).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn slow_answers_time_out_by_kind_of_call() {
    let server = Server::start(|_| Act::Late(Duration::from_secs(60), Vec::new())).await;
    let mut config = server.config();
    config.timeouts.connect = Duration::from_secs(1);
    config.timeouts.read = Duration::from_millis(100);
    config.timeouts.task = Duration::from_millis(1500);
    let vm = Client::new(config).unwrap().node("pve1").qemu(vmid());
    let begin = Instant::now();
    let read = soon(vm.status()).await.unwrap_err();
    let read_took = begin.elapsed();
    let write = soon(vm.start()).await.unwrap_err();
    let write_took = begin.elapsed() - read_took;
    assert!(matches!(read, Error::Unavailable { status: None, .. }), "{read:?}");
    let doubt = matches!(write, Error::Ambiguous { doubt: Doubt::TimedOut, .. });
    assert!(doubt, "{write:?}");
    assert!(read_took < write_took, "{read_took:?} {write_took:?}");
    assert!(write_took >= Duration::from_millis(1500));
}

fn client_for(address: &str, connect: Duration) -> Client {
    let mut config = Config::new(
        [format!("https://{address}").parse().unwrap()],
        Auth::token("root@pam!t", "secret"),
    );
    config.tls = Tls::pinned([pve::Fingerprint::of_der(b"x")]);
    config.timeouts.connect = connect;
    Client::new(config).unwrap()
}

#[tokio::test]
async fn refused_connections_are_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let vm = client_for(&address, Duration::from_secs(5)).node("pve1").qemu(vmid());
    let error = soon(vm.start()).await.unwrap_err();
    let Error::NotSent { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind, TransportKind::Connect);
    assert_eq!(error.was_sent(), Sent::No);
    assert!(error.is_retryable_read());
}

#[tokio::test]
async fn handshakes_that_hang_are_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let vm = client_for(&address, Duration::from_millis(300)).node("pve1").qemu(vmid());
    let begin = Instant::now();
    let error = soon(vm.start()).await.unwrap_err();
    let Error::NotSent { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind, TransportKind::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn unknown_hosts_are_not_sent() {
    let vm = client_for("no-such-host.invalid:8006", Duration::from_secs(20));
    let error = soon(vm.node("pve1").qemu(vmid()).start()).await.unwrap_err();
    let Error::NotSent { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(source.kind, TransportKind::Dns | TransportKind::Timeout), "{source:?}");
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let server = Server::start(|_| {
        Act::Send(answer(200, "OK", &format!("{{\"data\":\"{}\"}}", "x".repeat(5000))))
    })
    .await;
    let mut config = server.config();
    config.body_limit = 4000;
    let error = soon(Client::new(config).unwrap().version()).await.unwrap_err();
    let Error::Malformed { reason, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(reason.contains("too large"), "{reason}");
}

#[tokio::test]
async fn answers_that_are_no_json_are_malformed() {
    let (read, write) = both(|| Act::Send(answer(200, "OK", "<html>"))).await;
    assert!(matches!(read, Error::Malformed { .. }) && !read.may_have_happened());
    assert!(matches!(write, Error::Malformed { .. }) && write.may_have_happened());
    let (read, _) = both(|| Act::Send(answer(301, "Moved Permanently", ""))).await;
    assert!(matches!(read, Error::Malformed { .. }), "{read:?}");
}

#[tokio::test]
async fn secrets_are_blotted_out_of_refusals() {
    let server = Server::scripted([refuse(500, "cannot set 'hunter2222'")]).await;
    let change = pve::qemu::ConfigChange::new().set("cipassword", "hunter2222");
    let vm = server.client().node("pve1").qemu(vmid());
    let error = soon(vm.configure(&change)).await.unwrap_err();
    assert!(server.requests()[0].text().contains("hunter2222"));
    for text in [format!("{error}"), format!("{error:?}"), format!("{change:?}")] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[tokio::test]
async fn bad_names_are_refused_before_anything_is_sent() {
    let server = Server::scripted([data("null")]).await;
    for name in ["", ".."] {
        let error = soon(server.client().node(name).status()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
    }
    let long = pve::Params::new().set("x", "y".repeat(600 * 1024));
    for method in [Method::GET, Method::POST] {
        let error = server.client().request(method, "pools", &long).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
    }
    let error = server.client().request(Method::GET, "nodes//qemu", ()).await.unwrap_err();
    assert_eq!(error.was_sent(), Sent::No);
    assert!(server.requests().is_empty());
}
