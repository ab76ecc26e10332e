//! Tables on standard output: aligned for people, CSV or JSON for programs, Markdown for documents.

use super::stdout;
use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, presets};
use fathom_base::choice;
use fathom_record::{Table, cell_text};
use fathom_stats::{ChosenOn, Summary, SummaryTable, axis_cell, summary_csv, table_columns};
use serde_json::Value;

choice! {
    /// Format of a table.
    #[derive(Default)]
    pub enum Format {
        /// Aligned columns, for people
        #[default]
        Table,
        /// Comma-separated values with a header
        Csv,
        /// An array with one object for each row
        Json,
        /// A table of Markdown, rounded as for people
        Markdown,
    }
}

/// Prints a table on standard output.
///
/// # Errors
/// When standard output is closed.
pub fn print(table: &Table, format: Format) -> Result<()> {
    stdout::write(render(table, format)?)
}

/// The table as text, with a line end after the last line.
///
/// # Errors
/// When the table is not rectangular.
pub fn render(table: &Table, format: Format) -> Result<String> {
    match format {
        Format::Table => Ok(aligned(table)),
        Format::Csv => table.csv(),
        Format::Json => table.json(),
        Format::Markdown => {
            let headers: Vec<&str> = table.headers.iter().map(String::as_str).collect();
            let rows = table.rows.iter().map(|row| row.iter().map(cell_text).collect());
            Ok(fathom_report::table(&headers, &rows.collect::<Vec<_>>()))
        }
    }
}

/// Aligns numbers to the right and text to the left, without colours and without wrapping.
fn aligned(table: &Table) -> String {
    let mut out = comfy_table::Table::new();
    out.load_style(presets::NOTHING);
    out.set_content_arrangement(ContentArrangement::Disabled);
    out.force_no_tty();
    out.set_header(&table.headers);
    for row in &table.rows {
        out.add_row(row.iter().map(cell_text));
    }
    let digit = |letter: char| letter.is_ascii_digit();
    for (index, column) in out.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        let mut cells = table.rows.iter().filter_map(|row| row.get(index));
        // A mean with its deviation and "1 of 3" count as numbers.
        let is_number = |cell: &Value| cell_text(cell).trim_start_matches('-').starts_with(digit);
        if cells.all(|cell| is_number(cell) || cell.is_null()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = out.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// Final values over seeds: for people with mean and deviation in one cell, for programs as in
/// `summary.csv`.
pub fn summary(table: &SummaryTable, format: Format) -> Table {
    match format {
        Format::Table | Format::Markdown => summary_for_people(table),
        Format::Csv | Format::Json => summary_csv(table),
    }
}

fn summary_for_people(table: &SummaryTable) -> Table {
    let mut headers = table.axes.clone();
    headers.extend(table_columns().map(str::to_owned));
    let held_out =
        table.rows.iter().flat_map(|row| &row.best).any(|best| best.by == ChosenOn::Validation);
    let best = if held_out { "best (on validation)" } else { "best (on test)" };
    headers.extend([best, "n", "diverged", "unfinished"].map(str::to_owned));
    let mut out = Table::new(headers);
    for row in &table.rows {
        let mut cells: Vec<Value> = row.axes.iter().map(|value| axis_cell(value)).collect();
        let metrics = row.metrics.iter().map(Option::as_ref);
        for metric in metrics.chain([row.best.as_ref().map(|best| &best.error)]) {
            cells.push(metric.map_or(Value::Null, |summary| mean(summary, row.done).into()));
        }
        // The total is shown too, so that a mean over survivors is not taken for one over all runs.
        let part = |count: usize| match count {
            0 => "0".into(),
            count => format!("{count} of {}", row.runs).into(),
        };
        let n = if row.done == row.runs { row.done.to_string().into() } else { part(row.done) };
        cells.extend([n, part(row.diverged), part(row.unfinished)]);
        out.row(cells);
    }
    out
}

/// Mean and deviation, and the number of values if some of the runs that are `done` lack the metric.
fn mean(summary: &Summary, done: usize) -> String {
    if summary.n == done { summary.to_string() } else { format!("{summary} (n = {})", summary.n) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_stats::SummaryRow;

    #[test]
    fn people_read_mean_and_deviation_and_every_loss() {
        let row = SummaryRow {
            axes: vec!["plain".into(), "8".into()],
            runs: 2,
            done: 2,
            diverged: 0,
            unfinished: 0,
            metrics: vec![Summary::of(&[12.0, 14.0]), None, None, Summary::of(&[20.0])],
            best: None,
        };
        let lost = SummaryRow { done: 1, diverged: 1, ..row.clone() };
        let table =
            SummaryTable { axes: vec!["family".into(), "depth".into()], rows: vec![row, lost] };
        let text = render(&summary(&table, Format::Table), Format::Table).unwrap();
        assert!(text.contains("13.00 ± 1.41"), "{text}");
        assert!(text.contains("1 of 2"), "{text}");
        assert!(text.contains("20.00 (n = 1)"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colour: {text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn markdown_has_a_line_for_each_row() {
        let mut table = Table::new(["a", "b"]);
        table.row(["x|y".into(), Value::Null]);
        let text = render(&table, Format::Markdown).unwrap();
        assert_eq!(text, "| a | b |\n|---|---|\n| x\\|y |  |\n");
    }

    #[test]
    fn an_empty_table_has_a_header() {
        assert_eq!(render(&Table::new(["a", "b"]), Format::Table).unwrap(), "a  b\n");
    }
}
