//! Verdicts: the interval of the effect against the effects for which a claim is true.

use super::censored::Censored;
use super::estimate::Estimate;
use super::student::Interval;
use fathom_base::choice;
use serde::{Deserialize, Serialize};

choice! {
    /// Verdict on a claim.
    pub enum Outcome {
        /// The whole interval lies in the region of the claim.
        Supported,
        /// The whole interval lies outside the region of the claim.
        Refuted,
        /// Neither holds, or runs are missing.
        Undecided,
        /// The claim is not a primary one: it gets an interval and no verdict.
        Exploratory,
    }
}

/// The effects for which a claim is true: a closed interval, unbounded where an end is absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Smallest effect.
    pub low: Option<f64>,
    /// Largest effect.
    pub high: Option<f64>,
}

impl Region {
    /// Whether all effects of an interval are claimed.
    fn holds(&self, interval: &Interval) -> bool {
        self.low.is_none_or(|low| interval.low > low)
            && self.high.is_none_or(|high| interval.high < high)
    }

    /// Whether no effect of an interval is claimed.
    fn excludes(&self, interval: &Interval) -> bool {
        self.low.is_some_and(|low| interval.high < low)
            || self.high.is_some_and(|high| interval.low > high)
    }

    /// The part of a level that is left for either end of an interval that refutes: a region with two
    /// ends is left on either side, and one with a single end on one side only.
    fn refuting(&self, level: f64) -> f64 {
        if self.low.is_some() && self.high.is_some() { level / 2.0 } else { level }
    }
}

/// The evidence on a claim after some number of seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Number of seeds.
    pub n: usize,
    /// The estimated effect.
    pub estimate: Estimate,
    /// What is known of the effects of which runs are censored: a value was not reached in time.
    pub censored: Option<Censored>,
}

impl Sample {
    /// The interval with one-sided bounds at `level`; an end that is open is infinite.
    pub fn interval(&self, level: f64) -> Option<Interval> {
        let interval = self.estimate.interval(level)?;
        Some(match &self.censored {
            None => interval,
            Some(censored) => censored.widened(interval, self.n, level),
        })
    }

    fn supports(&self, region: &Region, level: f64) -> bool {
        self.interval(level).is_some_and(|interval| region.holds(&interval))
    }

    fn refutes(&self, region: &Region, level: f64) -> bool {
        self.interval(region.refuting(level)).is_some_and(|interval| region.excludes(&interval))
    }

    /// The verdict at one level for support and for refutation.
    pub fn outcome(&self, region: &Region, level: f64) -> Outcome {
        if self.supports(region, level) {
            Outcome::Supported
        } else if self.refutes(region, level) {
            Outcome::Refuted
        } else {
            Outcome::Undecided
        }
    }
}

/// The test of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Its evidence.
    pub sample: Sample,
    /// The effects that are claimed.
    region: Region,
    /// Verdict.
    pub outcome: Outcome,
    /// Levels of the test.
    pub levels: Levels,
}

/// The levels at which a claim was tested last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// That for support.
    pub support: f64,
    /// That for refutation.
    pub refutation: f64,
}

impl Levels {
    /// One level for both.
    pub fn both(level: f64) -> Self {
        Self { support: level, refutation: level }
    }
}

impl Look {
    /// The test at a level by itself.
    pub fn at(sample: Sample, region: &Region, level: f64) -> Self {
        let outcome = sample.outcome(region, level);
        Self { sample, region: *region, outcome, levels: Levels::both(level) }
    }

    /// Level of either end of the interval that is shown: the one that decided, or the wider of the two that failed to.
    pub fn level_of_end(&self) -> f64 {
        let Levels { support, refutation } = self.levels;
        let refutation = self.region.refuting(refutation);
        match self.outcome {
            Outcome::Supported => support,
            Outcome::Refuted => refutation,
            Outcome::Undecided | Outcome::Exploratory => support.min(refutation),
        }
    }

    /// The interval that is shown beside the verdict.
    pub fn interval(&self) -> Option<Interval> {
        self.sample.interval(self.level_of_end())
    }
}

