//! `curve.csv`: one row for each evaluation.

use super::metrics::{CurveRow, METRICS, is_error, metric_columns};
use super::table::{self, Header, Row};
use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use fathom_base::write_atomically;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Names of the columns of [`CurveRow`], in the order in which they are written.
pub const CURVE_COLUMNS: &[&str] = <CurveRow as Row>::COLUMNS;

/// Names that `curves.csv` joins to the columns of `curve.csv`; a column that a program adds to
/// `curve.csv` under one of them is ignored.
pub(super) const JOINED: [&str; 4] = ["run_id", "arm", "seed", "state"];

/// Appends rows to a `curve.csv`, each of which is flushed to the operating system.
pub struct CurveWriter {
    path: PathBuf,
    writer: csv::Writer<File>,
}

/// The content of a CSV file at the time of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurveMark {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of these bytes, in hexadecimal.
    pub sha256: String,
}

impl CurveMark {
    /// Whether a file begins with the content that was marked.
    pub fn matches(&self, path: &Path) -> bool {
        let bytes = std::fs::read(path).unwrap_or_default();
        let marked = usize::try_from(self.bytes).ok().and_then(|length| bytes.get(..length));
        marked.is_some_and(|marked| sha256(marked) == self.sha256)
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl CurveWriter {
    /// Creates the file; an existing one is replaced.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path: path.into(), writer: csv::Writer::from_writer(file) })
    }

    /// Opens the file to continue after the marked content; what follows that is cut off.
    ///
    /// # Errors
    /// When the file cannot be written, or has other columns than [`CURVE_COLUMNS`].
    pub fn resume(path: &Path, mark: &CurveMark) -> Result<Self> {
        Self::resume_rows::<CurveRow>(path, mark)
    }

    /// Resumes a file with rows of any type, as [`CurveWriter::resume`] does for the curve.
    pub(super) fn resume_rows<R: Row>(path: &Path, mark: &CurveMark) -> Result<Self> {
        table::check_header::<R>(path)?;
        let open = || -> std::io::Result<File> {
            let mut file = File::options().write(true).open(path)?;
            file.set_len(mark.bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot continue {}", path.display()))?;
        let writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        Ok(Self { path: path.into(), writer })
    }

    /// Writes all rows to the disk and returns a mark of the content.
    ///
    /// # Errors
    /// When the file cannot be written or read again.
    pub fn mark(&mut self) -> Result<CurveMark> {
        let context = || format!("cannot write {}", self.path.display());
        self.writer.flush().with_context(context)?;
        self.writer.get_ref().sync_all().with_context(context)?;
        let bytes = std::fs::read(&self.path).with_context(context)?;
        Ok(CurveMark { bytes: bytes.len() as u64, sha256: sha256(&bytes) })
    }

    /// Writes one row and flushes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, row: &CurveRow) -> Result<()> {
        self.append_row(row)
    }

    /// Writes one row of any type and flushes it.
    pub(super) fn append_row(&mut self, row: &impl Row) -> Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        self.writer.serialize(row).with_context(context)?;
        self.writer.flush().with_context(context)
    }
}

/// Writes a whole `curve.csv`, with the columns that are not fathom's own, in one go.
pub(super) fn write(path: &Path, rows: &[CurveRow]) -> Result<()> {
    let extra: BTreeSet<&String> = rows.iter().flat_map(|row| row.extra.keys()).collect();
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(
        CURVE_COLUMNS.iter().copied().chain(extra.iter().map(|name| name.as_str())),
    )?;
    for row in rows {
        let others: Vec<Option<f64>> =
            extra.iter().map(|name| row.extra.get(*name).copied()).collect();
        writer.serialize((row, others))?;
    }
    write_atomically(path, &writer.into_inner().context("in memory")?)
}

/// Reads `curve.csv`.
pub struct CurveReader;

impl CurveReader {
    /// Reads all rows. Columns may be in any order; a missing one was not measured, and an unknown
    /// one is an extra metric if it holds numbers. A last line without its line end, which a stopped
    /// program leaves behind, is dropped.
    ///
    /// # Errors
    /// When there is no `step`, no metric at all, a value that cannot be read, a step that does not
    /// ascend, or a row of a later schema: with file, line and column.
    pub fn read(path: &Path) -> Result<Vec<CurveRow>> {
        Self::rows(path, false)
    }

    /// Like [`CurveReader::read`], of a program that classifies. The errors of fathom's own runs are not
    /// bounded: that of a regression exceeds 100 % where the target is missed by more than its size.
    ///
    /// # Errors
    /// Those of [`CurveReader::read`], and when an error is outside 0 … 100 %, with line and column.
    pub fn read_of_classifier(path: &Path) -> Result<Vec<CurveRow>> {
        Self::rows(path, true)
    }

