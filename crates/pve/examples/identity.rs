//! Users, groups, roles, tokens, access control, permissions, realms.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… cargo run --example identity
//! ```

use std::error::Error;

use pve::Client;
use pve::models::{
    Acl, AclSubject, Domain, Group, NewToken, Permissions, Role, TokenOptions, User, UserOptions,
};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    for domain in Domain::all(&client).await? {
        println!("{} ({})", domain.realm(), domain.kind());
    }
    let token = grant(&client).await?;
    println!("{} can look at everything", token.token.full_id());
    revoke(&client).await
}

/// A user in a group that may look at everything, with a token that may look at
/// virtual machines.
pub async fn grant(client: &Client) -> Result<NewToken, Box<dyn Error>> {
    Group::create(client, "auditors", Some("they only look")).await?;
    let mut role = Role::create(client, "Looker", &["VM.Audit"]).await?;
    role.append(&["Sys.Audit", "Datastore.Audit"]).await?;
    Acl::new("/", AclSubject::Group("auditors".into()), "Looker").grant(client).await?;

    let options = UserOptions {
        groups: Some(vec!["auditors".into()]),
        email: Some("alice@example.org".into()),
        password: Some("correct horse battery".to_owned().into()),
        ..Default::default()
    };
    let user = User::create(client, "alice@pve", &options).await?;
    assert!(user.permissions(Some("/")).await?.has("/", "Sys.Audit"));

    // A token has what both the user's entries and its own allow.
    let token = user.create_token("ci", &TokenOptions::default()).await?;
    let id = token.token.full_id();
    Acl::new("/vms", AclSubject::Token(id.clone()), "Looker").grant(client).await?;
    let may = Permissions::of(client, Some(&id), Some("/vms")).await?;
    assert!(may.has("/vms", "VM.Audit"));
    Ok(token)
}

/// Takes all of it back.
pub async fn revoke(client: &Client) -> Result<(), Box<dyn Error>> {
    if let Some(user) = User::get(client, "alice@pve").await? {
        for token in user.tokens().await? {
            token.destroy().await?;
        }
        user.destroy().await?;
    }
    Acl::new("/", AclSubject::Group("auditors".into()), "Looker").revoke(client).await?;
    if let Some(group) = Group::get(client, "auditors").await? {
        group.destroy().await?;
    }
    if let Some(role) = Role::get(client, "Looker").await? {
        role.destroy().await?;
    }
    Ok(())
}