/// Decides claims that share `level`, each tested once (Holm's step-down). Support and refutation are
/// stepped down separately, so that the probability that any claim is falsely supported is at most
/// `level`, and so is the probability that any is falsely refuted, for every dependence between claims.
/// Claims without a sample cannot be tested yet and keep their share of the level.
pub fn holm(claims: &[(Option<Sample>, Region)], level: f64) -> Vec<Option<Look>> {
    let [supported, refuted] = [Sample::supports, Sample::refutes].map(|test| {
        step_down(claims.len(), level, |claim, level| {
            let (sample, region) = &claims[claim];
            sample.as_ref().is_some_and(|sample| test(sample, region, level))
        })
    });
    let look = |(claim, (sample, region)): (usize, &(Option<Sample>, Region))| {
        let outcome = match (supported[claim], refuted[claim]) {
            (Step::Rejected(_), _) => Outcome::Supported,
            (_, Step::Rejected(_)) => Outcome::Refuted,
            (Step::Kept(_), Step::Kept(_)) => Outcome::Undecided,
        };
        let [support, refutation] = [supported[claim], refuted[claim]].map(Step::level);
        let levels = Levels { support, refutation };
        sample.clone().map(|sample| Look { sample, region: *region, outcome, levels })
    };
    claims.iter().enumerate().map(look).collect()
}

/// The end of a hypothesis in a step-down, with the level of its test.
#[derive(Clone, Copy, Debug)]
enum Step {
    Rejected(f64),
    Kept(f64),
}

impl Step {
    fn level(self) -> f64 {
        match self {
            Self::Rejected(level) | Self::Kept(level) => level,
        }
    }
}

/// Tests so many hypotheses at `level` divided by the number of those that are not rejected yet, until
/// none is rejected any more.
fn step_down(count: usize, level: f64, rejects: impl Fn(usize, f64) -> bool) -> Vec<Step> {
    let mut steps = vec![Step::Kept(level / count as f64); count];
    loop {
        let left: Vec<usize> =
            (0..count).filter(|place| matches!(steps[*place], Step::Kept(_))).collect();
        let level = level / left.len().max(1) as f64;
        let mut is_changed = false;
        for place in left {
            let is_rejected = rejects(place, level);
            is_changed |= is_rejected;
            steps[place] = if is_rejected { Step::Rejected(level) } else { Step::Kept(level) };
        }
        if !is_changed {
            return steps;
        }
    }
}

/// The first of several looks that decides, else the last one that can be taken. `samples` are those of
/// the looks that can be taken, and `levels` those of all looks.
pub fn sequential(samples: Vec<Sample>, levels: &[f64], region: &Region) -> Option<Look> {
    let mut last = None;
    for (sample, level) in samples.into_iter().zip(levels) {
        let look = Look::at(sample, region, *level);
        let is_decided = look.outcome != Outcome::Undecided;
        last = Some(look);
        if is_decided {
            break;
        }
    }
    last
}

/// Largest number of seeds that [`seeds_needed`] considers.
const MOST_SEEDS: usize = 1000;

/// [`MOST_SEEDS`] for the difference of two shares, whose exact interval takes seconds at a thousand.
const MOST_FOR_SHARES: usize = 100;

/// Total number of seeds that would decide the claim at these levels if the effect and its spread stayed
/// as they are; `None` if a thousand would not suffice, or a hundred for the difference of two shares, and for fewer
/// than two seeds.
pub fn seeds_needed(sample: &Sample, region: &Region, levels: Levels) -> Option<usize> {
    let now = sample.n;
    let decides = |n: usize| {
        let sample = Sample { n, estimate: sample.estimate.with_seeds(now, n), ..sample.clone() };
        sample.supports(region, levels.support) || sample.refutes(region, levels.refutation)
    };
    let most = match sample.estimate {
        Estimate::Difference(..) => MOST_FOR_SHARES,
        Estimate::Mean { .. } | Estimate::Share(_) | Estimate::Ranks(_) => MOST_SEEDS,
    };
    if now < 2 || now > most || !decides(most) {
        return None;
    }
    let (mut low, mut high) = (now, most);
    while low < high {
        let middle = usize::midpoint(low, high);
        if decides(middle) { high = middle } else { low = middle + 1 }
    }
    Some(high)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
