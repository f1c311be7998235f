//! Every route as the two generations of VISA's client ask for it, with what
//! they are answered, word for word. The files are beside this one; when a
//! change is meant, `INSTA_UPDATE=always` writes them anew.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use e2e::served::Site;
use serde_json::{Value, json};

use super::client::Client;
use super::{add_flavour, cluster, door, until};

/// The cores of the guest that is nobody's.
const STRANGER: f64 = 1.0;

/// What is said, in order.
struct Transcript<'a> {
    visa: &'a Client,
    text: String,
    /// What is another one every time, and the word that stands for it.
    words: Vec<(String, &'static str)>,
}

impl Transcript<'_> {
    fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, word) in &self.words {
            text = text.replace(value, word);
        }
        without_addresses(&without_times(&text))
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.visa.call(method, path, body).await;
        let value = if answer.status == 401 { Value::Null } else { answer.json() };
        let sent = body.map(|body| format!(" {body}")).unwrap_or_default();
        let line = format!("{method} {path}{sent}\n  {} {}\n", answer.status, answer.body);
        self.text.push_str(&self.plain(&line));
        value
    }

    async fn get(&mut self, path: &str) -> Value {
        self.ask("GET", path, None).await
    }
}

/// Addresses become words, also those that are not known yet.
fn without_addresses(text: &str) -> String {
    let mut plain = text.to_owned();
    for key in ["\"address\":\"", "\"ip\":\""] {
        let mut parts = plain.split(key);
        let mut next = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.split_once('"').map_or("", |(_, rest)| rest);
            let _ = write!(next, "{key}ADDRESS\"{rest}");
        }
        plain = next;
    }
    plain
}

/// Times become words.
fn without_times(text: &str) -> String {
    let is_time = |text: &str| {
        text.len() >= 20
            && text.bytes().take(19).enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                10 => byte == b'T',
                13 | 16 => byte == b':',
                _ => byte.is_ascii_digit(),
            })
    };
    let mut plain = String::new();
    for (index, part) in text.split('"').enumerate() {
        let mark = if index > 0 { "\"" } else { "" };
        let _ = write!(plain, "{mark}{}", if is_time(part) { "TIME" } else { part });
    }
    plain
}

/// What the client of 2.x insists on: every key there, texts as texts.
fn read_as_2(row: &Value) {
    for key in ["id", "name", "createdAt", "imageId", "flavourId", "state"] {
        assert!(row[key].is_string(), "{key}: {row}");
    }
    let row = row.as_object().expect("an object");
    assert!(row.contains_key("address") && row.contains_key("fault"), "{row:?}");
}

/// The routes that both generations ask for, with what one of them sends.
async fn both(log: &mut Transcript<'_>, body: &Value) -> String {
    for path in ["images", "images/9000", "images/1", "flavours", "flavours/nothing"] {
        log.get(&format!("/api/{path}")).await;
    }
    let flavour = body["flavourId"].as_str().expect("a flavour").to_owned();
    log.get(&format!("/api/flavours/{flavour}")).await;
    log.get("/api/security_groups").await;
    log.get("/api/metrics").await;
    let created = log.ask("POST", "/api/instances", Some(body)).await;
    let id = created["id"].as_str().expect("an id").to_owned();
    log.words.push((id.clone(), "ID"));
    // The host is chosen behind it: what follows is asked for at rest.
    log.words.push((format!("\"uid\":{id}"), "\"uid\":ID"));
    until(log.visa, &id, "ACTIVE", &["ERROR"]).await;
    let path = format!("/api/instances/{id}");
    read_as_2(&log.get(&path).await);
    log.get("/api/instances").await;
    log.get("/api/instances/identifiers").await;
    log.get(&format!("{path}/ip")).await;
    groups(log, &path).await;
    log.ask("POST", &format!("{path}/reboot"), None).await;
    until(log.visa, &id, "ACTIVE", &["ERROR"]).await;
    log.ask("POST", &format!("{path}/shutdown"), None).await;
    until(log.visa, &id, "STOPPED", &["ERROR"]).await;
    log.get(&path).await;
    log.ask("POST", &format!("{path}/start"), None).await;
    until(log.visa, &id, "ACTIVE", &["ERROR", "STOPPED"]).await;
    id
}

async fn groups(log: &mut Transcript<'_>, path: &str) {
    let path = format!("{path}/security_groups");
    log.get(&path).await;
    let name = json!({"name": "visa-default"});
    log.ask("POST", &format!("{path}/remove"), Some(&name)).await;
    log.get(&path).await;
    log.ask("POST", &path, Some(&name)).await;
    log.get(&path).await;
    log.ask("POST", &path, Some(&json!({"name": ""}))).await;
    log.ask("POST", &path, Some(&json!({"name": "no-such-group"}))).await;
}

