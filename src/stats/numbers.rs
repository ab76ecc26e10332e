//! Summaries of few values: location, spread, and the interval of their mean.

use super::quantile::{median, quantile};
use super::student::Interval;
use fathom_base::random::{Purpose, Stream};
use fathom_base::{mean, variance};

/// Probability with which the intervals of summaries cover the mean.
pub const CONFIDENCE: f64 = 0.95;

/// Smallest number of values from which the bootstrap draws.
const BOOTSTRAP_FROM: usize = 8;
/// Number of samples that the bootstrap draws.
const RESAMPLES: u64 = 10_000;

/// Summary of a few values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of values.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation with n − 1 in the denominator; absent for one value.
    pub sd: Option<f64>,
    /// Median.
    pub median: f64,
    /// 95% interval of the mean by Student's t; absent for one value.
    pub interval: Option<Interval>,
    /// 95% interval of the mean by the percentile bootstrap; absent for fewer than eight values.
    pub bootstrap: Option<Interval>,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Summary {
    /// Summarises values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let first = *values.first()?;
        Some(Self {
            n: values.len(),
            mean: mean(values)?,
            sd: variance(values).map(f64::sqrt),
            median: median(values)?,
            interval: Interval::of(values, CONFIDENCE),
            bootstrap: bootstrap(values),
            min: values.iter().copied().fold(first, f64::min),
            max: values.iter().copied().fold(first, f64::max),
        })
    }
}

/// Percentile bootstrap of the mean: the central 95% of the means of samples drawn with replacement.
/// The random numbers are fixed, so equal values give equal intervals.
fn bootstrap(values: &[f64]) -> Option<Interval> {
    let n = values.len();
    if n < BOOTSTRAP_FROM {
        return None;
    }
    let drawn = |sample: u64| {
        let mut stream = Stream::new(0, Purpose::Bootstrap, sample, n as u64);
        (0..n).map(|_| values[stream.below(n)]).sum::<f64>() / n as f64
    };
    let means: Vec<f64> = (0..RESAMPLES).map(drawn).collect();
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Some(Interval { low: quantile(&means, tail)?, high: quantile(&means, 1.0 - tail)? })
}

/// Mean and standard deviation, such as `12.30 ± 0.40`; the value alone where there is only one.
impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sd {
            Some(sd) => f.pad(&format!("{:.2} ± {sd:.2}", self.mean)),
            None => f.pad(&format!("{:.2}", self.mean)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_up_as_by_hand() {
        let summary = Summary::of(&[2.0, 4.0, 9.0]).unwrap();
        assert_eq!((summary.n, summary.mean, summary.min, summary.max), (3, 5.0, 2.0, 9.0));
        assert_eq!((summary.median, summary.bootstrap), (4.0, None));
        // ((−3)² + (−1)² + 4²) / 2 = 13
        assert!((summary.sd.unwrap() - 13f64.sqrt()).abs() < 1e-12);
        assert_eq!(summary.to_string(), "5.00 ± 3.61");
        let one = Summary::of(&[7.25]).unwrap();
        assert_eq!((one.sd, one.interval, one.to_string()), (None, None, "7.25".to_owned()));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_bootstrap_is_near_students_interval_and_the_same_every_time() {
        let values: Vec<f64> = (0..20).map(|n| f64::from(n * 7 % 20)).collect();
        let summary = Summary::of(&values).unwrap();
        let (student, bootstrap) = (summary.interval.unwrap(), summary.bootstrap.unwrap());
        // The bootstrap is narrower as it does not correct for few values: by 1.96/2.09 · √(19/20).
        let ratio = bootstrap.half_width() / student.half_width();
        assert!((ratio - 0.913).abs() < 0.03, "{ratio}");
        assert_eq!(Summary::of(&values).unwrap(), summary);
    }
}
