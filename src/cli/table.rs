//! Tables on standard output, for whatever command prints one: for people, CSV or JSON.

use anyhow::{Context, Result};
use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, presets};
use fathom_stats::{ChosenOn, Interval, Summary, SummaryTable, table_columns};
use serde_json::Value;
use std::io::Write;

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns, for people
    #[default]
    Table,
    /// Comma-separated values with a header
    Csv,
    /// An array with one object for each row
    Json,
}

/// Headers and rows; every row has one cell for each header. Cells are text, numbers or null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the columns.
    pub headers: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table.
    pub fn new(headers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { headers: headers.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Value>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints the table on standard output.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn print(&self, format: Format) -> Result<()> {
        std::io::stdout().lock().write_all(self.render(format)?.as_bytes())?;
        Ok(())
    }

    /// The table as text, with a line end after the last line.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn render(&self, format: Format) -> Result<String> {
        match format {
            Format::Table => Ok(self.aligned()),
            Format::Csv => self.csv(),
            Format::Json => self.json(),
        }
    }

    /// Numbers to the right, words to the left; no colour, and never wider than its contents.
    fn aligned(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
        table.set_header(&self.headers);
        for row in &self.rows {
            table.add_row(row.iter().map(text));
        }
        let digit = |letter: char| letter.is_ascii_digit();
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            let mut cells = self.rows.iter().filter_map(|row| row.get(place));
            // A mean with its deviation, or "1 of 3", is a number to its readers.
            if cells
                .all(|cell| text(cell).trim_start_matches('-').starts_with(digit) || cell.is_null())
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n") + "\n"
    }

    fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.headers)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(text))?;
        }
        String::from_utf8(writer.into_inner().context("in memory")?).context("in memory")
    }

    fn json(&self) -> Result<String> {
        let object = |row: &Vec<Value>| -> serde_json::Map<String, Value> {
            self.headers.iter().cloned().zip(row.iter().cloned()).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(object).collect();
        Ok(serde_json::to_string_pretty(&rows)? + "\n")
    }
}

/// `1234567` as `1.235 M`.
pub fn count(value: u64) -> String {
    let mut scaled = value as f64;
    for unit in ["", " k", " M", " G", " T", " P"] {
        if scaled < 1000.0 {
            return if unit.is_empty() { value.to_string() } else { format!("{scaled:.3}{unit}") };
        }
        scaled /= 1000.0;
    }
    format!("{scaled:.3} E")
}

/// A cell as text; absent is empty.
fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The final table for people: mean and deviation in one cell.
pub fn summary(table: &SummaryTable, format: Format) -> Table {
    if format != Format::Table {
        return numbers(table);
    }
    let mut headers = table.axes.clone();
    headers.extend(table_columns().map(str::to_owned));
    let held =
        table.rows.iter().flat_map(|row| &row.best).any(|best| best.by == ChosenOn::Validation);
    let best = if held { "best (on validation)" } else { "best (on test)" };
    headers.extend([best, "n", "diverged", "unfinished"].map(str::to_owned));
    let mut out = Table::new(headers);
    for row in &table.rows {
        let mut cells: Vec<Value> = row.axes.iter().map(|value| axis_cell(value)).collect();
        let metrics = row.metrics.iter().map(Option::as_ref);
        for metric in metrics.chain([row.best.as_ref().map(|best| &best.error)]) {
            cells.push(metric.map_or(Value::Null, |summary| mean(summary, row.done).into()));
        }
        // A part of the whole is said, so that a mean over survivors is not taken for all.
        let part = |count: usize| match count {
            0 => "0".into(),
            count => format!("{count} of {}", row.runs).into(),
        };
        let n = if row.done == row.runs { row.done.to_string().into() } else { part(row.done) };
        cells.extend([n, part(row.diverged), part(row.unfinished)]);
        out.rows.push(cells);
    }
    out
}

/// Mean and deviation; where some runs that are done lack the metric, with how many have it.
fn mean(summary: &Summary, done: usize) -> String {
    if summary.n == done { summary.to_string() } else { format!("{summary} (n = {})", summary.n) }
}

