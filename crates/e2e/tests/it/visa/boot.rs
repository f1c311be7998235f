//! A creation by VISA, down to a real guest: its boot command runs once.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use ::client::{Client as Native, Endpoint, Settings};
use innkeeper::config::{Config, MetadataDoor, NativeDoor, VisaDoor};
use innkeeper::demo::cluster::{Cluster, Guest};
use innkeeper::demo::ssh::{self, DemoKey};
use innkeeper::serve::{self, Running};
use innkeeper::state::StateFolder;
use secrecy::SecretString;
use serde_json::json;

use super::client::Client;
use super::{act, add_flavour, until};

const NAME: &str = "VISA-INSTANCE-1";
const TOKEN: &str = "visa-token";
/// The tiny guest under emulation, on a machine that does other things, too.
const BOOT: Duration = Duration::from_secs(240);

async fn port() -> SocketAddr {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = tokio::net::TcpListener::bind(any).await.expect("a port");
    listener.local_addr().expect("an address")
}

async fn house(cluster: &Cluster, folder: &Path) -> Running {
    let state = StateFolder::open(&folder.join("state")).expect("a folder");
    let token = folder.join("visa.token");
    StateFolder::write_secret(&token, &TOKEN.to_owned().into()).expect("written");
    let (door, metadata) = (port().await, port().await);
    let visa: VisaDoor = serde_json::from_value(json!({
        "listen": door, "token_file": token, "project_id": "bench", "delete_grace_s": 20,
    }))
    .expect("a door");
    let config = Config {
        state: state.path().to_owned(),
        store: Default::default(),
        native: NativeDoor { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) },
        // As guests behind user networking reach this machine.
        metadata: Some(MetadataDoor {
            listen: metadata,
            url: format!("http://10.0.2.2:{}/ci/", metadata.port()),
        }),
        expiry: Default::default(),
        placement: Default::default(),
        visa: Some(visa),
        providers: vec![cluster.provider(&state).expect("a provider")],
    };
    serve::open(&config).await.expect("a house")
}

fn native(running: &Running) -> Native {
    let token = std::fs::read_to_string(running.state.admin_token()).expect("a token");
    let endpoint = Endpoint::parse_url(&format!("http://{}", running.native)).expect("an address");
    let token = SecretString::from(token.trim().to_owned());
    Native::new(Settings::new(endpoint, Some(token))).expect("a client")
}

/// What a command in the guest prints, once it lets us in and the command goes
/// well.
async fn ask(cluster: &Cluster, key: &DemoKey, command: &str) -> String {
    let begun = Instant::now();
    loop {
        if let Some(address) = cluster.ssh(NAME)
            && ssh::answers(address).await
            && let Ok(text) = ssh::run(address, key, command).await
        {
            return text;
        }
        let console = || cluster.console(NAME).unwrap_or_default();
        assert!(begun.elapsed() < BOOT, "{command}; the console:\n{}", console());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn create(visa: &Client, flavour: &str, key: &DemoKey) -> String {
    let command = format!(
        "mkdir -p ~/.ssh\necho '{}' >>~/.ssh/authorized_keys\n\
         echo \"ran on $(hostname) for 'doe'\" >>/root/boot-command\n",
        key.public
    );
    let images = visa.get("/api/images").await;
    let body = json!({
        "name": NAME, "imageId": images[0]["id"], "flavourId": flavour, "securityGroups": [],
        "metadata": {"id": "1", "owner": "doe", "proposals": ""}, "bootCommand": command,
    });
    let created = visa.call("POST", "/api/instances", Some(&body)).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["id"].as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_guest_runs_its_boot_command_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let test = std::env::current_exe().expect("a program");
    let cache = test.ancestors().nth(3).expect("a target folder").join("images");
    let say = |line: &str| eprintln!("{line}");
    let guests = folder.path().join("guests");
    let cluster = Cluster::start(&Guest::Tiny, &cache, &guests, say).await.expect("a cluster");
    let running = house(&cluster, folder.path()).await;
    let key = DemoKey::new(&*running.core.random, &folder.path().join("key")).expect("a key");
    let visa = Client { address: running.visa.expect("a door"), token: TOKEN.to_owned() };
    visa.until_images().await;
    let flavour = add_flavour(&native(&running)).await;
    let id = create(&visa, &flavour, &key).await;

    let once = "ran on VISA-INSTANCE-1 for 'doe'\n";
    assert_eq!(ask(&cluster, &key, "cat /root/boot-command").await, once);
    let row = until(&visa, &id, "ACTIVE", &["ERROR", "STOPPED"]).await;
    assert_eq!(row["fault"], json!(null));
    let meta = ask(&cluster, &key, "cat /run/cloud-init/meta-data").await;
    assert!(meta.contains("instance-id: ") && meta.contains("\"owner\": \"doe\""), "{meta}");

    // A guest that stops and starts has been set up before.
    let boot_id = ask(&cluster, &key, "cat /proc/sys/kernel/random/boot_id").await;
    act(&visa, &id, "shutdown", "Shutting down instance").await;
    until(&visa, &id, "STOPPED", &["ERROR"]).await;
    act(&visa, &id, "start", "Starting instance").await;
    until(&visa, &id, "ACTIVE", &["ERROR", "STOPPED"]).await;
    let ended = "test -e /run/cloud-init/result.json && cat /proc/sys/kernel/random/boot_id";
    assert_ne!(ask(&cluster, &key, ended).await, boot_id);
    assert_eq!(ask(&cluster, &key, "cat /root/boot-command").await, once);

    let path = format!("/api/instances/{id}");
    assert_eq!(visa.call("DELETE", &path, None).await.status, 200);
    let begun = Instant::now();
    while visa.call("GET", &path, None).await.status != 404 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", visa.get(&path).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    running.stop().await.expect("it stops");
    cluster.stop().await;
}