/// What is refused.
async fn refused(log: &mut Transcript<'_>, body: &Value) {
    for (key, value) in [
        ("name", json!("")),
        ("name", json!("under_score")),
        ("imageId", json!("1")),
        ("flavourId", json!(7)),
        ("metadata", json!({"x": 1})),
        ("securityGroups", json!("visa-ssh")),
    ] {
        let mut body = body.clone();
        body[key] = value;
        log.ask("POST", "/api/instances", Some(&body)).await;
    }
    log.ask("POST", "/api/instances", Some(&json!({}))).await;
    for path in ["/api/instances/500", "/api/instances/x", "/api/volumes"] {
        log.get(path).await;
    }
    log.ask("DELETE", "/api/instances/500", None).await;
    log.ask("POST", "/api/instances/9000/shutdown", None).await;
    log.ask("POST", "/api/flavours/1", None).await;
    let stranger = Client { token: "other".to_owned(), ..log.visa.clone() };
    let answer = stranger.call("GET", "/api/instances", None).await;
    let _ = writeln!(
        log.text,
        "GET /api/instances (another token)\n  {} {}",
        answer.status, answer.body
    );
}

/// The routes of clients since 3.6.
async fn newer(log: &mut Transcript<'_>, id: &str) {
    until_cores(log.visa, STRANGER + 2.0).await;
    for list in ["inventories", "usages", "allocations"] {
        log.get(&format!("/api/hypervisor_{list}")).await;
    }
    for path in ["devices", "device_allocations", "custom_resource_classes"] {
        log.get(&format!("/api/{path}")).await;
    }
    log.get("/api/device/PCI_PASSTHROUGH/gpu").await;
    let host = log.visa.get("/api/hypervisor_allocations").await;
    let rows = host.as_array().expect("hosts");
    let free = rows.iter().find(|row| row["allocations"] == json!([])).expect("a free host");
    let body = json!({
        "host": free["hypervisor"]["hostname"], "blockMigration": false, "diskOverCommit": false,
    });
    log.ask("POST", &format!("/api/instances/{id}/migrate"), Some(&body)).await;
    until(log.visa, id, "ACTIVE", &["ERROR", "STOPPED"]).await;
    let unknown = json!({"host": "nowhere"});
    log.ask("POST", &format!("/api/instances/{id}/migrate"), Some(&unknown)).await;
}

async fn delete(log: &mut Transcript<'_>, id: &str) {
    let path = format!("/api/instances/{id}");
    log.ask("DELETE", &path, None).await;
    while log.visa.call("GET", &path, None).await.status != 404 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    log.get(&path).await;
    log.ask("DELETE", &path, None).await;
    log.get("/api/instances").await;
}

/// Waits until the hosts are seen to have given away so many cores.
async fn until_cores(visa: &Client, wanted: f64) {
    let begun = Instant::now();
    while visa.get("/api/metrics").await["totalCoresUsed"] != wanted {
        assert!(begun.elapsed() < Duration::from_secs(60), "not {wanted} cores");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_generations_of_clients_are_answered_word_for_word_as_the_files_say() {
    let simulator = cluster().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (address, table) = door(folder.path());
    let site = Site::with_store(&simulator, simulator.token(), "", &table).expect("a site");
    let mut server = site.serve().expect("it starts");
    let native = site.open(&mut server).await.expect("it opens");
    let visa = Client { address, token: "visa-token".to_owned() };
    let flavour = add_flavour(&native).await;
    visa.until_images().await;

    let words = || vec![(flavour.clone(), "FLAVOUR")];
    // Without what is empty.
    let body = json!({
        "name": "VISA-INSTANCE-1", "imageId": "9000", "flavourId": flavour,
        "securityGroups": ["visa-default"], "metadata": {"id": "1", "owner": "doe"},
        "bootCommand": "true",
    });
    let mut log = Transcript { visa: &visa, text: String::new(), words: words() };
    let id = both(&mut log, &body).await;
    delete(&mut log, &id).await;
    insta::assert_snapshot!("client_2", log.text);
    // Otherwise the next one may be put on the other host.
    until_cores(&visa, STRANGER).await;

    // With nulls and empty texts in the metadata, and without a boot command.
    let body = json!({
        "name": "VISA-INSTANCE-2", "imageId": "9000", "flavourId": flavour,
        "securityGroups": ["visa-default"],
        "metadata": {"id": "2", "owner": "doe", "proposals": "", "instruments": null},
    });
    let mut log = Transcript { visa: &visa, text: String::new(), words: words() };
    let id = both(&mut log, &body).await;
    newer(&mut log, &id).await;
    refused(&mut log, &body).await;
    delete(&mut log, &id).await;
    insta::assert_snapshot!("client_3", log.text);
    server.kill().await.expect("it served until now");
}
