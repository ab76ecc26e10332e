//! What is written and read before the first run of a sweep begins, and the states of its runs.

use anyhow::Result;
use fathom_record::{Resolved, SCHEMA, State, SweepDir};
use fathom_spec::{Experiment, Run};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the experiment and its resolved runs beside the results. Runs of additional seeds (see
/// [`until_decided`](super::until_decided)) are included once they are wanted or have begun.
///
/// # Errors
/// When a status is damaged or the directory cannot be written.
pub fn write_plan(experiment: &Experiment, directory: &SweepDir) -> Result<()> {
    let mut runs = experiment.configs.clone();
    for run in &experiment.later {
        let is_wanted = experiment.runs.iter().any(|wanted| wanted.id == run.id);
        if !is_wanted && directory.run(&run.id).status()?.state == State::Pending {
            runs.remove(&run.id);
        }
    }
    let mut arms = experiment.arms.clone();
    arms.retain(|id, _| runs.contains_key(id));
    directory.write_experiment(&experiment.text, &Resolved { schema: SCHEMA, runs, arms })
}

/// Reads every data set of `runs` once, so that a missing or damaged one is found before anything is
/// computed. `on_decoded` is called with the numbers of decoded images and of all images.
///
/// # Errors
/// When a data set is missing or damaged.
pub fn prepare_data(
    runs: &[Run],
    data_dir: Option<&Path>,
    on_decoded: &(dyn Fn(usize, usize) + Sync),
) -> Result<()> {
    let mut seen = Vec::new();
    for run in runs {
        if !seen.contains(&&run.settings.data) {
            fathom_data::prepare(&run.settings.data, data_dir, on_decoded)?;
            seen.push(&run.settings.data);
        }
    }
    Ok(())
}

/// Number of runs in each state.
///
/// # Errors
/// When a status is damaged.
pub fn count_states(runs: &[Run], directory: &SweepDir) -> Result<BTreeMap<State, usize>> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(directory.run(&run.id).status()?.state).or_insert(0) += 1;
    }
    Ok(counts)
}

/// The runs that are neither done nor diverged.
///
/// # Errors
/// When a status is damaged.
pub fn unfinished<'a>(runs: &'a [Run], directory: &SweepDir) -> Result<Vec<&'a Run>> {
    let mut unfinished = Vec::new();
    for run in runs {
        if !directory.run(&run.id).status()?.state.is_final() {
            unfinished.push(run);
        }
    }
    Ok(unfinished)
}
