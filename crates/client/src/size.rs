//! Sizes and durations as people write them on a command line.

use std::time::Duration;

use model::ByteCount;

/// A text that is not a size or a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseAmountError(String);

const SIZE_HELP: &str = "expected a whole number with a unit: K, M, G, T (or KiB, MiB, GiB, TiB), powers of 1024; for example 512M or 10GiB";
const DURATION_HELP: &str =
    "expected a whole number with a unit: s, m, h, d or w; for example 90s or 30d";

/// Splits `text` into its leading number and its unit.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

fn refuse(text: &str, why: &str) -> ParseAmountError {
    let shown: String = text.chars().take(40).collect();
    ParseAmountError(format!("{shown:?}: {why}"))
}

/// A size: `2G`, `512M`, `10GiB`; powers of 1024. A bare number is refused,
/// because nobody means bytes by `--memory 2`, except with the unit `B`.
///
/// # Errors
/// [`ParseAmountError`] that says what was expected.
pub fn parse_size(text: &str) -> Result<ByteCount, ParseAmountError> {
    let (number, unit) = split(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        "kb" | "mb" | "gb" | "tb" => {
            let binary = format!("{number}{}iB", &unit[..1].to_ascii_uppercase());
            let why = format!("units are powers of 1024 here; write {binary} if you mean that");
            return Err(refuse(text, &why));
        }
        "" if !number.is_empty() => {
            return Err(refuse(text, &format!("a unit is missing; {SIZE_HELP}")));
        }
        _ => return Err(refuse(text, SIZE_HELP)),
    };
    let count: u64 = number.parse().map_err(|_| refuse(text, SIZE_HELP))?;
    count
        .checked_mul(1 << shift)
        .map(ByteCount::bytes)
        .ok_or_else(|| refuse(text, "this is more than can be counted"))
}

/// A duration: `90s`, `15m`, `12h`, `30d`, `2w`.
///
/// # Errors
/// [`ParseAmountError`] that says what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, ParseAmountError> {
    let (number, unit) = split(text);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(refuse(text, DURATION_HELP)),
    };
    let count: u64 = number.parse().map_err(|_| refuse(text, DURATION_HELP))?;
    // A century is longer than anybody means, and keeps sums in range.
    count
        .checked_mul(seconds)
        .filter(|total| *total <= 100 * 366 * 86_400)
        .map(Duration::from_secs)
        .ok_or_else(|| refuse(text, "this is more than 100 years"))
}

/// An amount of bytes for people: `512M`, `1.5G`, `10G`.
pub fn show_size(bytes: u64) -> String {
    for (shift, unit) in [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')] {
        let whole = bytes >> shift;
        if whole == 0 {
            continue;
        }
        let tenths = ((bytes - (whole << shift)) * 10) >> shift;
        return match tenths {
            0 => format!("{whole}{unit}"),
            tenths => format!("{whole}.{tenths}{unit}"),
        };
    }
    format!("{bytes}B")
}

/// A length of time for people, in its largest unit or two: `12s`, `3m`, `2h`,
/// `5d`.
pub fn show_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7_200 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("2G", 2 << 30),
            ("512M", 512 << 20),
            ("10GiB", 10 << 30),
            ("10 gib", 10 << 30),
            ("1t", 1 << 40),
            ("4096B", 4096),
            ("0M", 0),
        ] {
            assert_eq!(parse_size(text).unwrap(), ByteCount::bytes(bytes), "{text}");
        }
    }

    #[test]
    fn a_bad_size_says_what_was_expected() {
        let message = |text| parse_size(text).unwrap_err().to_string();
        assert!(message("2").starts_with("\"2\": a unit is missing; expected a whole number"));
        assert_eq!(
            message("2GB"),
            "\"2GB\": units are powers of 1024 here; write 2GiB if you mean that"
        );
        for bad in ["", "G", "-1G", "1.5G", "2X", "2é", "1e3M", "99999999999999999999G"] {
            assert!(message(bad).contains("expected a whole number"), "{bad}: {}", message(bad));
        }
        assert!(message("99999999999T").contains("more than can be counted"));
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("30d").unwrap(), Duration::from_secs(30 * 86_400));
        for bad in ["", "5", "d", "-1d", "1y", "99999999999w"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_are_shown_short() {
        assert_eq!(show_size(2 << 30), "2G");
        assert_eq!(show_size(1536 << 20), "1.5G");
        assert_eq!(show_size(100), "100B");
        assert_eq!(show_duration(Duration::from_secs(119)), "119s");
        assert_eq!(show_duration(Duration::from_secs(86_400)), "24h");
    }
}
