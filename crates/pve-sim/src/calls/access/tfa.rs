//! Second factors: `/access/tfa`, and what a log-in asks of them.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::users::user;
use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::World;
use crate::world::access::{Factor, Secret, User};

/// How many recovery keys a user gets.
const RECOVERY_KEYS: usize = 10;
/// How many steps a code may be early or late.
const SKEW: i64 = 1;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/tfa") => list_all,
        ("GET", "/tfa/{userid}") => list,
        ("POST", "/tfa/{userid}") => add,
        ("GET", "/tfa/{userid}/{id}") => read,
        ("PUT", "/tfa/{userid}/{id}") => update,
        ("DELETE", "/tfa/{userid}/{id}") => delete,
        ("GET", "/users/{userid}/tfa") => types,
        ("PUT", "/users/{userid}/unlock-tfa") => unlock,
        _ => return None,
    })
}

/// What a log-in asks for after the password, as JSON; `None` without a second factor.
pub(super) fn challenge(user: &User) -> Option<String> {
    let mut asked = json!({});
    for factor in user.factors.iter().filter(|factor| factor.enabled) {
        match &factor.secret {
            Secret::Totp(_) => asked["totp"] = json!(true),
            Secret::Recovery(keys) => {
                let left: Vec<usize> = (0..keys.len()).filter(|at| keys[*at].is_some()).collect();
                if !left.is_empty() {
                    asked["recovery"] = json!(left);
                }
            }
        }
    }
    asked.as_object().filter(|map| !map.is_empty())?;
    Some(asked.to_string())
}

/// Checks an answer to a challenge: `totp:123456` or `recovery:KEY`. A recovery
/// key is good for one time.
pub(super) fn check(world: &mut World, user: &str, answer: &str) -> bool {
    let now = world.now;
    let Some(user) = world.access.users.get_mut(user) else { return false };
    let Some((kind, value)) = answer.split_once(':') else { return false };
    for factor in user.factors.iter_mut().filter(|factor| factor.enabled && factor.kind() == kind) {
        match &mut factor.secret {
            Secret::Totp(uri) => {
                if Totp::parse(uri).is_some_and(|totp| totp.verify(value, now)) {
                    return true;
                }
            }
            Secret::Recovery(keys) => {
                if let Some(key) = keys.iter_mut().find(|key| key.as_deref() == Some(value)) {
                    *key = None;
                    return true;
                }
            }
        }
    }
    false
}

/// A time-based one-time password (RFC 6238), as an `otpauth://` address describes it.
struct Totp {
    secret: Vec<u8>,
    period: u64,
    digits: u32,
    algorithm: aws_lc_rs::hmac::Algorithm,
}

impl Totp {
    fn parse(uri: &str) -> Option<Self> {
        let (_, query) = uri.strip_prefix("otpauth://totp/")?.split_once('?')?;
        let mut totp = Self {
            secret: Vec::new(),
            period: 30,
            digits: 6,
            algorithm: aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "secret" => totp.secret = base32(&value)?,
                "period" => totp.period = value.parse().ok().filter(|period| *period > 0)?,
                "digits" => {
                    totp.digits = value.parse().ok().filter(|digits| (4..=9).contains(digits))?;
                }
                "algorithm" => {
                    totp.algorithm = match value.to_ascii_uppercase().as_str() {
                        "SHA1" => aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                        "SHA256" => aws_lc_rs::hmac::HMAC_SHA256,
                        "SHA512" => aws_lc_rs::hmac::HMAC_SHA512,
                        _ => return None,
                    }
                }
                _ => {}
            }
        }
        (!totp.secret.is_empty()).then_some(totp)
    }

    fn code(&self, step: u64) -> String {
        let key = aws_lc_rs::hmac::Key::new(self.algorithm, &self.secret);
        let tag = aws_lc_rs::hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
        let word = tag[at..at + 4].iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        let code = (word & 0x7fff_ffff) % 10_u32.pow(self.digits);
        format!("{code:0width$}", width = self.digits as usize)
    }

    fn verify(&self, code: &str, now: Duration) -> bool {
        let step = now.as_secs() / self.period;
        (-SKEW..=SKEW)
            .any(|off| step.checked_add_signed(off).is_some_and(|step| self.code(step) == code))
    }
}

/// Decodes base 32 (RFC 4648) without padding.
fn base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            letter @ b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

fn show(factor: &Factor) -> Value {
    let mut row = json!({
        "id": factor.id, "type": factor.kind(), "description": factor.description,
        "created": factor.created,
    });
    if !factor.enabled {
        row["enable"] = json!(0);
    }
    row
}

fn list_all(call: &mut Call<'_>) -> Result<Value, Fail> {
    let privileges = ["User.Modify", "Sys.Audit"];
    let all = call.world.may_any(call.caller, "/access/groups", &privileges);
    let users = call.world.access.users.iter();
    let seen = users.filter(|(id, user)| {
        let of_group = |group: &String| {
            call.world.may_any(call.caller, &format!("/access/groups/{group}"), &privileges)
        };
        !user.factors.is_empty()
            && (all || **id == call.caller.id() || user.groups.iter().any(of_group))
    });
    let rows = seen.map(|(id, user)| {
        json!({"userid": id, "entries": user.factors.iter().map(show).collect::<Vec<_>>()})
    });
    Ok(rows.collect())
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(user(call)?.factors.iter().map(show).collect())
}

