//! Mean and variance, and rounding of measured numbers.

/// The mean; `None` without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The variance with n − 1 in the denominator; `None` for fewer than two values.
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    // Two passes, as the difference of two large sums would lose significant digits.
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(squares / (values.len() - 1) as f64)
}

/// Rounds to six decimals, which is more than any loss, error, time or norm in a results file means.
/// Values of at least 10⁹, infinities and NaN are returned unchanged.
pub fn rounded(value: f64) -> f64 {
    if value.abs() < 1e9 { (value * 1e6).round() / 1e6 } else { value }
}

/// Number of decimals for numbers that are shown together: two, or as many as give the largest of them two
/// significant digits.
pub fn decimals(values: impl IntoIterator<Item = f64>) -> usize {
    let largest = values.into_iter().map(f64::abs).filter(|value| value.is_finite());
    let largest = largest.fold(0.0, f64::max);
    if largest == 0.0 { 2 } else { (1.0 - largest.log10().floor()).clamp(2.0, 12.0) as usize }
}

/// A number with so many decimals, and without a sign if it is rounded to zero.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let is_zero = text.chars().all(|digit| matches!(digit, '-' | '0' | '.'));
    if is_zero { text.replace('-', "") } else { text }
}

/// A number with two decimals, or with two significant digits if it is smaller: `12.35`, `0.0089`.
pub fn short(value: f64) -> String {
    fixed(value, decimals([value]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_as_by_hand() {
        // ((−3)² + (−1)² + 4²) / 2 = 13
        assert_eq!([mean(&[2.0, 4.0, 9.0]), variance(&[2.0, 4.0, 9.0])], [Some(5.0), Some(13.0)]);
        assert_eq!([mean(&[7.0]), variance(&[7.0]), mean(&[])], [Some(7.0), None, None]);
        // One pass over squares would give 0 here.
        assert_eq!(variance(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]), Some(1.0));
    }

    #[test]
    fn six_decimals_are_kept_and_large_values_are_unchanged() {
        assert_eq!(rounded(2.000_000_4), 2.0);
        assert_eq!(rounded(-0.123_456_78), -0.123_457);
        assert_eq!(rounded(1_234_567_890.123_456_7), 1_234_567_890.123_456_7);
        assert_eq!(rounded(f64::INFINITY), f64::INFINITY);
        assert!(rounded(f64::NAN).is_nan());
    }

    #[test]
    fn numbers_shown_together_have_two_significant_digits_at_least() {
        assert_eq!([short(12.345), short(0.0), short(-0.5)], ["12.35", "0.00", "-0.50"]);
        assert_eq!([short(0.00891), short(0.0449), short(f64::NAN)], ["0.0089", "0.045", "NaN"]);
        let together = [-0.0203, -0.0014, 0.0108];
        let decimals = decimals(together);
        assert_eq!(together.map(|value| fixed(value, decimals)), ["-0.020", "-0.001", "0.011"]);
        assert_eq!([fixed(-0.001, 2), fixed(-0.006, 2)], ["0.00", "-0.01"]);
    }
}
