//! The columns of `curve.csv`: one row per evaluation.

use super::SCHEMA;
use super::metrics::Metric;
use super::table::{self, Row};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One evaluation of a net. Absent is empty in the file; NaN and inf are written as such.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveRow {
    /// Version of this format.
    pub schema: u32,
    /// Updates made so far; 0 is the untrained net.
    pub step: u64,
    /// Training images seen so far over the number of training images.
    pub epoch: f64,
    /// Learning rate of the last update (of the first one at step 0), warm-up included.
    pub lr: f64,
    /// Mean cross-entropy in nats on training images, in evaluation mode, without augmentation.
    pub train_loss: Option<f64>,
    /// Top-1 error on the same images.
    pub train_err_pct: Option<f64>,
    /// How many images these two were measured on.
    pub train_images: u64,
    /// Mean cross-entropy over the batches since the last row, as trained on.
    pub train_loss_running: Option<f64>,
    /// Top-1 error over the batches since the last row, as trained on: what the papers plot.
    pub train_err_running_pct: Option<f64>,
    /// Training error with BatchNorm's statistics recomputed over the same images, as moving
    /// averages lag in deep nets; at step 0 and at the end only.
    pub train_err_fresh_pct: Option<f64>,
    /// Mean cross-entropy on the test images.
    pub test_loss: Option<f64>,
    /// Top-1 error on the test images.
    pub test_err_pct: Option<f64>,
    /// How many images these two were measured on.
    pub test_images: u64,
    /// Mean cross-entropy on the images held out.
    pub validation_loss: Option<f64>,
    /// Top-1 error on the images held out; absent when there are none.
    pub validation_err_pct: Option<f64>,
    /// Time since the run started, evaluations included: the one column that no seed fixes.
    pub seconds: f64,
}

/// Names of the columns of [`CurveRow`], in order.
pub const CURVE_COLUMNS: [&str; 16] = [
    "schema",
    "step",
    "epoch",
    "lr",
    "train_loss",
    "train_err_pct",
    "train_images",
    "train_loss_running",
    "train_err_running_pct",
    "train_err_fresh_pct",
    "test_loss",
    "test_err_pct",
    "test_images",
    "validation_loss",
    "validation_err_pct",
    "seconds",
];

impl CurveRow {
    /// The value of a column by name, where it is a number that is present.
    pub fn metric(&self, column: &str) -> Option<f64> {
        match column {
            "step" => Some(self.step as f64),
            "epoch" => Some(self.epoch),
            "lr" => Some(self.lr),
            "seconds" => Some(self.seconds),
            metric => Metric::named(metric)?.of(self),
        }
    }
}

/// Appends rows to a `curve.csv`; every row is on its way to the disk when `append` returns.
pub struct CurveWriter {
    path: PathBuf,
    writer: csv::Writer<File>,
}

/// How much of a `curve.csv` was there at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurveMark {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of these.
    pub sha256: String,
}

impl CurveMark {
    /// Whether a file begins with what was marked.
    pub fn matches(&self, path: &Path) -> bool {
        let bytes = std::fs::read(path).unwrap_or_default();
        let marked =
            usize::try_from(self.bytes).ok().and_then(|bytes_then| bytes.get(..bytes_then));
        marked.is_some_and(|marked| sha256(marked) == self.sha256)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CurveWriter {
    /// Starts a new file, replacing what stood there.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path: path.into(), writer: csv::Writer::from_writer(file) })
    }

    /// Goes on after what was marked; what comes behind it is cut off.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn resume(path: &Path, mark: &CurveMark) -> Result<Self> {
        let open = || -> std::io::Result<File> {
            let mut file = File::options().write(true).open(path)?;
            file.set_len(mark.bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot go on with {}", path.display()))?;
        let writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        Ok(Self { path: path.into(), writer })
    }

    /// Brings all rows to the disk and marks them.
    ///
    /// # Errors
    /// When the disk is full or gone.
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
    /// When the disk is full or gone.
    pub fn append(&mut self, row: &CurveRow) -> Result<()> {
        self.append_any(row)
    }

    /// A row of whatever file this is.
    pub(super) fn append_any(&mut self, row: &impl Serialize) -> Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        self.writer.serialize(row).with_context(context)?;
        self.writer.flush().with_context(context)
    }
}

/// Reads `curve.csv`.
pub struct CurveReader;

impl CurveReader {
    /// All rows. A last line without its line end is that of a run which was cut off: it is
    /// dropped.
    ///
    /// # Errors
    /// Missing, extra or reordered columns, a value that does not parse, a later schema: each with
    /// file and line.
    pub fn read(path: &Path) -> Result<Vec<CurveRow>> {
        table::read(path)
    }
}

impl Row for CurveRow {
    const COLUMNS: &'static [&'static str] = &CURVE_COLUMNS;

