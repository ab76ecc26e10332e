//! Exact intervals of shares of seeds, and of the difference of two shares.

use super::student::Interval;
use statrs::distribution::{Beta, Binomial, ContinuousCDF, Discrete};

/// A number of seeds out of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Seeds that have the property.
    pub count: usize,
    /// All seeds.
    pub of: usize,
}

impl Share {
    /// The share, from 0 to 1.
    ///
    /// # Panics
    /// When there are no seeds.
    pub fn value(self) -> f64 {
        assert!(self.of > 0, "a share of no seeds");
        self.count as f64 / self.of as f64
    }

    /// The interval of Clopper and Pearson, each of whose ends is wrong with a probability of at most
    /// `level`, whatever the true share is.
    pub fn interval(self, level: f64) -> Interval {
        let (count, rest) = (self.count as f64, (self.of - self.count) as f64);
        let quantile =
            |a: f64, b: f64, p: f64| Beta::new(a, b).expect("positive parameters").inverse_cdf(p);
        Interval {
            low: if self.count == 0 { 0.0 } else { quantile(count, rest + 1.0, level) },
            high: if self.count == self.of {
                1.0
            } else {
                quantile(count + 1.0, rest, 1.0 - level)
            },
        }
    }
}

/// Number of values of the unknown share at which a tail is computed. Between two of them the tail
/// changes by less than the slack of a discrete test.
const GRID: usize = 200;

/// Halvings of the range of differences, which leave an error of 2⁻²⁰.
const HALVINGS: usize = 21;

/// The exact interval of the difference of two independent shares: the differences that a test of the
/// observed difference does not reject at `level` on either side, at any value of the second share.
pub fn difference(first: Share, second: Share, level: f64) -> Interval {
    let low = lower_end(first, second, level);
    let high = -lower_end(second, first, level);
    Interval { low, high }
}

/// The largest difference that is too small for what was observed. The tail rises with the difference,
/// as a larger first share makes large differences more probable at every second share.
fn lower_end(first: Share, second: Share, level: f64) -> f64 {
    let observed = first.value() - second.value();
    let (mut low, mut high) = (-1.0, observed);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if largest_tail(first.of, second.of, observed, middle) <= level {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The largest probability, over all second shares, of a difference of at least `observed` where the
/// shares differ by `difference`.
fn largest_tail(n: usize, m: usize, observed: f64, difference: f64) -> f64 {
    let (from, to) = ((-difference).max(0.0), (1.0 - difference).min(1.0));
    let share = |step: usize| from + (to - from) * step as f64 / GRID as f64;
    (0..=GRID)
        .map(|step| tail(n, m, observed, share(step) + difference, share(step)))
        .fold(0.0, f64::max)
}

/// The probability that the observed shares differ by at least `observed`.
fn tail(n: usize, m: usize, observed: f64, first: f64, second: f64) -> f64 {
    let mass = |share: f64, of: usize| -> Vec<f64> {
        let binomial = Binomial::new(share.clamp(0.0, 1.0), of as u64).expect("a share");
        (0..=of as u64).map(|count| binomial.pmf(count)).collect()
    };
    let (first, second) = (mass(first, n), mass(second, m));
    // Probability that the second count is at most so many.
    let mut below = 0.0;
    let up_to: Vec<f64> = second
        .iter()
        .map(|mass| {
            below += mass;
            below
        })
        .collect();
    let term = |(count, mass): (usize, &f64)| {
        let most = (m as f64 * (count as f64 / n as f64 - observed) + 1e-9).floor();
        if most < 0.0 { 0.0 } else { mass * up_to[(most as usize).min(m)] }
    };
    first.iter().enumerate().map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_the_interval_of_clopper_and_pearson() {
        // scipy.stats.binomtest(k, n).proportion_ci(0.95): each end at 2.5%.
        for (count, of, low, high) in
            [(0, 5, 0.0, 0.521_824), (3, 5, 0.146_633, 0.947_255), (5, 5, 0.478_176, 1.0)]
        {
            let interval = Share { count, of }.interval(0.025);
            assert!((interval.low - low).abs() < 1e-5, "{interval:?}");
            assert!((interval.high - high).abs() < 1e-5, "{interval:?}");
        }
    }

    #[test]
    fn a_share_is_covered_whatever_it_is() {
        for of in [3usize, 5, 8] {
            for share in (1..20).map(|n| f64::from(n) / 20.0) {
                let mass = Binomial::new(share, of as u64).unwrap();
                let missed = |wrong: fn(&Interval, f64) -> bool| -> f64 {
                    let of_count = |count: usize| {
                        let is_wrong = wrong(&Share { count, of }.interval(0.05), share);
                        if is_wrong { mass.pmf(count as u64) } else { 0.0 }
                    };
                    (0..=of).map(of_count).sum()
                };
                assert!(missed(|interval, share| interval.low > share) <= 0.05 + 1e-9);
                assert!(missed(|interval, share| interval.high < share) <= 0.05 + 1e-9);
            }
        }
    }

    #[test]
    fn differences_of_shares_are_covered_and_their_power_is_that_of_an_exact_test() {
        let n = 5;
        let ends: Vec<Vec<f64>> = (0..=n)
            .map(|a| {
                let end =
                    |b| difference(Share { count: a, of: n }, Share { count: b, of: n }, 0.05).low;
                (0..=n).map(end).collect()
            })
            .collect();
        // Five of five against none of five: (1/2)^10 at the least favourable share of one half.
        assert!(ends[5][0] > 0.3, "{}", ends[5][0]);
        assert!(ends[4][0] > 0.0 && ends[5][2] < 0.0, "{ends:?}");
        for (first, second) in [(0.5, 0.5), (0.3, 0.3), (0.6, 0.4), (0.9, 0.5), (0.95, 0.05)] {
            let (p, q) =
                (Binomial::new(first, n as u64).unwrap(), Binomial::new(second, n as u64).unwrap());
            let mut missed = 0.0;
            for (a, row) in ends.iter().enumerate() {
                for (b, low) in row.iter().enumerate() {
                    if *low > first - second {
                        missed += p.pmf(a as u64) * q.pmf(b as u64);
                    }
                }
            }
            assert!(missed <= 0.05 + 1e-6, "{first} {second}: {missed}");
        }
    }
}
