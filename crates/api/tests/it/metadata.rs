//! What a guest gets, and nobody else.

use client::wire::{CreateInstance, Secret};
use client::{Client, progress};
use model::{InstanceId, OperationId, Role};
use secrecy::ExposeSecret;

use crate::support::{Doors, call};

async fn token_of(doors: &Doors, id: InstanceId) -> String {
    let store = &doors.test.core.store;
    let seed = store.seed(id).await.unwrap().unwrap();
    store.secret(seed.token).await.unwrap().expose_secret().to_owned()
}

async fn guest(doors: &Doors, client: &Client) -> (InstanceId, OperationId, String) {
    let mut request = CreateInstance::new("web-1", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    request.user_data = Some(Secret::from("#cloud-config\npassword: hunter2\n".to_owned()));
    let accepted = client.create_instance(&request).await.unwrap();
    (accepted.instance, accepted.operation, token_of(doors, accepted.instance).await)
}

#[tokio::test]
async fn a_guest_finds_its_documents_before_it_starts() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let (id, _, token) = guest(&doors, &client).await;
    let ask = async |method: &str, path: &str| {
        call(doors.metadata, method, &format!("/{path}"), None, None).await
    };
    let mut request = CreateInstance::new("web-2", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    request.network_config = Some(Secret::from("version: 2\n".to_owned()));
    let other = client.create_instance(&request).await.unwrap().instance;
    let network = ask("GET", &format!("{}/network-config", token_of(&doors, other).await)).await;
    assert_eq!((network.status, network.body.as_str()), (200, "version: 2\n"));
    let user_data = ask("GET", &format!("{token}/user-data")).await;
    assert_eq!(user_data.status, 200);
    assert_eq!(user_data.body, "#cloud-config\npassword: hunter2\n");
    assert!(user_data.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(user_data.header("cache-control"), Some("no-store"));
    let meta_data = ask("GET", &format!("{token}/meta-data")).await;
    assert!(meta_data.body.contains(&id.to_string()), "{meta_data:?}");
    assert_eq!(ask("GET", &format!("{token}/vendor-data")).await.status, 200);
    let head = ask("HEAD", &format!("{token}/user-data")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some("32"));
}

#[tokio::test]
async fn nothing_is_listed_guessed_or_changed() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let (id, _, token) = guest(&doors, &client).await;
    let other =
        format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { 'B' } else { 'A' });
    let long = "x".repeat(5000);
    for path in [
        "/".to_owned(),
        format!("/{token}"),
        format!("/{token}/"),
        format!("/{token}/network-config"),
        format!("/{token}/user-data/"),
        format!("/{token}/nope"),
        format!("/{other}/user-data"),
        format!("/{long}/user-data"),
        format!("/{id}/user-data"),
        "/%00/user-data".to_owned(),
        "/../user-data".to_owned(),
        "/latest/meta-data".to_owned(),
    ] {
        let reply = call(doors.metadata, "GET", &path, None, None).await;
        assert_eq!((reply.status, reply.body.as_str()), (404, "Not Found\n"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let path = format!("/{token}/user-data");
        let reply = call(doors.metadata, method, &path, None, None).await;
        assert_eq!(reply.status, 405, "{method}");
    }
}

#[tokio::test]
async fn a_seed_dies_with_its_instance() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let (id, create, token) = guest(&doors, &client).await;
    progress::follow(&client, create, &mut progress::Silent).await.unwrap();
    let path = format!("/{token}/user-data");
    assert_eq!(call(doors.metadata, "GET", &path, None, None).await.status, 200);
    let delete = client.delete_instance(id).await.unwrap().operation;
    progress::follow(&client, delete, &mut progress::Silent).await.unwrap();
    assert_eq!(call(doors.metadata, "GET", &path, None, None).await.status, 404);
}

#[tokio::test]
async fn a_log_holds_only_the_beginning_of_a_token() {
    let log = crate::support::Paper::default();
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let (_, _, token) = guest(&doors, &client).await;
    let guard = log.listen();
    call(doors.metadata, "GET", &format!("/{token}/user-data"), None, None).await;
    call(doors.metadata, "GET", &format!("/{token}/nope"), None, None).await;
    drop(guard);
    let text = log.text();
    assert!(text.contains(&token[..6]), "{text}");
    assert!(!text.contains(&token[..12]), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
