//! The committed description is the one that is served.

use std::path::Path;

use crate::support::{Doors, call};

#[test]
fn the_committed_description_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    let mut now = serde_json::to_string_pretty(&api::native::openapi()).unwrap();
    now.push('\n');
    if std::env::var_os("INNKEEPER_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "docs/reference/openapi.json is not what the code describes; if the change is meant, run \
         INNKEEPER_BLESS=1 cargo test -p api"
    );
}

#[test]
fn the_description_is_complete() {
    let description = serde_json::to_value(api::native::openapi()).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let text = description.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and not described");
    }
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            if path.starts_with("/v1/") {
                assert!(operation["security"][0]["bearer"].is_array(), "{method} {path}");
                assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_served_is_what_is_described() {
    let doors = Doors::open().await;
    let reply = call(doors.native, "GET", "/openapi.json", None, None).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json(), serde_json::to_value(api::native::openapi()).unwrap());
    assert_eq!(call(doors.native, "GET", "/healthz", None, None).await.body, "ok\n");
    assert_eq!(call(doors.native, "GET", "/readyz", None, None).await.body, "ready\n");
}
