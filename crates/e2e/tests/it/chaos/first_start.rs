//! The first start makes a key, a data base and the first administrator's token.
//! Killed in the middle of it, the next start must leave a way in.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::chaos::{SETTINGS, world};
use e2e::served::Site;
use model::Random as _;
use model::random::SeededRandom;

use super::from_environment;

const TRIES: u64 = 12;
/// How long the first start is watched for the moment to kill it.
const WATCHED: Duration = Duration::from_secs(60);

/// Waits until a file is there, or the token is, on a thread that does nothing
/// else: what it waits for lasts for a moment only, and may be missed.
async fn until_there(state: &Path, file: &str) {
    let (file, token) = (state.join(file), state.join("admin.token"));
    let watched = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        while !file.exists() && !token.exists() && begun.elapsed() < WATCHED {
            std::hint::spin_loop();
        }
    });
    watched.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_is_killed_leaves_a_way_in() {
    let seed = from_environment("INNKEEPER_SEED").unwrap_or(7);
    let (dice, simulator) = (SeededRandom::new(seed), world::start(seed).await.unwrap());
    for attempt in 0..TRIES {
        let site = Site::new(&simulator, simulator.token(), SETTINGS).expect("a site");
        let first = site.serve().expect("it starts");
        match attempt % 3 {
            // The token is in the data base and not yet in its file.
            0 => until_there(&site.state(), "admin.new").await,
            1 => until_there(&site.state(), "innkeeper.db").await,
            _ => tokio::time::sleep(Duration::from_millis(dice.below(600))).await,
        }
        first.kill().await.expect("it lived");
        let mut second = site.serve().expect("it starts again");
        let opened = site.open(&mut second).await;
        let client = opened.unwrap_or_else(|error| panic!("try {attempt}: {error:#}"));
        let tokens = client.tokens().await.expect("the token opens the door").tokens;
        let alive = tokens.iter().filter(|token| token.revoked_at.is_none()).count();
        assert_eq!(alive, 1, "try {attempt}: tokens that nobody knows: {tokens:?}");
        second.kill().await.expect("it lived");
    }
}
