//! Tables on standard output: for people, as CSV, as JSON.

use anyhow::Result;
use comfy_table::{CellAlignment, presets};
use serde_json::{Map, Value};
use std::io::Write;

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// Comma-separated values.
    Csv,
    /// A list of objects.
    Json,
}

/// Rows of text under column names; numbers are plain.
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Prints it on standard output.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn print(&self, format: Format) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match format {
            Format::Table => writeln!(out, "{}", self.aligned())?,
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer.write_record(&self.columns)?;
                for row in &self.rows {
                    writer.write_record(row)?;
                }
                out.write_all(&writer.into_inner()?)?;
            }
            Format::Json => {
                let rows: Vec<Value> = self.rows.iter().map(|row| self.object(row)).collect();
                writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
            }
        }
        Ok(())
    }

    fn aligned(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row);
        }
        for (place, column) in table.column_iter_mut().enumerate() {
            let numeric = self.rows.iter().all(|row| {
                row[place].is_empty() || row[place].starts_with(|c: char| c.is_ascii_digit())
            });
            if numeric {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }

    fn object(&self, row: &[String]) -> Value {
        let cell = |text: &String| match text.parse::<serde_json::Number>() {
            Ok(number) => Value::Number(number),
            Err(_) if text.is_empty() => Value::Null,
            Err(_) => Value::from(text.as_str()),
        };
        let pairs = self.columns.iter().cloned().zip(row.iter().map(cell));
        Value::Object(pairs.collect::<Map<_, _>>())
    }
}

/// `1234567` as `1.23 M`.
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
impl Table {
    pub fn summary(_rows: &[()]) -> Table {
        Table::new(&["temporary"])
    }
}
