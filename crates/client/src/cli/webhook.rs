//! `webhook …`.

use clap::Subcommand;
use model::{ProjectId, WebhookId};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::output::{Format, Screen, Table, ago};
use crate::Client;
use crate::wire::{NewWebhook, Webhook, WebhookList};

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Have events posted to an address, and print the secret that signs them, once
    Create {
        /// Where to: http or https, without credentials and query
        url: String,
        /// Only events of this project
        #[arg(long)]
        project: Option<ProjectId>,
    },
    /// List webhooks, without their secrets
    List,
    /// Post nothing more to an address
    Delete {
        /// Its id
        id: WebhookId,
    },
}

pub(super) async fn run(
    client: &Client,
    screen: &mut Screen,
    command: WebhookCommand,
) -> Result<Exit, Failure> {
    match command {
        WebhookCommand::Create { url, project } => {
            let project = project.map(|project| project.to_string());
            let created = client.create_webhook(&NewWebhook { url, project }).await?;
            if screen.is_json() {
                return screen.json(&created);
            }
            // As for tokens: the secret alone on standard output.
            eprintln!("webhook {}; its secret is shown only now:", created.webhook.id);
            screen.print(&format!("{}\n", created.secret.expose()))
        }
        WebhookCommand::List => {
            let webhooks = client.webhooks().await?;
            if screen.is_json() {
                return screen.json(&WebhookList { webhooks });
            }
            let mut table =
                Table::new(&[("URL", 0), ("PROJECT", 1), ("STATE", 0), ("AGE", 2), ("ID", 0)]);
            for webhook in webhooks {
                let (state, age, id) =
                    (state(&webhook), ago(webhook.created_at), webhook.id.to_string());
                table.row([webhook.url, webhook.project.unwrap_or_default(), state, age, id]);
            }
            screen.table(&table, "no webhooks")
        }
        WebhookCommand::Delete { id } => {
            client.delete_webhook(id).await?;
            match screen.format {
                Format::Json => screen.json(&json!({ "deleted": id })),
                Format::Table => screen.print(&format!("webhook {id} is deleted\n")),
            }
        }
    }
}

fn state(webhook: &Webhook) -> String {
    match (&webhook.dead_at, webhook.failures, &webhook.last_error) {
        (Some(_), _, error) => format!("given up: {}", error.as_deref().unwrap_or("no answer")),
        (None, 0, _) => "takes events".to_owned(),
        (None, failures, error) => {
            format!("failed {failures} times: {}", error.as_deref().unwrap_or("no answer"))
        }
    }
}
