//! Counts, durations and sizes as text.

use std::path::Path;

/// A count with its noun: `1 run`, `2 runs`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A duration with a unit that fits: `75 s`, `10.0 min`, `3.0 h`.
pub fn duration(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// A number with a unit prefix: `1234567` as `1.235 M`.
pub fn si(value: u64) -> String {
    let mut scaled = value as f64;
    for prefix in ["", " k", " M", " G", " T", " P"] {
        if scaled < 1000.0 {
            return if prefix.is_empty() {
                value.to_string()
            } else {
                format!("{scaled:.3}{prefix}")
            };
        }
        scaled /= 1000.0;
    }
    format!("{scaled:.3} E")
}

/// A path as a word of a command that can be copied.
pub fn word(path: &Path) -> String {
    fathom_base::quoted(&path.display().to_string())
}

/// A number of a claim, to four decimals.
pub fn bound(value: f64) -> String {
    ((value * 1e4).round() / 1e4).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_have_fitting_units() {
        assert_eq!(
            [duration(75.4), duration(600.0), duration(10_800.0)],
            ["75 s", "10.0 min", "3.0 h"]
        );
        assert_eq!([si(999), si(1_234_567)], ["999", "1.235 M"]);
        assert_eq!([bound(1.0 / 1.5), bound(5.0)], ["0.6667", "5"]);
    }
}