    fn rows(path: &Path, is_classifier: bool) -> Result<Vec<CurveRow>> {
        let text = table::whole_lines(path)?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut rows = || -> Result<Vec<CurveRow>> {
            let mut columns = CurveColumns::new(reader.headers()?, 0)?;
            columns.is_classifier = is_classifier;
            let mut rows: Vec<CurveRow> = Vec::new();
            for record in reader.records() {
                let record = table::checked(record)?;
                let row = columns.row(&record)?;
                check_ascends(&rows, &row, &record)?;
                rows.push(row);
            }
            columns.finish()?;
            Ok(rows)
        };
        rows().with_context(|| path.display().to_string())
    }
}

/// Refuses a row of a curve whose step does not follow that of the rows before it.
pub(super) fn check_ascends(
    before: &[CurveRow],
    row: &CurveRow,
    record: &StringRecord,
) -> Result<()> {
    if let Some(last) = before.last().filter(|last| row.step <= last.step) {
        let (line, step, before) = (table::line(record), row.step, last.step);
        bail!("line {line}: steps do not ascend: {step} follows {before}");
    }
    Ok(())
}

/// The columns of a file with rows of curves, and the state of reading the extra ones.
pub(super) struct CurveColumns {
    header: Header,
    extra: Vec<ExtraColumn>,
    /// Whether errors are shares of images.
    is_classifier: bool,
}

/// A column that is not fathom's own: an extra metric if any of its cells is a number.
struct ExtraColumn {
    position: usize,
    name: String,
    has_numbers: bool,
    /// The error for the first cell that is no number.
    fault: Option<anyhow::Error>,
}

impl CurveColumns {
    /// The columns of a header after its first `skipped` ones.
    ///
    /// # Errors
    /// When a name occurs twice, or no column is a metric.
    pub(super) fn new(names: &StringRecord, skipped: usize) -> Result<Self> {
        let header = Header::new::<CurveRow>(names, skipped)?;
        let extra = header.others.iter().filter(|(_, name)| !JOINED.contains(&name.as_str()));
        let extra = extra.map(|(position, name)| ExtraColumn {
            position: *position,
            name: name.clone(),
            has_numbers: false,
            fault: None,
        });
        let extra: Vec<ExtraColumn> = extra.collect();
        ensure!(
            !extra.is_empty() || header.has_any(metric_columns()),
            "line 1: no column is a metric, such as train_err_pct"
        );
        Ok(Self { header, extra, is_classifier: false })
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The errors of [`Header::row`], and when an error is one that no classifier can have.
    pub(super) fn row(&mut self, record: &StringRecord) -> Result<CurveRow> {
        let mut row: CurveRow = self.header.row(record)?;
        let is_classifier = self.is_classifier;
        for metric in METRICS.iter().filter(|_| is_classifier) {
            check_error(record, metric.column, metric.of(&row))?;
        }
        for column in &mut self.extra {
            match record.get(column.position).unwrap_or_default() {
                "" => {}
                text => match text.parse() {
                    Ok(value) => {
                        if is_classifier {
                            check_error(record, &column.name, Some(value))?;
                        }
                        column.has_numbers = true;
                        row.extra.insert(column.name.clone(), value);
                    }
                    Err(_) if column.fault.is_some() => {}
                    Err(_) => {
                        column.fault = Some(table::unreadable(record, &column.name, text));
                    }
                },
            }
        }
        Ok(row)
    }

    /// Checks the extra columns after the last row: a column without any number holds text, which is
    /// ignored.
    ///
    /// # Errors
    /// When a column with numbers has another value, with line and column.
    pub(super) fn finish(self) -> Result<()> {
        let mut metrics = self.extra.into_iter().filter(|column| column.has_numbers);
        metrics.find_map(|column| column.fault).map_or(Ok(()), Err)
    }
}

/// How far from 0 … 100 % rounding in single precision may put a mean.
const ROUNDING_PCT: f64 = 1e-3;

/// Refuses an error that no classifier can have.
fn check_error(record: &StringRecord, column: &str, value: Option<f64>) -> Result<()> {
    match value.filter(|value| !is_possible(column, *value)) {
        Some(value) => bail!(
            "line {}: column `{column}` has the value {value}, expected per cent from 0 to 100",
            table::line(record)
        ),
        None => Ok(()),
    }
}

/// Whether a column can have a value: an error is 0 … 100 %, or NaN.
fn is_possible(column: &str, value: f64) -> bool {
    let valid = -ROUNDING_PCT..=100.0 + ROUNDING_PCT;
    !is_error(column) || value.is_nan() || valid.contains(&value)
}

/// Refuses a value that a column cannot have.
///
/// # Errors
/// When an error is outside 0 … 100 %.
pub(super) fn check_value(column: &str, value: f64) -> Result<()> {
    ensure!(is_possible(column, value), "{column} is {value}, expected per cent from 0 to 100");
    Ok(())
}

#[cfg(test)]
mod tests;