fn no_entry(call: &Call<'_>) -> Fail {
    // Proxmox answers 404 here, as hardly anywhere else (source: PVE/API2/TFA.pm).
    Fail::with(404, format!("No such tfa entry '{}'", call.params.text("id")))
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("id");
    let found = user(call)?.factors.iter().find(|factor| factor.id == id);
    found.map(show).ok_or_else(|| no_entry(call))
}

/// Whoever changes second factors confirms with the own password; root need
/// not, and nobody else may change those of root.
fn confirm(call: &Call<'_>) -> Result<(), Fail> {
    if call.caller.is_root() {
        return Ok(());
    }
    if call.params.text("userid") == "root@pam" {
        return Err(Fail::denied(""));
    }
    let Some(given) = call.params.get("password") else {
        return Err(Fail::parameter("password", "password is required to modify TFA data"));
    };
    let own = call.world.access.users.get(&call.caller.user);
    if own.and_then(|user| user.password.as_deref()) == Some(given) {
        return Ok(());
    }
    Err(Fail::with(401, "authentication failure"))
}

fn add(call: &mut Call<'_>) -> Result<Value, Fail> {
    user(call)?;
    confirm(call)?;
    let created = call.world.now.as_secs();
    let description = call.params.text("description").to_owned();
    let (id, secret, answer) = match call.params.text("type") {
        "totp" => {
            let uri = call.params.get("totp");
            let uri = uri.ok_or_else(|| Fail::new("missing 'totp' parameter"))?;
            let totp = Totp::parse(uri).ok_or_else(|| Fail::new("failed to parse totp uri"))?;
            let value = call.params.get("value");
            let value = value.ok_or_else(|| Fail::new("missing 'value' parameter"))?;
            if !totp.verify(value, call.world.now) {
                return Err(Fail::new("failed to verify TOTP challenge"));
            }
            let id = call.world.uuid();
            (id.clone(), Secret::Totp(uri.to_owned()), json!({"id": id}))
        }
        "recovery" => {
            if user(call)?.factors.iter().any(|factor| factor.kind() == "recovery") {
                return Err(Fail::new("user already has recovery keys"));
            }
            let keys: Vec<String> = (0..RECOVERY_KEYS).map(|_| recovery_key(call.world)).collect();
            let answer = json!({"id": "recovery", "recovery": keys});
            ("recovery".into(), Secret::Recovery(keys.into_iter().map(Some).collect()), answer)
        }
        other => return Err(Fail::new(format!("{other} is not configured on this system"))),
    };
    let factor = Factor { id, description, created, enabled: true, secret };
    if let Some(user) = call.world.access.users.get_mut(call.params.text("userid")) {
        user.factors.push(factor);
    }
    Ok(answer)
}

/// Four groups of four hexadecimal digits.
fn recovery_key(world: &mut World) -> String {
    let bits = world.random();
    let group = |shift: u32| format!("{:04x}", (bits >> shift) & 0xffff);
    [group(48), group(32), group(16), group(0)].join("-")
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    confirm(call)?;
    let params = call.params;
    let missing = no_entry(call);
    let user = call.world.access.users.get_mut(params.text("userid"));
    let id = params.text("id");
    let factor = user.and_then(|user| user.factors.iter_mut().find(|factor| factor.id == id));
    let factor = factor.ok_or(missing)?;
    if let Some(text) = params.get("description") {
        factor.description = text.to_owned();
    }
    if params.get("enable").is_some() {
        factor.enabled = params.flag("enable");
    }
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    confirm(call)?;
    let id = call.params.text("id");
    let missing = no_entry(call);
    let user = call.world.access.users.get_mut(call.params.text("userid"));
    let factors = user.map(|user| &mut user.factors).ok_or_else(|| missing.clone())?;
    let before = factors.len();
    factors.retain(|factor| factor.id != id);
    if factors.len() == before { Err(missing) } else { Ok(Value::Null) }
}

fn types(call: &mut Call<'_>) -> Result<Value, Fail> {
    let user = user(call)?;
    let enabled = user.factors.iter().filter(|factor| factor.enabled);
    let mut kinds: Vec<&str> = enabled.map(Factor::kind).collect();
    kinds.dedup();
    if call.params.flag("multiple") {
        return Ok(json!({"types": kinds}));
    }
    Ok(if kinds.contains(&"totp") { json!({"user": "oath"}) } else { json!({}) })
}

/// Nothing is ever locked here: wrong codes are refused, and not counted.
fn unlock(call: &mut Call<'_>) -> Result<Value, Fail> {
    user(call)?;
    Ok(json!(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B: the secret is "12345678901234567890".
        let uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8&period=30";
        let totp = Totp::parse(uri).unwrap();
        for (time, code) in
            [(59, "94287082"), (1_111_111_109, "07081804"), (20_000_000_000, "65353130")]
        {
            assert_eq!(totp.code(time / 30), code);
            assert!(totp.verify(code, Duration::from_secs(time + 30)));
            assert!(!totp.verify(code, Duration::from_secs(time + 90)));
        }
    }
}