    fn schema(&self) -> u32 {
        self.schema
    }
}

/// Refuses a header that is not the expected one, naming the first difference.
pub(super) fn check_header<'a>(
    path: &Path,
    found: impl Iterator<Item = &'a str>,
    expected: &[&str],
) -> Result<()> {
    let found: Vec<&str> = found.collect();
    for (place, name) in expected.iter().enumerate() {
        match found.get(place) {
            Some(there) if there == name => {}
            Some(there) => bail!(
                "{}, line 1: column {} is `{there}`, expected `{name}`",
                path.display(),
                place + 1
            ),
            None => bail!("{}, line 1: column `{name}` is missing", path.display()),
        }
    }
    ensure!(
        found.len() == expected.len(),
        "{}, line 1: column `{}` is not known",
        path.display(),
        found[expected.len()]
    );
    Ok(())
}

/// Refuses a file of a later format.
pub(super) fn check_schema(path: &Path, schema: u32) -> Result<()> {
    ensure!(
        schema <= SCHEMA,
        "{} has schema {schema}; this fathom reads up to {SCHEMA}",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> CurveRow {
        CurveRow {
            schema: SCHEMA,
            step: 50,
            epoch: 0.32,
            lr: 0.1,
            train_loss: Some(f64::NAN),
            train_err_pct: Some(90.2),
            train_images: 2000,
            train_loss_running: Some(f64::INFINITY),
            ..CurveRow::default()
        }
    }

    #[test]
    fn rows_survive_the_file_with_nan_inf_and_absent_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.csv");
        let mut writer = CurveWriter::create(&path).unwrap();
        writer.append(&row()).unwrap();
        writer.append(&row()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next().unwrap(), CURVE_COLUMNS.join(","));
        assert_eq!(text.lines().nth(1).unwrap(), "1,50,0.32,0.1,NaN,90.2,2000,inf,,,,,0,,,0.0");
        let rows = CurveReader::read(&path).unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].train_loss.unwrap().is_nan());
        assert_eq!(rows[0].train_loss_running, Some(f64::INFINITY));
        assert_eq!(rows[0].test_err_pct, None);
    }

    #[test]
    fn a_half_written_last_line_is_dropped_and_a_wrong_header_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.csv");
        CurveWriter::create(&path).unwrap().append(&row()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}1,100,0.6")).unwrap();
        assert_eq!(CurveReader::read(&path).unwrap().len(), 1);
        std::fs::write(&path, text.replace("train_loss,", "loss,")).unwrap();
        let message = format!("{:#}", CurveReader::read(&path).unwrap_err());
        assert!(message.contains("line 1: column 5 is `loss`, expected `train_loss`"), "{message}");
    }

    #[test]
    fn every_numeric_column_is_a_metric() {
        let all = CurveRow {
            train_loss: Some(0.0),
            train_err_pct: Some(0.0),
            train_err_running_pct: Some(0.0),
            train_err_fresh_pct: Some(0.0),
            test_loss: Some(0.0),
            test_err_pct: Some(0.0),
            validation_loss: Some(0.0),
            validation_err_pct: Some(0.0),
            ..row()
        };
        for column in CURVE_COLUMNS {
            let counts = matches!(column, "schema" | "train_images" | "test_images");
            assert_eq!(all.metric(column).is_some(), !counts, "{column}");
        }
    }
}
