//! Tickets and CSRF.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pve::error::TransportKind;
use pve::{Auth, Client, Clock, Error, Sent};

use crate::server::{Act, Request, Server, bare, data, refuse, soon};

#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

const PASSWORD: &str = "correct-horse";

/// Hands out tickets `T1`, `T2`, … for the password and for old tickets, and
/// accepts any ticket but those in `dead`.
struct Realm {
    issued: AtomicUsize,
    dead: Mutex<Vec<String>>,
}

impl Realm {
    fn script(&self, request: &Request) -> Act {
        let dead = self.dead.lock().unwrap().clone();
        if request.target.ends_with("/access/ticket") {
            let given = request.text();
            let old = given.split("password=T").nth(1).map(|number| format!("T{number}"));
            let good = given.contains(PASSWORD) || old.is_some_and(|old| !dead.contains(&old));
            if !good {
                return refuse(401, "authentication failure");
            }
            let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
            return data(&format!(
                "{{\"ticket\":\"T{number}\",\"CSRFPreventionToken\":\"C{number}\",\"username\":\"u@pve\"}}"
            ));
        }
        let cookie = request.header("cookie").unwrap_or_default();
        let ticket = cookie.strip_prefix("PVEAuthCookie=").unwrap_or_default();
        if ticket.is_empty() || dead.iter().any(|dead| dead == ticket) {
            return bare(401, "No ticket");
        }
        let csrf = request.header("csrfpreventiontoken");
        if request.method != "GET"
            && csrf.map(|csrf| csrf.replace('C', "T")).as_deref() != Some(ticket)
        {
            return bare(401, "Permission denied - invalid csrf token");
        }
        data("null")
    }
}

struct Setup {
    server: Server,
    client: Client,
    clock: Arc<ManualClock>,
    realm: Arc<Realm>,
}

async fn setup(password: &str) -> Setup {
    let realm = Arc::new(Realm { issued: AtomicUsize::new(0), dead: Mutex::new(Vec::new()) });
    let script = realm.clone();
    let server = Server::start(move |request| script.script(request)).await;
    let clock = Arc::new(ManualClock::default());
    let mut config = server.config();
    config.auth = Auth::ticket("u@pve", password);
    config.clock = clock.clone();
    Setup { client: Client::new(config).unwrap(), server, clock, realm }
}

impl Setup {
    async fn write(&self) -> Result<(), Error> {
        soon(self.client.pools().create("p", None)).await
    }

    async fn read(&self) -> Result<(), Error> {
        let reply = self.client.request(pve::Method::GET, "version", ());
        soon(reply).await.map(drop)
    }

    fn logins(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        let logins = requests.filter(|request| request.target.ends_with("/access/ticket"));
        logins.map(|request| request.text()).collect()
    }
}

#[tokio::test]
async fn one_login_serves_reads_and_writes_with_csrf_on_writes_only() {
    let setup = setup(PASSWORD).await;
    setup.read().await.unwrap();
    setup.write().await.unwrap();
    assert_eq!(setup.logins(), ["username=u%40pve&password=correct-horse"]);
    let requests = setup.server.requests();
    assert_eq!(requests[1].header("csrfpreventiontoken"), None);
    assert_eq!(requests[2].header("csrfpreventiontoken"), Some("C1"));
    assert_eq!(requests[2].header("cookie"), Some("PVEAuthCookie=T1"));
}

#[tokio::test]
async fn a_burst_of_calls_makes_one_login() {
    let setup = setup(PASSWORD).await;
    let calls = (0..10).map(|_| setup.read());
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(setup.logins().len(), 1);
}

#[tokio::test]
async fn tickets_are_renewed_with_themselves_after_an_hour() {
    let setup = setup(PASSWORD).await;
    setup.write().await.unwrap();
    setup.clock.advance(3599);
    setup.write().await.unwrap();
    assert_eq!(setup.logins().len(), 1);
    setup.clock.advance(1);
    setup.write().await.unwrap();
    assert_eq!(setup.logins()[1..], ["username=u%40pve&password=T1"]);
    // Older than a ticket lives: only the password helps.
    setup.clock.advance(7200);
    setup.write().await.unwrap();
    assert_eq!(setup.logins()[2..], ["username=u%40pve&password=correct-horse"]);
}

#[tokio::test]
async fn refused_renewal_falls_back_to_the_password() {
    let setup = setup(PASSWORD).await;
    setup.write().await.unwrap();
    setup.realm.dead.lock().unwrap().push("T1".into());
    setup.clock.advance(3600);
    setup.write().await.unwrap();
    let logins = setup.logins();
    assert!(logins[1].ends_with("=T1") && logins[2].ends_with("=correct-horse"), "{logins:?}");
}

