//! Following an operation until it settles, and showing it.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::OperationId;

use crate::cli::clean;
use crate::wire::{Operation, OperationState, Step, StepState, Time};
use crate::{Client, Error};

/// Where the progress of an operation goes.
pub trait Sink {
    /// The operation as it is now. Called for each look, whether or not
    /// anything has changed.
    fn update(&mut self, operation: &Operation);
    /// Something about the following itself, for example a lost connection.
    fn note(&mut self, text: &str);
    /// The operation has settled; `update` was called with it before.
    fn finish(&mut self, operation: &Operation);
}

/// How long a server may be away while an operation is followed. A restart
/// takes less, and the operation goes on after it.
const AWAY_MOST: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Looks at an operation until it settles, and answers it as it ended.
///
/// # Errors
/// [`Error`] when it cannot be looked at; a server that is away is waited for
/// up to a minute.
pub async fn follow(
    client: &Client,
    id: OperationId,
    sink: &mut (dyn Sink + Send),
) -> Result<Operation, Error> {
    let mut pause = FIRST_PAUSE;
    let mut away: Option<Instant> = None;
    loop {
        match client.operation(id).await {
            Ok(operation) => {
                if away.take().is_some() {
                    sink.note("the server answers again");
                }
                sink.update(&operation);
                if operation.state.is_settled() {
                    sink.finish(&operation);
                    return Ok(operation);
                }
            }
            Err(error) if error.is_away() => match away {
                Some(since) if since.elapsed() > AWAY_MOST => return Err(error),
                Some(_) => {}
                None => {
                    away = Some(Instant::now());
                    sink.note(&format!("{error}; the operation goes on, trying again"));
                }
            },
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

/// The sink for standard error: live on a terminal, plain lines otherwise.
pub fn for_stderr() -> Box<dyn Sink + Send> {
    if io::stderr().is_terminal() {
        Box::new(Live::new())
    } else {
        Box::new(Plain::new(io::stderr()))
    }
}

/// A sink that shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Sink for Silent {
    fn update(&mut self, _operation: &Operation) {}
    fn note(&mut self, _text: &str) {}
    fn finish(&mut self, _operation: &Operation) {}
}

fn title(operation: &Operation) -> String {
    format!("{} {}", operation.kind, clean(&operation.instance_name))
}

fn took(from: Option<Time>, to: Option<Time>) -> Option<String> {
    let length = to?.0.since(from?.0);
    Some(format!("{:.1}s", length.as_secs_f64()))
}

/// How it ended or where it is, in a few words: `create web-1: failed (3.2s)`.
pub fn outcome(operation: &Operation) -> String {
    match took(Some(operation.created_at), operation.ended_at) {
        Some(time) => format!("{}: {} ({time})", title(operation), operation.state),
        None => format!("{}: {}", title(operation), operation.state),
    }
}

/// How it ended, with the reason.
pub fn ending(operation: &Operation) -> String {
    let taken_back = matches!(operation.state, OperationState::Failed | OperationState::Cancelled);
    let mut text = outcome(operation);
    if let Some(reason) = &operation.reason {
        text.push_str(&format!(": {}", clean(reason)));
    }
    if taken_back {
        text.push_str("; everything was taken back");
    }
    text
}

/// What is worth a word about a step besides its state.
fn remark(step: &Step) -> String {
    let mut parts = Vec::new();
    if let Some(percent) = step.percent.filter(|_| is_active(step.state)) {
        parts.push(format!("{percent} %"));
    }
    if let Some(detail) = &step.detail {
        parts.push(clean(detail));
    }
    if step.attempts > 1 {
        parts.push(format!("attempt {}", step.attempts));
    }
    parts.join(", ")
}

const fn is_active(state: StepState) -> bool {
    matches!(state, StepState::Running | StepState::Waiting | StepState::Undoing)
}

/// One line for each change of a step.
pub struct Plain<W> {
    out: W,
    seen: HashMap<usize, (StepState, u32, Option<String>)>,
    state: Option<OperationState>,
}

impl<W: Write> Plain<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out, seen: HashMap::new(), state: None }
    }

    fn line(&mut self, text: &str) {
        // A reader that is gone does not stop the operation.
        let _ = writeln!(self.out, "{text}");
    }
}

