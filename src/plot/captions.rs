//! What figures say: metrics by name, what rises and what falls, counts.

use super::series::Finals;
use anyhow::bail;
use fathom_record::{self as record, METRICS, MeasuredOn, Unit};
use std::str::FromStr;

/// A training metric with the test metric that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The column of the training curve.
    pub train: &'static str,
    /// The column of the test curve.
    pub test: &'static str,
    /// "training error", within a sentence.
    pub(super) train_words: &'static str,
    pub(super) test_words: &'static str,
    /// The y axis.
    pub(super) axis: &'static str,
    unit: Unit,
    /// What the training metric is, in one line.
    pub(super) definition: &'static str,
}

impl Metric {
    /// All training metrics that can be drawn; the first is the default.
    pub fn all() -> impl Iterator<Item = Metric> {
        METRICS.iter().filter(|metric| metric.measured_on == MeasuredOn::Train).map(Self::with_test)
    }

    fn with_test(train: &'static record::Metric) -> Self {
        let is_beside = |test: &&record::Metric| {
            test.measured_on == MeasuredOn::Test && test.unit == train.unit
        };
        let test = METRICS.iter().find(is_beside).expect("each unit has a test metric");
        Self {
            train: train.column,
            test: test.column,
            train_words: train.label,
            test_words: test.label,
            axis: train.unit.axis(),
            unit: train.unit,
            definition: train.definition,
        }
    }

    /// The largest value there can be.
    pub(super) fn most(&self) -> f64 {
        match self.unit {
            Unit::PerCent => 100.0,
            Unit::Nats => f64::INFINITY,
        }
    }

    /// A value with its unit, as titles show it.
    pub(super) fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::PerCent => format!("{value:.1}%"),
            Unit::Nats => format!("{value:.3}"),
        }
    }
}

impl Default for Metric {
    fn default() -> Self {
        Self::with_test(&METRICS[0])
    }
}

impl FromStr for Metric {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match Self::all().find(|metric| metric.train == name) {
            Some(metric) => Ok(metric),
            None => {
                let known: Vec<&str> = Self::all().map(|metric| metric.train).collect();
                bail!("use one of {}", known.join(", "))
            }
        }
    }
}

/// How a final value changes with depth, as far as the seeds leave no doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trend {
    /// Never falls from one depth to the next, and the deepest is beyond the shallowest in every
    /// seed.
    Rises,
    Falls,
    /// The same of the two ends only.
    HigherAtDeepest,
    LowerAtDeepest,
    /// Seeds overlap, are single, diverged or are missing.
    Unclear,
}

/// The trend over depths, shallowest first.
pub(super) fn trend(finals: &[&Finals]) -> Trend {
    let sound = |f: &&Finals| f.values.len() >= 2 && f.diverged + f.unfinished == 0;
    let (Some(first), Some(last)) = (finals.first(), finals.last()) else { return Trend::Unclear };
    if finals.len() < 2 || !sound(first) || !sound(last) {
        return Trend::Unclear;
    }
    let means: Option<Vec<f64>> =
        finals.iter().map(|f| f.mean().filter(|_| f.diverged + f.unfinished == 0)).collect();
    let steady = |holds: fn(f64, f64) -> bool| {
        means.as_ref().is_some_and(|means| means.windows(2).all(|pair| holds(pair[0], pair[1])))
    };
    let below = |a: &Finals, b: &Finals| a.values.iter().all(|x| b.values.iter().all(|y| x < y));
    match (below(first, last), below(last, first)) {
        (true, _) if steady(|a, b| a <= b) => Trend::Rises,
        (true, _) => Trend::HigherAtDeepest,
        (_, true) if steady(|a, b| a >= b) => Trend::Falls,
        (_, true) => Trend::LowerAtDeepest,
        _ => Trend::Unclear,
    }
}

/// "Diverged: plain 44, 1 of 3; <what of it>. Unfinished: residual 44, 2 of 3.", or nothing.
pub(super) fn losses(groups: &[(String, Finals)], consequence: &str) -> Option<String> {
    let list = |count: fn(&Finals) -> usize| {
        let some = groups.iter().filter(|(_, finals)| count(finals) > 0);
        let one = |(name, f): &(String, Finals)| {
            let all = f.values.len() + f.diverged + f.unfinished;
            let name = if name.is_empty() { String::new() } else { format!("{name}, ") };
            format!("{name}{} of {all}", count(f))
        };
        some.map(one).collect::<Vec<_>>().join("; ")
    };
    let (diverged, unfinished) = (list(|f| f.diverged), list(|f| f.unfinished));
    let mut parts = Vec::new();
    if !diverged.is_empty() {
        parts.push(format!("Diverged: {diverged} ({consequence})."));
    }
    if !unfinished.is_empty() {
        parts.push(format!("Unfinished: {unfinished}."));
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// "3 seeds", "1 seed", "1 to 3 seeds".
pub(super) fn seeds((fewest, most): (usize, usize)) -> String {
    match (fewest, most) {
        (_, 1) => "1 seed".to_owned(),
        (low, high) if low == high => format!("{high} seeds"),
        (low, high) => format!("{low} to {high} seeds"),
    }
}

/// The first letter as a capital.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finals(values: &[f64]) -> Finals {
        Finals { values: values.to_vec(), ..Finals::default() }
    }

    #[test]
    fn a_trend_is_stated_only_where_the_seeds_leave_no_doubt() {
        let of = |list: &[&[f64]]| {
            let finals: Vec<Finals> = list.iter().map(|values| finals(values)).collect();
            trend(&finals.iter().collect::<Vec<_>>())
        };
        assert_eq!(of(&[&[10.0, 11.0], &[20.0, 21.0], &[30.0, 31.0]]), Trend::Rises);
        assert_eq!(of(&[&[10.0, 11.0], &[9.0, 9.5], &[30.0, 31.0]]), Trend::HigherAtDeepest);
        assert_eq!(of(&[&[30.0, 31.0], &[10.0, 11.0]]), Trend::Falls);
        assert_eq!(of(&[&[30.0, 31.0], &[9.0, 9.0], &[10.0, 11.0]]), Trend::LowerAtDeepest);
        assert_eq!(of(&[&[10.0, 12.0], &[11.0, 13.0]]), Trend::Unclear, "seeds overlap");
        assert_eq!(of(&[&[10.0], &[30.0]]), Trend::Unclear, "one seed proves nothing");
        assert_eq!(of(&[&[10.0, 11.0]]), Trend::Unclear);
        assert_eq!(of(&[]), Trend::Unclear);
        let lost = Finals { values: vec![30.0, 31.0], diverged: 1, unfinished: 0 };
        assert_eq!(trend(&[&finals(&[1.0, 2.0]), &lost]), Trend::Unclear, "one diverged");
    }

    #[test]
    fn metrics_have_names_and_an_unknown_one_lists_them() {
        assert_eq!("train_loss".parse::<Metric>().unwrap().test, "test_loss");
        let message = "loss".parse::<Metric>().unwrap_err().to_string();
        assert!(message.contains("train_err_running_pct"), "{message}");
    }
}
