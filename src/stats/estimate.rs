//! The effect of a claim, estimated from the runs of its seeds, with its interval.

use super::proportion::{Share, difference};
use super::ranks::Ranks;
use super::student::{Interval, quantile};
use fathom_base::variance;
use fathom_spec::{Effect, Pairing};

/// An estimated effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Estimate {
    /// A mean with its standard error, or a factor by its logarithm.
    Mean {
        /// The mean.
        mean: f64,
        /// Its standard error.
        error: f64,
        /// Degrees of freedom of the error; 0 if it cannot be told.
        df: f64,
        /// Whether mean and error are those of the logarithm of a factor.
        is_log: bool,
    },
    /// The share of the seeds of an arm.
    Share(Share),
    /// The difference of the shares of two arms.
    Difference(Share, Share),
    /// The probability of a higher value.
    Ranks(Ranks),
}

impl Estimate {
    /// The estimate from the values of each seed, one for each arm with these weights; logarithms for
    /// [`Effect::Factor`], 1 or 0 for [`Effect::Share`]. `None` without seeds.
    pub fn of(effect: Effect, pairing: Pairing, weights: &[f64], seeds: &[&[f64]]) -> Option<Self> {
        if seeds.is_empty() {
            return None;
        }
        let of_arm = |arm: usize| seeds.iter().map(|values| values[arm]).collect::<Vec<f64>>();
        match effect {
            Effect::Mean => Some(mean(pairing, weights, seeds, false)),
            Effect::Factor => Some(mean(pairing, weights, seeds, true)),
            Effect::Rank => Ranks::of(&of_arm(0), &of_arm(1)).map(Self::Ranks),
            Effect::Share { .. } => {
                let share = |arm| Share {
                    count: of_arm(arm).iter().filter(|value| **value > 0.5).count(),
                    of: seeds.len(),
                };
                // A claim about shares has one arm or two.
                Some(if weights.len() == 1 {
                    Self::Share(share(0))
                } else {
                    Self::Difference(share(0), share(1))
                })
            }
        }
    }

    /// The estimated effect.
    pub fn effect(&self) -> f64 {
        match self {
            Self::Mean { mean, is_log: true, .. } => mean.exp(),
            Self::Mean { mean, .. } => *mean,
            Self::Share(share) => share.value(),
            Self::Difference(first, second) => first.value() - second.value(),
            Self::Ranks(ranks) => ranks.probability,
        }
    }

    /// The interval each of whose ends is a one-sided bound at `level`: it covers the effect with
    /// probability 1 − 2 `level`. `None` for a mean of a single seed.
    pub fn interval(&self, level: f64) -> Option<Interval> {
        match self {
            Self::Mean { mean, error, df, is_log } => {
                // Variances of very large values are infinite, and their freedom is then not a number.
                if !(*df > 0.0 && error.is_finite()) {
                    return None;
                }
                // A quantile at few degrees of freedom may be infinite, and times zero it would be NaN.
                let half = if *error == 0.0 { 0.0 } else { quantile(*df, 1.0 - level) * error };
                let (low, high) = (mean - half, mean + half);
                Some(match is_log {
                    true => Interval { low: low.exp(), high: high.exp() },
                    false => Interval { low, high },
                })
            }
            Self::Share(share) => Some(share.interval(level)),
            Self::Difference(first, second) => Some(difference(*first, *second, level)),
            Self::Ranks(ranks) => Some(ranks.interval(level)),
        }
    }

    /// The estimate that `n` seeds like the present `now` ones would give.
    pub fn with_seeds(&self, now: usize, n: usize) -> Self {
        let share =
            |share: &Share| Share { count: (share.value() * n as f64).round() as usize, of: n };
        let (had, has) = (now as f64, n as f64);
        match self {
            Self::Mean { mean, error, df, is_log } => Self::Mean {
                mean: *mean,
                error: error * (had / has).sqrt(),
                df: df * (has - 1.0) / (had - 1.0),
                is_log: *is_log,
            },
            Self::Share(one) => Self::Share(share(one)),
            Self::Difference(first, second) => Self::Difference(share(first), share(second)),
            Self::Ranks(ranks) => Self::Ranks(ranks.with_n(n)),
        }
    }
}

