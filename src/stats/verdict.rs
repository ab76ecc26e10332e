//! Whether numbers bear a claim out: an interval of the mean effect against the effects that the
//! claim allows.

use super::student::{Interval, quantile};
use serde::{Deserialize, Serialize};

/// What the numbers say of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The interval lies wholly within what the claim allows.
    Supported,
    /// Wholly outside.
    Refuted,
    /// Neither, or runs are missing.
    Undecided,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Outcome::Supported => "supported",
            Outcome::Refuted => "refuted",
            Outcome::Undecided => "undecided",
        })
    }
}

/// The effects for which a claim is true, ends included; absent where there is no end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Least effect.
    pub low: Option<f64>,
    /// Greatest effect.
    pub high: Option<f64>,
}

impl Region {
    /// What an interval of the effect says.
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

    /// The largest half width of an interval around this effect that decides.
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

/// Confidence of the intervals by which so many claims are decided at so many looks, for all of them
/// to err in one direction with a chance of at most `level` / 2 (Bonferroni, whatever the
/// dependence between claims and looks).
pub fn confidence(level: f64, claims: usize, looks: usize) -> f64 {
    1.0 - level / (claims.max(1) * looks.max(1)) as f64
}

/// A decision at one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Seeds that were looked at.
    pub n: usize,
    /// The mean effect.
    pub effect: f64,
    /// Its interval; absent for fewer than two seeds.
    pub interval: Option<Interval>,
    /// What it says.
    pub outcome: Outcome,
}

impl Look {
    /// At these effects, one of each seed; none for no seeds.
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

/// The first look that decides, else the last one: of the effects in the order of their seeds, at
/// each number of seeds of which there are as many.
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

/// More seeds than these nobody trains.
const MOST_SEEDS: usize = 1000;

/// How many seeds in all would decide, if effect and deviation were as in these; none where more than
/// a thousand would not, or where fewer than two are known.
pub fn seeds_needed(effects: &[f64], region: &Region, confidence: f64) -> Option<usize> {
    let now = effects.len();
    let half = |n: usize| {
        Some(Interval::of(effects, confidence)?.half_width() * shrunk(now, n, confidence))
    };
    let mean = effects.iter().sum::<f64>() / now as f64;
    let room = region.room(mean);
    (now.max(2)..=MOST_SEEDS).find(|n| half(*n).is_some_and(|half| half < room))
}

/// Width of an interval from `n` values by that from `now`, at equal deviation.
fn shrunk(now: usize, n: usize, confidence: f64) -> f64 {
    let width = |n: usize| quantile(n as f64 - 1.0, 0.5 + confidence / 2.0) / (n as f64).sqrt();
    width(n) / width(now)
}

#[cfg(test)]
mod tests;
