//! `/access`: log-in, users, tokens, groups, roles, the access control list,
//! realms and second factors.

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;

mod acl;
mod domains;
mod groups;
mod permissions;
mod roles;
mod tfa;
mod ticket;
mod tokens;
mod users;

/// The handlers of this folder.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    let rest = path.strip_prefix("/access")?;
    if let ("GET", "") = (verb, rest) {
        return Some(index);
    }
    ticket::handler(verb, rest)
        .or_else(|| users::handler(verb, rest))
        .or_else(|| tokens::handler(verb, rest))
        .or_else(|| groups::handler(verb, rest))
        .or_else(|| roles::handler(verb, rest))
        .or_else(|| acl::handler(verb, rest))
        .or_else(|| domains::handler(verb, rest))
        .or_else(|| permissions::handler(verb, rest))
        .or_else(|| tfa::handler(verb, rest))
}

fn index(_: &mut Call<'_>) -> Result<Value, Fail> {
    let names =
        ["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"];
    Ok(names.iter().map(|name| json!({"subdir": name})).collect())
}
