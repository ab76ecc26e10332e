//! The layout of a results directory: one function for each file.

use super::grouping::distinguish;
use super::manifest::{Damaged, read_json, write_json};
use super::{Resolved, RunCurve, RunDir, Seed, State, SweepCurves};
use anyhow::{Context, Result, anyhow, bail, ensure};
use fathom_base::key::nearest;
use fathom_base::write_atomically;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Free bytes that a sweep needs to start: for its own files and those of the first run.
const NEEDED_BYTES: usize = 1 << 20;

/// The directory of a sweep, `results/<name>`.
#[derive(Clone, Debug)]
pub struct SweepDir {
    root: PathBuf,
}

impl SweepDir {
    /// The directory of a sweep, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates the directory and its `runs` folder, and checks that there is space to start a sweep.
    ///
    /// # Errors
    /// When the disk is full or read-only, or permissions do not allow writing.
    pub fn create(&self) -> Result<()> {
        let runs = self.root.join("runs");
        let try_writing = || -> std::io::Result<()> {
            std::fs::create_dir_all(&runs)?;
            let mut file = tempfile::tempfile_in(&runs)?;
            file.write_all(&[0; NEEDED_BYTES])?;
            file.sync_all()
        };
        try_writing().with_context(|| {
            let root = self.root.display();
            format!(
                "cannot write to {root} (existing files are unchanged; free space, make it \
                 writable, or give another --out)"
            )
        })
    }

    /// Removes the directory and its `runs` folder, where nothing was written into them.
    pub fn discard_empty(&self) {
        // A folder with contents is not removed.
        let removed = std::fs::remove_dir(self.root.join("runs"));
        let _ = removed.and_then(|()| std::fs::remove_dir(&self.root));
    }

    /// Checks that the directory exists.
    ///
    /// # Errors
    /// When it does not, with the directory beside it that has the most similar name.
    pub fn check_exists(&self) -> Result<()> {
        if self.root.is_dir() {
            return Ok(());
        }
        let root = self.root.display();
        ensure!(!self.root.exists(), "{root} is a file, not a results directory");
        let parent = self.root.parent().filter(|parent| !parent.as_os_str().is_empty());
        let entries = std::fs::read_dir(parent.unwrap_or(Path::new("."))).into_iter().flatten();
        let folders = entries.flatten().filter(|entry| entry.path().is_dir());
        let names: Vec<String> =
            folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        let meant = nearest(&name, names.iter().map(String::as_str));
        let meant = meant.map(|meant| self.root.with_file_name(meant));
        let hint = meant.map(|meant| format!("; did you mean {}?", meant.display()));
        bail!("{root} does not exist{}", hint.unwrap_or_default())
    }

    /// The experiment file.
    pub fn experiment(&self) -> PathBuf {
        self.root.join("experiment.toml")
    }

    /// The joined curves of all runs.
    pub fn curves(&self) -> PathBuf {
        self.root.join("curves.csv")
    }

