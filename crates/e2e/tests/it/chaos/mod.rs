//! Kills at random moments; see `e2e::chaos`.
//!
//! `INNKEEPER_KILLS` sets how often, `INNKEEPER_SEED` repeats what chance decided.

mod first_start;

use std::io::Write as _;

use e2e::chaos::{any_seed, round, rounds};

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

/// A line that is shown whether or not the test passes.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "\n{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_lose_leak_and_double_nothing() {
    let kills = from_environment("INNKEEPER_KILLS").unwrap_or(20);
    let seed = from_environment("INNKEEPER_SEED").unwrap_or_else(any_seed);
    say(&format!("chaos: INNKEEPER_SEED={seed} INNKEEPER_KILLS={kills}"));
    for (seed, kills) in rounds(seed, kills) {
        match round(seed, kills).await {
            Ok(line) => say(&line),
            Err(error) => panic!("{error:#}"),
        }
    }
}

#[test]
fn the_rounds_have_all_kills_and_seeds_of_their_own() {
    assert_eq!(rounds(7, 20), [(7, 20)]);
    assert_eq!(rounds(7, 45), [(7, 20), (8, 20), (9, 5)]);
    assert_eq!(rounds(u64::MAX, 21), [(u64::MAX, 20), (0, 1)]);
}
