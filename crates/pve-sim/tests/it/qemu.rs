//! Real guests. Needs qemu-system-x86, qemu-utils, busybox-static and cpio,
//! which `./run` installs; their absence is a failure, not a skip.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pve_sim::machine::qemu::{
    Accel, Programs, Qemu, QemuConfig, QemuError, TinyGuest, build_tiny, find_programs,
    probe_acceleration,
};
use pve_sim::machine::{AgentError, Backend, GuestSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Generous: two busy cores without KVM.
const BOOT_WITHIN: Duration = Duration::from_secs(90);

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
}

/// Runs the guest's YAML reader as the guest does.
fn read_yaml(mode: &str, document: &str) -> Result<String, String> {
    use std::io::Write as _;
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
    let mut child = Command::new("busybox")
        .args(["awk", "-v", &format!("mode={mode}"), "-f"])
        .arg(guest.join("yaml.awk"))
        .arg("-f")
        .arg(guest.join(if mode == "flat" { "flat.awk" } else { "cloud-config.awk" }))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("busybox is missing; install the package busybox-static");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(document.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

mod yaml {
    use super::read_yaml;

    #[track_caller]
    fn reads(document: &str, nodes: &[&str]) {
        let read = read_yaml("flat", document).unwrap();
        let lines: Vec<&str> = read.lines().skip(1).collect();
        assert_eq!(lines, nodes, "{document}");
    }

    #[track_caller]
    fn refuses(document: &str, line: usize, word: &str) {
        let error = read_yaml("flat", document).unwrap_err();
        assert!(
            error.starts_with(&format!("line {line}: ")) && error.contains(word),
            "{document}\ngave: {error}"
        );
    }

    #[test]
    fn block_collections_nest_in_every_usual_way() {
        reads(
            "a: 1\nb:\n- x\n- y: 1\n  z: 2\n-   - q\nc:\n    d: e\n",
            &[
                "/a plain <1>",
                "/b seq",
                "/b/0 plain <x>",
                "/b/1 map",
                "/b/1/y plain <1>",
                "/b/1/z plain <2>",
                "/b/2 seq",
                "/b/2/0 plain <q>",
                "/c map",
                "/c/d plain <e>",
            ],
        );
        reads(
            "- a\n-\n  b: c\n- - d\n  - e\n",
            &[
                "/0 plain <a>",
                "/1 map",
                "/1/b plain <c>",
                "/2 seq",
                "/2/0 plain <d>",
                "/2/1 plain <e>",
            ],
        );
    }

    #[test]
    fn scalars_keep_what_the_user_wrote() {
        reads(
            "a: 'it''s # no: comment' # yes\nb: \"x\\ty\\u00e9\\\\\"\nc: http://h:1/p#f\nd: ~\ne:\n\"f g\": a b\n",
            &[
                "/a str <it's # no: comment>",
                "/b str <x\\tyé\\\\>",
                "/c plain <http://h:1/p#f>",
                "/d null",
                "/e null",
                "/f g plain <a b>",
            ],
        );
        reads(
            "a: one\n  two\n\n  three\nb: \"one\n  two \\\n  three\"\n",
            &["/a plain <one two\\nthree>", "/b str <one two three>"],
        );
    }

    #[test]
    fn blocks_follow_their_indicators() {
        reads(
            "a: |\n  x\n   y\n\n  z\nb: |-\n  x\n\nc: |+\n  x\n\nd: >\n  x\n  y\n\n  z\ne: |2\n    x\n",
            &[
                "/a str <x\\n y\\n\\nz\\n>",
                "/b str <x>",
                "/c str <x\\n\\n>",
                "/d str <x y\\nz\\n>",
                "/e str <  x\\n>",
            ],
        );
        reads(
            "- |\n  #!/bin/sh\n  # a: [b\n- z\n",
            &["/0 str <#!/bin/sh\\n# a: [b\\n>", "/1 plain <z>"],
        );
    }

    #[test]
    fn json_is_yaml() {
        reads(
            "{\"a\": [1, \"x\\n\", {\"b\": null}],\n \"c\": {},\n \"d\": \"\\ud83d\\ude00\"}\n",
            &[
                "/a seq",
                "/a/0 plain <1>",
                "/a/1 str <x\\n>",
                "/a/2 map",
                "/a/2/b null",
                "/c map",
                "/d str <😀>",
            ],
        );
    }

    #[test]
    fn windows_line_ends_and_one_document_marker_are_fine() {
        reads("---\r\na: b\r\nc: |\r\n  d\r\n...\r\n", &["/a plain <b>", "/c str <d\\n>"]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        refuses("a: 1\nb: &x 2\n", 2, "anchors");
        refuses("a: *x\n", 1, "aliases");
        refuses("a: !!binary eA==\n", 1, "tags");
        refuses("a:\n  <<: {b: c}\n", 2, "merge");
        refuses("? a\n: b\n", 1, "complex");
        refuses("a: 1\n---\nb: 2\n", 2, "document");
        refuses("a:\n\tb: 1\n", 2, "tab");
        refuses("a: 1\na: 2\n", 2, "twice");
        refuses("a: b: c\n", 1, "quotes");
        refuses("a: [1, 2\nb: 3\n", 2, "");
        refuses("a: 'x\n", 1, "closed");
        refuses("a: \"\\q\"\n", 1, "escape");
        refuses("a:\n   b: 1\n  c: 2\n", 3, "indentation");
        refuses("a: 1\n- b\n", 2, "key");
        refuses("a: {b: c} d\n", 1, "unexpected");
        refuses("%YAML 1.2\n---\n", 1, "directives");
        refuses(&"- ".repeat(40), 1, "levels");
        refuses(&"[".repeat(40), 1, "levels");
        refuses(&format!("a: {}\n", "x".repeat(1 << 20)), 1, "1 MiB");
    }
}

mod cloud_config {
    use super::read_yaml;

    #[test]
    fn commands_are_lines_or_quoted_words() {
        let script = read_yaml(
            "runcmd",
            "runcmd:\n- echo \"$HOME\" | cat\n- [echo, \"it's $HOME\", 3]\n-\n",
        )
        .unwrap();
        assert_eq!(script, "#!/bin/sh\necho \"$HOME\" | cat\n'echo' 'it'\\''s $HOME' '3'\n");
        assert_eq!(read_yaml("bootcmd", "runcmd: [x]\n").unwrap(), "");
    }

    #[test]
    fn the_shell_never_expands_what_the_document_holds() {
        let nasty = "'$(touch /tmp/x)`y`\\'";
        let document = serde_json::json!({
            "hostname": nasty,
            "ssh_authorized_keys": [nasty],
            "write_files": [{ "path": format!("/{nasty}"), "content": nasty, "owner": nasty }],
            "final_message": nasty,
        });
        let shell = read_yaml("init", &document.to_string()).unwrap();
        let checked = format!(
            "note() {{ :; }}; fail() {{ :; }}; add_default_user() {{ :; }}\n\
             set_hostname() {{ printf '%s\\n' \"$1\"; }}; default_key() {{ printf '%s\\n' \"$1\"; }}\n\
             write_file() {{ printf '%s\\n' \"$1\" \"$3\" \"$6\"; }}\n{shell}printf '%s\\n' \"$final_message\"\n"
        );
        let output = std::process::Command::new("sh").args(["-c", &checked]).output().unwrap();
        let expected = format!("{nasty}\n/{nasty}\n{nasty}\n{nasty}\n{nasty}\n{nasty}\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_named_and_foreign_keys_noted() {
        let shell = read_yaml(
            "init",
            "packages: [nginx]\nusers:\n- gecos: x\nwrite_files:\n- path: relative\n",
        )
        .unwrap();
        assert!(shell.contains("note 'ignored: \"packages\""), "{shell}");
        assert!(shell.contains("fail 'users: entry 0"), "{shell}");
        assert!(shell.contains("fail 'write_files: entry 0"), "{shell}");
        assert!(read_yaml("runcmd", "runcmd: x\n").unwrap_err().contains("list"));
        assert!(read_yaml("init", "- x\n").unwrap_err().contains("map"));
    }

    #[test]
    fn meta_data_gives_identity_and_keys() {
        let shell = read_yaml(
            "meta",
            "instance-id: i-1\nlocal-hostname: h\npublic-keys:\n  mine: ssh-ed25519 A\n  two: {openssh-key: ssh-rsa B}\n",
        )
        .unwrap();
        assert_eq!(
            shell,
            "instance_id='i-1'\nlocal_hostname='h'\nmeta_key 'ssh-ed25519 A'\nmeta_key 'ssh-rsa B'\n"
        );
    }
}
