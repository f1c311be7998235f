//! The formats of ids and names.

use super::{Verdict, each, perl, require};

pub(super) fn word(
    text: &str,
    first: fn(char) -> bool,
    rest: fn(char) -> bool,
    least: usize,
) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(first) && characters.all(rest) && text.chars().count() >= least
}

pub(super) fn alpha(c: char) -> bool {
    c.is_ascii_alphabetic()
}

pub(super) fn identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

pub(super) fn dotted(c: char) -> bool {
    identifier(c) || c == '.'
}

/// `web-1.example.org`: labels of letters, digits and inner hyphens.
pub(crate) fn is_dns_name(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_storage(text: &str) -> bool {
    word(text, alpha, dotted, 2) && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_user(text: &str) -> bool {
    match text.rsplit_once('@') {
        Some((name, realm)) => {
            !name.is_empty()
                && text.len() <= 64
                && !name.contains(|c: char| c.is_whitespace() || matches!(c, ':' | '/'))
                && word(realm, alpha, dotted, 2)
        }
        None => false,
    }
}

fn is_urlencoded(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'%' => {
                let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
                if !(hex(index + 1) && hex(index + 2)) {
                    return false;
                }
                index += 2;
            }
            byte if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) => {}
            _ => return false,
        }
        index += 1;
    }
    true
}

/// Six hexadecimal bytes of a unicast address.
pub(crate) fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    let hex = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let unicast = u8::from_str_radix(bytes[0], 16).is_ok_and(|first| first & 1 == 0);
    bytes.len() == 6 && bytes.iter().all(hex) && unicast
}

/// `hourly`, `mon..fri 21:00`, `*/15`, `sat *-1..7 18:00`: words, days, dates and times.
fn is_calendar_event(text: &str) -> bool {
    const WORDS: &str =
        "minutely|hourly|daily|weekly|monthly|quarterly|semiannually|semi-annually|yearly|annually";
    let day = "(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*";
    let number = "(?:\\*|\\d+(?:\\.\\.\\d+)?)(?:/\\d+)?";
    let numbers = format!("{number}(?:,{number})*");
    let days = format!("{day}(?:\\.\\.{day})?(?:,{day}(?:\\.\\.{day})?)*");
    let date = format!("(?:{numbers}-)?{numbers}-{numbers}");
    let time = format!("{numbers}(?::{numbers}){{0,2}}");
    let word = perl(&format!("{WORDS}|{days}|{date}|{time}|utc"));
    let text = text.to_ascii_lowercase();
    !text.trim().is_empty()
        && text.split_whitespace().all(|part| word.as_ref().is_some_and(|word| word.is_match(part)))
}

/// `local:iso/x.iso`: a storage and something in it.
fn is_volume(text: &str) -> bool {
    text.split_once(':').is_some_and(|(storage, rest)| is_storage(storage) && !rest.is_empty())
}

fn volume(text: &str) -> Result<(), String> {
    require(is_volume(text), || format!("unable to parse volume ID '{text}'"))
}

fn is_email(text: &str) -> bool {
    let user = "[\\w+~-]+(?:\\.[\\w+~-]+)*";
    perl(&format!("{user}@[a-zA-Z0-9-]+(?:\\.[a-zA-Z0-9-]+)*"))
        .is_some_and(|email| email.is_match(text))
}

/// Checks ids and names.
pub(super) fn check(format: &str, text: &str) -> Verdict {
    Some(match format {
        "pve-vmid" => {
            require(text.parse::<u32>().is_ok_and(|id| (100..=999_999_999).contains(&id)), || {
                "value does not look like a valid VM ID".into()
            })
        }
        "pve-node" => require(is_dns_name(text) && !text.contains('.'), || {
            "value does not look like a valid node name".into()
        }),
        "pve-storage-id" => {
            require(is_storage(text), || format!("storage ID '{text}' contains illegal characters"))
        }
        "pve-storage-content" | "pve-storage-content-list" => each(text, |part| {
            let known =
                ["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"];
            require(known.contains(&part), || format!("invalid content type '{part}'"))
        }),
        "pve-storage-vgname" => require(is_storage(text), || {
            format!("lvm volume group name '{text}' contains illegal characters")
        }),
        "pve-volume-id" => volume(text),
        "pve-volume-id-or-absolute-path" if text.starts_with('/') => Ok(()),
        "pve-volume-id-or-qm-path" if text.starts_with('/') || matches!(text, "none" | "cdrom") => {
            Ok(())
        }
        "pve-volume-id-or-absolute-path" | "pve-volume-id-or-qm-path" => volume(text),
        "pve-configid" => require(word(text, alpha, identifier, 2), || {
            format!("invalid configuration ID '{text}'")
        }),
        "pve-poolid" => {
            let level = |part: &str| !part.is_empty() && part.chars().all(dotted);
            let fits = text.split('/').count() <= 3 && text.split('/').all(level);
            require(fits, || format!("pool name '{text}' contains invalid characters"))
        }
        "dns-name" => {
            require(is_dns_name(text), || "value does not look like a valid DNS name".into())
        }
        "urlencoded" => {
            require(is_urlencoded(text), || format!("invalid urlencoded string: {text}"))
        }
        "pve-calendar-event" => {
            require(is_calendar_event(text), || format!("invalid calendar event '{text}'"))
        }
        "pve-tag" => {
            let fits =
                word(text, |c| c.is_alphanumeric() || c == '_', |c| dotted(c) || c == '+', 1);
            require(fits, || format!("invalid characters in tag '{text}'"))
        }
        _ => return of_access(format, text),
    })
}

/// The names of users, groups, roles, realms and what is virtual on the network.
fn of_access(format: &str, text: &str) -> Verdict {
    let plain = || !text.is_empty() && text.chars().all(dotted);
    Some(match format {
        "pve-userid" => require(is_user(text), || {
            format!("value '{text}' does not look like a valid user name")
        }),
        "pve-tokenid" => {
            let token = text.split_once('!');
            let fits =
                token.is_some_and(|(user, name)| is_user(user) && word(name, alpha, dotted, 2));
            require(fits, || format!("value '{text}' does not look like a valid token ID"))
        }
        "pve-roleid" => {
            require(plain(), || format!("role name '{text}' contains invalid characters"))
        }
        "pve-groupid" => {
            require(plain(), || format!("group name '{text}' contains invalid characters"))
        }
        "pve-realm" => require(word(text, alpha, dotted, 2), || {
            "value does not look like a valid realm".into()
        }),
        "email" => {
            require(is_email(text), || "value does not look like a valid email address".into())
        }
        "email-or-username" => {
            let fits = is_email(text) || is_user(text) || text.chars().all(dotted);
            require(fits, || "value does not look like a valid email address or user name".into())
        }
        "pve-sdn-zone-id"
        | "pve-sdn-vnet-id"
        | "pve-sdn-controller-id"
        | "pve-sdn-ipam-id"
        | "pve-sdn-dns-id" => {
            let what = format.trim_start_matches("pve-sdn-").trim_end_matches("-id");
            require(text.starts_with(alpha) && text.chars().all(identifier), || {
                format!("{what} ID '{text}' contains illegal characters")
            })
        }
        _ => return None,
    })
}