    /// The table of final and best values over seeds.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.csv")
    }

    /// The folder of the figures.
    pub fn figures(&self) -> PathBuf {
        self.root.join("figures")
    }

    /// The lock file of the process that plans or supervises the sweep.
    pub fn lock(&self) -> PathBuf {
        self.root.join("sweep.lock")
    }

    /// The directory of one run.
    pub fn run(&self, id: &str) -> RunDir {
        RunDir::new(self.root.join("runs").join(id))
    }

    /// Writes the experiment file and the runs that it expands to.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_experiment(&self, text: &str, resolved: &Resolved) -> Result<()> {
        write_atomically(&self.experiment(), text.as_bytes())?;
        write_json(&self.root.join("resolved.json"), resolved)
    }

    /// The runs that the experiment expands to; `None` for results of other programs.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn resolved(&self) -> Result<Option<Resolved>> {
        let path = self.root.join("resolved.json");
        if !path.exists() {
            return Ok(None);
        }
        read_json(&path).map(Some).map_err(|error| match error.is::<Damaged>() {
            true => anyhow!(
                "{error:#}; restore it, write it again with `fathom run`, or delete it: without it, runs that have not \
                 begun and seeds that were added are not known"
            ),
            false => error,
        })
    }

    /// Seeds that joined the experiment when claims could have been looked at.
    ///
    /// # Errors
    /// When `resolved.json` is damaged.
    pub fn added_seeds(&self) -> Result<BTreeSet<Seed>> {
        Ok(self.resolved()?.map(|resolved| resolved.added_seeds).unwrap_or_default())
    }

    /// Names of claims of the experiment that values of `--set` left without runs.
    ///
    /// # Errors
    /// When `resolved.json` is damaged.
    pub fn set_aside(&self) -> Result<BTreeSet<String>> {
        Ok(self.resolved()?.map(|resolved| resolved.set_aside).unwrap_or_default())
    }

    /// Writes `claims.json`: the verdicts on the experiment's claims.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_claims(&self, verdicts: &impl Serialize) -> Result<()> {
        write_json(&self.root.join("claims.json"), verdicts)
    }

    /// Whether the directory has a `runs` folder.
    pub fn has_begun(&self) -> bool {
        self.root.join("runs").is_dir()
    }

    /// Checks that the directory has results: a `runs` folder or `curves.csv`.
    ///
    /// # Errors
    /// When it has neither, or does not exist.
    pub fn check_has_results(&self) -> Result<()> {
        self.check_exists()?;
        let root = self.root.display();
        ensure!(
            self.has_begun() || self.curves().exists(),
            "{root} has neither runs/ nor curves.csv"
        );
        Ok(())
    }

    /// All runs that have begun, sorted by id; those that have ended and lost their `run.json` are among them.
    ///
    /// # Errors
    /// When there is no `runs` folder.
    pub fn runs(&self) -> Result<Vec<RunDir>> {
        self.check_exists()?;
        let folder = self.root.join("runs");
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("{} holds no runs", self.root.display()))?;
        let mut runs = Vec::new();
        for entry in entries {
            let run = RunDir::new(entry?.path());
            if run.has_begun() {
                runs.push(run);
            }
        }
        runs.sort_by_key(RunDir::id);
        Ok(runs)
    }

    /// Reads the curves of all runs from `runs/`, or from `curves.csv` if there is no such folder.
    /// Planned runs that have not begun are pending, without rows.
    ///
    /// # Errors
    /// When neither exists, or a file is damaged.
    pub fn load(&self) -> Result<SweepCurves> {
        self.check_has_results()?;
        let Resolved { runs: planned, arms, .. } = self.resolved()?.unwrap_or_default();
        let mut runs = if self.has_begun() {
            let loaded = self.runs()?.iter().map(RunDir::load).collect::<Result<Vec<_>>>()?;
            let (mut runs, configs): (Vec<_>, Vec<_>) = loaded.into_iter().unzip();
            distinguish(&mut runs, &configs);
            runs
        } else {
            self.kept_curves(&planned)?
        };
        let begun: BTreeSet<String> = runs.iter().map(|run| run.id.clone()).collect();
        let axes: BTreeSet<String> = runs.iter().flat_map(|run| run.axes.keys().cloned()).collect();
        let missing = planned.iter().filter(|(id, _)| !begun.contains(*id));
        runs.extend(missing.map(|(id, config)| RunCurve::planned(id, arms.get(id), &axes, config)));
        Ok(SweepCurves { runs })
    }

    /// Reads the curves of `curves.csv`, for a directory whose `runs/` was not kept; `planned` are the configurations
    /// of `resolved.json`.
    ///
    /// # Errors
    /// When the file cannot be read, or lacks the last row of a run that made all steps: an earlier row would be taken
    /// for the final one.
    pub fn kept_curves(
        &self,
        planned: &BTreeMap<String, BTreeMap<String, Value>>,
    ) -> Result<Vec<RunCurve>> {
        let path = self.curves();
        let runs = SweepCurves::read(&path)?.runs;
        for run in runs.iter().filter(|run| run.state == State::Done) {
            let Some(config) = planned.get(&run.id) else { continue };
            // Such a run is done where it stopped, and nothing here says where that was.
            if config.keys().any(|key| key.starts_with("training.stop_when.")) {
                continue;
            }
            let all = config.get("training.iterations").and_then(Value::as_u64).unwrap_or(0);
            let last = run.rows.last().map_or(0, |row| row.step);
            ensure!(
                last >= all,
                "{}: the rows of {} end at step {last}, but it is done with training.iterations = {all} \
                 (resolved.json): the file was cut or edited; restore it, or the folder runs/ of which it was made",
                path.display(),
                run.id
            );
        }
        Ok(runs)
    }
}
