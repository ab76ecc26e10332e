//! Claims against results: the runs of a claim, their effect, and the verdict.

mod arms;
mod case;
mod remarks;
mod statement;

use super::evidence::Evidence;
use super::spending::spent;
use super::verdict::{Levels, Look, Outcome, Region, holm, seeds_needed, sequential};
use case::Case;
use fathom_base::{decimals, fixed};
use fathom_record::Seed;
use fathom_spec::{Claim, Contrast, Deciding};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A claim with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Name of the claim.
    pub name: String,
    /// The claim as a sentence.
    pub statement: String,
    /// The metric that the claim is about: a column of the curves or of the layers, or a metric of the
    /// layers.
    pub metric: String,
    /// Verdict.
    pub outcome: Outcome,
    /// The reason why the claim is undecided, unless it is the width of the interval.
    pub reason: Option<String>,
    /// The estimated effect, in the unit of the claim: a difference, a fitted rise, the metric itself, a
    /// factor, a share, or a probability.
    pub effect: Option<f64>,
    /// Lower end of the effect's interval; absent where it is open.
    pub low: Option<f64>,
    /// Upper end of the effect's interval; absent where it is open.
    pub high: Option<f64>,
    /// Probability with which the interval covers the effect. Either end is a one-sided bound at half
    /// of the rest, the level at which the claim was decided or failed to be.
    pub confidence: f64,
    /// The effects for which the claim is true.
    pub region: Region,
    /// Number of seeds of the interval.
    pub n: usize,
    /// Number of planned seeds, without those that tuned a key.
    pub planned: usize,
    /// Numbers of seeds after which the claim is tested, where the experiment fixes them.
    pub looks: Vec<usize>,
    /// Total number of seeds that would decide the claim at the present effect and spread; the first
    /// sufficient look where looks are fixed. Absent where no number of seeds would.
    pub seeds_needed: Option<usize>,
    /// Effect of each complete seed.
    pub effects: Vec<(Seed, f64)>,
    /// Complete seeds after the look that decided: shown, and not used.
    pub exploratory: Vec<Seed>,
    /// Seeds among those used that were added after results of the others had been seen, where the
    /// experiment declares no looks.
    #[serde(default)]
    pub added_seeds: Vec<Seed>,
    /// The configurations that were compared.
    pub arms: Vec<ArmSummary>,
    /// Remarks for the reader: declared differences, diverged runs, different machines.
    pub remarks: Vec<String>,
}

impl Verdict {
    /// The effect for a reader, such as `24.70`.
    pub fn effect(&self) -> Option<String> {
        self.effect.map(|effect| self.text(effect))
    }

    /// The interval for a reader, such as `3.58 … 45.82`; `above 3.58` where the upper end is open.
    pub fn interval(&self) -> Option<String> {
        match (self.low, self.high) {
            (Some(low), Some(high)) => Some(format!("{} … {}", self.text(low), self.text(high))),
            (Some(low), None) => Some(format!("above {}", self.text(low))),
            (None, Some(high)) => Some(format!("below {}", self.text(high))),
            (None, None) => None,
        }
    }

    /// A number with as many decimals as the effect and its interval need.
    fn text(&self, value: f64) -> String {
        let shown = [self.effect, self.low, self.high];
        fixed(value, decimals(shown.into_iter().flatten()))
    }
}

/// An arm, summarised over the seeds that were used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Name for a reader, such as `plain 44`.
    pub label: String,
    /// Weight of the arm's mean in the effect.
    pub weight: f64,
    /// Mean over seeds of what runs count with; a geometric mean or a share where effects are factors
    /// or shares, and the mean of the runs that did not diverge where they are probabilities.
    pub mean: Option<f64>,
    /// Number of runs that diverged.
    pub diverged: usize,
    /// Number of runs that did not get below the bar of `updates_to`.
    #[serde(default)]
    pub censored: usize,
    /// Chosen value of the tuned key.
    pub chosen: Option<Value>,
    /// Ids of the runs, without those of tuning seeds.
    pub runs: Vec<String>,
}

/// Decides all claims of an experiment. The primary ones share the level; the others get an interval
/// at the whole level each, and no verdict.
pub fn check(
    claims: &[(Claim, Contrast)],
    deciding: &Deciding,
    evidence: &Evidence,
) -> Vec<Verdict> {
    let cases = cases(claims, deciding, evidence);
    let primary: Vec<&Case> = cases.iter().filter(|case| case.claim.is_primary).collect();
    let mut looks = decide(&primary, deciding).into_iter();
    let verdict = |case: &Case| match case.claim.is_primary {
        true => verdict(case, looks.next().flatten(), deciding, primary.len()),
        false => exploratory(case, deciding),
    };
    cases.iter().map(verdict).collect()
}

