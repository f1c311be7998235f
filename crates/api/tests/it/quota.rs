//! What projects may use, and what the house shows of itself.

use client::Client;
use client::wire::{CreateInstance, OperationState, Quota, Resize, SetProject, Usage};
use model::Role;

use crate::support::{Doors, call};

const GIB: u64 = 1 << 30;

fn request(name: &str, cores: u32) -> CreateInstance {
    let mut request = CreateInstance::new(name, "debian");
    (request.cores, request.memory_bytes) = (Some(cores), Some(GIB));
    request
}

async fn done(client: &Client, id: model::OperationId) -> OperationState {
    let silent = &mut client::progress::Silent;
    client::progress::follow(client, id, silent).await.unwrap().state
}

fn quota(cores: u64) -> SetProject {
    let quota = Quota { cores: Some(cores), memory_bytes: Some(8 * GIB), ..Quota::default() };
    SetProject { description: "the blue team".to_owned(), quota }
}

#[tokio::test]
async fn what_goes_beyond_the_quota_is_refused_with_its_numbers() {
    let doors = Doors::open().await;
    let (admin, client) =
        (doors.client("default", Role::Admin).await, doors.client("blue", Role::Member).await);
    let blue = "blue".parse().unwrap();
    let made = client.create_instance(&request("web-1", 2)).await.unwrap();
    assert_eq!(done(&client, made.operation).await, OperationState::Succeeded);
    let set = admin.set_project(&blue, &quota(4)).await.unwrap();
    assert_eq!((set.used.instances, set.used.cores, set.used.memory_bytes), (1, 2, GIB));
    let refused = client.create_instance(&request("web-2", 3)).await.unwrap_err();
    assert_eq!(refused.code(), Some("quota_exceeded"));
    let words = "cores: 2 used, 3 asked for, the project has at most 4";
    assert!(refused.to_string().contains(words), "{refused}");
    let plan = client.plan_instance(&request("web-2", 3)).await.unwrap();
    assert_eq!(plan.refused.as_deref(), Some(words));
    // What was refused has left nothing; what fits is made, and fills it.
    assert_eq!(client.project(&blue).await.unwrap().used, set.used);
    let second = client.create_instance(&request("web-2", 2)).await.unwrap();
    assert_eq!(done(&client, second.operation).await, OperationState::Succeeded);
    let grow = Resize { cores: Some(3), ..Resize::default() };
    let refused = client.resize_instance(second.instance, &grow).await.unwrap_err();
    assert!(refused.to_string().contains("cores: 4 used, 1 asked for"), "{refused}");
    // Smaller always fits, also below a limit that came later; then there is room.
    admin.set_project(&blue, &quota(1)).await.unwrap();
    let shrink = Resize { cores: Some(1), ..Resize::default() };
    let shrunk = client.resize_instance(second.instance, &shrink).await.unwrap();
    assert_eq!(done(&client, shrunk.operation).await, OperationState::Succeeded);
    admin.set_project(&blue, &quota(4)).await.unwrap();
    let grown = client.resize_instance(made.instance, &grow).await.unwrap();
    assert_eq!(done(&client, grown.operation).await, OperationState::Succeeded);
    assert_eq!(client.project(&blue).await.unwrap().used.cores, 4);
    let gone = client.delete_instance(made.instance).await.unwrap();
    assert_eq!(done(&client, gone.operation).await, OperationState::Succeeded);
    let used = client.project(&blue).await.unwrap().used;
    assert_eq!((used.instances, used.cores), (1, 1));
    // Other projects have no limits, and see none.
    assert!(admin.create_instance(&request("db-1", 8)).await.is_ok());
    let theirs = doors.client("red", Role::Member).await;
    assert_eq!(theirs.project(&blue).await.unwrap_err().code(), Some("not_found"));
    let own = theirs.projects().await.unwrap();
    assert_eq!((own.len(), own[0].name.as_str(), own[0].used), (1, "red", Usage::default()));
    admin.forget_project(&blue).await.unwrap();
    assert!(client.create_instance(&request("web-3", 8)).await.is_ok());
}

#[tokio::test]
async fn creations_at_once_do_not_share_the_last_room() {
    let doors = Doors::open().await;
    let admin = doors.client("default", Role::Admin).await;
    let client = doors.client("blue", Role::Member).await;
    admin.set_project(&"blue".parse().unwrap(), &quota(3)).await.unwrap();
    let asked: Vec<CreateInstance> = (0..8).map(|i| request(&format!("web-{i}"), 1)).collect();
    let answers = futures::future::join_all(asked.iter().map(|one| client.create_instance(one)));
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "{answers:?}");
    let first = answers.into_iter().find_map(Result::ok).unwrap();
    assert_eq!(done(&client, first.operation).await, OperationState::Succeeded);
    // A resize that is under way counts before its end.
    admin.set_project(&"blue".parse().unwrap(), &quota(4)).await.unwrap();
    let grow = Resize { cores: Some(2), ..Resize::default() };
    client.resize_instance(first.instance, &grow).await.unwrap();
    let refused = client.create_instance(&request("late", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Some("quota_exceeded"));
}

#[tokio::test]
async fn metrics_count_what_was_asked_and_what_there_is() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let made = client.create_instance(&request("web-1", 1)).await.unwrap();
    done(&client, made.operation).await;
    assert_eq!(call(doors.native, "GET", "/metrics", None, None).await.status, 401);
    assert_eq!(call(doors.native, "GET", "/nowhere", None, None).await.status, 404);
    let token = doors.token("default", Role::Reader, None).await;
    let reply = call(doors.native, "GET", "/metrics", Some(&token), None).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        "innkeeper_requests_total{method=\"POST\",route=\"/v1/instances\",status=\"202\"} 1",
        "innkeeper_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "innkeeper_operations{state=\"succeeded\"} 1",
        "innkeeper_provider_calls_total{provider=\"lab\",verb=\"apply\",outcome=\"ok\"}",
        "innkeeper_provider_look_age_seconds{provider=\"lab\"}",
        "innkeeper_read_model_behind ",
        "innkeeper_build_info{version=",
    ] {
        assert!(reply.body.contains(line), "{line} is not in\n{}", reply.body);
    }
    assert!(!reply.body.contains("web-1"));
    // Each line is a comment, or a name with labels and a number.
    for line in reply.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("innkeeper_") && value.parse::<f64>().is_ok(), "{line}");
    }
}
