//! What a person does on the command line, from the first instance to the
//! doctor's word, with the real binary and a simulated cluster.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Output;
use std::time::{Duration, Instant};

use e2e::served::Site;
use pve::property::Smbios1;
use pve_sim::{Effect, Fault, GuestSeed, NodeSeed, Script, Simulator, StorageSeed, TaskDurations};
use serde_json::Value;

/// What a guest's metadata is read with.
const HTTP_PATIENCE: Duration = Duration::from_secs(30);

async fn cluster() -> Simulator {
    let quick = Duration::from_millis(100);
    Simulator::builder()
        .stats_interval(Duration::from_millis(200))
        .durations(TaskDurations::all(quick))
        .script(Script { agent_after: quick, shutdown_after: quick, ..Script::default() })
        .node(NodeSeed::new("pve1"))
        .node(NodeSeed::new("pve2"))
        .storage(StorageSeed::new("nfs", "nfs"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048))
        .guest(GuestSeed::new(500, "somebody-elses").on("pve2").disk("nfs", 2048))
        .firewall_group("web")
        .user("weak@pve", "secret")
        .token("weak@pve!ci", "no-rights", true)
        .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .expect("the simulator starts")
}

/// What a command printed, and its exit code.
struct Ran {
    out: String,
    error: String,
    code: Option<i32>,
}

impl Ran {
    fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
        Self { out: text(output.stdout), error: text(output.stderr), code: output.status.code() }
    }

    /// Its output, when it ended with this exit code.
    #[track_caller]
    fn exit(self, code: i32) -> Self {
        let Self { out, error, .. } = &self;
        assert_eq!(self.code, Some(code), "output:\n{out}\nerrors:\n{error}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// The command line of somebody on the server's machine.
struct Person<'a>(&'a Site);

impl Person<'_> {
    /// Runs a command on a thread of its own: the simulator goes on meanwhile.
    async fn run(&self, line: &str) -> Ran {
        let state = self.0.state();
        let state = state.to_str().expect("a path of text");
        let words: Vec<&str> = ["--state", state].into_iter().chain(line.split(' ')).collect();
        self.plain(&words).await
    }

    async fn plain(&self, words: &[&str]) -> Ran {
        let mut command = self.0.command(words);
        let ran = tokio::task::spawn_blocking(move || command.output());
        Ran::new(ran.await.expect("no panic").expect("the binary runs"))
    }
}

/// The lines of a table whose first word this is.
fn line<'a>(table: &'a str, name: &str) -> Option<&'a str> {
    table.lines().find(|line| line.split_whitespace().next() == Some(name))
}

/// The guest of this name in the cluster.
fn guest(simulator: &Simulator, name: &str) -> Option<Value> {
    let world = simulator.dump();
    let guests = world["guests"].as_object().expect("guests");
    guests.values().find(|guest| guest["config"]["name"] == name).cloned()
}

/// Status and body of a document, asked for as cloud-init does.
async fn fetch(url: String) -> (u16, String) {
    let asked = tokio::task::spawn_blocking(move || {
        let rest = url.strip_prefix("http://").expect("http");
        let (host, path) = rest.split_once('/').expect("a path");
        let mut stream = TcpStream::connect(host).expect("the metadata door listens");
        stream.set_read_timeout(Some(HTTP_PATIENCE)).expect("a timeout");
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.expect("a status"), body.to_owned())
    });
    asked.await.expect("no panic")
}

/// Where the guest finds its seed, as its firmware tells it.
fn seed_url(guest: &Value) -> String {
    let smbios: Smbios1 =
        guest["config"]["smbios1"].as_str().expect("smbios1").parse().expect("properties");
    let serial = smbios.text("serial").expect("a serial number");
    serial.strip_prefix("ds=nocloud-net;s=").expect("NoCloud's form").to_owned()
}

