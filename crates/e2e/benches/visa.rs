//! The VISA door with 100 and with 2,000 instances: times of its answers, each
//! with its ratio to asking the cluster once per guest in the same run, and what
//! the polls of a VISA server cost. Prints figures; judges nothing.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::served::Site;
use model::random::SeededRandom;
use model::time::SystemClock;
use model::{
    AttemptId, ByteCount, Clock, Door, Instance, InstanceId, InstanceSpec, Mark, Observed,
    Ownership, Phase, PowerState, Random,
};
use pve_sim::{GuestSeed, NodeSeed, Simulator, StorageSeed, TaskDurations};
use serde_json::json;
use store::{Change, NUMBERS, Settings, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Numbers of this door begin here.
const FIRST: usize = 1_000_000_000;
/// Polls per second of a VISA server with 2,000 instances: each once a minute.
const POLLS: u32 = 33;
/// How long they go on.
const POLLING: Duration = Duration::from_secs(30);
/// Times that an answer is asked for.
const TIMES: usize = 200;

/// A connection that stays.
struct Line(TcpStream);

impl Line {
    async fn open(door: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(door).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// The status, and how many bytes the body has.
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, usize)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: v\r\nx-auth-token: t\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(head.as_bytes()).await?;
        let mut answer = Vec::with_capacity(64 << 10);
        loop {
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).context("no length")?;
                let length: usize = length.lines().next().unwrap_or_default().trim().parse()?;
                while answer.len() < end + 4 + length {
                    ensure!(self.0.read_buf(&mut answer).await? > 0, "cut short");
                }
                let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
                return Ok((status.context("no status")?, length));
            }
            ensure!(self.0.read_buf(&mut answer).await? > 0, "closed");
        }
    }
}

