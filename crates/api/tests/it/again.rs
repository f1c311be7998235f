//! Asking again: keys, entity tags, pages and filters.

use client::wire::{CreateInstance, InstanceQuery, OperationKind, OperationQuery, OperationState};
use model::Role;
use serde_json::Value;

use crate::support::{Doors, Reply, raw};

const CREATE: &str = r#"{"name":"web-1","image":"debian","cores":1,"memory_bytes":1073741824}"#;

/// A request with a token, these headers, and a body.
async fn ask(doors: &Doors, line: &str, token: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    raw(doors.native, request.as_bytes()).await
}

async fn instances(doors: &Doors, token: &str) -> Vec<Value> {
    let reply = ask(doors, "GET /v1/instances", token, "", "").await;
    reply.json()["instances"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_same_key_and_request_make_one_instance() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Member, None).await;
    let key = "idempotency-key: job-7/create\r\n";
    let first = ask(&doors, "POST /v1/instances", &token, key, CREATE).await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = ask(&doors, "POST /v1/instances", &token, key, CREATE).await;
    assert_eq!((again.status, &again.body), (202, &first.body), "{again:?}");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(instances(&doors, &token).await.len(), 1);
    // Another body, and another path, are another request.
    let other = CREATE.replace("web-1", "web-2");
    for (line, body) in [("POST /v1/instances", other.as_str()), ("POST /v1/flavours", CREATE)] {
        let refused = ask(&doors, line, &token, key, body).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        let error = &refused.json()["error"];
        assert!(error["message"].as_str().unwrap().contains("another request"), "{error}");
        assert_eq!(error["operation"], first.json()["operation"]);
    }
    // Another caller has keys of its own.
    let theirs = doors.token("theirs", Role::Member, None).await;
    assert_eq!(ask(&doors, "POST /v1/instances", &theirs, key, CREATE).await.status, 202);
    assert_eq!(instances(&doors, &token).await.len(), 1);
    assert_eq!(instances(&doors, &theirs).await.len(), 1);
}

#[tokio::test]
async fn requests_with_one_key_at_the_same_moment_make_one_instance() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Member, None).await;
    let key = "idempotency-key: k\r\n";
    let asked = (0..8).map(|_| ask(&doors, "POST /v1/instances", &token, key, CREATE));
    let replies = futures::future::join_all(asked).await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.body), (202, &replies[0].body), "{reply:?}");
    }
    assert_eq!(instances(&doors, &token).await.len(), 1);
}

#[tokio::test]
async fn a_refused_request_uses_no_key_up_and_a_secret_is_answered_again() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let key = "idempotency-key: k\r\n";
    let bad = CREATE.replace("debian", "nope");
    assert_eq!(ask(&doors, "POST /v1/instances", &token, key, &bad).await.status, 400);
    let new = r#"{"name":"ci","role":"reader"}"#;
    let first = ask(&doors, "POST /v1/tokens", &token, key, new).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = ask(&doors, "POST /v1/tokens", &token, key, new).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.header("cache-control"), Some("no-store"));
    let store = doors.test.core.store.dump().await.unwrap().to_string();
    let secret = first.json()["secret"].as_str().unwrap().to_owned();
    assert!(!store.contains(&secret));
    for bad in ["", "a b", &"x".repeat(256), "k\r\nidempotency-key: l"] {
        let header = format!("idempotency-key: {bad}\r\n");
        let reply = ask(&doors, "POST /v1/tokens", &token, &header, new).await;
        assert_eq!(reply.status, 400, "{bad:?}: {reply:?}");
        assert_eq!(reply.json()["error"]["field"], "idempotency-key", "{reply:?}");
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_answered_again() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    for path in ["/v1/instances", "/v1/images", "/v1/flavours", "/v1/operations", "/v1/tokens"] {
        let line = format!("GET {path}");
        let first = ask(&doors, &line, &token, "", "").await;
        let tag = first.header("etag").unwrap().to_owned();
        let again =
            ask(&doors, &line, &token, &format!("if-none-match: \"x\", {tag}\r\n"), "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}: {again:?}");
        assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
        let other = ask(&doors, &line, &token, "if-none-match: \"x\"\r\n", "").await;
        assert_eq!((other.status, &other.body), (200, &first.body), "{path}");
    }
}

