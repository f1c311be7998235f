//! The simulator's own death.

use std::io::BufRead as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pve_sim::machine::Backend;

use super::{TURN, files_below, open, serve_seed, spec, tiny};

const CHILD: &str = "PVE_SIM_TEST_CRASH_IN";

/// Runs only when the test below starts this binary again: starts a guest,
/// prints its process id, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn helper_that_crashes() {
    let Some(root) = std::env::var_os(CHILD) else {
        return;
    };
    let tiny = tiny().await;
    let backend = open(root.as_ref()).await.unwrap();
    let guest = spec(&tiny, serve_seed(vec![]).await);
    backend.allocate(&guest.disks[0].1, 1 << 30).await.unwrap();
    let pid = backend.start(&guest).await.unwrap();
    println!("\nguest {pid}");
    tokio::time::sleep(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_simulator_takes_its_guests_along_and_the_next_one_clears_up() {
    let _turn = TURN.lock().await;
    tiny().await;
    let root = tempfile::tempdir().unwrap();
    let mut simulator = Command::new(std::env::current_exe().unwrap())
        .args(["qemu::crash::helper_that_crashes", "--exact", "--nocapture"])
        .env(CHILD, root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(simulator.stdout.take().unwrap()).lines();
    let pid: u32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("guest ")?.parse().ok())
        .expect("the helper starts a guest");
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());
    simulator.kill().unwrap();
    simulator.wait().unwrap();
    let start = Instant::now();
    while std::fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(start.elapsed() < Duration::from_secs(10), "QEMU lives on");
        std::thread::sleep(Duration::from_millis(10));
    }

    let backend = open(root.path()).await.unwrap();
    let volume = "local:100/vm-100-disk-0.qcow2";
    assert_eq!(backend.dump()["volumes"], serde_json::json!([volume]));
    backend.free(volume).await.unwrap();
    let left = files_below(root.path());
    assert_eq!(left.len(), 1, "more than the lock: {left:?}");
}
