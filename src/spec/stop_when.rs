//! Conditions under which a run ends before its last update.

use super::settings::Settings;
use fathom_arch::InvalidKey;

/// When a run ends before its last update: at the first evaluation at which one of these holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StopWhen {
    /// A metric of the curve falls below a value.
    pub below: Option<Threshold>,
    /// The training error has stayed at chance level for this number of updates.
    pub at_chance_for: Option<u64>,
}

/// A value of a metric of the curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Column of the metric.
    pub metric: String,
    /// The value below which the metric must fall.
    pub below: f64,
}

/// Key of the metric of a threshold.
const METRIC: &str = "training.stop_when.metric";
/// Key of the number of updates at chance level.
const AT_CHANCE_FOR: &str = "training.stop_when.at_chance_for";

impl StopWhen {
    /// Whether a run may end before its last update.
    pub fn is_set(&self) -> bool {
        self.below.is_some() || self.at_chance_for.is_some()
    }

    /// Refuses conditions that a run with these settings cannot measure.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), InvalidKey> {
        if let Some(Threshold { metric, .. }) = &self.below
            && let Some(why) = settings.unmeasured(metric)
        {
            return Err(InvalidKey::new(METRIC, format!("{metric} {why}")));
        }
        if let Some(updates) = self.at_chance_for
            && updates > settings.training.iterations
        {
            let iterations = settings.training.iterations;
            let message =
                format!("{updates} updates are more than training.iterations = {iterations}");
            return Err(InvalidKey::new(AT_CHANCE_FOR, message));
        }
        if self.at_chance_for.is_some() && settings.training.delta.is_some() {
            let message = "regression, which training.delta asks for, has no chance level";
            return Err(InvalidKey::new(AT_CHANCE_FOR, message));
        }
        if self.is_set() && settings.training.grow.is_some() {
            let key = if self.below.is_some() { METRIC } else { AT_CHANCE_FOR };
            let message = "a run that ends early might not reach training.grow.at; use one of both";
            return Err(InvalidKey::new(key, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Experiment;
    use std::path::Path;

    const TINY: &str = "name = \"tiny\"\n[data]\nsource = \"shapes\"\n[network]\n\
                        family = \"plain\"\ndepth = 8\n[training]\niterations = 10\nbatch = 10\n";

    /// The experiment with these lines in `[training]` and these keys.
    fn parse(training: &str, keys: &[&str]) -> Result<Experiment, String> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let text = format!("{TINY}{training}\n");
        Experiment::parse(Path::new("tiny.toml"), &text, &keys).map_err(|error| error.to_string())
    }

    #[test]
    fn conditions_are_read_from_an_inline_table_and_are_none_by_default() {
        let stop = |training: &str| {
            parse(training, &[]).unwrap().runs.remove(0).settings.training.stop_when
        };
        assert_eq!(stop(""), StopWhen::default());
        assert!(!stop("").is_set());
        let both = "stop_when = { metric = \"test_loss\", below = 2, at_chance_for = 7 }";
        let below = Some(Threshold { metric: "test_loss".into(), below: 2.0 });
        assert_eq!(stop(both), StopWhen { below, at_chance_for: Some(7) });
        assert!(stop("stop_when = { at_chance_for = 7 }").is_set());
    }

    #[test]
    fn what_a_run_cannot_measure_is_refused_with_the_key() {
        let refused = |training: &str, keys: &[&str], expected: &str| {
            let error = parse(training, keys).expect_err("an error");
            assert!(error.contains(expected), "{error}");
        };
        let below = |metric: &str| format!("stop_when = {{ metric = \"{metric}\", below = 20 }}");
        let error = "training.stop_when.below is required";
        refused("stop_when = { metric = \"test_loss\" }", &[], error);
        refused("stop_when = { below = 20 }", &[], "below has no effect in any run");
        refused(&below("accuracy"), &[], "expected one of \"train_loss\", \"train_err_pct\"");
        let error = "train_err_fresh_pct is measured at the first and the last step only";
        refused(&below("train_err_fresh_pct"), &[], error);
        refused(&below("validation_loss"), &[], "validation_loss needs data.validation");
        assert!(parse(&below("validation_loss"), &["data.validation=20"]).is_ok());
        let error = "stop_when.at_chance_for: 11 updates are more than training.iterations = 10";
        refused("stop_when = { at_chance_for = 11 }", &[], error);
        let grow = "\ngrow = { kind = \"identity\", from = 2, at = 3 }";
        let error = "a run that ends early might not reach training.grow.at";
        refused(&(below("test_loss") + grow), &[], error);
        let block = TINY.replace("\"plain\"\ndepth = 8", "\"residual-block\"\nwidth = 4");
        let text = block + "delta = 0.1\nstop_when = { at_chance_for = 3 }\n";
        let error = Experiment::parse(Path::new("tiny.toml"), &text, &[]).expect_err("an error");
        assert!(error.to_string().contains("has no chance level"), "{error}");
    }
}
