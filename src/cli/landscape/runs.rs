//! The runs whose landscape can be measured.

use crate::Usage;
use crate::experiment::pattern;
use crate::stderr::log;
use anyhow::{Result, ensure};
use fathom_record::{Manifest, RunDir, State, SweepDir};

/// The runs that are done and have kept their weights, and whose id matches `only`.
///
/// # Errors
/// When there are none.
pub fn chosen(directory: &SweepDir, only: Option<&str>) -> Result<Vec<(RunDir, Manifest)>> {
    let runs = directory.runs()?;
    let pattern = only.map(pattern).transpose()?;
    let matches = |run: &RunDir| pattern.as_ref().is_none_or(|it| it.matches(&run.id()));
    if let (Some(only), Some(first), false) = (only, runs.first(), runs.iter().any(matches)) {
        let (all, id) = (runs.len(), first.id());
        return Err(
            Usage(format!("--only {only}: matches none of {all} runs, such as {id}")).into()
        );
    }
    let mut without = Vec::new();
    let mut chosen = Vec::new();
    for run in runs.into_iter().filter(matches) {
        if run.status()?.state != State::Done || !run.checkpoint().exists() {
            without.push(run.id());
            continue;
        }
        let manifest = run.manifest()?;
        chosen.push((run, manifest));
    }
    if let (Some(first), false) = (without.first(), chosen.is_empty()) {
        let count = without.len();
        log(format!("note: {count} runs are not done or have not kept their weights ({first} …)"));
    }
    ensure!(
        !chosen.is_empty(),
        "{}: no run{} is done and has kept its weights (checkpoint.safetensors): results that are \
         published have none; run the experiment",
        directory.root().display(),
        only.map(|only| format!(" like {only}")).unwrap_or_default()
    );
    Ok(chosen)
}
