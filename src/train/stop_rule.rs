//! Whether a run ends before its last update, decided at each evaluation.

use fathom_record::CurveRow;
use fathom_spec::{StopWhen, Threshold};

/// Standard deviations of guessing by which a training error at chance level may lie below chance.
const DEVIATIONS: f64 = 3.0;

/// The conditions of `training.stop_when` and what the rows so far say about them. All of it follows
/// from the rows of the curve, so that a resumed run decides as an undisturbed one.
pub struct StopRule {
    stop_when: StopWhen,
    /// Probability of a wrong answer by guessing.
    chance: f64,
    /// Step of the first of the last rows without a break that are at chance level.
    at_chance_since: Option<u64>,
    /// Why the run ends, once it does.
    reason: Option<String>,
}

impl StopRule {
    /// The rule before the first row, for a data set of this number of classes.
    pub fn new(stop_when: &StopWhen, classes: usize) -> Self {
        let chance = 1.0 - 1.0 / classes as f64;
        Self { stop_when: stop_when.clone(), chance, at_chance_since: None, reason: None }
    }

    /// Takes a row of the curve into account.
    pub fn observe(&mut self, row: &CurveRow) {
        let is_at_chance = self.is_at_chance(row);
        self.at_chance_since = self.at_chance_since.or(Some(row.step)).filter(|_| is_at_chance);
        self.reason = self.fell_below(row).or_else(|| self.stayed_at_chance(row));
    }

    /// Why the run ends at the last row; `None` if it goes on.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn fell_below(&self, row: &CurveRow) -> Option<String> {
        let Threshold { metric, below } = self.stop_when.below.as_ref()?;
        let value = row.metric(metric).filter(|value| value < below)?;
        Some(format!("{metric} is {value}, below {below}"))
    }

    fn stayed_at_chance(&self, row: &CurveRow) -> Option<String> {
        let (limit, since) = (self.stop_when.at_chance_for?, self.at_chance_since?);
        let updates = row.step - since;
        let chance = 100.0 * self.chance;
        (updates >= limit)
            .then(|| format!("train_err_pct was at chance ({chance:.1}) for {updates} updates"))
    }

    fn is_at_chance(&self, row: &CurveRow) -> bool {
        let deviation = (self.chance * (1.0 - self.chance) / row.train_images as f64).sqrt();
        let lowest = 100.0 * (self.chance - DEVIATIONS * deviation);
        row.train_err_pct.is_some_and(|error| error >= lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, error: f64) -> CurveRow {
        let test_loss = Some(error / 100.0);
        CurveRow {
            step,
            train_err_pct: Some(error),
            train_images: 900,
            test_loss,
            ..CurveRow::default()
        }
    }

    /// The step and the reason of the end of a run with these training errors at every 10 updates.
    fn end(stop_when: &StopWhen, errors: &[f64]) -> Option<(u64, String)> {
        let mut rule = StopRule::new(stop_when, 10);
        for (step, error) in (0..).step_by(10).zip(errors) {
            rule.observe(&row(step, *error));
            if let Some(reason) = rule.reason() {
                return Some((step, reason.to_owned()));
            }
        }
        None
    }

    #[test]
    fn a_run_ends_at_the_first_row_below_the_threshold() {
        let below = Some(Threshold { metric: "test_loss".into(), below: 0.2 });
        let stop_when = StopWhen { below, ..StopWhen::default() };
        let found = end(&stop_when, &[90.0, 20.0, 10.0, 5.0]);
        assert_eq!(found, Some((20, "test_loss is 0.1, below 0.2".into())));
        assert_eq!(end(&stop_when, &[90.0, 20.0, f64::NAN]), None);
        assert_eq!(end(&StopWhen::default(), &[90.0, 1.0, 90.0, 90.0]), None);
    }

    #[test]
    fn a_run_ends_after_enough_updates_at_chance_without_a_break() {
        let stop_when = StopWhen { at_chance_for: Some(25), ..StopWhen::default() };
        let (step, reason) = end(&stop_when, &[90.0, 91.0, 88.0, 89.5, 90.0]).unwrap();
        assert_eq!(step, 30, "the first row at least 25 updates after the first");
        assert_eq!(reason, "train_err_pct was at chance (90.0) for 30 updates");
        // With 900 images the deviation of guessing is one point: 87 is at chance, 86.9 is not.
        assert_eq!(end(&stop_when, &[90.0, 87.0, 87.0, 87.0]).unwrap().0, 30);
        assert_eq!(end(&stop_when, &[90.0, 86.9, 90.0, 90.0, 90.0]), None);
        assert_eq!(end(&stop_when, &[90.0, 86.9, 90.0, 90.0, 90.0, 90.0]).unwrap().0, 50);
    }
}
