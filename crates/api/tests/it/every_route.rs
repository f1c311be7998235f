//! Bad input on every route of the description: each answer is an error of ours
//! that names what is wrong, and the service goes on.

use model::Role;
use serde_json::{Value, json};

use crate::support::{Doors, Reply, call, raw};

const NOBODY: &str = "01936b2e-0000-7000-8000-000000000001";

/// A route with what its description says of its input.
struct Route {
    method: String,
    path: String,
    /// The schema of its body.
    body: Option<Value>,
    /// The parameters of its query.
    query: Vec<Value>,
}

impl Route {
    fn filled(&self, id: &str) -> String {
        self.path
            .replace("{id}", id)
            .replace("{name}", "x")
            .replace("{provider}", "lab")
            .replace("{guest}", "x")
    }
}

fn resolved(description: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return description.pointer(&name[1..]).unwrap().clone();
    }
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    match choices.into_iter().find(|choice| choice["$ref"].is_string()) {
        Some(choice) => resolved(description, choice),
        None => schema.clone(),
    }
}

fn routes(description: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            routes.push(Route {
                method: method.to_uppercase(),
                path: path.clone(),
                body: schema.is_object().then(|| resolved(description, schema)),
                query: parameters.into_iter().filter(|one| one["in"] == "query").collect(),
            });
        }
    }
    assert!(routes.len() > 30, "{}", routes.len());
    routes
}

fn error(reply: &Reply, what: &str) -> Value {
    assert!((400..500).contains(&reply.status), "{what}: {reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"), "{what}: {reply:?}");
    let error = reply.json()["error"].clone();
    assert_eq!(error["request_id"].as_str(), reply.header("x-request-id"), "{what}");
    assert!(error["message"].as_str().is_some_and(|text| text.len() < 1000), "{what}: {error}");
    error
}

