//! `/access/users/{userid}/token`

use serde_json::{Map, Value, json};

use super::users::user;
use crate::calls::Plain;
use crate::calls::sections::words;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::access::Token;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/users/{userid}/token")?) {
        ("GET", "") => list_tokens,
        ("GET", "/{tokenid}") => read_token,
        ("POST", "/{tokenid}") => create_token,
        ("PUT", "/{tokenid}") => update_token,
        ("DELETE", "/{tokenid}") => delete_token,
        _ => return None,
    })
}

/// A token in a list.
pub(super) fn show_token(id: &str, token: &Token) -> Value {
    let mut row = show_token_info(token);
    row["tokenid"] = json!(id);
    row
}

/// A token by itself.
pub(super) fn show_token_info(token: &Token) -> Value {
    let mut row = json!({"privsep": u8::from(token.privilege_separation), "expire": token.expire});
    if let Some(comment) = &token.comment {
        row["comment"] = json!(comment);
    }
    row
}

fn list_tokens(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(user(call)?.tokens.iter().map(|(id, token)| show_token(id, token)).collect())
}

fn no_token(call: &Call<'_>) -> Fail {
    Fail::new(format!(
        "no such token '{}' for user '{}'",
        call.params.text("tokenid"),
        call.params.text("userid")
    ))
}

fn read_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let found = user(call)?.tokens.get(call.params.text("tokenid"));
    found.map(show_token_info).ok_or_else(|| no_token(call))
}

fn create_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (user_id, id) =
        (call.params.text("userid").to_owned(), call.params.text("tokenid").to_owned());
    if user(call)?.tokens.contains_key(&id) {
        return Err(Fail::parameter("tokenid", "Token already exists."));
    }
    let secret = call.world.uuid();
    // What was given is echoed as it was sent (fact 17).
    let mut info = Map::new();
    for name in ["comment", "expire", "privsep"] {
        if let Some(text) = call.params.get(name) {
            info.insert(name.into(), json!(text));
        }
    }
    info.entry("privsep").or_insert(json!(1));
    let token = Token {
        secret: secret.clone(),
        privilege_separation: call.params.get("privsep") != Some("0"),
        expire: call.params.number("expire").unwrap_or(0),
        comment: call.params.get("comment").map(str::to_owned),
    };
    if let Some(user) = call.world.access.users.get_mut(&user_id) {
        user.tokens.insert(id.clone(), token);
    }
    Ok(json!({"full-tokenid": format!("{user_id}!{id}"), "value": secret, "info": info}))
}

/// Changes a token. What was given is echoed as it was sent (fact 17);
/// `regenerate` makes a new secret (9).
fn update_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let missing = no_token(call);
    let (user_id, id) = (params.text("userid"), params.text("tokenid"));
    let fresh = params.flag("regenerate").then(|| call.world.uuid());
    let user = call.world.access.users.get_mut(user_id);
    let token = user.and_then(|user| user.tokens.get_mut(id)).ok_or(missing)?;
    for name in words(params.text("delete")) {
        match name {
            "comment" => token.comment = None,
            "expire" => token.expire = 0,
            "privsep" => token.privilege_separation = true,
            other => {
                let text = format!("unable to delete '{other}': no such option");
                return Err(Fail::parameter("delete", text));
            }
        }
    }
    if params.get("privsep").is_some() {
        token.privilege_separation = params.flag("privsep");
    }
    if let Some(expire) = params.number("expire") {
        token.expire = expire;
    }
    if let Some(comment) = params.get("comment") {
        token.comment = Some(comment.to_owned());
    }
    if let Some(secret) = &fresh {
        token.secret.clone_from(secret);
    }
    let mut row = show_token_info(token);
    for name in ["expire", "privsep"] {
        if let Some(text) = params.get(name) {
            row[name] = json!(text);
        }
    }
    if let Some(secret) = fresh {
        row["value"] = json!(secret);
        row["full-tokenid"] = json!(format!("{user_id}!{id}"));
    }
    Ok(row)
}

fn delete_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (user_id, id) = (call.params.text("userid"), call.params.text("tokenid"));
    let missing = no_token(call);
    let user = call.world.access.users.get_mut(user_id);
    user.and_then(|user| user.tokens.remove(id)).ok_or(missing)?;
    let subject = format!("{user_id}!{id}");
    call.world.access.entries.retain(|entry| entry.subject != subject);
    Ok(Value::Null)
}
