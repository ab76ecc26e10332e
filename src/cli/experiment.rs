//! Arguments that choose an experiment and its runs.

use super::Usage;
use super::stderr::log;
use anyhow::{Context, Result, bail, ensure};
use fathom_spec::{Experiment, SpecError};
use std::path::{Path, PathBuf};

/// An experiment file, and which of its runs are meant.
#[derive(clap::Args)]
pub struct Chosen {
    /// Experiment file
    experiment: PathBuf,
    /// Replace the value of a key; a swept key has this value, or this list of values, instead
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Only runs whose id matches, such as 'plain-*'
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
}

impl Chosen {
    /// The experiment with the chosen runs. Remarks on the file are written to standard error.
    ///
    /// # Errors
    /// When the file has a fault, or no run matches.
    pub fn load(&self) -> Result<Experiment> {
        let mut experiment = Experiment::load(&self.experiment, &self.sets)?;
        if let Some(only) = &self.only {
            let pattern = pattern(only)?;
            let all = experiment.runs.len();
            let first = experiment.runs.first().map(|run| run.id.clone()).unwrap_or_default();
            experiment.runs.retain(|run| pattern.matches(&run.id));
            if let Some(stages) = &mut experiment.stages {
                stages.retain(|id| pattern.matches(id));
            }
            ensure!(
                !experiment.runs.is_empty(),
                SpecError {
                    place: format!("--only {only}"),
                    message: format!("matches none of {all} runs, such as {first}"),
                }
            );
        }
        for remark in &experiment.remarks {
            log(format!("note: {remark}"));
        }
        Ok(experiment)
    }
}

/// The pattern of `--only`.
///
/// # Errors
/// When it is no pattern.
pub fn pattern(only: &str) -> Result<glob::Pattern, Usage> {
    glob::Pattern::new(only).map_err(|error| Usage(format!("--only {only}: {error}")))
}

/// The text of a top-level key of an experiment file, such as `note`; `None` if it is absent.
///
/// # Errors
/// When the text is no TOML, or the value is no string.
pub fn text_of_key(file: &Path, text: &str, key: &str) -> Result<Option<String>> {
    let table: toml::Table = text.parse().with_context(|| format!("in {}", file.display()))?;
    match table.get(key) {
        None => Ok(None),
        Some(toml::Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => bail!("in {}: `{key}` is not a string", file.display()),
    }
}