impl<W: Write> Sink for Plain<W> {
    fn update(&mut self, operation: &Operation) {
        let title = title(operation);
        if self.state != Some(operation.state) {
            let word = match operation.state {
                OperationState::Queued => Some("waits for another operation on the instance"),
                OperationState::Unwinding => Some("taking everything back"),
                _ => None,
            };
            if let Some(word) = word {
                self.line(&format!("{title}: {word}"));
            }
            self.state = Some(operation.state);
        }
        for (index, step) in operation.steps.iter().enumerate() {
            let now = (step.state, step.attempts, step.detail.clone());
            let before = self.seen.get(&index).map(|(state, ..)| *state);
            if step.state == StepState::Pending || self.seen.get(&index) == Some(&now) {
                continue;
            }
            self.seen.insert(index, now);
            let remark = remark(step);
            // Running and waiting are one thing to whoever reads lines.
            let both_active = before.is_some_and(is_active) && is_active(step.state);
            if both_active && remark.is_empty() {
                continue;
            }
            let mut text = format!("{title}: {} {}", clean(&step.name), step.state);
            if step.state == StepState::Done
                && let Some(time) = took(step.began_at, step.ended_at)
            {
                text.push_str(&format!(" ({time})"));
            }
            if !remark.is_empty() {
                text.push_str(&format!(" - {remark}"));
            }
            self.line(&text);
        }
    }

    fn note(&mut self, text: &str) {
        self.line(text);
    }

    fn finish(&mut self, operation: &Operation) {
        self.line(&outcome(operation));
    }
}

/// A list of steps that is redrawn while they change.
pub struct Live {
    bars: MultiProgress,
    head: Option<ProgressBar>,
    steps: Vec<(ProgressBar, Option<StepState>)>,
}

impl Live {
    /// Draws on standard error.
    pub fn new() -> Self {
        Self { bars: MultiProgress::new(), head: None, steps: Vec::new() }
    }

    fn style(state: Option<StepState>) -> ProgressStyle {
        let template = match state {
            None => "{msg}",
            Some(state) if is_active(state) => "  {spinner} {prefix} {elapsed} {wide_msg}",
            Some(StepState::Done) => "  ✓ {prefix} {wide_msg}",
            Some(StepState::Failed) => "  ✗ {prefix} {wide_msg}",
            Some(StepState::Undone) => "  ↶ {prefix} {wide_msg}",
            Some(_) => "  · {prefix} {wide_msg}",
        };
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", " "])
    }

    fn bar(&self, style: ProgressStyle) -> ProgressBar {
        self.bars.add(ProgressBar::new_spinner().with_style(style))
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Live {
    fn update(&mut self, operation: &Operation) {
        let head = self.head.get_or_insert_with(|| {
            self.bars.add(ProgressBar::new_spinner().with_style(Self::style(None)))
        });
        let state = match operation.progress {
            Some(progress) if operation.state == OperationState::Running => {
                format!("step {} of {}", (progress.done + 1).min(progress.total), progress.total)
            }
            _ => operation.state.to_string(),
        };
        head.set_message(format!("{}: {state}", title(operation)));
        // A plan that begins again may be shorter.
        while self.steps.len() > operation.steps.len() {
            if let Some((bar, _)) = self.steps.pop() {
                bar.finish_and_clear();
            }
        }
        let width = operation.steps.iter().map(|step| step.name.chars().count()).max();
        let width = width.unwrap_or(0);
        for (index, step) in operation.steps.iter().enumerate() {
            if index == self.steps.len() {
                self.steps.push((self.bar(Self::style(Some(StepState::Pending))), None));
            }
            let Some((bar, shown)) = self.steps.get_mut(index) else { continue };
            if *shown != Some(step.state) {
                bar.set_style(Self::style(Some(step.state)));
                if is_active(step.state) {
                    bar.reset_elapsed();
                    bar.enable_steady_tick(Duration::from_millis(100));
                } else {
                    bar.disable_steady_tick();
                }
                *shown = Some(step.state);
            }
            bar.set_prefix(format!("{:<width$}", clean(&step.name)));
            let time = took(step.began_at, step.ended_at).filter(|_| !is_active(step.state));
            let message = [time.unwrap_or_default(), remark(step)];
            let message: Vec<&str> =
                message.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
            bar.set_message(message.join("  "));
        }
    }

    fn note(&mut self, text: &str) {
        let _ = self.bars.println(text);
    }

    fn finish(&mut self, operation: &Operation) {
        for (bar, _) in &self.steps {
            bar.abandon();
        }
        if let Some(head) = &self.head {
            head.set_message(outcome(operation));
            head.abandon();
        }
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
