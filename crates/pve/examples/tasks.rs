//! Tasks: found, read, waited for, stopped.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_NODE=pve1 cargo run --example tasks
//! ```

use std::error::Error;

use futures::TryStreamExt;
use pve::models::{Server, Task};
use pve::tasks::{TaskEvent, TaskFilter, TaskSource};
use pve::{Client, Upid};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    for task in search(&client, &support::node()?).await? {
        println!("{} {:?}", task.upid(), task.exit());
    }
    Ok(())
}

/// The tasks of starts and stops, running ones included.
pub async fn search(client: &Client, node: &str) -> Result<Vec<Task>, Box<dyn Error>> {
    let filter =
        TaskFilter { source: Some(TaskSource::All), limit: Some(20), ..Default::default() };
    let tasks = Task::search(client, node, &filter).await?;
    Ok(tasks.into_iter().filter(|task| task.upid().kind().starts_with("qm")).collect())
}

/// A task by its id, with its log, which ends with `TASK OK` or `TASK ERROR`.
pub async fn read(client: &Client, upid: &Upid) -> Result<Vec<String>, Box<dyn Error>> {
    let task = Task::get(client, upid).await?.ok_or("its node does not know it any more")?;
    assert!(task.is_finished());
    Ok(task.log().await?.into_iter().map(|line| line.t).collect())
}

/// Follows a task to its end, line by line.
pub async fn follow(task: &Task) -> Result<Vec<String>, Box<dyn Error>> {
    let mut events = std::pin::pin!(task.follow(&Default::default()));
    let mut lines = Vec::new();
    while let Some(event) = events.try_next().await? {
        match event {
            TaskEvent::Line(line) => lines.push(line.t),
            TaskEvent::Progress(percent) => lines.push(format!("{percent} %")),
            TaskEvent::Ended(outcome) => lines.push(format!("ended: {}", outcome.exit)),
            _ => {}
        }
    }
    Ok(lines)
}

/// Starts something without waiting, and changes its mind.
pub async fn stop(server: &mut Server) -> Result<(), Box<dyn Error>> {
    let task = server.shutdown(Default::default()).begin().await?;
    if let Some(mut task) = task {
        task.stop().await?;
        let end = task.wait_end(&Default::default()).await?;
        println!("{}", end.exit); // unexpected status, or OK if it was faster
    }
    Ok(())
}
