//! Tickets, CSRF tokens and API tokens.

use std::time::Duration;

use base64::Engine as _;

use super::Credentials;
use crate::schema::Version;
use crate::world::World;
use crate::world::access::Caller;

/// Life of a ticket and of a CSRF token. Source: fact 24.
const LIFETIME: Duration = Duration::from_secs(2 * 3600);
/// How far a ticket may lie in the future.
const SKEW: u64 = 300;

const FAILED: &str = "Authentication failed!";

fn sign(world: &World, text: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &world.access.key);
    let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(tag.as_ref())
}

/// A ticket and a CSRF token for a user.
pub(crate) fn issue(world: &World, user: &str) -> (String, String) {
    let time = world.now.as_secs();
    let plain = format!("PVE:{user}:{time:08X}");
    let csrf = format!("{time:08X}:{}", sign(world, &format!("{time:08X}:{user}")));
    (format!("{plain}::{}", sign(world, &plain)), csrf)
}

/// A ticket that is good for nothing but the answer to a challenge for a second factor.
pub(crate) fn issue_challenge(world: &World, user: &str, challenge: &str) -> (String, String) {
    let time = world.now.as_secs();
    let challenge =
        percent_encoding::utf8_percent_encode(challenge, percent_encoding::NON_ALPHANUMERIC);
    let plain = format!("PVE:!tfa!{challenge}:{time:08X}");
    let (_, csrf) = issue(world, user);
    (format!("{plain}::{}", sign(world, &format!("{plain}:{user}"))), csrf)
}

/// Checks a ticket of [`issue_challenge`].
pub(crate) fn verify_challenge(world: &World, user: &str, ticket: &str) -> Option<()> {
    let (plain, signature) = ticket.split_once("::")?;
    let (_, time) = plain.strip_prefix("PVE:!tfa!")?.rsplit_once(':')?;
    let good = signature == sign(world, &format!("{plain}:{user}")) && is_fresh(world, time);
    good.then_some(())
}

/// Life of a ticket for a console. Source: `verify_vnc_ticket` of Proxmox.
const CONSOLE_LIFETIME: u64 = 40;

/// A ticket that opens one console: bound to the user, the path of its
/// privileges and the port.
pub(crate) fn issue_console(world: &World, user: &str, path: &str, port: u16) -> String {
    let time = world.now.as_secs();
    let plain = format!("PVEVNC:{time:08X}");
    format!("{plain}::{}", sign(world, &format!("{plain}:{user}:{path}:{port}")))
}

/// Checks a ticket of [`issue_console`].
pub(crate) fn verify_console(
    world: &World,
    ticket: &str,
    user: &str,
    path: &str,
    port: Option<u64>,
) -> bool {
    // A VNC ticket begins with a password of its own (fact 71).
    let Some(at) = ticket.find("PVEVNC:") else { return false };
    let Some((plain, signature)) = ticket[at..].split_once("::") else { return false };
    let Some(time) = plain.strip_prefix("PVEVNC:") else { return false };
    let now = world.now.as_secs();
    let fresh = u64::from_str_radix(time, 16)
        .is_ok_and(|time| time <= now + SKEW && now < time + CONSOLE_LIFETIME);
    let port = port.unwrap_or_default();
    fresh && signature == sign(world, &format!("{plain}:{user}:{path}:{port}"))
}

fn is_fresh(world: &World, hex: &str) -> bool {
    let now = world.now.as_secs();
    u64::from_str_radix(hex, 16)
        .is_ok_and(|time| time <= now + SKEW && now < time + LIFETIME.as_secs())
}

/// The user of a valid ticket.
pub(crate) fn verify(world: &World, ticket: &str) -> Option<String> {
    let (plain, signature) = ticket.split_once("::")?;
    let (head, time) = plain.rsplit_once(':')?;
    let user = head.strip_prefix("PVE:")?;
    let valid = signature == sign(world, plain)
        && is_fresh(world, time)
        && world.access.is_active(user, world.now);
    valid.then(|| user.to_owned())
}

fn verify_csrf(world: &World, user: &str, csrf: &str) -> bool {
    csrf.split_once(':').is_some_and(|(time, signature)| {
        is_fresh(world, time) && signature == sign(world, &format!("{time}:{user}"))
    })
}

/// What a 401 says about a ticket; before 8 it said what was wrong (fact 3).
fn bad_ticket(world: &World) -> String {
    let old = "permission denied - invalid PVE ticket";
    if world.version < Version::V8_4 { old } else { FAILED }.into()
}

/// What a 401 says about an API token.
fn bad_token(world: &World, text: &str) -> String {
    let name = text.split_once('=').and_then(|(id, _)| id.split_once('!'));
    let Some((user, token)) = name.filter(|_| world.version < Version::V8_4) else {
        return FAILED.into();
    };
    match world.access.users.get(user) {
        None => format!("no such user ('{user}')"),
        Some(found) if !found.tokens.contains_key(token) => {
            format!("no such token '{token}' for user '{user}'")
        }
        Some(_) => "invalid token value!".into(),
    }
}

fn verify_token(world: &World, text: &str) -> Option<Caller> {
    let (id, secret) = text.split_once('=')?;
    let (user, token) = id.split_once('!')?;
    let found = world.access.users.get(user)?.tokens.get(token)?;
    let alive = found.expire == 0 || found.expire > world.now.as_secs();
    let valid = alive && found.secret == secret && world.access.is_active(user, world.now);
    valid.then(|| Caller { user: user.to_owned(), token: Some(token.to_owned()) })
}

/// Who calls; the error is the reason phrase of the 401.
pub(crate) fn caller(
    world: &World,
    credentials: &Credentials,
    writes: bool,
    is_upload: bool,
) -> Result<Caller, String> {
    // A cookie wins over a token header (fact 23).
    if let Some(ticket) = &credentials.ticket {
        let user = verify(world, ticket).ok_or_else(|| bad_ticket(world))?;
        let csrf = credentials.csrf.as_deref().unwrap_or_default();
        if writes && !is_upload && !verify_csrf(world, &user, csrf) {
            return Err("Permission denied - invalid csrf token".into());
        }
        return Ok(Caller { user, token: None });
    }
    match &credentials.token {
        Some(token) => verify_token(world, token).ok_or_else(|| bad_token(world, token)),
        None => Err("No ticket".into()),
    }
}
