//! Student's t distribution: intervals of a mean from few values.

use fathom_base::{mean, variance};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The quantile of Student's t distribution with `df` degrees of freedom at probability `p`.
///
/// # Panics
/// When `df` is not positive or `p` not in 0 … 1.
pub fn quantile(df: f64, p: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).expect("positive degrees of freedom").inverse_cdf(p)
}

/// A confidence interval of a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// The interval that covers the mean of the values' distribution with probability `confidence`, if
    /// the distribution is normal; `None` for fewer than two values. For equal values its width is 0.
    pub fn of(values: &[f64], confidence: f64) -> Option<Self> {
        let (mean, n) = (mean(values)?, values.len() as f64);
        let error = (variance(values)? / n).sqrt();
        // A quantile at few degrees of freedom may be infinite, and times zero it would be NaN.
        let half =
            if error == 0.0 { 0.0 } else { quantile(n - 1.0, 0.5 + confidence / 2.0) * error };
        Some(Self { low: mean - half, high: mean + half })
    }

    /// Half the width.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Student's t table, to three decimals.
        for (df, p, expected) in [
            (1.0, 0.975, 12.706),
            (2.0, 0.975, 4.303),
            (4.0, 0.975, 2.776),
            (4.0, 0.995, 4.604),
            (9.0, 0.95, 1.833),
            (30.0, 0.9995, 3.646),
        ] {
            assert!((quantile(df, p) - expected).abs() < 6e-4, "{df} {p}: {}", quantile(df, p));
            assert!((quantile(df, 1.0 - p) + expected).abs() < 6e-4);
        }
    }

    #[test]
    fn an_interval_is_as_by_hand() {
        // Mean 5, s² = 13, half width 4.303 · √(13/3).
        let interval = Interval::of(&[2.0, 4.0, 9.0], 0.95).unwrap();
        assert!((interval.half_width() - 4.302_653 * (13.0f64 / 3.0).sqrt()).abs() < 1e-5);
        assert!(((interval.low + interval.high) / 2.0 - 5.0).abs() < 1e-12);
        assert_eq!(Interval::of(&[1.0], 0.95), None);
        assert_eq!(Interval::of(&[3.0, 3.0], 0.95), Some(Interval { low: 3.0, high: 3.0 }));
    }
}
