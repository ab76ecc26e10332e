//! Verdicts: the interval of the mean effect against the effects for which a claim is true.

use super::student::{Interval, quantile};
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
    /// The verdict for an interval of the effect.
    pub fn judge(&self, interval: &Interval) -> Outcome {
        let (low, high) = self.ends();
        if interval.low > low && interval.high < high {
            Outcome::Supported
        } else if interval.high < low || interval.low > high {
            Outcome::Refuted
        } else {
            Outcome::Undecided
        }
    }

    fn ends(&self) -> (f64, f64) {
        (self.low.unwrap_or(f64::NEG_INFINITY), self.high.unwrap_or(f64::INFINITY))
    }

    /// The half width below which an interval around this effect decides the claim.
    fn room(&self, effect: f64) -> f64 {
        let (low, high) = self.ends();
        if effect < low {
            low - effect
        } else if effect > high {
            effect - high
        } else {
            (effect - low).min(high - effect)
        }
    }
}

/// Confidence of each interval when `claims` claims are tested at `looks` looks. The probability of any
/// wrong verdict in one direction is then at most `level` / 2 (Bonferroni, for any dependence between
/// claims and looks).
pub fn confidence(level: f64, claims: usize, looks: usize) -> f64 {
    1.0 - level / (claims.max(1) * looks.max(1)) as f64
}

/// The test of a claim after some number of seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Number of seeds.
    pub n: usize,
    /// Mean effect.
    pub effect: f64,
    /// Interval of the mean effect; absent for fewer than two seeds.
    pub interval: Option<Interval>,
    /// Verdict.
    pub outcome: Outcome,
}

impl Look {
    /// The test with these effects, one for each seed; `None` for no seeds.
    pub fn at(effects: &[f64], region: &Region, confidence: f64) -> Option<Self> {
        let n = effects.len();
        if n == 0 {
            return None;
        }
        let effect = effects.iter().sum::<f64>() / n as f64;
        let interval = Interval::of(effects, confidence);
        let outcome = interval.as_ref().map_or(Outcome::Undecided, |it| region.judge(it));
        Some(Self { n, effect, interval, outcome })
    }
}

/// The first look that decides, else the last one that can be taken. `effects` are in the order of
/// seeds, and `looks` are numbers of seeds in ascending order.
pub fn decide(effects: &[f64], looks: &[usize], region: &Region, confidence: f64) -> Option<Look> {
    let mut last = None;
    for &n in looks.iter().filter(|n| **n <= effects.len()) {
        last = Look::at(&effects[..n], region, confidence);
        if last.as_ref().is_some_and(|look| look.outcome != Outcome::Undecided) {
            break;
        }
    }
    last
}

/// Largest number of seeds that [`seeds_needed`] considers.
const MOST_SEEDS: usize = 1000;

/// Total number of seeds that would decide the claim if effect and deviation stayed as they are; `None`
/// if a thousand would not suffice, or for fewer than two effects.
pub fn seeds_needed(effects: &[f64], region: &Region, confidence: f64) -> Option<usize> {
    let now = effects.len();
    let half = |n: usize| {
        Some(Interval::of(effects, confidence)?.half_width() * shrunk(now, n, confidence))
    };
    let mean = effects.iter().sum::<f64>() / now as f64;
    let room = region.room(mean);
    (now.max(2)..=MOST_SEEDS).find(|n| half(*n).is_some_and(|half| half < room))
}

/// Width of an interval from `n` values divided by that from `now` values, at equal deviation.
fn shrunk(now: usize, n: usize, confidence: f64) -> f64 {
    let width = |n: usize| quantile(n as f64 - 1.0, 0.5 + confidence / 2.0) / (n as f64).sqrt();
    width(n) / width(now)
}

#[cfg(test)]
mod tests;
