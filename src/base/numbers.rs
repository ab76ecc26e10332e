//! Rounding of measured numbers.

/// Rounds to six decimals, which is more than any loss, error, time or norm in a results file means.
/// Values of at least 10⁹, infinities and NaN are returned unchanged.
pub fn rounded(value: f64) -> f64 {
    if value.abs() < 1e9 { (value * 1e6).round() / 1e6 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_decimals_are_kept_and_large_values_are_unchanged() {
        assert_eq!(rounded(2.000_000_4), 2.0);
        assert_eq!(rounded(-0.123_456_78), -0.123_457);
        assert_eq!(rounded(1_234_567_890.123_456_7), 1_234_567_890.123_456_7);
        assert_eq!(rounded(f64::INFINITY), f64::INFINITY);
        assert!(rounded(f64::NAN).is_nan());
    }
}
