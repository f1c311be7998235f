//! An instance's life through the typed client.

use std::sync::Arc;
use std::time::Duration;

use api::{ConnectionLimits, native, serve};
use client::wire::{
    CreateInstance, InstanceQuery, InstanceState, NewFlavour, OperationQuery, OperationState,
    Reboot, Shutdown, StepState,
};
use client::{Client, Endpoint, Settings, progress};
use model::time::SystemClock;
use model::{InstanceId, Role};
use provider::memory::{Call, Durations, Fault, FaultKind};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{Doors, Paper, call, ended};

fn request(name: &str) -> CreateInstance {
    let mut request = CreateInstance::new(name, "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    request
}

async fn until_seen(client: &Client, id: InstanceId, state: InstanceState) {
    for _ in 0..200 {
        if client.instance(id).await.unwrap().state == state {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never {state}: {:?}", client.instance(id).await);
}

#[tokio::test]
async fn an_instance_lives_from_create_to_delete() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let mut asked = request("web-1");
    asked.labels.insert("role".to_owned(), "web".to_owned());
    let accepted = client.create_instance(&asked).await.unwrap();
    let seen = client.instance(accepted.instance).await.unwrap();
    assert_eq!(seen.state, InstanceState::Creating);
    assert_eq!(seen.operation.unwrap().id, accepted.operation);
    assert_eq!(seen.image.unwrap().name.as_deref(), Some("debian"));

    let done = ended(&client, accepted.operation).await;
    assert_eq!(done.state, OperationState::Succeeded, "{done:?}");
    assert!(!done.steps.is_empty() && done.steps.iter().all(|step| step.state == StepState::Done));
    let progress = done.progress.unwrap();
    assert_eq!(progress.done, progress.total);
    assert!(!client.operation_log(done.id).await.unwrap().lines.is_empty());
    until_seen(&client, accepted.instance, InstanceState::Running).await;
    let seen = client.instance(accepted.instance).await.unwrap();
    assert!(seen.age_seconds.is_some_and(|age| age < 60), "{seen:?}");
    assert!(seen.host.is_some() && seen.fault.is_none(), "{seen:?}");
    assert_eq!(seen.labels["role"], "web");

    let shutdown = Shutdown { timeout_seconds: 5, force: true };
    let id = accepted.instance;
    let steps = [client.stop_instance(id).await.unwrap().operation];
    assert_eq!(ended(&client, steps[0]).await.state, OperationState::Succeeded);
    until_seen(&client, id, InstanceState::Stopped).await;
    let start = client.start_instance(id).await.unwrap().operation;
    assert_eq!(ended(&client, start).await.state, OperationState::Succeeded);
    until_seen(&client, id, InstanceState::Running).await;
    let reboot = client.reboot_instance(id, &Reboot::default()).await.unwrap().operation;
    assert_eq!(ended(&client, reboot).await.state, OperationState::Succeeded);
    let down = client.shutdown_instance(id, &shutdown).await.unwrap().operation;
    assert_eq!(ended(&client, down).await.state, OperationState::Succeeded);

    let gone = client.delete_instance(id).await.unwrap().operation;
    assert_eq!(ended(&client, gone).await.state, OperationState::Succeeded);
    let error = client.instance(id).await.unwrap_err();
    assert_eq!(error.code(), Some("not_found"), "{error:?}");
    assert!(doors.test.cloud.guests().is_empty());
    let query = OperationQuery {
        instance: Some(id),
        settled: Some(true),
        limit: Some(10),
        ..OperationQuery::default()
    };
    assert_eq!(client.operations(&query).await.unwrap().len(), 6);
}

#[tokio::test]
async fn an_accepted_change_says_where_to_look() {
    let doors = Doors::open().await;
    let token = doors.token("default", Role::Member, None).await;
    let body = r#"{"name":"web-1","image":"debian","cores":1,"memory_bytes":1073741824}"#;
    let reply = call(doors.native, "POST", "/v1/instances", Some(&token), Some(body)).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let location = reply.header("location").unwrap().to_owned();
    let operation = reply.json()["operation"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/v1/operations/{operation}"));
    assert_eq!(call(doors.native, "GET", &location, Some(&token), None).await.status, 200);
    let id = reply.json()["instance"].as_str().unwrap().to_owned();
    // The body of a shutdown may be left out.
    let path = format!("/v1/instances/{id}/shutdown");
    let reply = call(doors.native, "POST", &path, Some(&token), None).await;
    assert_eq!(reply.status, 409, "{reply:?}");
    assert_eq!(reply.json()["error"]["operation"], operation.as_str(), "{reply:?}");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    for index in 0..5 {
        client.create_instance(&request(&format!("web-{index}"))).await.unwrap();
    }
    let query = InstanceQuery { limit: Some(2), ..InstanceQuery::default() };
    let page = client.instances(&query).await.unwrap();
    assert_eq!(page.instances.len(), 2);
    assert_eq!(page.next, Some(page.instances[1].id));
    let all = client.all_instances(&query).await.unwrap();
    let names: Vec<&str> = all.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["web-0", "web-1", "web-2", "web-3", "web-4"]);
    let exact = InstanceQuery { limit: Some(5), ..InstanceQuery::default() };
    assert_eq!(client.instances(&exact).await.unwrap().next, None);
    let one = InstanceQuery { name: Some("web-3".to_owned()), ..InstanceQuery::default() };
    assert_eq!(client.instances(&one).await.unwrap().instances.len(), 1);
}

#[tokio::test]
async fn an_image_and_a_flavour_go_by_name_or_id() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Admin).await;
    let small = NewFlavour {
        name: "small".to_owned(),
        cores: 2,
        memory_bytes: 2 << 30,
        disk_bytes: Some(4 << 30),
        devices: Vec::new(),
    };
    let flavour = client.create_flavour(&small).await.unwrap();
    assert_eq!(client.create_flavour(&small).await.unwrap_err().code(), Some("already_exists"));
    let images = client.images().await.unwrap();
    let image = images.iter().find(|image| image.name == "debian").unwrap();
    assert_eq!(&client.image(image.id).await.unwrap(), image);
    for (image, flavour) in
        [("debian".to_owned(), "small".to_owned()), (image.id.to_string(), flavour.id.to_string())]
    {
        let mut asked = CreateInstance::new("web", image);
        asked.flavour = Some(flavour);
        let accepted = client.create_instance(&asked).await.unwrap();
        let seen = client.instance(accepted.instance).await.unwrap();
        assert_eq!((seen.cores, seen.memory_bytes), (2, 2 << 30));
        assert_eq!(seen.disks[0].size_bytes, 4 << 30);
        assert_eq!(seen.flavour.unwrap().name.as_deref(), Some("small"));
    }
    let error = client.create_instance(&CreateInstance::new("a", "debain")).await.unwrap_err();
    assert!(error.to_string().contains("there are debian, local"), "{error}");
    client.delete_flavour(flavour.id).await.unwrap();
    assert!(client.flavours().await.unwrap().is_empty());
}

