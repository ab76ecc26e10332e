//! What `fathom run` does about an experiment's claims: more seeds until they are decided, and a
//! line for each at the end.

use super::Usage;
use super::stderr::say;
use anyhow::Result;
use fathom_record::SweepDir;
use fathom_spec::{Claim, Contrast, Experiment, Run};
use fathom_stats::{self as stats, Evidence, Outcome, Verdict};
use fathom_sweep::Shutdown;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The verdicts on an experiment's claims by what lies in a directory.
///
/// # Errors
/// When results are damaged.
pub fn verdicts(experiment: &Experiment, directory: &SweepDir) -> Result<Vec<Verdict>> {
    let evidence = Evidence::load(directory)?;
    Ok(stats::check(&experiment.claims, &experiment.deciding, &evidence))
}

/// One line for each claim, and `claims.json`.
///
/// # Errors
/// When results are damaged or the disk refuses.
pub fn conclude(experiment: &Experiment, directory: &SweepDir) -> Result<()> {
    if experiment.claims.is_empty() {
        return Ok(());
    }
    let verdicts = verdicts(experiment, directory)?;
    for verdict in &verdicts {
        let effect = match (verdict.effect, verdict.low, verdict.high) {
            (Some(effect), Some(low), Some(high)) => {
                format!(": {effect:.2} ({low:.2} … {high:.2}), n = {}", verdict.n)
            }
            _ => String::new(),
        };
        say(format!("{:>10}  {}{effect}", verdict.outcome, verdict.name));
    }
    directory.write_claims(&verdicts)?;
    say(format!("claims: fathom check {}", directory.root().display()));
    Ok(())
}

/// The runs that the first look at the claims wants, besides those of the file.
///
/// # Errors
/// When there is nothing to decide, or no looks at which to.
pub fn begin(experiment: &Experiment) -> Result<Vec<Run>> {
    let Some(&first) = experiment.deciding.looks.first() else {
        let message = "--until-decided: the experiment has no looks: add looks = [3, 5, 8, 12], \
                       numbers of seeds, before its first table";
        return Err(Usage(message.into()).into());
    };
    if experiment.claims.is_empty() {
        let message = "--until-decided: the experiment makes no claims: add a [[claim]]";
        return Err(Usage(message.into()).into());
    }
    let mut wanted: BTreeSet<&String> = experiment.runs.iter().map(|run| &run.id).collect();
    for (claim, contrast) in &experiment.claims {
        wanted.extend(of_first_seeds(claim, contrast, first));
    }
    Ok(chosen(experiment, &wanted))
}

/// The runs that the next look at what is undecided wants, those of `known` not among them; none
/// when no seed helps.
///
/// # Errors
/// When results are damaged.
pub fn go_on(experiment: &Experiment, directory: &SweepDir, known: &[Run]) -> Result<Vec<Run>> {
    let verdicts = verdicts(experiment, directory)?;
    let mut wanted = BTreeSet::new();
    let mut names = Vec::new();
    let mut seeds = 0;
    for ((claim, contrast), verdict) in experiment.claims.iter().zip(&verdicts) {
        // One with a reason has runs that failed, or a flaw that no seed mends.
        if verdict.outcome != Outcome::Undecided || verdict.reason.is_some() {
            continue;
        }
        let looks = &experiment.deciding.looks;
        if let Some(look) = looks.iter().copied().find(|look| *look > verdict.n) {
            wanted.extend(of_first_seeds(claim, contrast, look));
            names.push(claim.name.as_str());
            seeds = seeds.max(look);
        }
    }
    let known: BTreeSet<&String> = known.iter().map(|run| &run.id).collect();
    let wanted: BTreeSet<&String> = wanted.difference(&known).copied().collect();
    if !wanted.is_empty() {
        say(format!("undecided: {}; {seeds} seeds next", names.join(", ")));
    }
    Ok(chosen(experiment, &wanted))
}

/// A claim's runs of so many seeds, and of those that it is tuned by.
fn of_first_seeds<'a>(claim: &Claim, contrast: &'a Contrast, look: usize) -> Vec<&'a String> {
    let is_tuning = |seed: &u64| claim.tune.as_ref().is_some_and(|tune| tune.seeds.contains(seed));
    let seeds: BTreeSet<u64> =
        contrast.runs().map(|(seed, _)| seed).filter(|seed| !is_tuning(seed)).collect();
    let first: BTreeSet<u64> = seeds.into_iter().take(look).collect();
    let wanted = contrast.runs().filter(|(seed, _)| first.contains(seed) || is_tuning(seed));
    wanted.map(|(_, id)| id).collect()
}

fn chosen(experiment: &Experiment, ids: &BTreeSet<&String>) -> Vec<Run> {
    let all = experiment.runs.iter().chain(&experiment.later);
    all.filter(|run| ids.contains(&run.id)).cloned().collect()
}

/// Stops a sweep after so many hours, as a signal would.
pub fn stop_after(hours: f64, control: &Arc<Shutdown>) -> Result<()> {
    let control = Arc::clone(control);
    let wait = Duration::try_from_secs_f64(3600.0 * hours).unwrap_or(Duration::MAX);
    std::thread::Builder::new().name("max-hours".into()).spawn(move || {
        std::thread::sleep(wait);
        say(format!("--max-hours {hours}: stopping at a checkpoint"));
        control.stop();
    })?;
    Ok(())
}
