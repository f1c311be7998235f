//! Who may what, over the whole table of routes.

use std::time::Duration;

use client::wire::CreateInstance;
use model::Role;

use crate::support::{Doors, call};

/// One route: method, path with ids filled in, a body that is good.
struct Route {
    method: String,
    template: String,
    path: String,
    body: Option<&'static str>,
}

/// A good body for each route that needs one. A new route fails here until it
/// has one.
fn body(method: &str, path: &str) -> Option<&'static str> {
    match (method, path) {
        ("post", "/v1/instances") => {
            Some(r#"{"name":"intruder","image":"debian","cores":1,"memory_bytes":1073741824}"#)
        }
        ("post", "/v1/flavours") => {
            Some(r#"{"name":"intruder","cores":1,"memory_bytes":1073741824}"#)
        }
        ("post", "/v1/instances/adopt") => Some(r#"{"provider":"lab","guest":"100000"}"#),
        ("post", "/v1/instances/{id}/resize") => Some(r#"{"cores":2}"#),
        ("patch", "/v1/instances/{id}") => Some(r#"{"name":"intruder"}"#),
        ("post", "/v1/instances/{id}/snapshots") => Some(r#"{"name":"intruder"}"#),
        ("put", "/v1/projects/{id}") => Some(r#"{"quota":{"cores":1}}"#),
        ("post", "/v1/webhooks") => Some(r#"{"url":"http://127.0.0.1:1/"}"#),
        ("post", "/v1/tokens") => Some(r#"{"name":"intruder","role":"admin"}"#),
        _ => None,
    }
}

/// Every route that needs a token, with ids of things of the project `ours`.
async fn routes(doors: &Doors) -> Vec<Route> {
    let client = doors.client("ours", Role::Admin).await;
    let mut request = CreateInstance::new("web-1", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    let accepted = client.create_instance(&request).await.unwrap();
    let image = client.images().await.unwrap()[0].id.to_string();
    let other = accepted.operation.to_string();
    let description = serde_json::to_value(api::native::openapi()).unwrap();
    let mut routes = Vec::new();
    for (template, item) in description["paths"].as_object().unwrap() {
        if !template.starts_with("/v1/") {
            continue;
        }
        let id = match template.split('/').nth(2).unwrap() {
            "instances" => accepted.instance.to_string(),
            "images" => image.clone(),
            "projects" => "ours".to_owned(),
            _ => other.clone(),
        };
        for (method, operation) in item.as_object().unwrap() {
            let body = body(method, template);
            let required = operation["requestBody"]["required"] == true;
            assert_eq!(body.is_some(), required, "give {method} {template} a body in this test");
            routes.push(Route {
                method: method.to_uppercase(),
                template: template.clone(),
                path: template
                    .replace("{id}", &id)
                    .replace("{name}", "before")
                    .replace("{provider}", "lab")
                    .replace("{guest}", "100000"),
                body,
            });
        }
    }
    assert!(routes.len() >= 20, "{}", routes.len());
    routes
}

#[tokio::test]
async fn without_a_valid_token_every_route_is_closed() {
    let doors = Doors::open().await;
    let routes = routes(&doors).await;
    let soon = doors.test.core.clock.now().plus(Duration::from_millis(50));
    let expired = doors.token("ours", Role::Admin, Some(soon)).await;
    let (id, revoked) = doors.token_row("ours", Role::Admin, None).await;
    let revoked = secrecy::ExposeSecret::expose_secret(&revoked).to_owned();
    // Both were good once, so that what is remembered of them is asked too.
    assert_eq!(call(doors.native, "GET", "/v1/images", Some(&revoked), None).await.status, 200);
    doors.test.house.revoke_token(&doors.test.admin(), id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let good = doors.token("ours", Role::Admin, None).await;
    let mut forged = good.clone();
    forged.replace_range(good.len() - 2.., if good.ends_with("AA") { "BB" } else { "AA" });
    let long = "x".repeat(4000);
    for route in &routes {
        for token in [
            None,
            Some(""),
            Some("garbage"),
            Some("ink_x_y"),
            Some(long.as_str()),
            Some(forged.as_str()),
            Some(expired.as_str()),
            Some(revoked.as_str()),
        ] {
            let reply = call(doors.native, &route.method, &route.path, token, route.body).await;
            let what = format!("{} {} with {token:?}: {reply:?}", route.method, route.template);
            assert_eq!(reply.status, 401, "{what}");
            let error = &reply.json()["error"];
            assert_eq!(error["code"], "unauthenticated", "{what}");
            assert_eq!(error["request_id"].as_str(), reply.header("x-request-id"), "{what}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{what}");
        }
    }
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let doors = Doors::open().await;
    let routes = routes(&doors).await;
    let token = doors.token("ours", Role::Reader, None).await;
    for route in &routes {
        let reply = call(doors.native, &route.method, &route.path, Some(&token), route.body).await;
        let what = format!("{} {}: {reply:?}", route.method, route.template);
        let for_administrators = ["/v1/tokens", "/v1/orphans", "/v1/audit", "/v1/webhooks"];
        if route.method == "GET" && !for_administrators.contains(&route.template.as_str()) {
            assert_eq!(reply.status, 200, "{what}");
        } else {
            assert_eq!(reply.status, 403, "{what}");
            assert_eq!(reply.json()["error"]["code"], "forbidden", "{what}");
        }
    }
}

#[tokio::test]
async fn another_project_is_not_there() {
    let doors = Doors::open().await;
    let routes = routes(&doors).await;
    let before = doors.test.cloud.dump();
    let token = doors.token("theirs", Role::Member, None).await;
    let mut asked = 0;
    for route in &routes {
        let owned = ["/v1/instances/{id}", "/v1/operations/{id}"];
        if !owned.iter().any(|prefix| route.template.starts_with(prefix)) {
            continue;
        }
        asked += 1;
        let reply = call(doors.native, &route.method, &route.path, Some(&token), route.body).await;
        let what = format!("{} {}: {reply:?}", route.method, route.template);
        // Only an administrator abandons or releases, whatever the project.
        let only = ["/abandon", "/release"].iter().any(|end| route.template.ends_with(end));
        let expected = if only { 403 } else { 404 };
        assert_eq!(reply.status, expected, "{what}");
    }
    assert!(asked >= 10, "{asked}");
    for list in ["instances", "operations"] {
        let path = format!("/v1/{list}");
        let reply = call(doors.native, "GET", &path, Some(&token), None).await;
        assert_eq!(reply.json()[list].as_array().unwrap().len(), 0, "{reply:?}");
    }
    drop(before);
}
