//! Which evaluation has the lowest validation error so far.

use fathom_record::CurveRow;
use fathom_spec::Keep;

/// The lowest validation error so far, if the weights there are kept. It follows from the rows of the curve alone,
/// so that a resumed run keeps the weights that an undisturbed one keeps.
pub struct LowestValidation {
    keep: Keep,
    lowest: Option<f64>,
}

impl LowestValidation {
    /// Before the first row.
    pub fn new(keep: Keep) -> Self {
        Self { keep, lowest: None }
    }

    /// Takes a row of the curve into account, and returns whether the weights there are to be kept: if its validation
    /// error is below those of all rows before it.
    pub fn observe(&mut self, row: &CurveRow) -> bool {
        let error = match self.keep {
            Keep::Last => None,
            Keep::BestValidation => row.validation_err_pct,
        };
        let Some(error) = error.filter(|error| self.lowest.is_none_or(|lowest| *error < lowest))
        else {
            return false;
        };
        self.lowest = Some(error);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_errors_is_kept_and_none_without_validation_images() {
        let keep = |keep: Keep, errors: &[Option<f64>]| -> Vec<bool> {
            let mut lowest = LowestValidation::new(keep);
            let row = |error: &Option<f64>| CurveRow {
                validation_err_pct: *error,
                ..CurveRow::default()
            };
            errors.iter().map(|error| lowest.observe(&row(error))).collect()
        };
        let errors = [Some(90.0), Some(40.0), Some(40.0), Some(f64::NAN), Some(50.0), Some(39.0)];
        let expected = [true, true, false, false, false, true];
        assert_eq!(keep(Keep::BestValidation, &errors), expected);
        assert_eq!(keep(Keep::Last, &errors), [false; 6]);
        assert_eq!(keep(Keep::BestValidation, &[None, None]), [false; 2]);
    }
}
