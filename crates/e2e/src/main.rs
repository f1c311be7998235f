//! Long runs of what the tests do for short: `innkeeper-e2e chaos`.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, bail};
use e2e::chaos;

const USAGE: &str = "usage: innkeeper-e2e chaos [--kills N] [--seed S]

Kills the real server N times (1 to 100000; 100 when not given) while it is under
load over a simulated cluster where much goes wrong, and then checks that nothing
was lost, leaked or doubled. It is built first when it is not up to date. Every
round has a cluster of its own and prints its seed: --kills 20 --seed S repeats it.";

const MOST_KILLS: u64 = 100_000;

struct Arguments {
    kills: u64,
    seed: u64,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    match words.next().as_deref() {
        Some("chaos") => {}
        Some(other) => bail!("there is no command {other:?}\n{USAGE}"),
        None => bail!("{USAGE}"),
    }
    let mut arguments = Arguments { kills: 100, seed: chaos::any_seed() };
    while let Some(option) = words.next() {
        let wanted = match option.as_str() {
            "--kills" => &mut arguments.kills,
            "--seed" => &mut arguments.seed,
            _ => bail!("there is no option {option:?}\n{USAGE}"),
        };
        let value = words.next().unwrap_or_default();
        *wanted = value
            .parse()
            .with_context(|| format!("{option}: expected a whole number, got {value:?}"))?;
    }
    if !(1..=MOST_KILLS).contains(&arguments.kills) {
        bail!("--kills: expected 1 to {MOST_KILLS}, got {}", arguments.kills);
    }
    Ok(arguments)
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { kills, seed } = parse(std::env::args().skip(1))?;
    println!("chaos: --kills {kills} --seed {seed}");
    let rounds = chaos::rounds(seed, kills);
    let count = rounds.len();
    for (number, (seed, kills)) in rounds.into_iter().enumerate() {
        println!("round {} of {count}: --kills {kills} --seed {seed}", number + 1);
        println!("{}", chaos::round(seed, kills).await?);
    }
    println!("nothing was lost, leaked or doubled");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::parse;

    fn parsed(line: &str) -> Result<(u64, u64), String> {
        let words = line.split_whitespace().map(str::to_owned);
        parse(words).map(|all| (all.kills, all.seed)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn kills_and_seed_are_taken_in_any_order() {
        assert_eq!(parsed("chaos --seed 9 --kills 1000"), Ok((1000, 9)));
        assert_eq!(parsed("chaos --kills 3").unwrap().0, 3);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, said) in [
            ("", "usage"),
            ("storm", "\"storm\""),
            ("chaos --kills", "--kills: expected a whole number"),
            ("chaos --kills 0", "expected 1 to 100000, got 0"),
            ("chaos --seed -1", "--seed"),
            ("chaos --speed 1", "--speed"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
