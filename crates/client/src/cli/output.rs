//! Tables and JSON.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table as Grid};
use model::Clock;
use model::time::SystemClock;
use serde::Serialize;

use super::exit::{Exit, Failure};
use crate::size::show_duration;
use crate::wire::Time;

/// How to print results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people. Its shape may change; scripts use json
    #[default]
    Table,
    /// The API's own answers
    Json,
}

/// `text` on one line and without control characters: what a hypervisor says
/// must not steer a terminal.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}') {
        if !word.is_empty() && !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Where results go, and how.
pub struct Screen {
    pub(super) format: Format,
    out: Box<dyn Write + Send>,
    width: Option<usize>,
}

impl Screen {
    /// Standard output, as wide as the terminal when it is one.
    pub fn stdout(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let size = terminal.then(|| console::Term::stdout().size_checked()).flatten();
        let width = size.map(|(_, columns)| usize::from(columns));
        Self { format, out: Box::new(io::stdout()), width }
    }

    /// Somewhere else. Tables are cut to `width` columns when it is given.
    pub fn new(format: Format, out: impl Write + Send + 'static, width: Option<usize>) -> Self {
        Self { format, out: Box::new(out), width }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A reader that has seen enough (`| head`) is no failure.
    pub(super) fn print(&mut self, text: &str) -> Result<Exit, Failure> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Failed, format!("cannot write the result: {error}")))
            }
            _ => Ok(Exit::Success),
        }
    }

    /// The API's own answer.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<Exit, Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        self.print(&format!("{text}\n"))
    }

    /// The table, or a sentence on standard error when it has no rows.
    pub(super) fn table(&mut self, table: &Table, empty: &str) -> Result<Exit, Failure> {
        if table.rows.is_empty() {
            eprintln!("{empty}");
            return Ok(Exit::Success);
        }
        self.print(&table.render(self.width))
    }
}

/// How long ago this was, by this machine's clock.
pub(super) fn ago(time: Time) -> String {
    show_duration(SystemClock::new().now().since(time.0))
}

/// A length of whole seconds.
pub(super) fn seconds(count: u64) -> String {
    show_duration(Duration::from_secs(count))
}

/// A table whose least needed columns give way when a terminal is narrow. In a
/// pipe every column is there.
pub(super) struct Table {
    /// Titles, with how needed each is: 0 always stays.
    columns: Vec<(&'static str, u8)>,
    rows: Vec<Vec<String>>,
}

const GAP: u16 = 2;

impl Table {
    pub(super) fn new(columns: &[(&'static str, u8)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    fn grid(&self, shown: &[usize]) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(comfy_table::presets::NOTHING);
        grid.set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(shown.iter().map(|column| self.columns[*column].0));
        for row in &self.rows {
            grid.add_row(shown.iter().map(|column| row.get(*column).map_or("", String::as_str)));
        }
        for column in grid.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        grid
    }

    /// The columns that fit.
    fn fitting(&self, width: Option<usize>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = width else { return shown };
        let widths = self.grid(&shown).column_max_content_widths();
        let total = |shown: &[usize]| -> usize {
            let cells: usize = shown.iter().map(|column| usize::from(widths[*column] + GAP)).sum();
            cells.saturating_sub(usize::from(GAP))
        };
        while total(&shown) > width {
            let least = shown.iter().rposition(|column| {
                let need = self.columns[*column].1;
                need > 0 && shown.iter().all(|other| self.columns[*other].1 <= need)
            });
            match least {
                Some(index) => shown.remove(index),
                None => break,
            };
        }
        shown
    }

    /// The table for a terminal of this width, or for a pipe.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let shown = self.fitting(width);
        let grid = self.grid(&shown);
        let mut text: String = grid.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let hidden: Vec<&str> = (0..self.columns.len())
            .filter(|column| !shown.contains(column))
            .map(|column| self.columns[column].0)
            .collect();
        if !hidden.is_empty() {
            text.push_str(&format!("(not shown for want of width: {})\n", hidden.join(", ")));
        }
        text
    }
}

/// Lines of `name: value` with the values in one column. Empty values are left
/// out.
pub(super) fn sheet(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    rows.iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| {
            let name = format!("{name}:");
            format!("{name:<width$}  {}\n", clean(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hypervisor_says_cannot_steer_a_terminal() {
        assert_eq!(clean("a\x1b[31m\nb\t\tc\u{9b}1m"), "a [31m b c 1m");
        assert_eq!(clean("plain text, äöü"), "plain text, äöü");
    }

    fn table() -> Table {
        let mut table = Table::new(&[("NAME", 0), ("STATE", 0), ("HOST", 1), ("ID", 2)]);
        table.row(["web-1".into(), "running".into(), "node1".into(), "0123456789".into()]);
        table.row(["db".into(), "stopped".into(), String::new(), "abcdefghij".into()]);
        table
    }

    #[test]
    fn a_pipe_gets_every_column() {
        let expected = "NAME   STATE    HOST   ID\n\
                        web-1  running  node1  0123456789\n\
                        db     stopped         abcdefghij\n";
        assert_eq!(table().render(None), expected);
        assert_eq!(table().render(Some(33)), expected);
    }

    #[test]
    fn a_narrow_terminal_loses_the_least_needed_columns() {
        let narrow = table().render(Some(32));
        assert!(narrow.starts_with("NAME   STATE    HOST\nweb-1  running  node1\n"), "{narrow}");
        assert!(narrow.ends_with("(not shown for want of width: ID)\n"), "{narrow}");
        assert!(table().render(Some(1)).starts_with("NAME   STATE\n"));
    }

    #[test]
    fn a_sheet_leaves_out_what_is_empty() {
        let rows = [("name", "web-1".to_owned()), ("host", String::new()), ("a", "b".to_owned())];
        assert_eq!(sheet(&rows), "name:  web-1\na:     b\n");
    }
}
