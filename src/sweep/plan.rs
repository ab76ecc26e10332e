//! What is written and read before the first run of a sweep begins, and the states of its runs.

use anyhow::Result;
use fathom_record::{Resolved, SCHEMA, Seed, State, SweepDir, seed};
use fathom_spec::{Config, Experiment, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Writes the experiment and its resolved runs beside the results. Runs of additional seeds (see
/// [`until_decided`](super::until_decided)) and of a second stage are included once they are wanted or have begun.
///
/// # Errors
/// When a status is damaged or the directory cannot be written.
pub fn write_plan(experiment: &Experiment, directory: &SweepDir) -> Result<()> {
    let mut runs = experiment.configs.clone();
    // A damaged record is replaced, and what it knew is lost.
    let before = directory.resolved().ok().flatten().unwrap_or_default();
    let planned = |id: &String| experiment.stages.is_some() && before.runs.contains_key(id);
    for run in &experiment.later {
        let is_wanted =
            experiment.runs.iter().any(|wanted| wanted.id == run.id) || planned(&run.id);
        if !is_wanted && directory.run(&run.id).status()?.state == State::Pending {
            runs.remove(&run.id);
        }
    }
    let mut arms = experiment.arms.clone();
    arms.retain(|id, _| runs.contains_key(id));
    let tuning =
        experiment.stages.as_ref().map(|stages| stages.tune.seeds.clone()).unwrap_or_default();
    let added_seeds = added_seeds(&runs, &before, &tuning, directory)?;
    let set_aside = experiment.set_aside.clone();
    let sets = experiment.sets.clone();
    let resolved = Resolved { schema: SCHEMA, runs, arms, added_seeds, set_aside, sets };
    directory.write_experiment(&experiment.text, &resolved)
}

/// The seeds of a plan that an earlier one lacked, although two of its seeds were complete: whoever
/// added them may have looked at the claims before. Those of earlier changes stay known. The seeds of a first stage,
/// `tuning`, show nothing about claims.
fn added_seeds(
    runs: &BTreeMap<String, Config>,
    before: &Resolved,
    tuning: &BTreeSet<Seed>,
    directory: &SweepDir,
) -> Result<BTreeSet<Seed>> {
    let seed = |config: &Config| seed(config).filter(|seed| !tuning.contains(seed));
    let planned: BTreeSet<Seed> = before.runs.values().filter_map(seed).collect();
    let mut complete = planned.clone();
    for (id, config) in &before.runs {
        if !directory.run(id).status()?.state.is_final() {
            complete.retain(|known| Some(*known) != seed(config));
        }
    }
    let now: BTreeSet<Seed> = runs.values().filter_map(seed).collect();
    let mut added = before.added_seeds.clone();
    if complete.len() >= 2 {
        added.extend(now.difference(&planned));
    }
    added.retain(|seed| now.contains(seed));
    Ok(added)
}

/// Reads every data set of `runs` once, so that a missing or damaged one is found before anything is
/// computed. `on_decoded` is called with the numbers of decoded images and of all images. Returns remarks on
/// the data sets, such as which files were ignored.
///
/// # Errors
/// When a data set is missing or damaged.
pub fn prepare_data(
    runs: &[Run],
    data_dir: Option<&Path>,
    on_decoded: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<String>> {
    let (mut seen, mut remarks) = (Vec::new(), Vec::new());
    for run in runs {
        if !seen.contains(&&run.settings.data) {
            let notes = fathom_data::prepare(&run.settings.data, data_dir, on_decoded)?;
            // Runs that differ in the numbers of images have the same remarks.
            remarks.extend(
                notes.into_iter().filter(|note| !remarks.contains(note)).collect::<Vec<_>>(),
            );
            seen.push(&run.settings.data);
        }
    }
    Ok(remarks)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{TEXT, directory};
    use fathom_record::Status;

    #[test]
    fn seeds_that_join_when_claims_could_have_been_looked_at_are_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        let plan = |seeds: &str| {
            let text = TEXT.replace("[0, 1]", seeds);
            let experiment = Experiment::parse(Path::new("t.toml"), &text, &[]).unwrap();
            write_plan(&experiment, &directory).unwrap();
            (experiment, directory.added_seeds().unwrap())
        };
        let finish = |experiment: &Experiment| {
            for run in &experiment.runs {
                directory.run(&run.id).create().unwrap();
                let status = Status::new(State::Done, 1, "");
                directory.run(&run.id).write_status(&status).unwrap();
            }
        };
        assert_eq!(plan("[0, 1]").1, BTreeSet::new());
        let (experiment, added) = plan("[0, 1, 2]");
        assert_eq!(added, BTreeSet::new(), "nothing was complete");
        finish(&experiment);
        assert_eq!(plan("[0, 1, 2]").1, BTreeSet::new(), "nothing is new");
        let (experiment, added) = plan("[0, 1, 2, 3, 4]");
        assert_eq!(added, BTreeSet::from([3, 4]));
        finish(&experiment);
        assert_eq!(plan("[0, 1, 2, 3, 4, 5]").1, BTreeSet::from([3, 4, 5]), "history stays");
    }

    #[test]
    fn the_values_of_set_are_recorded_for_the_command_of_a_report() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        let recorded = |sets: &[String]| {
            let experiment = Experiment::parse(Path::new("t.toml"), TEXT, sets).unwrap();
            write_plan(&experiment, &directory).unwrap();
            directory.resolved().unwrap().unwrap().sets
        };
        let sets = ["seed=[7]".to_owned()];
        assert_eq!(recorded(&sets), sets);
        assert_eq!(recorded(&[]), [""; 0]);
    }
}