/// Mean and standard error of the weighted sum of the arms' values.
fn mean(pairing: Pairing, weights: &[f64], seeds: &[&[f64]], is_log: bool) -> Estimate {
    let n = seeds.len() as f64;
    let effect = |values: &&[f64]| weights.iter().zip(*values).map(|(w, x)| w * x).sum::<f64>();
    let sums: Vec<f64> = seeds.iter().map(effect).collect();
    let spread = |values: &[f64]| variance(values).unwrap_or_default();
    let total = sums.iter().sum::<f64>() / n;
    let (error, df) = match pairing {
        Pairing::Seed => ((spread(&sums) / n).sqrt(), n - 1.0),
        Pairing::None => {
            let part = |(arm, weight): (usize, &f64)| {
                let values: Vec<f64> = seeds.iter().map(|values| values[arm]).collect();
                weight * weight * spread(&values) / n
            };
            let parts: Vec<f64> = weights.iter().enumerate().map(part).collect();
            let sum: f64 = parts.iter().sum();
            // Welch and Satterthwaite. An arm that does not vary leaves the freedom of the others.
            let squares: f64 = parts.iter().map(|part| (part / sum).powi(2)).sum();
            (sum.sqrt(), if sum > 0.0 { (n - 1.0) / squares } else { n - 1.0 })
        }
    };
    Estimate::Mean { mean: total, error, df, is_log }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairing: Pairing, effect: Effect, seeds: &[[f64; 2]]) -> Estimate {
        let seeds: Vec<&[f64]> = seeds.iter().map(|pair| &pair[..]).collect();
        Estimate::of(effect, pairing, &[1.0, -1.0], &seeds).unwrap()
    }

    #[test]
    fn welchs_interval_is_as_by_hand_and_paired_ones_use_differences() {
        let seeds = [[10.0, 1.0], [14.0, 2.0], [12.0, 3.0]];
        // s² = 4 and 1; error √(5/3); df = (5/3)² / ((4/3)²/2 + (1/3)²/2) = 50/17.
        let Estimate::Mean { mean, error, df, .. } = of(Pairing::None, Effect::Mean, &seeds) else {
            panic!("a mean")
        };
        assert!((mean - 10.0).abs() < 1e-12 && (error - (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((df - 50.0 / 17.0).abs() < 1e-12, "{df}");
        // Differences 9, 12, 9: s² = 3.
        let paired = of(Pairing::Seed, Effect::Mean, &seeds);
        let interval = paired.interval(0.025).unwrap();
        assert!((interval.half_width() - 4.302_653).abs() < 1e-4, "{interval:?}");
        // An arm that does not vary leaves Student's test of the other.
        let still = of(Pairing::None, Effect::Mean, &[[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]]);
        let alone = of(Pairing::Seed, Effect::Mean, &[[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]]);
        assert_eq!(still, alone);
    }

    #[test]
    fn factors_are_between_geometric_means() {
        let seeds = [[8.0f64, 2.0], [2.0, 2.0], [4.0, 1.0]].map(|pair| pair.map(f64::ln));
        let factor = of(Pairing::Seed, Effect::Factor, &seeds);
        assert!((factor.effect() - 16f64.cbrt()).abs() < 1e-9, "{}", factor.effect());
        let interval = factor.interval(0.05).unwrap();
        assert!((interval.low * interval.high - factor.effect().powi(2)).abs() < 1e-9);
    }

    #[test]
    fn one_seed_has_no_interval_but_a_share_has() {
        let one = of(Pairing::None, Effect::Mean, &[[3.0, 1.0]]);
        assert_eq!((one.effect(), one.interval(0.05)), (2.0, None));
        let share = Estimate::of(Effect::Share { below: 80.0 }, Pairing::Seed, &[1.0], &[&[1.0]]);
        assert!((share.unwrap().interval(0.05).unwrap().low - 0.05).abs() < 1e-9);
    }
}