pub fn refuse(call: Call) -> Fault {
    let denied = provider::Rejection::Denied(Some("VM.Clone".to_owned()));
    Fault::on(call, FaultKind::Refuse(denied, "no permission".to_owned())).forever()
}

#[tokio::test]
async fn a_failed_creation_says_why() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    doors.test.cloud.faults().add(refuse(Call::Apply));
    let accepted = client.create_instance(&request("web-1")).await.unwrap();
    let end = ended(&client, accepted.operation).await;
    assert_eq!(end.state, OperationState::Failed, "{end:?}");
    let seen = client.instance(accepted.instance).await.unwrap();
    assert_eq!(seen.state, InstanceState::Failed);
    let fault = seen.fault.unwrap();
    assert!(fault.message.contains("no permission"), "{fault:?}");
    assert_eq!(fault.operation, Some(end.id));
    let again = client.cancel_operation(end.id).await.unwrap_err();
    assert_eq!(again.code(), Some("conflict"), "{again:?}");
    let not_stuck = client.resume_operation(end.id).await.unwrap_err();
    assert_eq!(not_stuck.code(), Some("conflict"), "{not_stuck:?}");
}

#[tokio::test]
async fn a_stuck_operation_can_be_resumed() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Admin).await;
    let faults = doors.test.cloud.faults();
    faults.add(refuse(Call::Apply).action("start"));
    faults.add(refuse(Call::Undo));
    let accepted = client.create_instance(&request("web-1")).await.unwrap();
    let stuck = ended(&client, accepted.operation).await;
    assert_eq!(stuck.state, OperationState::Stuck, "{stuck:?}");
    assert!(stuck.reason.is_some() && !stuck.left.is_empty(), "{stuck:?}");
    let seen = client.instance(accepted.instance).await.unwrap();
    assert!(seen.fault.is_some_and(|fault| fault.stuck));
    faults.end();
    let resumed = client.resume_operation(stuck.id).await.unwrap();
    assert!(!resumed.state.is_settled() || resumed.state != OperationState::Stuck);
    let end = ended(&client, stuck.id).await;
    assert_eq!(end.state, OperationState::Failed, "{end:?}");
    assert!(doors.test.cloud.guests().is_empty());
}

#[tokio::test]
async fn an_operation_is_followed_through_a_restart_of_the_server() {
    let doors = Doors::open().await;
    doors
        .test
        .cloud
        .set_durations(Durations { clone: Duration::from_secs(2), ..Default::default() });
    let clock = Arc::new(SystemClock::new());
    let house = Arc::clone(&doors.test.house);
    let router = native::router(house, clock, native::Limits::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = doors.token("default", Role::Member, None).await;
    let endpoint = Endpoint::parse_url(&format!("http://{address}")).unwrap();
    let client = Client::new(Settings::new(endpoint, Some(token.into()))).unwrap();
    let limits = ConnectionLimits::default();
    let shutdown = CancellationToken::new();
    let first = tokio::spawn(serve(listener, router.clone(), limits, shutdown.clone()));
    let accepted = client.create_instance(&request("web-1")).await.unwrap();
    let paper = Paper::default();
    let mut sink = progress::Plain::new(paper.clone());
    let follower = client.clone();
    let followed =
        tokio::spawn(
            async move { progress::follow(&follower, accepted.operation, &mut sink).await },
        );
    tokio::time::sleep(Duration::from_millis(300)).await;
    shutdown.cancel();
    first.await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let second = tokio::spawn(serve(listener, router, limits, CancellationToken::new()));
    assert_eq!(followed.await.unwrap().unwrap().state, OperationState::Succeeded);
    let text = paper.text();
    assert!(text.contains("the operation goes on, trying again"), "{text}");
    assert!(text.contains("the server answers again"), "{text}");
    second.abort();
}
