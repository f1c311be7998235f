//! Real guests. Needs qemu-system-x86, qemu-utils, busybox-static and cpio,
//! which `./run` installs; their absence is a failure, not a skip.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use pve_sim::machine::qemu::{
    Accel, Programs, Qemu, QemuConfig, QemuError, TinyGuest, build_tiny, find_programs,
    probe_acceleration,
};
use pve_sim::machine::{AgentError, Backend, GuestSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

mod crash;
mod documents;
mod firmware;

/// Generous: two busy cores without KVM.
const BOOT_WITHIN: Duration = Duration::from_secs(90);

/// One guest at a time: several at once on two cores only slow each other down.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn tiny() -> TinyGuest {
    // Kept between runs: the build's key says whether it is still right.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tiny-guest");
    build_tiny(&cache, |line| println!("{line}")).await.unwrap()
}

fn programs() -> Programs {
    find_programs().unwrap()
}

async fn open(root: &Path) -> Result<Qemu, QemuError> {
    let config =
        QemuConfig { state_folder: root.to_owned(), accel: Accel::Tcg, programs: programs() };
    Qemu::open(config).await
}

/// Serves a NoCloud seed on a loopback port until the runtime ends.
async fn serve_seed(files: Vec<(&'static str, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = answer(stream, &files).await;
        }
    });
    address
}

async fn answer(stream: TcpStream, files: &[(&str, String)]) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let mut header = String::new();
    while stream.read_line(&mut header).await? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let file = files.iter().find(|(name, _)| path.strip_prefix("/seed/") == Some(name));
    let (status, body) = match file {
        Some((_, body)) => ("200 OK", body.as_str()),
        None => ("404 Not Found", ""),
    };
    let head = format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

fn spec(tiny: &TinyGuest, seed: SocketAddr) -> GuestSpec {
    GuestSpec {
        vmid: 100,
        name: "web,1".into(),
        cores: 2,
        memory_mib: 256,
        disks: vec![("scsi0".into(), "local:100/vm-100-disk-0.qcow2".into())],
        nics: vec![("BC:24:11:12:34:56".into(), "virtio".into())],
        smbios_uuid: "6f9619ff-8b86-d011-b42d-00c04fc964ff".into(),
        smbios_serial: format!("ds=nocloud-net;s=http://10.0.2.2:{}/seed/", seed.port()),
        agent: true,
        boot: Some(tiny.clone().into()),
    }
}

