//! The probability that a run of one arm has a higher value than a run of another (Mann and Whitney).

use super::student::Interval;
use statrs::distribution::{ContinuousCDF, Normal};

/// Values of two independent arms, as far as their order matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranks {
    /// Estimated probability that a value of the first arm exceeds one of the second; ties count half.
    pub probability: f64,
    /// Numbers of values of both arms.
    pub n: [usize; 2],
    /// The probabilities, for equal distributions, of an estimate that is at least, and at most, as
    /// large as this one. They are exact, also with ties.
    tails: [f64; 2],
}

impl Ranks {
    /// Compares two arms; infinite values are ordinary ones. `None` for an arm without values.
    pub fn of(first: &[f64], second: &[f64]) -> Option<Self> {
        let n = [first.len(), second.len()];
        if n.contains(&0) {
            return None;
        }
        let doubled = doubled_ranks(first, second);
        let sum: usize = doubled[..n[0]].iter().sum();
        // 2U = 2R − n(n + 1), and the doubled ranks are 2R.
        let twice_u = sum - n[0] * (n[0] + 1);
        let probability = twice_u as f64 / (2 * n[0] * n[1]) as f64;
        Some(Self { probability, n, tails: tails(&doubled, n[0], sum) })
    }

    /// The estimate with so many values in each arm.
    pub fn with_n(&self, n: usize) -> Self {
        // No data would be as extreme as a few are; the exact test is left to those who have them.
        Self { n: [n, n], tails: [0.0, 0.0], ..self.clone() }
    }

    /// The interval each of whose ends is wrong with a probability of about `level`: Newcombe's score
    /// interval (2006, method 5) with a correction for continuity. On which side of one half an end
    /// lies is decided by the exact test.
    pub fn interval(&self, level: f64) -> Interval {
        let [above, below] = self.tails;
        let low = lower_end(self.probability, self.n, level);
        let high = 1.0 - lower_end(1.0 - self.probability, [self.n[1], self.n[0]], level);
        Interval {
            low: if above <= level { low.max(0.5f64.next_up()) } else { low.min(0.5) },
            high: if below <= level { high.min(0.5f64.next_down()) } else { high.max(0.5) },
        }
    }
}

/// Twice the ranks of the values of both arms; ties have their mean rank.
fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let rank = |value: &f64| {
        let lower = all.iter().filter(|other| other.total_cmp(value).is_lt()).count();
        let equal = all.iter().filter(|other| other.total_cmp(value).is_eq()).count();
        2 * lower + equal + 1
    };
    all.iter().map(rank).collect()
}

/// The shares of all ways to choose `n` of these doubled ranks whose sum is at least, and at most,
/// `sum`.
fn tails(doubled: &[usize], n: usize, sum: usize) -> [f64; 2] {
    let most: usize = doubled.iter().sum();
    // Number of ways to choose so many ranks with this sum; exact up to 2⁵³, then to rounding.
    let mut ways = vec![vec![0.0; most + 1]; n + 1];
    ways[0][0] = 1.0;
    for (seen, rank) in doubled.iter().enumerate() {
        for chosen in (1..=n.min(seen + 1)).rev() {
            for total in *rank..=most {
                ways[chosen][total] += ways[chosen - 1][total - rank];
            }
        }
    }
    let all: f64 = ways[n].iter().sum();
    let share = |ways: &[f64]| ways.iter().sum::<f64>() / all;
    [share(&ways[n][sum..]), share(&ways[n][..=sum])]
}

/// The smallest probability that is compatible with the estimate.
fn lower_end(estimate: f64, n: [usize; 2], level: f64) -> f64 {
    let [first, second] = n.map(|n| n as f64);
    let z = Normal::standard().inverse_cdf(1.0 - level);
    let (pairs, more) = (first * second, f64::midpoint(first, second) - 1.0);
    let error = |p: f64| {
        let spread = 1.0 + more * ((1.0 - p) / (2.0 - p) + p / (1.0 + p));
        (p * (1.0 - p) * spread / pairs).sqrt()
    };
    let observed = estimate - 0.5 / pairs;
    let (mut low, mut high) = (0.0, observed.max(0.0));
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if observed - middle >= z * error(middle) { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_is_mann_and_whitneys() {
        // scipy.stats.mannwhitneyu(..., method="exact"): 1/252 for five above five.
        let five = Ranks::of(&[6.0, 7.0, 8.0, 9.0, 10.0], &[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(five.probability, 1.0);
        assert!((five.tails[0] - 1.0 / 252.0).abs() < 1e-12, "{:?}", five.tails);
        assert_eq!(five.tails[1], 1.0);
        let mixed = Ranks::of(&[1.0, 3.0, 5.0], &[2.0, 4.0]).unwrap();
        assert_eq!(mixed.probability, 0.5);
        // Diverged runs of both arms are equally bad.
        let worst = f64::INFINITY;
        let ties = Ranks::of(&[worst, worst, 1.0], &[worst, 0.0, 0.0]).unwrap();
        assert!((ties.probability - 7.0 / 9.0).abs() < 1e-12, "{}", ties.probability);
        assert_eq!(Ranks::of(&[], &[1.0]), None);
    }

    #[test]
    fn an_end_beyond_one_half_is_an_exact_test() {
        let three = Ranks::of(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]).unwrap();
        // 1/20.
        assert!(three.interval(0.051).low > 0.5);
        assert!(three.interval(0.049).low <= 0.5);
        let interval = three.interval(0.05);
        assert!(interval.high == 1.0 && interval.low < 1.0, "{interval:?}");
        // The score interval alone would not exclude one half here: 1/252 against a level of 1/200.
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        let apart = Ranks::of(&five.map(|value| value + 5.0), &five).unwrap();
        assert!(apart.interval(0.005).low > 0.5);
        assert!(
            Ranks::of(&five, &five.map(|value| value + 5.0)).unwrap().interval(0.005).high < 0.5
        );
    }

    #[test]
    fn exchanging_the_arms_mirrors_the_interval() {
        let (a, b) = ([3.0, 1.0, 4.0, 1.5, 9.0], [2.0, 6.0, 5.0, 3.5]);
        let one = Ranks::of(&a, &b).unwrap().interval(0.05);
        let other = Ranks::of(&b, &a).unwrap().interval(0.05);
        assert!((one.low - (1.0 - other.high)).abs() < 1e-9, "{one:?} {other:?}");
    }
}