#[tokio::test]
async fn an_instance_is_changed_as_it_was_seen_or_not_at_all() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Member, None).await;
    let client = doors.client("default", Role::Member).await;
    let mut request = CreateInstance::new("web-1", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    let made = client.create_instance(&request).await.unwrap();
    let line = format!("GET /v1/instances/{}", made.instance);
    let early = ask(&doors, &line, &token, "", "").await.header("etag").unwrap().to_owned();
    client::progress::follow(&client, made.operation, &mut client::progress::Silent).await.unwrap();
    let now = ask(&doors, &line, &token, "", "").await.header("etag").unwrap().to_owned();
    assert_ne!(early, now);
    let edit = line.replace("GET", "PATCH");
    let body = r#"{"description":"mine"}"#;
    let stale = ask(&doors, &edit, &token, &format!("if-match: {early}\r\n"), body).await;
    assert_eq!(stale.status, 412, "{stale:?}");
    assert_eq!(stale.json()["error"]["code"], "precondition_failed");
    let weak = ask(&doors, &edit, &token, &format!("if-match: W/{now}\r\n"), body).await;
    assert_eq!(weak.status, 412, "{weak:?}");
    // The observer may see something new in between: then one reads again.
    let mut taken = ask(&doors, &edit, &token, &format!("if-match: {now}\r\n"), body).await;
    for _ in 0..20 {
        if taken.status != 412 {
            break;
        }
        let now = ask(&doors, &line, &token, "", "").await.header("etag").unwrap().to_owned();
        let header = format!("if-match: {early}, {now}\r\n");
        taken = ask(&doors, &edit, &token, &header, body).await;
    }
    assert_eq!(taken.status, 202, "{taken:?}");
    let delete = line.replace("GET", "DELETE");
    let stale = ask(&doors, &delete, &token, &format!("if-match: {now}\r\n"), "").await;
    assert_eq!(stale.status, 412, "{stale:?}");
    let elsewhere = ask(&doors, "POST /v1/flavours", &token, "if-match: \"1\"\r\n", "{}").await;
    assert_eq!(elsewhere.json()["error"]["field"], "if-match", "{elsewhere:?}");
}

