//! `--until-decided`: seeds are added, at the numbers that the experiment fixes as `looks`, until every
//! claim is decided.

use anyhow::Result;
use fathom_record::{Seed, SweepDir};
use fathom_spec::{Claim, Contrast, Experiment, Run, SpecError};
use fathom_stats::{self as stats, Evidence, Outcome, Verdict};
use std::collections::BTreeSet;

/// Runs that the next look at undecided claims needs.
#[derive(Clone, Debug, Default)]
pub struct FurtherRuns {
    /// The runs that are not known yet; empty if no seed helps.
    pub runs: Vec<Run>,
    /// Names of the undecided claims that they are for.
    pub claims: Vec<String>,
    /// Number of seeds at the next look.
    pub seeds: usize,
}

/// The verdicts on an experiment's claims by the results in a directory.
///
/// # Errors
/// When results are damaged.
pub fn verdicts(experiment: &Experiment, directory: &SweepDir) -> Result<Vec<Verdict>> {
    let evidence = Evidence::load(directory)?;
    Ok(stats::check(&experiment.claims, &experiment.deciding, &evidence))
}

/// The runs of the experiment, and those that the first look at its claims needs in addition.
///
/// # Errors
/// When the experiment makes no claims or has no `looks`.
pub fn first_runs(experiment: &Experiment) -> Result<Vec<Run>, SpecError> {
    let refuse =
        |message: &str| SpecError { place: "--until-decided".into(), message: message.into() };
    let Some(&first) = experiment.deciding.looks.first() else {
        return Err(refuse(
            "the experiment has no looks: add looks = [3, 5, 8, 12], numbers of seeds, before its \
             first table",
        ));
    };
    if experiment.claims.is_empty() {
        return Err(refuse("the experiment makes no claims: add a [[claim]]"));
    }
    let mut wanted: BTreeSet<&String> = experiment.runs.iter().map(|run| &run.id).collect();
    for (claim, contrast) in &experiment.claims {
        wanted.extend(runs_of_first_seeds(claim, contrast, first));
    }
    Ok(runs_with_ids(experiment, &wanted))
}

/// The runs that the next look at undecided claims needs, without those in `experiment.runs`.
///
/// # Errors
/// When results are damaged.
pub fn further_runs(experiment: &Experiment, directory: &SweepDir) -> Result<FurtherRuns> {
    let verdicts = verdicts(experiment, directory)?;
    let mut wanted = BTreeSet::new();
    let mut further = FurtherRuns::default();
    for ((claim, contrast), verdict) in experiment.claims.iter().zip(&verdicts) {
        // A verdict with a reason has failed runs, or another flaw that no seed mends.
        if verdict.outcome != Outcome::Undecided || verdict.reason.is_some() {
            continue;
        }
        let looks = &experiment.deciding.looks;
        if let Some(look) = looks.iter().copied().find(|look| *look > verdict.n) {
            wanted.extend(runs_of_first_seeds(claim, contrast, look));
            further.claims.push(claim.name.clone());
            further.seeds = further.seeds.max(look);
        }
    }
    let known: BTreeSet<&String> = experiment.runs.iter().map(|run| &run.id).collect();
    let wanted: BTreeSet<&String> = wanted.difference(&known).copied().collect();
    further.runs = runs_with_ids(experiment, &wanted);
    Ok(further)
}

/// Ids of a claim's runs of the first `look` seeds, and of the runs by which it is tuned.
fn runs_of_first_seeds<'a>(claim: &Claim, contrast: &'a Contrast, look: usize) -> Vec<&'a String> {
    let is_tuning = |seed: &Seed| claim.tune.as_ref().is_some_and(|tune| tune.seeds.contains(seed));
    let seeds: BTreeSet<Seed> =
        contrast.runs().map(|(seed, _)| seed).filter(|seed| !is_tuning(seed)).collect();
    let first: BTreeSet<Seed> = seeds.into_iter().take(look).collect();
    let wanted = contrast.runs().filter(|(seed, _)| first.contains(seed) || is_tuning(seed));
    wanted.map(|(_, id)| id).collect()
}

fn runs_with_ids(experiment: &Experiment, ids: &BTreeSet<&String>) -> Vec<Run> {
    let all = experiment.runs.iter().chain(&experiment.later);
    all.filter(|run| ids.contains(&run.id)).cloned().collect()
}
