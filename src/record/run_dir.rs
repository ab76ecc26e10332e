//! The files of a run.

use super::manifest::{Damaged, read_json, write_json};
use super::{CorrelationRow, LayerRow, LayerWriter, SliceRow, curve, layers, table};
use super::{
    CurveMark, CurveReader, CurveRow, CurveWriter, Manifest, RunCurve, State, Status, seed,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The directory of a run, `results/<name>/runs/<run id>`.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// The directory of a run by its path.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run's id.
    pub fn id(&self) -> String {
        self.root.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The standard error of the worker.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.txt")
    }

    /// The last [`super::Checkpoint`] during training, and the weights of the net afterwards.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint.safetensors")
    }

    /// Weights of the evaluation with the lowest validation error, if the run keeps them.
    pub fn best_validation(&self) -> PathBuf {
        self.root.join("best-validation.safetensors")
    }

    /// The state before the last evaluation of a finished run, from which a longer run can begin, if it was kept.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.safetensors")
    }

    /// The previous checkpoint.
    pub fn previous_checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint.previous.safetensors")
    }

    /// The curve: one row for each evaluation.
    pub fn curve_path(&self) -> PathBuf {
        self.root.join("curve.csv")
    }

    /// Statistics of the layers, if the run measures them.
    pub fn layers_path(&self) -> PathBuf {
        self.root.join("layers.csv")
    }

    /// Reads `layers.csv`; no rows if there is no such file.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn layers(&self) -> Result<Vec<LayerRow>> {
        let path = self.layers_path();
        if path.exists() { layers::read(&path) } else { Ok(Vec::new()) }
    }

    /// Slices of the loss landscape around the trained net.
    pub fn slices_path(&self) -> PathBuf {
        self.root.join("slices.csv")
    }

    /// Reads `slices.csv`; no rows if there is no such file.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn slices(&self) -> Result<Vec<SliceRow>> {
        let path = self.slices_path();
        if path.exists() { table::read(&path) } else { Ok(Vec::new()) }
    }

    /// Writes `slices.csv`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_slices(&self, rows: &[SliceRow]) -> Result<()> {
        table::write(&self.slices_path(), rows)
    }

    /// Correlation of input gradients over distance.
    pub fn correlations_path(&self) -> PathBuf {
        self.root.join("correlation.csv")
    }

    /// Reads `correlation.csv`; no rows if there is no such file.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn correlations(&self) -> Result<Vec<CorrelationRow>> {
        let path = self.correlations_path();
        if path.exists() { table::read(&path) } else { Ok(Vec::new()) }
    }

    /// Writes `correlation.csv`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_correlations(&self, rows: &[CorrelationRow]) -> Result<()> {
        table::write(&self.correlations_path(), rows)
    }

    /// The lock file of the process that trains the run.
    pub fn lock(&self) -> PathBuf {
        self.root.join("run.lock")
    }

    /// Creates the directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(&self) -> Result<()> {
        std::fs::create_dir_all(&self.root)
            .with_context(|| format!("cannot create {}", self.root.display()))
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        write_json(&self.root.join("run.json"), manifest)
    }

    /// Whether `run.json` was written.
    pub fn has_manifest(&self) -> bool {
        self.root.join("run.json").exists()
    }

    /// Whether the run has begun: it has a `run.json`, or lost it, as `status.json` says that the run has ended or is
    /// damaged itself.
    pub fn has_begun(&self) -> bool {
        self.has_manifest() || self.status().map_or(true, |status| status.state.is_final())
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// When it is missing, damaged or of a later schema, or its seed is no integer.
    pub fn manifest(&self) -> Result<Manifest> {
        let path = self.root.join("run.json");
        ensure!(path.exists(), "{} does not exist: {}", path.display(), self.remedy());
        let manifest: Manifest = self.read(&path)?;
        ensure!(
            manifest.id == self.id(),
            "{} has the id {}, which is not the name of its folder",
            path.display(),
            manifest.id
        );
        ensure!(
            seed(&manifest.config).is_some(),
            "{}: config: seed {}, expected an integer from -2^63 to 2^64 - 1",
            path.display(),
            manifest.config.get("seed").map_or("is missing".into(), |it| format!("is {it}"))
        );
        Ok(manifest)
    }

    /// Writes `status.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_status(&self, status: &Status) -> Result<()> {
        write_json(&self.root.join("status.json"), status)
    }

    /// Removes `status.json`, before the run starts again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn clear_status(&self) -> Result<()> {
        match std::fs::remove_file(self.root.join("status.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot write to {}", self.root.display()))
            }
            _ => Ok(()),
        }
    }

    /// Reads `status.json`; the state is [`State::Pending`] if there is no such file.
    ///
    /// # Errors
    /// When it is damaged or of a later schema.
    pub fn status(&self) -> Result<Status> {
        let path = self.root.join("status.json");
        if path.exists() { self.read(&path) } else { Ok(Status::new(State::Pending, 0, "")) }
    }

    /// Creates `curve.csv`; an existing one is replaced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn curve_writer(&self) -> Result<CurveWriter> {
        CurveWriter::create(&self.curve_path())
    }

    /// Writes `curve.csv` as a whole; an existing one is replaced.
    ///
    /// # Errors
    /// When the file cannot be written; an existing one is then unchanged.
    pub fn write_curve(&self, rows: &[CurveRow]) -> Result<()> {
        curve::write(&self.curve_path(), rows)
    }

    /// Opens `curve.csv` to continue after the marked content.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn resume_curve(&self, mark: &CurveMark) -> Result<CurveWriter> {
        CurveWriter::resume(&self.curve_path(), mark)
    }

    /// Creates `layers.csv`, or opens it to continue after the marked content.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn layer_writer(&self, mark: Option<&CurveMark>) -> Result<LayerWriter> {
        match mark {
            Some(mark) => LayerWriter::resume(&self.layers_path(), mark),
            None => LayerWriter::create(&self.layers_path()),
        }
    }

    /// Reads `curve.csv`; no rows if there is no such file.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn curve(&self) -> Result<Vec<CurveRow>> {
        let path = self.curve_path();
        if path.exists() { CurveReader::read(&path) } else { Ok(Vec::new()) }
    }

    /// Like [`RunDir::curve`], of another program.
    ///
    /// # Errors
    /// Those of [`CurveReader::read_of_classifier`].
    pub fn curve_of_classifier(&self) -> Result<Vec<CurveRow>> {
        let path = self.curve_path();
        if path.exists() { CurveReader::read_of_classifier(&path) } else { Ok(Vec::new()) }
    }

    /// Reads a file of this run that is replaced as a whole when the run is made again.
    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<T> {
        read_json(path).map_err(|error| match error.is::<Damaged>() {
            true => anyhow!("{error:#}; {}", self.remedy()),
            false => error,
        })
    }

    /// What to do about a damaged file that nothing else replaces.
    fn remedy(&self) -> String {
        format!("delete the folder {} and make this run again", self.root.display())
    }

    /// Checks that a run which has ended has the files with which it ended.
    ///
    /// # Errors
    /// When a file is missing or damaged, with what to do about it.
    pub fn check_ended(&self) -> Result<()> {
        if self.status()?.state.is_final() { self.load().map(drop) } else { Ok(()) }
    }

    /// Refuses a curve that does not end where the run did: an earlier row would be taken for the final one.
    ///
    /// # Errors
    /// When a run that is done has another last row, with what to do about it.
    pub fn check_last(&self, status: &Status, rows: &[CurveRow]) -> Result<()> {
        let (path, done) = (self.curve_path(), status.step);
        let fault = match rows.last() {
            _ if status.state != State::Done => return Ok(()),
            Some(last) if last.step == done => return Ok(()),
            Some(last) => format!("ends at step {}", last.step),
            None if !path.exists() => "does not exist".into(),
            None => "has no whole row".into(),
        };
        bail!(
            "{} {fault}, but status.json says done at step {done}: the file was cut, edited or lost; {}",
            path.display(),
            self.remedy()
        )
    }

    /// The curve of the run, and its configuration.
    pub(super) fn load(&self) -> Result<(RunCurve, BTreeMap<String, Value>)> {
        let (manifest, status) = (self.manifest()?, self.status()?);
        let is_ours = !manifest.revision.git.is_empty();
        let rows = if is_ours { self.curve()? } else { self.curve_of_classifier()? };
        self.check_last(&status, &rows)?;
        Ok((RunCurve::new(&manifest, status.state, rows), manifest.config))
    }
}
