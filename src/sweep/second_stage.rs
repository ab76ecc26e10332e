//! The second stage of an experiment that first tunes a key: each arm runs with its best value.

use anyhow::Result;
use fathom_base::key::short;
use fathom_base::plain;
use fathom_record::SweepDir;
use fathom_spec::{Experiment, Run, Stages};
use fathom_stats::{Evidence, at_edge, best};
use std::collections::BTreeSet;

/// Runs of the second stage, and how they were chosen.
#[derive(Clone, Debug, Default)]
pub struct SecondStage {
    /// The runs that are not among those of the experiment yet.
    pub runs: Vec<Run>,
    /// For people: the value of each arm.
    pub remarks: Vec<String>,
    /// For people: arms that have no second stage, with the reason.
    pub without: Vec<String>,
}

/// Chooses the best value of each arm by the results of the first stage, and returns the runs with it. Empty if the
/// experiment has one stage. An arm is left out if one of the runs that choose has no value, or if all diverged.
///
/// # Errors
/// When results are damaged.
pub fn second_stage(experiment: &Experiment, directory: &SweepDir) -> Result<SecondStage> {
    let Some(Stages { tune, arms }) = &experiment.stages else { return Ok(SecondStage::default()) };
    let evidence = Evidence::load(directory)?;
    let mut wanted = BTreeSet::new();
    let (mut remarks, mut without) = (Vec::new(), Vec::new());
    for arm in arms {
        let choice = match best(arm, tune, &evidence) {
            Ok(choice) => choice,
            Err(reason) => {
                without.push(format!("{}: no second stage: {reason}", arm.label));
                continue;
            }
        };
        let value = choice.value.as_ref().map(plain).unwrap_or_default();
        let edge = at_edge(arm, choice, tune).map(|_| ", at the edge of its grid: extend it");
        let key = short(&tune.over);
        remarks.push(format!("{}: {key} {value}{}", arm.label, edge.unwrap_or_default()));
        wanted.extend(
            choice.runs.iter().filter(|(seed, _)| !tune.seeds.contains(seed)).map(|(_, id)| id),
        );
    }
    let known: BTreeSet<&String> = experiment.runs.iter().map(|run| &run.id).collect();
    let is_new = |run: &&Run| wanted.contains(&run.id) && !known.contains(&run.id);
    let runs = experiment.later.iter().filter(is_new).cloned().collect();
    Ok(SecondStage { runs, remarks, without })
}
