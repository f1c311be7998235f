//! Hearing of what other processes commit.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::{News, Postgres, last_sequence};
use crate::Error;

/// How often the data base is asked, whatever was heard: what is heard is a
/// hint, what is read is the truth. Replicas are behind by this at most.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long to wait until listening is tried again.
const LISTEN_AGAIN: Duration = Duration::from_secs(3);

/// Follows the change sequence until the store is closed or dropped.
pub(crate) async fn follow(
    postgres: Arc<Postgres>,
    installation: String,
    news: News,
    mut closed: watch::Receiver<bool>,
) {
    // Whoever does not answer does not tell anything either: a connection that
    // is dead without a word is noticed by asking on another one.
    let silent = Notify::new();
    tokio::select! {
        () = async { while !*closed.borrow() && closed.changed().await.is_ok() {} } => {}
        () = listen(&postgres, &installation, &news, &silent) => {}
        () = ask(&postgres, &news, &silent) => {}
    }
}

async fn ask(postgres: &Postgres, news: &News, silent: &Notify) {
    let once = async || -> Result<u64, Error> {
        let last = last_sequence(&mut postgres.reader().await?).await?;
        Ok(u64::try_from(last).unwrap_or(0))
    };
    let mut answered = true;
    loop {
        sleep(ASK_EVERY).await;
        match once().await {
            Ok(sequence) => {
                if !answered {
                    tracing::info!("the data base answers again");
                    // What was hinted at meanwhile was not heard.
                    news.hint();
                }
                answered = true;
                news.reached(sequence);
            }
            Err(error) => {
                if answered {
                    tracing::warn!(%error, "cannot follow the data base; trying again");
                }
                answered = false;
                silent.notify_one();
            }
        }
    }
}

async fn listen(postgres: &Postgres, installation: &str, news: &News, silent: &Notify) {
    loop {
        match postgres.listener().await {
            Ok(mut listener) => {
                tokio::select! {
                    () = hear(&mut listener, installation, news) => {}
                    () = silent.notified() => {}
                }
            }
            Err(error) => tracing::debug!(%error, "cannot listen to the data base"),
        }
        sleep(LISTEN_AGAIN).await;
    }
}

/// Takes in what is said until the connection is lost.
async fn hear(listener: &mut PgListener, installation: &str, news: &News) {
    while let Ok(Some(said)) = listener.try_recv().await {
        // INSTALLATION SEQUENCE HINT
        let mut words = said.payload().split(' ');
        if words.next() != Some(installation) {
            continue;
        }
        if let Some(sequence) = words.next().and_then(|word| word.parse().ok()) {
            news.reached(sequence);
        }
        if words.next() == Some("1") {
            news.hint();
        }
    }
}