/// Waits until a command's output is as it should be: lists follow the cluster
/// by a few seconds.
async fn until(person: &Person<'_>, line: &str, good: impl Fn(&Ran) -> bool) -> Ran {
    let begun = Instant::now();
    loop {
        let ran = person.run(line).await;
        if good(&ran) {
            return ran;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{line}: {} {}", ran.out, ran.error);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_lives_its_life_on_the_command_line() {
    let simulator = cluster().await;
    let before = simulator.dump();
    let site = Site::new(&simulator, simulator.token(), "").expect("a site");
    let mut server = site.serve().expect("it starts");
    site.open(&mut server).await.expect("it opens");
    let person = Person(&site);
    until(&person, "image list", |ran| line(&ran.out, "debian").is_some()).await;

    create(&person, &site).await;
    let seed = read_seed(&simulator).await;
    look(&person).await;
    change_power(&person, &simulator).await;
    a_second_change_is_a_conflict(&person, &simulator).await;
    a_failing_creation_says_why(&person, &simulator).await;
    refusals(&person, &site).await;

    person.run("instance delete web-1 --wait").await.exit(0);
    person.run("instance show web-1").await.exit(3);
    assert_eq!(fetch(format!("{seed}user-data")).await.0, 404, "the seed lives on");
    assert_eq!(simulator.dump(), before, "something is left in the cluster");
    let list = person.run("instance list --output json").await.exit(0).json();
    assert_eq!(list["instances"], serde_json::json!([]));
    let operations = person.run("operation list").await.exit(0).out;
    let deleted = operations.lines().filter(|line| line.contains(" delete "));
    assert!(deleted.clone().count() > 0 && deleted.clone().all(|line| line.contains("succeeded")));

    server.terminate().await.expect("it ends in order");
    let down = person.run("instance list").await.exit(6);
    assert!(
        down.error.contains("cannot connect") && down.error.contains("next:"),
        "{}",
        down.error
    );
}

async fn create(person: &Person<'_>, site: &Site) {
    let file = site.state().join("user-data");
    fs::write(&file, "#!/bin/sh\necho hello > /root/hello\n").expect("written");
    let line = format!(
        "instance create web-1 --image debian --cores 2 --memory 1G --disk 3G \
         --security-group web --label role=web --user-data {} --wait",
        file.display()
    );
    let created = person.run(&line).await.exit(0);
    assert!(created.out.contains("running") && created.out.contains("web-1"), "{}", created.out);
    for step in ["clone", "configure", "grow", "firewall", "start"] {
        assert!(created.error.contains(step), "progress without {step}: {}", created.error);
    }
    let more = "instance create db-1 --image debian --cores 1 --memory 512M --no-start --wait";
    person.run(more).await.exit(0);
    // For a program nothing but the API's own answer is printed.
    let accepted = "instance delete db-1 --output json --wait";
    let ran = person.run(accepted).await.exit(0);
    assert_eq!(ran.json()["state"], "succeeded");
    assert_eq!(ran.error, "");
}

/// What the guest was promised is served to it, and the address works for it.
async fn read_seed(simulator: &Simulator) -> String {
    let guest = guest(simulator, "web-1").expect("it is in the cluster");
    assert_eq!(guest["status"], "running");
    assert_eq!(guest["config"]["cores"], "2");
    assert_eq!(guest["firewall"]["rules"][0]["action"], "web");
    let url = seed_url(&guest);
    let (status, user_data) = fetch(format!("{url}user-data")).await;
    assert_eq!((status, user_data.as_str()), (200, "#!/bin/sh\necho hello > /root/hello\n"));
    let (status, meta_data) = fetch(format!("{url}meta-data")).await;
    assert_eq!(status, 200);
    assert!(meta_data.contains("local-hostname: \"web-1\""), "{meta_data}");
    assert_eq!(fetch(format!("{url}vendor-data")).await.0, 200);
    let cut = url.trim_end_matches('/');
    let guessed = format!("{}x/user-data", &cut[..cut.len() - 1]);
    assert_eq!(fetch(guessed).await.0, 404, "a token that is nearly right");
    url
}

async fn look(person: &Person<'_>) {
    // Addresses come from the guest agent, a moment after the start.
    let table = until(person, "instance list", |ran| ran.out.contains('.')).await.exit(0);
    let row = line(&table.out, "web-1").expect("a row");
    assert!(table.out.starts_with("NAME") && row.contains("running"), "{}", table.out);
    let list = person.run("instance list --output json").await.exit(0).json();
    let listed = &list["instances"][0];
    assert_eq!(list["instances"].as_array().map(Vec::len), Some(1));
    assert_eq!((&listed["name"], &listed["state"]), (&"web-1".into(), &"running".into()));
    let shown = person.run("instance show web-1 --output json").await.exit(0).json();
    assert_eq!((&shown["id"], &shown["cores"]), (&listed["id"], &2.into()));
    assert_eq!(shown["labels"]["role"], "web");
    assert!(!shown["addresses"].as_array().expect("addresses").is_empty());
    let id = shown["id"].as_str().expect("an id");
    let text = person.run(&format!("instance show {id}")).await.exit(0).out;
    assert!(text.contains("state:") && text.contains("running"), "{text}");
    assert!(text.contains("role=web"), "{text}");
}

async fn change_power(person: &Person<'_>, simulator: &Simulator) {
    let status = || guest(simulator, "web-1").expect("it is there")["status"].clone();
    person.run("instance stop web-1 --wait").await.exit(0);
    assert_eq!(status(), "stopped");
    let shown = person.run("instance show web-1 --output json").await.exit(0).json();
    assert_eq!(shown["state"], "stopped");
    // What is already so is a success.
    person.run("instance stop web-1 --wait").await.exit(0);
    person.run("instance start web-1 --wait").await.exit(0);
    assert_eq!(status(), "running");
    person.run("instance reboot web-1 --wait").await.exit(0);
    assert_eq!(status(), "running");
    person.run("instance shutdown web-1 --wait").await.exit(0);
    assert_eq!(status(), "stopped");
    person.run("instance start web-1 --wait").await.exit(0);
}

async fn a_second_change_is_a_conflict(person: &Person<'_>, simulator: &Simulator) {
    // A host that cannot be reached keeps the first one going.
    let away = Effect::Gateway { status: 595, done: false };
    let stop = Fault::on("POST", "/nodes/*/qemu/*/status/stop").always().then(away);
    let fault = simulator.fault(stop);
    let first = person.run("instance stop web-1 --output json").await.exit(0).json();
    let operation = first["operation"].as_str().expect("an operation").to_owned();
    let refused = person.run("instance start web-1").await.exit(4);
    assert!(refused.error.contains(&operation), "{}", refused.error);
    let refused = person.run("instance start web-1 --output json").await.exit(4);
    let error: Value = serde_json::from_str(&refused.error).expect("an error in JSON");
    assert_eq!(error["error"]["code"], "conflict");
    simulator.remove_fault(fault);
    person.run(&format!("operation watch {operation}")).await.exit(0);
    let steps = person.run(&format!("operation show {operation} --log")).await.exit(0).out;
    assert!(steps.contains("trying again"), "{steps}");
    person.run("instance start web-1 --wait").await.exit(0);
}

async fn a_failing_creation_says_why(person: &Person<'_>, simulator: &Simulator) {
    let before = simulator.dump();
    let line = "instance create bad-1 --image debian --cores 1 --memory 512M \
                --security-group absent --wait";
    let failed = person.run(line).await.exit(1);
    assert!(failed.error.contains("no such security group 'absent'"), "{}", failed.error);
    let shown = person.run("instance show bad-1 --output json").await.exit(0).json();
    assert_eq!(shown["state"], "failed");
    let reason = shown["fault"]["message"].as_str().expect("a reason");
    assert!(reason.contains("absent"), "{reason}");
    assert_eq!(simulator.dump(), before, "something is left in the cluster");
    person.run("instance delete bad-1 --wait").await.exit(0);
}

async fn refusals(person: &Person<'_>, site: &Site) {
    let unknown = person.run("instance show nobody").await.exit(3);
    assert!(unknown.error.contains("\"nobody\""), "{}", unknown.error);
    person.run("instance delete nobody").await.exit(3);
    person.run("operation show 01890a5d-ac96-774b-bcce-b302099a8057").await.exit(3);
    person.run("instance create x --image debian").await.exit(2);
    let image = "instance create x --image windows --cores 1 --memory 1G";
    let refused = person.run(image).await.exit(2);
    assert!(refused.error.contains("image"), "{}", refused.error);
    let server = format!("http://{}", site.native());
    let token = site.state().join("wrong.token");
    fs::write(&token, "ink_wrong\n").expect("written");
    let token = token.to_str().expect("a path of text");
    let words = ["--server", &server, "--token-file", token, "instance", "list"];
    let denied = person.plain(&words).await.exit(5);
    assert!(denied.error.contains("token"), "{}", denied.error);
    let words = ["--server", &server, "instance", "list"];
    person.plain(&words).await.exit(5);
    let admin = site.state().join("admin.token");
    let admin = admin.to_str().expect("a path of text");
    let words = ["--server", &server, "--token-file", admin, "instance", "list"];
    person.plain(&words).await.exit(0);
}

async fn doctor(site: &Site) -> Ran {
    let config = site.config();
    let config = config.to_str().expect("a path of text");
    Person(site).plain(&["doctor", "--config", config]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_what_is_missing() {
    let simulator = cluster().await;
    let site = Site::new(&simulator, simulator.token(), "").expect("a site");
    let well = doctor(&site).await.exit(0);
    for word in ["provider lab", "api", "Proxmox VE 8", "rights", "debian", "nfs"] {
        assert!(well.out.contains(word), "no {word} in:\n{}", well.out);
    }
    assert!(!well.out.contains("problem"), "{}", well.out);

    let weak = Site::new(&simulator, "weak@pve!ci=no-rights", "").expect("a site");
    let ill = doctor(&weak).await.exit(1);
    for word in ["problem", "VM.Allocate", "Sys.Audit", "pveum acl modify"] {
        assert!(ill.out.contains(word), "no {word} in:\n{}", ill.out);
    }

    let wrong = Site::new(&simulator, "weak@pve!ci=wrong", "").expect("a site");
    let refused = doctor(&wrong).await.exit(1);
    assert!(refused.out.contains("check the token's id"), "{}", refused.out);

    drop(simulator);
    let alone = doctor(&site).await.exit(1);
    assert!(alone.out.contains("check the address"), "{}", alone.out);
    fs::remove_file(site.config()).expect("removed");
    let lost = doctor(&site).await.exit(1);
    assert!(lost.error.contains("innkeeper.toml"), "{}", lost.error);
}
