//! Is a value what its key wants?

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use regex::Regex;

use super::KeyKind;
use crate::property::DiskSize;

pub(crate) fn fits(kind: &KeyKind, value: &str) -> bool {
    match kind {
        KeyKind::Boolean => crate::lenient::parse_bool(value).is_some(),
        KeyKind::Integer { minimum, maximum } => value.parse::<i64>().is_ok_and(|number| {
            minimum.is_none_or(|limit| limit <= number)
                && maximum.is_none_or(|limit| number <= limit)
        }),
        KeyKind::Number { minimum, maximum } => value.parse::<f64>().is_ok_and(|number| {
            number.is_finite()
                && minimum.is_none_or(|limit| limit <= number)
                && maximum.is_none_or(|limit| number <= limit)
        }),
        KeyKind::Enum(words) => words.iter().any(|word| word == value),
        KeyKind::Text { format, pattern, max_length } => {
            max_length.is_none_or(|limit| value.chars().count() <= limit)
                && pattern.as_deref().is_none_or(|pattern| matches(pattern, value))
                && format.as_deref().is_none_or(|format| is_a(format, value))
        }
    }
}

/// For people.
pub(crate) fn expected(kind: &KeyKind) -> String {
    let range = |minimum: Option<String>, maximum: Option<String>| match (minimum, maximum) {
        (Some(minimum), Some(maximum)) => format!(" from {minimum} to {maximum}"),
        (Some(minimum), None) => format!(" of at least {minimum}"),
        (None, Some(maximum)) => format!(" of at most {maximum}"),
        (None, None) => String::new(),
    };
    match kind {
        KeyKind::Boolean => "1 or 0".to_owned(),
        KeyKind::Integer { minimum, maximum } => format!(
            "a whole number{}",
            range(minimum.map(|n| n.to_string()), maximum.map(|n| n.to_string()))
        ),
        KeyKind::Number { minimum, maximum } => format!(
            "a number{}",
            range(minimum.map(|n| n.to_string()), maximum.map(|n| n.to_string()))
        ),
        KeyKind::Enum(words) => format!("one of {}", words.join(", ")),
        KeyKind::Text { format: Some(format), .. } => format!("a {format}"),
        KeyKind::Text { pattern: Some(pattern), .. } => format!("a text like {pattern}"),
        KeyKind::Text { max_length: Some(limit), .. } => format!("at most {limit} characters"),
        KeyKind::Text { .. } => "a text".to_owned(),
    }
}

/// Does the pattern match the whole value? Patterns come from the table, so
/// there are few of them.
fn matches(pattern: &str, value: &str) -> bool {
    static COMPILED: Mutex<BTreeMap<String, Option<Regex>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(&format!("^(?:{pattern})$")).ok());
    // A pattern that cannot be compiled judges nobody; a test sees to it that
    // there is none.
    regex.as_ref().is_none_or(|regex| regex.is_match(value))
}

fn is_a(format: &str, value: &str) -> bool {
    match format {
        "disk-size" => value.parse::<DiskSize>().is_ok(),
        "mac-addr" => is_mac(value),
        "ipv4" => value.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => value.parse::<Ipv6Addr>().is_ok(),
        "CIDR" => is_cidr4(value) || is_cidr6(value),
        "pve-ipv4-config" => matches!(value, "dhcp" | "manual") || is_cidr4(value),
        "pve-ipv6-config" => matches!(value, "auto" | "dhcp" | "manual") || is_cidr6(value),
        "pve-configid" => is_config_id(value),
        "pve-storage-id" => is_storage_id(value),
        "pve-volume-id" => is_volume_id(value),
        "pve-volume-id-or-qm-path" => {
            matches!(value, "none" | "cdrom") || value.starts_with('/') || is_volume_id(value)
        }
        "pve-volume-id-or-absolute-path" | "pve-lxc-mp-string" => {
            value.starts_with('/') || is_volume_id(value)
        }
        "pve-lxc-dev-string" => value.starts_with("/dev/"),
        "urlencoded" => {
            value.bytes().all(|c| c.is_ascii_alphanumeric() || b"%-_.!~*'()/:".contains(&c))
        }
        // What it must be is not known here.
        _ => !value.is_empty(),
    }
}

/// Six pairs of hexadecimal digits, for one network card: the lowest bit of the
/// first pair is not set.
pub(crate) fn is_mac(value: &str) -> bool {
    let pairs: Vec<&str> = value.split(':').collect();
    let pair = |text: &&str| text.len() == 2 && text.bytes().all(|c| c.is_ascii_hexdigit());
    let first = pairs.first().and_then(|text| u8::from_str_radix(text, 16).ok());
    pairs.len() == 6 && pairs.iter().all(pair) && first.is_some_and(|byte| byte & 1 == 0)
}

fn is_cidr4(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
    })
}

fn is_cidr6(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<Ipv6Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 128)
    })
}

/// A letter, then word characters and dashes, at least two in all.
fn is_config_id(value: &str) -> bool {
    let mut bytes = value.bytes();
    value.len() >= 2
        && bytes.next().is_some_and(|c| c.is_ascii_alphabetic())
        && bytes.all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')
}

fn is_storage_id(value: &str) -> bool {
    let mut bytes = value.bytes();
    bytes.next().is_some_and(|c| c.is_ascii_alphabetic())
        && bytes.all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

fn is_volume_id(value: &str) -> bool {
    value.split_once(':').is_some_and(|(storage, name)| is_storage_id(storage) && !name.is_empty())
}