/// Asks until the agent is there and `accept` likes its answer.
async fn agent_until(
    backend: &Qemu,
    command: &str,
    accept: impl Fn(&Value) -> bool,
) -> (Value, Duration) {
    let start = Instant::now();
    loop {
        match backend.agent(100, command, json!({})).await {
            Ok(answer) if accept(&answer) => return (answer, start.elapsed()),
            Ok(_) | Err(AgentError::NotRunning) => {}
            Err(error) => panic!("{command}: {error}"),
        }
        assert!(
            start.elapsed() < BOOT_WITHIN,
            "{command} did not answer; the console says:\n{}",
            backend.console(100)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs a line of shell in the guest; returns what it printed.
async fn shell(backend: &Qemu, line: &str) -> String {
    let arguments = json!({ "path": "/bin/sh", "arg": ["-c", line], "capture-output": true });
    let started = backend.agent(100, "guest-exec", arguments).await.unwrap();
    let start = Instant::now();
    loop {
        let status = backend
            .agent(100, "guest-exec-status", json!({ "pid": started["pid"] }))
            .await
            .unwrap();
        if status["exited"] == true {
            use base64::Engine as _;
            let data = status["out-data"].as_str().unwrap_or_default();
            let bytes = base64::prelude::BASE64_STANDARD.decode(data).unwrap();
            return String::from_utf8(bytes).unwrap();
        }
        assert!(start.elapsed() < BOOT_WITHIN, "'{line}' runs longer than a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wait_until_stopped(backend: &Qemu) {
    let start = Instant::now();
    while backend.is_running(100).await {
        assert!(
            start.elapsed() < BOOT_WITHIN,
            "the guest still runs; the console says:\n{}",
            backend.console(100)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first bytes that the guest's SSH server says.
async fn ssh_banner(address: SocketAddr) -> String {
    let start = Instant::now();
    loop {
        // The forwarding accepts before the guest listens, and then hangs up.
        let mut text = [0; 8];
        let greeted = async {
            let mut stream = TcpStream::connect(address).await.ok()?;
            stream.read_exact(&mut text).await.ok()
        };
        if let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(1), greeted).await {
            return String::from_utf8_lossy(&text).into_owned();
        }
        assert!(start.elapsed() < BOOT_WITHIN, "no SSH server at {address}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything below a folder, by name.
fn files_below(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(files_below(&path));
        } else {
            names.push(path.display().to_string());
        }
    }
    names.sort();
    names
}

fn user_data() -> String {
    "#cloud-config\n\
     hostname: web-1\n\
     users:\n\
     - default\n\
     - name: alice\n\
     \x20 ssh_authorized_keys: ['ssh-ed25519 AAAA alice@example.org']\n\
     write_files:\n\
     - path: /etc/innkeeper/greeting\n\
     \x20 permissions: '0640'\n\
     \x20 content: |\n\
     \x20   Hello, it's me\n\
     runcmd:\n\
     - echo \"ran on $(hostname)\" >/root/effect\n\
     - [sh, -c, 'echo \"$1\" >>/root/effect', sh, two words]\n"
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_boots_reads_its_seed_and_leaves_nothing_behind() {
    let _turn = TURN.lock().await;
    let tiny = tiny().await;
    let root = tempfile::tempdir().unwrap();
    let backend = open(root.path()).await.unwrap();
    let empty = files_below(root.path());
    let seed = serve_seed(vec![
        ("meta-data", "instance-id: i-1\nlocal-hostname: other\n".into()),
        ("user-data", user_data()),
    ])
    .await;
    let mut guest = spec(&tiny, seed);
    let base = "local:99/base-99-disk-0.qcow2";
    backend.allocate("local:99/vm-99-disk-0.qcow2", 1 << 30).await.unwrap();
    backend.rename("local:99/vm-99-disk-0.qcow2", base).await.unwrap();
    backend.clone_linked(base, &guest.disks[0].1).await.unwrap();
    backend.grow(&guest.disks[0].1, 2 << 30).await.unwrap();

    let start = Instant::now();
    let pid = backend.start(&guest).await.unwrap();
    println!("start took {:?}", start.elapsed());
    let again = backend.start(&guest).await.unwrap_err();
    assert_eq!(again.0, "VM 100 already running");

    let address = backend.ssh_forward(100).unwrap();
    assert!(ssh_banner(address).await.starts_with("SSH-2.0-"));
    println!("SSH after {:?}", start.elapsed());
    let (nics, _) = agent_until(&backend, "guest-network-get-interfaces", |answer| {
        answer.to_string().contains("10.0.2.15")
    })
    .await;
    println!("address after {:?}", start.elapsed());
    assert!(nics.to_string().contains("bc:24:11:12:34:56"), "{nics}");

    let status = shell(&backend, "cloud-init status --wait --long").await;
    println!("seed applied after {:?}", start.elapsed());
    assert_eq!(status, "status: done\n", "{}", backend.console(100));
    let effect = shell(&backend, "cat /root/effect /etc/innkeeper/greeting").await;
    assert_eq!(effect, "ran on web-1\ntwo words\nHello, it's me\n");
    let modes =
        shell(&backend, "stat -c '%a %U' /etc/innkeeper/greeting /home/alice/.ssh/authorized_keys")
            .await;
    assert_eq!(modes, "640 root\n600 alice\n");
    let size = shell(&backend, "cat /sys/block/sda/size").await;
    assert_eq!(size.trim(), ((2_u64 << 30) / 512).to_string());

    // Growing reaches a guest that runs.
    backend.grow(&guest.disks[0].1, 3 << 30).await.unwrap();
    let size = shell(
        &backend,
        "for i in $(seq 100); do grep -q 6291456 /sys/block/sda/size && break; usleep 100000; done; cat /sys/block/sda/size",
    )
    .await;
    assert_eq!(size.trim(), ((3_u64 << 30) / 512).to_string());
    let in_use = backend.free(&guest.disks[0].1).await.unwrap_err();
    assert!(in_use.0.contains("in use"), "{in_use}");

    backend.reset(100).await.unwrap();
    let (_, took) =
        agent_until(&backend, "guest-get-host-name", |answer| answer["host-name"] == "web-1").await;
    println!("reset took {took:?}");

    backend.powerdown(100).await.unwrap();
    wait_until_stopped(&backend).await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(backend.ssh_forward(100), None);
    let silent = backend.agent(100, "guest-ping", json!({})).await;
    assert_eq!(silent.unwrap_err(), AgentError::NotRunning);

    // The disk remembers; the commands ran for this instance and do not run again.
    backend.start(&guest).await.unwrap();
    agent_until(&backend, "guest-ping", |_| true).await;
    let before =
        shell(&backend, "cloud-init status --wait; cat /root/effect; echo kept >/root/note; sync")
            .await;
    assert_eq!(before, "status: done\nran on web-1\ntwo words\n");
    // Switched off hard, it still comes back with what was synced.
    backend.kill(100).await.unwrap();

    // Without the agent the power button must do.
    guest.agent = false;
    backend.start(&guest).await.unwrap();
    assert_eq!(backend.ssh_forward(100), Some(address), "the port stays the same");
    ssh_banner(address).await;
    backend.powerdown(100).await.unwrap();
    wait_until_stopped(&backend).await;

    backend.free(&guest.disks[0].1).await.unwrap();
    backend.free(base).await.unwrap();
    assert_eq!(backend.dump(), json!({ "volumes": [], "guests": [] }));
    assert_eq!(files_below(root.path()), empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_die_with_the_backend_and_volumes_refuse_nonsense() {
    let _turn = TURN.lock().await;
    let tiny = tiny().await;
    let root = tempfile::tempdir().unwrap();
    let backend = open(root.path()).await.unwrap();
    assert!(matches!(open(root.path()).await.err().unwrap(), QemuError::InUse(_)));
    let mut guest = spec(&tiny, serve_seed(vec![]).await);
    let missing = backend.start(&guest).await.unwrap_err();
    assert!(missing.0.contains("vm-100-disk-0.qcow2"), "{missing}");
    let volume = guest.disks[0].1.clone();
    backend.allocate(&volume, 1 << 20).await.unwrap();
    let twice = backend.allocate(&volume, 1 << 20).await.unwrap_err();
    assert!(twice.0.contains("already exists"), "{twice}");
    // Shrinking does nothing.
    backend.grow(&volume, 1 << 10).await.unwrap();
    backend.clone_full(&volume, "local:x").await.unwrap();
    backend.free("local:x").await.unwrap();
    backend.free("local:x").await.unwrap();

    guest.memory_mib = 1 << 30;
    let too_much = backend.start(&guest).await.unwrap_err();
    assert!(too_much.0.contains("memory"), "{too_much}");
    assert_eq!(backend.dump()["guests"], json!([]));

    guest.memory_mib = 256;
    let pid = backend.start(&guest).await.unwrap();
    let process = format!("/proc/{pid}");
    assert!(Path::new(&process).exists());
    drop(backend);
    let start = Instant::now();
    while Path::new(&process).exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "QEMU lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acceleration_is_judged_by_booting_and_remembered() {
    let _turn = TURN.lock().await;
    let tiny = tiny().await;
    let folder = tempfile::tempdir().unwrap();
    let memory = folder.path().join("kvm.json");
    let budget = Duration::from_secs(5);
    let verdict = probe_acceleration(&programs(), &tiny, budget, &memory).await;
    println!("{:?}: {}", verdict.accel, verdict.reason);
    assert!(!verdict.reason.is_empty());
    let start = Instant::now();
    let again = probe_acceleration(&programs(), &tiny, budget, &memory).await;
    assert_eq!(again, verdict);
    assert!(start.elapsed() < Duration::from_secs(1));

    // A probe that no machine can pass would always speak against KVM.
    let backend = open(folder.path()).await.unwrap();
    let mut guest = spec(&tiny, serve_seed(vec![]).await);
    guest.disks.clear();
    let boot = guest.boot.as_mut().unwrap();
    boot.append.push_str(" tiny.probe");
    backend.start(&guest).await.unwrap();
    let mut console = String::new();
    let start = Instant::now();
    while backend.is_running(100).await {
        console = backend.console(100);
        assert!(start.elapsed() < BOOT_WITHIN, "{console}");
        if console.contains("tiny guest: probe passed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("without KVM the probe takes {:?}", start.elapsed());
    assert!(console.contains("tiny guest: probe passed"), "{console}");
    wait_until_stopped(&backend).await;
}
