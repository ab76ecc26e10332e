//! Time limits as Slurm writes them.

/// Seconds of a time limit such as `90` (minutes), `1:30`, `12:00:00`, `2-12`, `2-12:30` or
/// `2-12:30:00`; `None` for any other text.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        text.split(':').map(|part| part.parse().ok()).collect()
    };
    Some(match text.split_once('-') {
        Some((days, rest)) => {
            let days: u64 = days.parse().ok()?;
            let [hours, minutes, seconds] = match numbers(rest)?[..] {
                [hours] => [hours, 0, 0],
                [hours, minutes] => [hours, minutes, 0],
                [hours, minutes, seconds] => [hours, minutes, seconds],
                _ => return None,
            };
            86_400 * days + 3600 * hours + 60 * minutes + seconds
        }
        None => match numbers(text)?[..] {
            [minutes] => 60 * minutes,
            [minutes, seconds] => 60 * minutes + seconds,
            [hours, minutes, seconds] => 3600 * hours + 60 * minutes + seconds,
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_sbatch_takes_them() {
        let cases = [
            ("90", 5400),
            ("1:30", 90),
            ("12:00:00", 43_200),
            ("2-12", 216_000),
            ("2-12:30", 217_800),
            ("2-12:30:05", 217_805),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "soon", "1:2:3:4", "1-", "-1"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