/// The middle and the 99th of a hundred of some times.
fn spread(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

struct World {
    simulator: Simulator,
    site: Site,
    door: SocketAddr,
}

fn instance(at: usize, mark: &Mark, now: model::Timestamp, uuid: &str) -> Result<Instance> {
    let host = format!("pve{}", at % 8 + 1);
    let spec = InstanceSpec::new(&format!("VISA-INSTANCE-{at}"), None, 2, ByteCount::gib(4));
    Ok(Instance {
        id: mark.instance,
        project: "visa".parse()?,
        managed_by: Door::Visa,
        provider: "lab".parse()?,
        spec,
        generation: 1,
        phase: Phase::Ready,
        attempt: mark.attempt,
        attempts: 1,
        native: json!({"vmid": 100_000 + at, "node": host, "uuid": uuid}),
        observed: Some(Observed {
            power: PowerState::Running,
            host: host.parse()?,
            addresses: Vec::new(),
            at: now,
            pending: Vec::new(),
        }),
        fault: None,
        operation: None,
        snapshots: Default::default(),
        ownership: Ownership::Made,
        expiry: Default::default(),
        created_at: now,
        sequence: 0,
    })
}

/// A cluster with this many guests of ours, and a data base that knows them.
async fn world(count: usize) -> Result<World> {
    let (clock, random) = (SystemClock::new(), SeededRandom::new(7));
    let mut builder = Simulator::builder()
        .durations(TaskDurations::all(Duration::from_millis(200)))
        .storage(StorageSeed::new("nfs", "nfs"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048));
    for node in 1..=8 {
        let mut node = NodeSeed::new(&format!("pve{node}"));
        (node.cpus, node.memory_mib) = (256, 2 << 20);
        builder = builder.node(node);
    }
    // The marks name the installation, which is made with the data base.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("innkeeper.db");
    let shared: Arc<dyn Random> = Arc::new(SeededRandom::new(8));
    let store =
        Store::open_sqlite(&file, Settings::default(), Arc::new(SystemClock::new()), shared)
            .await?;
    let mut changes = Vec::new();
    for at in 0..count {
        let mark = Mark {
            installation: store.installation_id(),
            instance: InstanceId::generate(&clock, &random),
            attempt: AttemptId::generate(&clock, &random),
        };
        let uuid = format!("00000000-0000-4000-8000-{at:012}");
        let row = instance(at, &mark, clock.now(), &uuid)?;
        let mut seed = GuestSeed::new(u32::try_from(100_000 + at)?, &row.spec.name)
            .on(&format!("pve{}", at % 8 + 1))
            .option("description", &format!("{mark}\n"))
            .option("tags", "innkeeper")
            .option("smbios1", &format!("uuid={uuid}"));
        seed.running = true;
        builder = builder.guest(seed);
        let number = (FIRST + at).to_string();
        let alias = (Door::Visa, NUMBERS.to_owned(), number, row.id);
        changes.push(Change::InsertInstance(Box::new(row)));
        let (door, scope, external_id, instance) = alias;
        changes.push(Change::PutAlias { door, scope, external_id, instance });
    }
    store.commit(changes).await?;
    store.close().await;
    let simulator = builder.start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let token = folder.path().join("token");
    std::fs::write(&token, "t\n")?;
    let table = format!("[visa]\nlisten = \"{door}\"\ntoken_file = {token:?}\n");
    let site = Site::with_store(&simulator, simulator.token(), "", &table)?;
    std::fs::create_dir_all(site.state())?;
    for name in ["innkeeper.db", "secret.key"] {
        std::fs::copy(folder.path().join(name), site.state().join(name))?;
    }
    std::fs::write(site.config().with_file_name("visa.token"), "t\n")?;
    let text = std::fs::read_to_string(site.config())?;
    let kept = site.config().with_file_name("visa.token");
    let text = text.replace(&format!("{token:?}"), &format!("{kept:?}"));
    std::fs::write(site.config(), text)?;
    Ok(World { simulator, site, door })
}

/// Seconds of processor time that a process has used.
fn cpu(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime (proc(5)), in ticks of 1/100 s on Linux.
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// What one question per guest costs at the cluster: the old way. Asked for 100
/// of them, and reckoned for all.
async fn pass_through(simulator: &Simulator, count: usize) -> Result<Duration> {
    let (id, secret) = simulator.token().split_once('=').context("a token")?;
    let mut config =
        pve::Config::new([simulator.url().parse()?], pve::Auth::token(id, secret.to_owned()));
    config.tls = pve::Tls::pinned([simulator.fingerprint().parse()?]);
    let client = pve::Client::new(config)?;
    let asked = count.min(100);
    let begun = Instant::now();
    for at in 0..asked {
        let node = format!("pve{}", at % 8 + 1);
        let vmid = u32::try_from(100_000 + at)?.try_into()?;
        client.node(&node).qemu(vmid).status().await?;
    }
    Ok(begun.elapsed().mul_f64(count as f64 / asked as f64))
}

async fn answers(world: &World, count: usize) -> Result<()> {
    let old = pass_through(&world.simulator, count).await?;
    let one = old.div_f64(count as f64);
    println!("  one question per guest: {old:?} for all, {one:?} for one");
    let mut line = Line::open(world.door).await?;
    let by_id = format!("/api/instances/{}", FIRST + count / 2);
    let paths = ["/api/instances", &by_id, "/api/images", "/api/flavours", "/api/metrics"];
    for path in paths {
        let (mut times, mut size) = (Vec::new(), 0);
        for _ in 0..TIMES {
            let begun = Instant::now();
            let (status, length) = line.ask("GET", path, "").await?;
            times.push(begun.elapsed());
            ensure!(status == 200, "{path}: {status}");
            size = length;
        }
        let (middle, late) = spread(times);
        let base = if path == "/api/instances" { old } else { one };
        let ratio = base.as_secs_f64() / middle.as_secs_f64();
        println!(
            "  {path:<28} {size:>8} B  middle {middle:>10.1?}  99 % {late:>10.1?}  {ratio:>8.1} times as fast"
        );
    }
    Ok(())
}

async fn polls(world: &World, count: usize, process: u32) -> Result<()> {
    let mut line = Line::open(world.door).await?;
    let before = (world.simulator.requests().last().map_or(0, |it| it.sequence), cpu(process)?);
    let (begun, mut times) = (Instant::now(), Vec::new());
    let mut tick = tokio::time::interval(Duration::from_secs(1) / POLLS);
    while begun.elapsed() < POLLING {
        tick.tick().await;
        let id = FIRST + times.len() % count;
        let asked = Instant::now();
        let (status, _) = line.ask("GET", &format!("/api/instances/{id}"), "").await?;
        ensure!(status == 200, "{id}: {status}");
        times.push(asked.elapsed());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = (world.simulator.requests().last().map_or(0, |it| it.sequence), cpu(process)?);
    let calls = (after.0 - before.0) as f64 / seconds;
    let (middle, late) = spread(times);
    println!(
        "  {POLLS} polls a second: middle {middle:.1?}, 99 % {late:.1?}; {calls:.1} calls to the cluster a \
         second (the old way: {}), {:.1} % of a core",
        POLLS * 3,
        100.0 * (after.1 - before.1) / seconds
    );
    Ok(())
}

async fn creations(world: &World, flavour: &str) -> Result<()> {
    let mut line = Line::open(world.door).await?;
    let mut times = Vec::new();
    for number in 0..50 {
        let body = json!({
            "name": format!("NEW-{number}"), "imageId": "9000", "flavourId": flavour,
            "securityGroups": [], "metadata": {"id": "1"}, "bootCommand": "true",
        });
        let begun = Instant::now();
        let (status, _) = line.ask("POST", "/api/instances", &body.to_string()).await?;
        times.push(begun.elapsed());
        ensure!(status == 201, "{status}");
    }
    let (middle, late) = spread(times);
    println!("  POST /api/instances: middle {middle:.1?}, 99 % {late:.1?}");
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    for count in [100, 2_000] {
        println!("{count} instances");
        let world = world(count).await?;
        let mut server = world.site.serve()?;
        let client = world.site.open(&mut server).await?;
        while client.images().await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let flavour = ::client::wire::NewFlavour {
            name: "small".to_owned(),
            cores: 1,
            memory_bytes: 1 << 30,
            disk_bytes: None,
            devices: Vec::new(),
        };
        let flavour = client.create_flavour(&flavour).await?.id.to_string();
        answers(&world, count).await?;
        polls(&world, count, server.id().context("it has ended")?).await?;
        creations(&world, &flavour).await?;
        server.kill().await?;
    }
    Ok(())
}