/// The claims with their evidence.
fn cases<'a>(
    claims: &'a [(Claim, Contrast)],
    deciding: &'a Deciding,
    evidence: &'a Evidence,
) -> Vec<Case<'a>> {
    let case =
        |(claim, contrast): &'a (Claim, Contrast)| Case::new(claim, contrast, deciding, evidence);
    claims.iter().map(case).collect()
}

/// The outcomes of claims that are all primary, without what verdicts say besides.
#[cfg(test)]
pub(crate) fn outcomes(
    claims: &[(Claim, Contrast)],
    deciding: &Deciding,
    evidence: &Evidence,
) -> Vec<Outcome> {
    let cases = cases(claims, deciding, evidence);
    let looks = decide(&cases.iter().collect::<Vec<_>>(), deciding);
    looks.into_iter().map(|look| look.map_or(Outcome::Undecided, |look| look.outcome)).collect()
}

/// The looks at claims that share the level; `None` where no look can be taken yet.
fn decide(cases: &[&Case], deciding: &Deciding) -> Vec<Option<Look>> {
    if deciding.looks.is_empty() {
        let tested = |case: &&Case| {
            let sample = if case.is_complete() { case.sample(case.seeds.len()) } else { None };
            (sample.filter(|_| case.reason.is_none()), case.region)
        };
        return holm(&cases.iter().map(tested).collect::<Vec<_>>(), deciding.level);
    }
    let levels = levels(deciding, cases.len());
    let look = |case: &&Case| {
        let samples = deciding.looks.iter().map_while(|n| case.sample(*n)).collect();
        sequential(samples, &levels, &case.region)
    };
    cases.iter().map(look).collect()
}

/// The level of each look at one of `primary` claims.
fn levels(deciding: &Deciding, primary: usize) -> Vec<f64> {
    spent(deciding.level / primary.max(1) as f64, &deciding.looks)
}

/// The verdict on a primary claim.
fn verdict(case: &Case, look: Option<Look>, deciding: &Deciding, primary: usize) -> Verdict {
    // What cannot be tested is shown at the level of its next test.
    let next = match levels(deciding, primary).first() {
        Some(first) => *first,
        None => deciding.level / primary as f64,
    };
    let shown = look.clone().or_else(|| case.shown(next));
    let reason = case.reason.clone();
    let reason = reason.or_else(|| look.is_none().then(|| case.unfinished(&deciding.looks)));
    let outcome = match (&reason, &look) {
        (None, Some(look)) => look.outcome,
        (Some(_), _) | (None, None) => Outcome::Undecided,
    };
    let mut verdict = case.describe(shown.as_ref(), look.is_some(), outcome, next);
    verdict.looks.clone_from(&deciding.looks);
    if outcome == Outcome::Undecided && case.reason.is_none() {
        verdict.seeds_needed = needed(case, look.as_ref(), deciding, primary);
    }
    verdict.reason = reason;
    verdict
}

/// The interval of a claim that is not primary.
fn exploratory(case: &Case, deciding: &Deciding) -> Verdict {
    let shown = case.shown(deciding.level);
    let mut verdict = case.describe(shown.as_ref(), false, Outcome::Exploratory, deciding.level);
    verdict.remarks.insert(
        0,
        "not a primary claim: its interval is not adjusted for the number of claims".into(),
    );
    verdict
}

/// Total number of seeds, or the look, that would decide a claim.
fn needed(case: &Case, look: Option<&Look>, deciding: &Deciding, primary: usize) -> Option<usize> {
    let sample = case.shown(deciding.level)?.sample;
    let seeds = |levels: Levels| seeds_needed(&sample, &case.region, levels);
    if deciding.looks.is_empty() {
        let share = Levels::both(deciding.level / primary as f64);
        return seeds(look.map_or(share, |look| look.levels));
    }
    let looks = deciding.looks.iter().zip(levels(deciding, primary));
    let mut later = looks.filter(|(look, _)| **look >= sample.n);
    let decides =
        |(look, level): &(&usize, f64)| seeds(Levels::both(*level)).is_some_and(|n| n <= **look);
    later.find(decides).map(|(look, _)| *look)
}

#[cfg(test)]
mod tests;