#[tokio::test]
async fn lists_are_filtered_and_lead_to_their_next_page() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Admin).await;
    for index in 0..5 {
        let mut request = CreateInstance::new(format!("web-{index}"), "debian");
        (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
        request.labels.insert("odd".to_owned(), (index % 2).to_string());
        if index == 4 {
            request.project = Some("blue".to_owned());
        }
        let made = client.create_instance(&request).await.unwrap();
        let silent = &mut client::progress::Silent;
        client::progress::follow(&client, made.operation, silent).await.unwrap();
    }
    let count =
        async |query: InstanceQuery| client.instances(&query).await.unwrap().instances.len();
    let all = InstanceQuery::default;
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(count(InstanceQuery { label: some("odd=1"), ..all() }).await, 2);
    assert_eq!(count(InstanceQuery { label: some("odd"), ..all() }).await, 5);
    assert_eq!(count(InstanceQuery { project: some("blue"), ..all() }).await, 1);
    assert_eq!(count(InstanceQuery { image: some("debian"), ..all() }).await, 5);
    assert_eq!(count(InstanceQuery { tag: some("nope"), ..all() }).await, 0);
    assert_eq!(count(InstanceQuery { provider: some("lab"), ..all() }).await, 5);
    assert_eq!(count(InstanceQuery { provider: some("other"), ..all() }).await, 0);
    let host = client.instances(&all()).await.unwrap().instances[0].host.clone();
    assert!(count(InstanceQuery { host, ..all() }).await >= 1);
    let unknown = InstanceQuery { image: some("nope"), ..all() };
    assert_eq!(client.instances(&unknown).await.unwrap_err().code(), Some("invalid_request"));

    let mut query = OperationQuery { limit: Some(2), ..OperationQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = client.operations_page(&query).await.unwrap();
        seen.extend(page.operations.iter().map(|row| row.instance_name.clone()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["web-4", "web-3", "web-2", "web-1", "web-0"]);
    let of = |kind, state| OperationQuery { kind, state, ..OperationQuery::default() };
    let created = of(Some(OperationKind::Create), Some(OperationState::Succeeded));
    assert_eq!(client.operations(&created).await.unwrap().len(), 5);
    let deleted = of(Some(OperationKind::Delete), None);
    assert_eq!(client.operations(&deleted).await.unwrap().len(), 0);

    let token = doors.token("blue", Role::Member, None).await;
    let other = ask(&doors, "GET /v1/operations?project=default", &token, "", "").await;
    assert_eq!(other.json()["operations"].as_array().unwrap().len(), 0);
    let token = doors.token("default", Role::Admin, None).await;
    let page = ask(&doors, "GET /v1/instances?limit=2&label=odd", &token, "", "").await;
    let link = page.header("link").unwrap();
    let path = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    let next = ask(&doors, &format!("GET {path}"), &token, "", "").await;
    assert_eq!(next.json()["instances"][0]["name"], "web-2", "{link}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let token = doors.token("default", Role::Member, None).await;
    let store = &doors.test.core.store;
    let before = (store.dump().await.unwrap(), doors.test.cloud.dump());
    let mut request = CreateInstance::new("web-1", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    let plan = client.plan_instance(&request).await.unwrap();
    assert!(plan.possible && plan.refused.is_none(), "{plan:?}");
    let chosen = plan.hosts.iter().find(|row| Some(&row.host) == plan.host.as_ref()).unwrap();
    let most = plan.hosts.iter().filter_map(|row| row.score).fold(f64::MIN, f64::max);
    assert_eq!(chosen.score, Some(most), "{plan:?}");
    assert!(plan.hosts.iter().all(|row| row.score.is_some() != row.refused.is_some()), "{plan:?}");
    assert!(plan.actions.iter().any(|name| name == "clone"), "{plan:?}");
    let other = plan.hosts.iter().find(|row| row.refused.is_some()).map(|row| row.host.clone());
    request.memory_bytes = Some(1 << 46);
    let none = client.plan_instance(&request).await.unwrap();
    assert!(!none.possible && none.host.is_none() && none.actions.is_empty(), "{none:?}");
    assert!(none.hosts.iter().all(|row| row.refused.is_some()), "{none:?} {other:?}");
    // It is checked as a creation is, uses no key up, and is spelt like this.
    let key = "idempotency-key: k\r\n";
    for body in [CREATE, CREATE] {
        let reply = ask(&doors, "POST /v1/instances?dry_run=true", &token, key, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("idempotency-replayed"), None);
    }
    let bad = CREATE.replace("debian", "nope");
    let reply = ask(&doors, "POST /v1/instances?dry_run=true", &token, "", &bad).await;
    assert_eq!(reply.json()["error"]["field"], "image", "{reply:?}");
    for query in ["dryrun=true", "dry_run=yes", "%64ry_run=true&x"] {
        let line = format!("POST /v1/instances?{query}");
        assert_eq!(ask(&doors, &line, &token, "", CREATE).await.status, 400, "{query}");
    }
    assert_eq!((store.dump().await.unwrap(), doors.test.cloud.dump()), before);
    // A creation goes where and how its dry run said.
    request.memory_bytes = Some(1 << 30);
    let made = client.create_instance(&request).await.unwrap();
    let silent = &mut client::progress::Silent;
    let done = client::progress::follow(&client, made.operation, silent).await.unwrap();
    let steps: Vec<&str> = done.steps.iter().map(|step| step.name.as_str()).collect();
    assert!(plan.actions.iter().all(|action| steps.contains(&action.as_str())), "{steps:?}");
    assert_eq!(client.instance(made.instance).await.unwrap().host, plan.host);
}

#[tokio::test]
async fn a_parameter_that_a_route_does_not_take_is_refused_by_name() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let description = serde_json::to_value(api::native::openapi()).unwrap();
    let mut asked = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| path.starts_with("/v1/")) {
            asked += 1;
            let line = format!("{} {path}?bogus=1", method.to_uppercase());
            let reply = ask(&doors, &line, &token, "", "{}").await;
            assert_eq!(reply.status, 400, "{line}: {reply:?}");
            assert_eq!(reply.json()["error"]["field"], "bogus", "{line}: {reply:?}");
        }
    }
    assert!(asked > 20, "{asked}");
}
