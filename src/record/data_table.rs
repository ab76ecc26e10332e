//! Tables of any columns, as CSV or JSON.

use super::RunCurve;
use anyhow::{Result, anyhow};
use serde_json::Value;
use std::collections::BTreeSet;

/// A table with named columns. Cells are text, numbers or null; every row has one for each column.
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

    /// The table as CSV with a header; null cells are empty.
    ///
    /// # Errors
    /// When a row has another number of cells than the header.
    pub fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.headers)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(cell_text))?;
        }
        let bytes = writer.into_inner().map_err(|error| anyhow!("{error}"))?;
        Ok(String::from_utf8(bytes)?)
    }

    /// The table as a JSON array with one object for each row, and a line end.
    ///
    /// # Errors
    /// When serialisation fails.
    pub fn json(&self) -> Result<String> {
        let object = |row: &Vec<Value>| -> serde_json::Map<String, Value> {
            self.headers.iter().cloned().zip(row.iter().cloned()).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(object).collect();
        Ok(serde_json::to_string_pretty(&rows)? + "\n")
    }
}

/// A cell as text; null is empty.
pub fn cell_text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => cell.to_string(),
    }
}

/// One metric of several runs: a column for each run, and a row for each step that any of them has.
/// Cells are null where a run has no value.
pub fn wide_table(runs: &[&RunCurve], metric: &str) -> Table {
    let steps: BTreeSet<u64> =
        runs.iter().flat_map(|run| run.rows.iter().map(|row| row.step)).collect();
    let headers = ["step".to_owned()].into_iter().chain(runs.iter().map(|run| run.id.clone()));
    let mut table = Table::new(headers);
    for step in steps {
        let value = |run: &&RunCurve| -> Value {
            let row = run.rows.iter().find(|row| row.step == step);
            match row.and_then(|row| row.metric(metric)) {
                // JSON has no NaN and no infinity; CSV has them as words.
                Some(value) if !value.is_finite() => format!("{value}").into(),
                value => value.into(),
            }
        };
        table.row(std::iter::once(step.into()).chain(runs.iter().map(value)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_its_header() {
        let table = Table::new(["a", "b"]);
        assert_eq!(table.csv().unwrap(), "a,b\n");
        assert_eq!(table.json().unwrap(), "[]\n");
    }
}