/// Everything there is for programs: one row for each configuration and metric. This is
/// `summary.csv`.
pub fn numbers(table: &SummaryTable) -> Table {
    let mut headers = table.axes.clone();
    let columns = [
        "metric",
        "at",
        "n",
        "mean",
        "sd",
        "median",
        "low95",
        "high95",
        "bootstrap_low95",
        "bootstrap_high95",
        "min",
        "max",
        "runs",
        "done",
        "diverged",
        "unfinished",
    ];
    headers.extend(columns.map(str::to_owned));
    let mut out = Table::new(headers);
    for row in &table.rows {
        let finals =
            table_columns().zip(&row.metrics).map(|(name, summary)| (name, "last", *summary));
        let best = row.best.map(|best| {
            let at = match best.by {
                ChosenOn::Test => "best-test",
                ChosenOn::Validation => "best-validation",
            };
            ("test_err_pct", at, Some(best.error))
        });
        for (metric, at, summary) in finals.chain(best) {
            let mut cells: Vec<Value> = row.axes.iter().map(|value| axis_cell(value)).collect();
            cells.extend([metric.into(), at.into()]);
            cells.extend(cells_of(summary.as_ref()));
            let counts = [row.runs, row.done, row.diverged, row.unfinished];
            cells.extend(counts.map(Value::from));
            out.rows.push(cells);
        }
    }
    out
}

/// From `n` to `max`.
fn cells_of(summary: Option<&Summary>) -> [Value; 10] {
    let Some(summary) = summary else {
        let mut none = [const { Value::Null }; 10];
        none[0] = 0.into();
        return none;
    };
    let ends = |interval: Option<Interval>| {
        [interval.map(|it| it.low), interval.map(|it| it.high)].map(Value::from)
    };
    let [low, high] = ends(summary.interval);
    let [drawn_low, drawn_high] = ends(summary.bootstrap);
    let Summary { n, mean, sd, median, min, max, .. } = *summary;
    [
        n.into(),
        mean.into(),
        sd.into(),
        median.into(),
        low,
        high,
        drawn_low,
        drawn_high,
        min.into(),
        max.into(),
    ]
}

/// A whole number (a depth) as a number; everything else as it is written.
fn axis_cell(value: &str) -> Value {
    value.parse::<i64>().map_or_else(|_| value.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_stats::SummaryRow;

    fn two_rows() -> SummaryTable {
        let error = Summary::of(&[12.0, 14.0]);
        let row = SummaryRow {
            axes: vec!["plain".into(), "8".into()],
            runs: 2,
            done: 2,
            diverged: 0,
            unfinished: 0,
            metrics: vec![error, None, None, Summary::of(&[20.0])],
            best: None,
        };
        let lost = SummaryRow {
            axes: vec!["plain".into(), "44".into()],
            done: 1,
            diverged: 1,
            metrics: vec![Summary::of(&[40.0]), None, None, None],
            ..row.clone()
        };
        SummaryTable { axes: vec!["family".into(), "depth".into()], rows: vec![row, lost] }
    }

    #[test]
    fn people_read_mean_and_deviation_and_every_loss() {
        let text = summary(&two_rows(), Format::Table).render(Format::Table).unwrap();
        assert!(text.contains("13.00 ± 1.41"), "{text}");
        assert!(text.contains("1 of 2"), "{text}");
        assert!(text.contains("20.00 (n = 1)"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colour: {text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn programs_read_plain_numbers() {
        let csv = summary(&two_rows(), Format::Csv).render(Format::Csv).unwrap();
        let mut lines = csv.lines();
        assert!(lines.next().unwrap().starts_with("family,depth,metric,at,n,mean,sd,median,low95"));
        let first = lines.next().unwrap();
        assert!(
            first.starts_with("plain,8,train_err_pct,last,2,13.0,1.4142135623730951,13.0,0.29"),
            "{first}"
        );
        let json = summary(&two_rows(), Format::Json).render(Format::Json).unwrap();
        let value: Value = serde_json::from_str(&json).unwrap();
        let lost = &value[4];
        assert_eq!((&lost["depth"], &lost["metric"]), (&44.into(), &"train_err_pct".into()));
        assert_eq!(lost["sd"], Value::Null);
        assert_eq!(lost["diverged"], 1);
    }

    #[test]
    fn an_empty_table_is_its_header() {
        let table = Table::new(["a", "b"]);
        assert_eq!(table.render(Format::Csv).unwrap(), "a,b\n");
        assert_eq!(table.render(Format::Json).unwrap(), "[]\n");
        assert!(table.render(Format::Table).unwrap().contains('a'));
    }
}
