//! `token …`.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use model::time::SystemClock;
use model::{Clock, TokenId};
use serde_json::json;

use super::change::from_now;
use super::exit::{Exit, Failure};
use super::output::{Format, Screen, Table, ago};
use crate::Client;
use crate::size::parse_duration;
use crate::wire::{NewToken, Role, Token};

/// What a token may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleArg {
    /// Reads
    Reader,
    /// Reads and changes what belongs to the project
    Member,
    /// Everything in every project, and tokens, images and flavours
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Reader => Self::Reader,
            RoleArg::Member => Self::Member,
            RoleArg::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print its secret, once
    Create {
        /// A name for people
        name: String,
        /// The project that it acts for; the caller's when left out
        #[arg(long)]
        project: Option<String>,
        /// What it may do
        #[arg(long, value_enum, default_value = "member")]
        role: RoleArg,
        /// When it ends, from now, for example 90d; never when left out
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires_in: Option<Duration>,
    },
    /// List tokens, without their secrets
    List,
    /// End a token at once
    Revoke {
        /// Its id
        id: TokenId,
    },
}

pub(super) async fn run(
    client: &Client,
    screen: &mut Screen,
    command: TokenCommand,
) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create { name, project, role, expires_in } => {
            let expires_at = expires_in.map(from_now);
            let request = NewToken { name, project, role: role.into(), expires_at };
            let created = client.create_token(&request).await?;
            if screen.is_json() {
                return screen.json(&created);
            }
            // The secret alone on standard output, so that it can be redirected
            // to a file.
            let token = &created.token;
            eprintln!(
                "token {} ({}, project {}, {}); its secret is shown only now:",
                token.name, token.role, token.project, token.id
            );
            screen.print(&format!("{}\n", created.secret.expose()))
        }
        TokenCommand::List => {
            let list = client.tokens().await?;
            if screen.is_json() {
                return screen.json(&list);
            }
            let mut table = Table::new(&[
                ("NAME", 0),
                ("PROJECT", 0),
                ("ROLE", 0),
                ("STATE", 0),
                ("AGE", 1),
                ("ID", 0),
            ]);
            for token in list.tokens {
                let (state, age) = (state(&token), ago(token.created_at));
                let (role, id) = (token.role.to_string(), token.id.to_string());
                table.row([token.name, token.project, role, state, age, id]);
            }
            screen.table(&table, "no tokens")
        }
        TokenCommand::Revoke { id } => {
            client.revoke_token(id).await?;
            match screen.format {
                Format::Json => screen.json(&json!({ "revoked": id })),
                Format::Table => screen.print(&format!("token {id} is revoked\n")),
            }
        }
    }
}

fn state(token: &Token) -> String {
    let now = SystemClock::new().now();
    match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(at)) if at.0 <= now => "expired".to_owned(),
        (None, Some(at)) => {
            format!("ends in {}", crate::size::show_duration(at.0.since(now)))
        }
        (None, None) => "valid".to_owned(),
    }
}
