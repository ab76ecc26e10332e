//! CSV files of rows of one kind, with a header that is checked.

use super::curve::{check_header, check_schema};
use anyhow::{Context, Result};
use fathom_base::write_atomically;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// A row of some file.
pub(super) trait Row: Serialize + DeserializeOwned {
    /// Names of its columns, in order.
    const COLUMNS: &'static [&'static str];

    /// Version of its format.
    fn schema(&self) -> u32;
}

/// All rows. A last line without its line end is that of a run which was cut off: it is dropped.
///
/// # Errors
/// Missing, extra or reordered columns, a value that does not parse, a later schema: each with file
/// and line.
pub(super) fn read<R: Row>(path: &Path) -> Result<Vec<R>> {
    let mut text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    check_header(path, reader.headers()?.iter(), R::COLUMNS)?;
    let mut rows = Vec::new();
    for row in reader.deserialize() {
        let row: R = row.with_context(|| format!("in {}", path.display()))?;
        check_schema(path, row.schema())?;
        rows.push(row);
    }
    Ok(rows)
}

/// Writes a file of rows in one go.
///
/// # Errors
/// When the disk refuses.
pub(super) fn write<R: Row>(path: &Path, rows: &[R]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
    write_atomically(path, &bytes)
}