#[tokio::test]
async fn refused_ticket_logs_in_again_once_and_repeats_the_call() {
    let setup = setup(PASSWORD).await;
    setup.write().await.unwrap();
    setup.realm.dead.lock().unwrap().push("T1".into());
    setup.write().await.unwrap();
    assert_eq!(setup.logins().len(), 2);
    // When no ticket is ever good, it ends.
    let all = (0..50).map(|number| format!("T{number}"));
    setup.realm.dead.lock().unwrap().extend(all);
    let error = setup.write().await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
    assert_eq!(setup.logins().len(), 3);
}

#[tokio::test]
async fn wrong_password_is_not_tried_again_and_never_printed() {
    let setup = setup("wrong-wrong").await;
    let error = setup.write().await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
    assert!(error.to_string().contains("authentication failure"));
    for text in [format!("{error:?}"), format!("{:?}", setup.client)] {
        assert!(!text.contains("wrong-wrong"), "{text}");
    }
    assert_eq!(setup.server.requests().len(), 1);
}

#[tokio::test]
async fn login_that_gets_lost_means_the_call_was_not_sent() {
    let server = Server::start(|_| Act::SendAndCut(Vec::new())).await;
    let mut config = server.config();
    config.auth = Auth::ticket("u@pve", PASSWORD);
    let client = Client::new(config).unwrap();
    let error = soon(client.pools().create("p", None)).await.unwrap_err();
    assert_eq!(error.was_sent(), Sent::No);
    let Error::NotSent { source, call } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind, TransportKind::Login);
    assert_eq!(call.path, "pools");
}

#[tokio::test]
async fn a_burst_of_calls_does_not_queue_for_a_login_that_hangs() {
    let server = Server::start(|_| Act::Late(Duration::from_secs(60), Vec::new())).await;
    let mut config = server.config();
    config.auth = Auth::ticket("u@pve", PASSWORD);
    config.timeouts.connect = Duration::from_millis(500);
    config.timeouts.read = Duration::from_millis(100);
    let client = Client::new(config).unwrap();
    let begin = std::time::Instant::now();
    let pools = client.pools();
    let calls = (0..20).map(|_| pools.create("p", None));
    for result in soon(futures::future::join_all(calls)).await {
        assert_eq!(result.unwrap_err().was_sent(), Sent::No);
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn second_factor_is_named() {
    let server =
        Server::start(|_| data(r#"{"ticket":"PVE:!tfa!x","CSRFPreventionToken":"C","NeedTFA":1}"#))
            .await;
    let mut config = server.config();
    config.auth = Auth::ticket("u@pve", PASSWORD);
    let error = soon(Client::new(config).unwrap().version()).await.unwrap_err();
    assert!(matches!(error, Error::SecondFactor { .. }), "{error:?}");
    assert_eq!(error.was_sent(), Sent::No);
    assert!(error.to_string().contains("second factor"), "{error}");
}

/// A client that begins with ticket `T1`, which somebody else got.
async fn with_session() -> Setup {
    let setup = setup(PASSWORD).await;
    setup.write().await.unwrap();
    let session = setup.client.session().await.unwrap();
    let mut config = setup.server.config();
    config.auth = Auth::session("u@pve", session.ticket, session.csrf);
    config.clock = setup.clock.clone();
    Setup { client: Client::new(config).unwrap(), ..setup }
}

#[tokio::test]
async fn an_existing_ticket_is_renewed_before_its_first_use() {
    let setup = with_session().await;
    setup.write().await.unwrap();
    setup.write().await.unwrap();
    assert_eq!(setup.logins()[1..], ["username=u%40pve&password=T1"]);
    let last = setup.server.requests().pop().unwrap();
    assert_eq!(last.header("cookie"), Some("PVEAuthCookie=T2"));
    assert_eq!(last.header("csrfpreventiontoken"), Some("C2"));
}

#[tokio::test]
async fn a_dead_ticket_without_a_password_ends_the_session() {
    let setup = with_session().await;
    setup.realm.dead.lock().unwrap().push("T1".into());
    let error = setup.write().await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
    assert_eq!(setup.logins().len(), 2);
}

#[tokio::test]
async fn a_session_that_was_not_used_for_two_hours_says_that_it_is_over() {
    let setup = with_session().await;
    setup.read().await.unwrap();
    setup.clock.advance(7200);
    let error = setup.read().await.unwrap_err();
    let Error::NotSent { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains("expired"), "{source}");
}

#[test]
fn ids_are_checked() {
    let config = |auth| pve::Config::new(["https://h".parse().unwrap()], auth);
    for auth in [
        Auth::token("root@pam", "s"),
        Auth::token("root!t", "s"),
        Auth::token("root@pam!t=s", "s"),
        Auth::ticket("root", "s"),
        Auth::session("root", "s", "s"),
    ] {
        let text = format!("{auth:?}");
        let error = Client::new(config(auth)).unwrap_err();
        assert!(error.to_string().contains("auth"), "{text}: {error}");
    }
}
