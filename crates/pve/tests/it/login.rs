//! Logging in as a step of its own, and questions about credentials.

use pve::error::TransportKind;
use pve::{Auth, Client, Config, Error, Factor, FactorKind, LogIn};

use crate::server::{Act, Request, Server, data, refuse, soon};

const CHALLENGE: &str = "PVE:!tfa!%7B%22totp%22%3Atrue%2C%22recovery%22%3A%5B0%2C3%5D%2C%22webauthn%22%3A%7B%22c%22%3A1%7D%2C%22yubico%22%3Afalse%7D:68A1::sig";

/// An account whose second factor is the code 123456.
fn realm(request: &Request) -> Act {
    if !request.target.ends_with("/access/ticket") {
        return data(r#"{"version":"8.4.21"}"#);
    }
    let text = request.text();
    let ticket = data(r#"{"ticket":"T1","CSRFPreventionToken":"C1","username":"u@pve"}"#);
    if text.contains("tfa-challenge=PVE%3A%21tfa%21") {
        return match text.contains("password=totp%3A123456") {
            true => ticket,
            false => refuse(401, "authentication failure"),
        };
    }
    match () {
        () if text.contains("otp=777") => ticket,
        () if !text.contains("password=right") => refuse(401, "authentication failure"),
        () => data(&format!("{{\"ticket\":\"{CHALLENGE}\",\"NeedTFA\":1}}")),
    }
}

fn with(server: &Server, password: &str) -> Config {
    let mut config = server.config();
    config.auth = Auth::ticket("u@pve", password.to_owned());
    config
}

async fn challenge(server: &Server) -> Box<pve::Challenge> {
    match soon(Client::log_in(with(server, "right"))).await.unwrap() {
        LogIn::Challenge(challenge) => challenge,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_second_factor_is_the_second_step() {
    let server = Server::start(realm).await;
    let challenge = challenge(&server).await;
    assert_eq!(challenge.username(), "u@pve");
    let kinds = [FactorKind::Totp, FactorKind::Recovery, FactorKind::WebAuthn];
    assert_eq!(challenge.kinds(), kinds);
    assert_eq!(challenge.webauthn().unwrap()["c"], 1);
    assert!(!format!("{challenge:?}").contains("tfa!"), "the ticket prints");
    let client = soon(challenge.answer(&Factor::totp("123456"))).await.unwrap();
    soon(client.version()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "no further log-in");
    assert_eq!(requests[2].header("cookie"), Some("PVEAuthCookie=T1"));
}

#[tokio::test]
async fn a_wrong_code_can_be_followed_by_the_right_one() {
    let server = Server::start(realm).await;
    let challenge = challenge(&server).await;
    let error = soon(challenge.answer(&Factor::totp("000000"))).await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("000000"));
    soon(challenge.answer(&Factor::totp("123456"))).await.unwrap();
}

#[tokio::test]
async fn a_kind_that_is_not_offered_is_not_sent() {
    let server = Server::start(realm).await;
    let challenge = challenge(&server).await;
    let error = soon(challenge.answer(&Factor::yubico("cccc"))).await.unwrap_err().to_string();
    assert!(error.contains("factor") && error.contains("totp, recovery, webauthn"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn each_kind_has_its_prefix() {
    let offered = r#"PVE:!tfa!{"totp":true,"recovery":"low","yubico":true,"webauthn":{}}:1::s"#;
    let body = serde_json::json!({ "ticket": offered }).to_string();
    let server = Server::start(move |_| data(&body)).await;
    let challenge = challenge(&server).await;
    for (factor, sent) in [
        (Factor::recovery(" aaaa-bbbb "), "password=recovery%3Aaaaa-bbbb"),
        (Factor::yubico("cccc"), "password=yubico%3Acccc"),
        (Factor::webauthn(r#"{"id":1}"#), "password=webauthn%3A%7B%22id%22%3A1%7D"),
    ] {
        // It asks again, whatever we say.
        let error = soon(challenge.answer(&factor)).await.unwrap_err();
        assert!(matches!(error, Error::SecondFactor { .. }), "{error:?}");
        let text = server.requests().pop().unwrap().text();
        assert!(text.contains(sent) && text.contains("tfa-challenge="), "{text}");
    }
}

#[tokio::test]
async fn an_old_one_time_password_goes_beside_the_password() {
    let server = Server::start(realm).await;
    let login = soon(Client::log_in_with_otp(with(&server, "right"), "777")).await.unwrap();
    assert!(matches!(login, LogIn::Done(_)), "{login:?}");
    assert!(server.requests()[0].text().ends_with("password=right&otp=777"));
}

#[tokio::test]
async fn a_wrong_password_is_said_at_once() {
    let server = Server::start(realm).await;
    let error = soon(Client::log_in(with(&server, "wrong"))).await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn one_time_answers_are_not_sent_twice() {
    let server = Server::start(|_| Act::SendAndCut(Vec::new())).await;
    let mut config = with(&server, "right");
    config.endpoints.push(config.endpoints[0].clone());
    let error = soon(Client::log_in_with_otp(config.clone(), "777")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1);
    soon(Client::log_in(config)).await.unwrap_err();
    assert_eq!(server.requests().len(), 3, "a password is good for both endpoints");
}

#[tokio::test]
async fn tokens_do_not_log_in() {
    let server = Server::start(realm).await;
    let error = soon(Client::log_in(server.config())).await.unwrap_err().to_string();
    assert!(error.contains("auth"), "{error}");
}

#[tokio::test]
async fn a_tokens_expiry_is_asked_for() {
    let server = Server::scripted([
        data(r#"{"expire":"1700000000","privsep":1}"#),
        data(r#"{"expire":0,"privsep":"0"}"#),
        refuse(401, "invalid token value!"),
    ])
    .await;
    let client = server.client();
    let info = soon(client.check_token()).await.unwrap();
    assert!(info.is_expired(1_700_000_000) && !info.is_expired(1_699_999_999));
    let target = server.requests()[0].target.clone();
    assert_eq!(target, "/api2/json/access/users/root%40pam/token/test");
    let info = soon(client.check_token()).await.unwrap();
    assert_eq!((info.expires_at(), info.privsep), (None, Some(false)));
    let error = soon(client.check_token()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated(_)), "{error:?}");
}

#[tokio::test]
async fn a_password_is_checked_with_a_privilege_and_without_our_credentials() {
    let server =
        Server::scripted([data(r#"{"username":"u@pve"}"#), refuse(401, "permission denied")]).await;
    let client = server.client();
    let password = "secret".to_owned().into();
    let privileges = ["VM.Audit", "VM.PowerMgmt"];
    soon(client.check_password("u@pve", &password, "/vms", &privileges)).await.unwrap();
    let request = server.requests().remove(0);
    assert_eq!(
        request.text(),
        "username=u%40pve&password=secret&path=%2Fvms&privs=VM.Audit%2CVM.PowerMgmt"
    );
    assert_eq!(request.header("authorization"), None);
    let no = client.check_password("u@pve", &password, "/vms", &["VM.Audit"]);
    assert!(matches!(soon(no).await.unwrap_err(), Error::Unauthenticated(_)));
}

#[tokio::test]
async fn an_answer_that_is_no_log_in_does_not_print() {
    let server = Server::start(|_| data(r#"{"ticket":["hush"]}"#)).await;
    let error = soon(Client::log_in(with(&server, "right"))).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    let client = Client::new(with(&server, "right")).unwrap();
    let error = soon(client.version()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    let Error::NotSent { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind, TransportKind::Login);
}
