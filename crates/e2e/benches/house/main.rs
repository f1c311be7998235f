//! What the house costs, each figure with its ratio to doing without it in the
//! same run: `cargo bench -p e2e --bench house`.
//!
//! The real binary is served over the simulator; the baselines ask the
//! simulator directly. Without `--bench` everything runs once, small, to show
//! that it works.
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

mod creation;
mod fleet;
mod load;
mod reads;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let quick = !std::env::args().any(|argument| argument == "--bench");
    creation::run(quick).await?;
    reads::run(quick).await
}
