//! Rounding: numbers to pixels, and numbers to the digits that texts show.

/// The nearest whole pixel.
pub(super) fn pixel(value: f64) -> i32 {
    value.round() as i32
}

/// `value` with this many decimal places.
pub(super) fn decimals(value: f64, places: i32) -> f64 {
    let unit = 10f64.powi(places);
    (value * unit).round() / unit
}

/// Text of a number with at most six decimal places, in thousands (`32k`) or millions (`2.5M`) where
/// it is so large, or with a power of ten (`8e-6`) where that needs too many digits.
pub(super) fn short_number(value: f64) -> String {
    let trimmed = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if value != 0.0 && value.is_finite() && !(1e-4..1e10).contains(&value.abs()) {
        let text = format!("{value:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", trimmed(digits));
    }
    let (scaled, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    format!("{}{unit}", trimmed(&format!("{scaled:.6}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0"), (500.0, "500"), (32e3, "32k"), (2500.0, "2.5k"), (0.05, "0.05")];
        let powers = [(8e-6, "8e-6"), (-1.25e-9, "-1.25e-9"), (1e-4, "0.0001"), (2e12, "2e12")];
        for (value, text) in cases.into_iter().chain(powers) {
            assert_eq!(short_number(value), text);
        }
        assert_eq!(short_number(decimals(12.345, 1)), "12.3");
        assert_eq!(short_number(decimals(-0.25, 1)), "-0.3", "halves are rounded away from zero");
        assert_eq!(pixel(-1.5), -2);
    }
}
