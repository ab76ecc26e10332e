//! Effects of which censored runs make some too small or too large.

use super::student::Interval;
use statrs::distribution::{Binomial, DiscreteCDF};

/// The effects of single seeds, where some runs count with the number of their last update, which is too small.
#[derive(Clone, Debug, PartialEq)]
pub struct Censored {
    /// Whether the true effect may be greater, however great.
    above: bool,
    /// Whether the true effect may be less, however small.
    below: bool,
    /// The effects, sorted.
    effects: Vec<f64>,
}

impl Censored {
    /// Effects that are too small (`above`: the true ones may be greater), too large (`below`), or either.
    pub fn of(above: bool, below: bool, mut effects: Vec<f64>) -> Self {
        effects.sort_by(f64::total_cmp);
        Self { above, below, effects }
    }

    /// The interval at one-sided `level` of `n` seeds like these, whose ends were computed as if no run were
    /// censored. The end beyond which the true effect may lie is infinite. The other one is at least as far out as
    /// that of the sign test: shortened times also vary too little, and if all of an arm are shortened, not at all.
    pub fn widened(&self, interval: Interval, n: usize, level: f64) -> Interval {
        let end = self.end(n, level);
        let [low, high] = match end {
            None => [f64::NEG_INFINITY, f64::INFINITY],
            Some(end) => [self.effects[end], self.effects[self.effects.len() - 1 - end]],
        };
        Interval {
            low: if self.below { f64::NEG_INFINITY } else { interval.low.min(low) },
            high: if self.above { f64::INFINITY } else { interval.high.max(high) },
        }
    }

    /// The place, among the sorted effects, of the lower bound of their median (Thompson, 1936): that many of `n` or
    /// fewer lie below the median with a probability of at most `level`. `None` if even none does more often.
    fn end(&self, n: usize, level: f64) -> Option<usize> {
        let signs = Binomial::new(0.5, n as u64).expect("a probability");
        let rank = (0..n).take_while(|below| signs.cdf(*below as u64) <= level).count();
        // Of other numbers of seeds than there are, the same share lies below the bound.
        (rank > 0).then(|| (rank * self.effects.len()).div_ceil(n) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Interval = Interval { low: 4.0, high: 4.0 };

    #[test]
    fn the_end_that_is_not_open_is_no_tighter_than_that_of_the_sign_test() {
        let of = |above, below| Censored::of(above, below, vec![3.0, 5.0, 1.0, 4.0, 2.0]);
        // All five of five have equal signs with a probability of 1/32 for either sign.
        let interval = of(true, false).widened(NARROW, 5, 0.032);
        assert_eq!(interval, Interval { low: 1.0, high: f64::INFINITY });
        let interval = of(false, true).widened(NARROW, 5, 0.032);
        assert_eq!(interval, Interval { low: f64::NEG_INFINITY, high: 5.0 });
        assert_eq!(of(true, false).widened(NARROW, 5, 0.031).low, f64::NEG_INFINITY);
        // Four of five or more: 6/32.
        assert_eq!(of(true, false).widened(NARROW, 5, 0.188).low, 2.0);
        let wide = Interval { low: 0.5, high: 9.0 };
        assert_eq!(of(true, false).widened(wide, 5, 0.032).low, 0.5, "the wider one counts");
    }

    #[test]
    fn more_seeds_bound_the_median_more_closely() {
        let three = Censored::of(true, false, vec![1.0, 2.0, 3.0]);
        let low = |n| three.widened(NARROW, n, 0.05).low;
        assert_eq!([low(3), low(5), low(1000)], [f64::NEG_INFINITY, 1.0, 2.0]);
    }
}