fn kinds(schema: &Value) -> Vec<String> {
    match &schema["type"] {
        Value::String(kind) => vec![kind.clone()],
        Value::Array(kinds) => kinds.iter().filter_map(|k| k.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Values that a field of this schema cannot have, as JSON.
fn wrong(description: &Value, schema: &Value) -> Vec<&'static str> {
    let schema = resolved(description, schema);
    match kinds(&schema).first().map(String::as_str) {
        Some("string") => vec!["1", "[]", "{}", "true"],
        Some("integer") => {
            vec!["\"1\"", "-1", "1.5", "1e400", "99999999999999999999", "-0.0", "[]", "true"]
        }
        Some("boolean") => vec!["\"yes\"", "1", "[]"],
        Some("array") => vec!["{}", "1", "\"x\"", "true"],
        Some("object") => vec!["1", "\"x\"", "true"],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_body_is_refused_for_what_is_wrong_with_it() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let description = serde_json::to_value(api::native::openapi()).unwrap();
    let deep = format!("{{\"name\":{}", "[".repeat(50_000));
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(300_000));
    let mut asked = 0;
    for route in routes(&description) {
        let Some(schema) = &route.body else { continue };
        let path = route.filled(NOBODY);
        let ask = async |body: &str| {
            call(doors.native, &route.method, &path, Some(&token), Some(body)).await
        };
        let what = |body: &str| {
            let shown: String = body.chars().take(80).collect();
            format!("{} {} {shown}", route.method, route.path)
        };
        for body in ["[]", "\"x\"", "1", "null", "{", "{\"", "{}x", "{\"\\ud800\":1}", "\u{feff}{}"]
        {
            error(&ask(body).await, &what(body));
        }
        assert_eq!(ask(&large).await.status, 413, "{}", what(&large));
        error(&ask(&deep).await, &what("deep"));
        let unknown = error(&ask("{\"bogus\":1}").await, &what("unknown"));
        let field = unknown["field"].as_str().unwrap_or_default();
        let missing = schema["required"].as_array().into_iter().flatten();
        let known = missing.filter_map(Value::as_str).chain(["bogus"]).any(|name| name == field);
        assert!(known, "{}: {unknown}", what("unknown"));
        for (name, property) in schema["properties"].as_object().unwrap() {
            for value in wrong(&description, property) {
                let body = format!("{{\"{name}\":{value}}}");
                let error = error(&ask(&body).await, &what(&body));
                let field = error["field"].as_str().unwrap_or_default();
                assert!(field.starts_with(name.as_str()), "{}: {error}", what(&body));
                asked += 1;
            }
        }
        // A body that is not text, and one of another type.
        let head = format!(
            "{} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {token}\r\n",
            route.method
        );
        let binary =
            b"content-type: application/json\r\ncontent-length: 12\r\n\r\n{\"name\":\"\xff\"}";
        error(&raw(doors.native, &[head.as_bytes(), binary].concat()).await, &what("binary"));
        let other = "content-type: text/xml\r\ncontent-length: 4\r\n\r\n<a/>";
        let reply = raw(doors.native, format!("{head}{other}").as_bytes()).await;
        assert_eq!(reply.status, 415, "{}: {reply:?}", what("xml"));
    }
    assert!(asked > 100, "{asked}");
    goes_on(&doors, &token).await;
}

#[tokio::test]
async fn every_parameter_is_refused_for_what_is_wrong_with_it() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let description = serde_json::to_value(api::native::openapi()).unwrap();
    let long = "x".repeat(2000);
    let mut asked = 0;
    for route in routes(&description) {
        let ask = async |path: &str| {
            let body = route.body.as_ref().map(|_| "{}");
            call(doors.native, &route.method, path, Some(&token), body).await
        };
        if route.path.contains("{id}") {
            for id in ["nope!", "%ff", "%00", "..%2f..%2fetc", "-1", &long, "a%20b", "💥"] {
                let path = route.filled(id);
                let reply = ask(&path).await;
                // What is no URI at all is refused before it is read.
                if reply.status == 400 && reply.body.is_empty() {
                    continue;
                }
                // `-1` and an explosion could be names of projects, or are not there.
                let project = route.path.starts_with("/v1/projects") && reply.status < 300;
                if !project {
                    error(&reply, &format!("{} {path}", route.method));
                }
                asked += 1;
            }
        }
        for parameter in &route.query {
            let name = parameter["name"].as_str().unwrap();
            let schema = resolved(&description, &parameter["schema"]);
            let bad: &[&str] = match kinds(&schema).first().map(String::as_str) {
                Some("integer") => {
                    &["x", "-1", "", "1.5", "9223372036854775808", "99999999999999999999999", "%00"]
                }
                Some("boolean") => &["maybe", "1", ""],
                Some("string") if schema["enum"].is_array() => &["nope", "", "%ff"],
                Some("string") if schema["format"] == "uuid" => &["nope", "", "1"],
                _ => &[],
            };
            for value in bad {
                let path = format!("{}?{name}={value}", route.filled(NOBODY));
                let error = error(&ask(&path).await, &path);
                assert_eq!(error["field"], name, "{path}: {error}");
                asked += 1;
            }
            let twice = format!("{}?{name}=a&{name}=b", route.filled(NOBODY));
            error(&ask(&twice).await, &twice);
        }
    }
    assert!(asked > 150, "{asked}");
    goes_on(&doors, &token).await;
}

#[tokio::test]
async fn every_route_stands_floods_of_headers_and_broken_requests() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Admin, None).await;
    let description = serde_json::to_value(api::native::openapi()).unwrap();
    let many: String = (0..100).map(|index| format!("x-{index}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(40_000));
    for route in routes(&description) {
        let (method, path) = (&route.method, route.filled(NOBODY));
        for flood in [&many, &long] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n{flood}\r\n"
            );
            let reply = raw(doors.native, request.as_bytes()).await;
            assert_eq!(reply.status, 431, "{method} {path}: {reply:?}");
        }
        for broken in [
            format!("{method} {path} HTTP/9.9\r\n\r\n"),
            format!("{method}\t{path}\r\n\r\n"),
            format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n"),
            format!("{method} {path} HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n"),
        ] {
            let reply = raw(doors.native, broken.as_bytes()).await;
            assert_eq!(reply.status, 400, "{broken:?}: {reply:?}");
        }
    }
    goes_on(&doors, &token).await;
}

/// The service still does its work.
async fn goes_on(doors: &Doors, token: &str) {
    let body = json!({"name": "fine", "image": "debian", "cores": 1, "memory_bytes": 1u64 << 30});
    let body = body.to_string();
    let reply = call(doors.native, "POST", "/v1/instances", Some(token), Some(&body)).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(call(doors.native, "GET", "/readyz", None, None).await.status, 200);
}
