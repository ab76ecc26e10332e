//! Words of figures: metrics by name, trends over depth, numbers of seeds and of lost runs.

use super::axis::Axis;
use super::canvas::{INK, Stroke};
use super::page::{Entry, Sample};
use super::rounding::short_number;
use super::series::Finals;
use anyhow::Result;
use fathom_base::capitalised;
use fathom_record::{self as record, METRICS, MeasuredOn, SweepCurves, Unit, metric_columns};
use std::convert::Infallible;
use std::str::FromStr;

/// What a figure shows: a training metric with its test metric, or one column alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Column of the training curve, or the only column.
    pub train: &'static str,
    /// Column of the test curve; the same as `train` for one column alone.
    pub test: &'static str,
    /// Name of the training metric within a sentence, such as `training error`.
    pub(super) train_words: &'static str,
    /// Name of the test metric within a sentence.
    pub(super) test_words: &'static str,
    /// Title of the y axis.
    pub(super) axis: &'static str,
    unit: Option<Unit>,
    /// Definition of the training metric, in one line.
    pub(super) definition: &'static str,
}

impl Metric {
    /// All training metrics, each with its test metric; the first is the default.
    pub fn all() -> impl Iterator<Item = Metric> {
        let is_training = |metric: &&record::Metric| metric.measured_on == MeasuredOn::Train;
        METRICS.iter().filter(is_training).map(Self::with_test)
    }

    fn with_test(train: &'static record::Metric) -> Self {
        let is_test = |test: &&record::Metric| {
            test.measured_on == MeasuredOn::Test && test.unit == train.unit
        };
        let test = METRICS.iter().find(is_test).expect("each unit has a test metric");
        Self { test: test.column, test_words: test.label, ..Self::alone(train) }
    }

    fn alone(metric: &'static record::Metric) -> Self {
        Self {
            train: metric.column,
            test: metric.column,
            train_words: metric.label,
            test_words: metric.label,
            axis: metric.unit.axis(),
            unit: Some(metric.unit),
            definition: metric.definition,
        }
    }

    /// A column that is not fathom's own.
    fn extra(column: &str) -> Self {
        // A metric is chosen once for the whole program, so its name may live as long.
        let name: &'static str = column.to_owned().leak();
        Self {
            train: name,
            test: name,
            train_words: name,
            test_words: name,
            axis: name,
            unit: Unit::of(name),
            definition: "as the program that trained the nets wrote it",
        }
    }

    /// Whether it is one column alone.
    pub(super) fn is_single(&self) -> bool {
        self.train == self.test
    }

    /// Checks that the column is one of fathom's own metrics or that any run has it.
    ///
    /// # Errors
    /// When it is neither, with the columns there are and the nearest of them.
    pub fn check(&self, curves: &SweepCurves) -> Result<()> {
        curves.check_column(self.train, &metric_columns().collect::<Vec<_>>())
    }

    /// The columns to draw, training first, with the stroke of each.
    pub(super) fn lines(&self) -> Vec<(&'static str, Stroke)> {
        match self.is_single() {
            true => vec![(self.train, Stroke::Bold)],
            false => vec![(self.train, Stroke::Dashed), (self.test, Stroke::Bold)],
        }
    }

    /// Entries of the legend for those of [`Metric::lines`] that are drawn, by their place there.
    pub(super) fn legend(&self, is_drawn: impl Fn(usize) -> bool) -> Vec<Entry> {
        let words = [self.train_words, self.test_words];
        let entry = |((_, stroke), words)| Entry::new(Sample::Line(INK, None, stroke), words);
        let entries = self.lines().into_iter().zip(words).map(entry).enumerate();
        entries.filter(|(place, _)| is_drawn(*place)).map(|(_, entry)| entry).collect()
    }

    /// "training error and test error", or the name of the only column.
    pub(super) fn words(&self) -> String {
        match self.is_single() {
            true => self.train_words.to_owned(),
            false => format!("{} and {}", self.train_words, self.test_words),
        }
    }

    /// The first column with its definition, as a sentence.
    pub(super) fn sentence(&self) -> String {
        let name = match self.train_words == self.train {
            true => self.train.to_owned(),
            false => format!("{}: {}", capitalised(self.train_words), self.train),
        };
        format!("{name}, {}.", self.definition)
    }

    /// The columns with the definition of the first one, as sentences.
    pub(super) fn sentences(&self) -> String {
        let train = self.sentence();
        match self.is_single() {
            true => train,
            false => format!("{train} {}: {}.", capitalised(self.test_words), self.test),
        }
    }

    /// The largest value there can be.
    pub(super) fn most(&self) -> f64 {
        match self.unit {
            Some(Unit::PerCent) => 100.0,
            Some(Unit::Nats) | None => f64::INFINITY,
        }
    }

    /// A value with its unit, as titles show it.
    pub(super) fn show(&self, value: f64) -> String {
        match self.unit {
            Some(Unit::PerCent) => format!("{value:.1}%"),
            Some(Unit::Nats) | None => format!("{value:.3}"),
        }
    }
}

impl Default for Metric {
    fn default() -> Self {
        Self::with_test(&METRICS[0])
    }
}

impl FromStr for Metric {
    type Err = Infallible;

    /// The metric of a column: a training metric comes with its test metric, every other column
    /// alone. Whether any run has the column is found out when a figure is drawn.
    fn from_str(column: &str) -> Result<Self, Self::Err> {
        let training = Self::all().find(|metric| metric.train == column);
        let alone = || record::Metric::named(column).map(Self::alone);
        Ok(training.or_else(alone).unwrap_or_else(|| Self::extra(column)))
    }
}

/// Caption sentence about bars that are cut at the end of the axis.
pub(super) const CUT: &str = "A bar without a foot goes on beyond the axis.";

/// Caption sentence about zeros on a logarithmic axis.
pub(super) fn zeros_at(axis: &Axis) -> String {
    format!("Zeros are drawn at {}.", short_number(axis.low()))
}

/// Largest probability with which seeds may be separated by chance where a title states a trend.
const BY_CHANCE: f64 = 0.05;

/// How a final value changes with depth, where the seeds leave little doubt: those of the shallowest net are all on one
/// side of those of the deepest, and there are so many that equal nets would give this in at most 5% of cases
/// (permutation test of both sides: four against four, three against five, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trend {
    /// The mean never falls from one depth to the next, and every seed of the deepest net is above
    /// every seed of the shallowest.
    Rises,
    /// The opposite of [`Trend::Rises`].
    Falls,
    /// Every seed of the deepest net is above every seed of the shallowest, and the mean falls in
    /// between.
    HigherAtDeepest,
    /// The opposite of [`Trend::HigherAtDeepest`].
    LowerAtDeepest,
    /// Seeds overlap, there are too few, or runs diverged or are missing.
    Unclear,
}

/// The probability that so many seeds are all above, or all below, so many others of an equal net: 2 n! m! / (n + m)!.
fn separated_by_chance(n: usize, m: usize) -> f64 {
    (1..=n).fold(2.0, |probability, place| probability * place as f64 / (m + place) as f64)
}

/// The trend over depths; `finals` are sorted by depth.
pub(super) fn trend(finals: &[&Finals]) -> Trend {
    let sound = |f: &&Finals| f.lost() == 0;
    let (Some(first), Some(last)) = (finals.first(), finals.last()) else { return Trend::Unclear };
    let by_chance = separated_by_chance(first.values.len(), last.values.len());
    if finals.len() < 2 || !sound(first) || !sound(last) || by_chance > BY_CHANCE {
        return Trend::Unclear;
    }
    let means: Option<Vec<f64>> =
        finals.iter().map(|f| f.mean().filter(|_| f.lost() == 0)).collect();
    let steady = |holds: fn(f64, f64) -> bool| {
        means.as_ref().is_some_and(|means| means.windows(2).all(|pair| holds(pair[0], pair[1])))
    };
    let below = |a: &Finals, b: &Finals| a.values.iter().all(|x| b.values.iter().all(|y| x < y));
    match (below(first, last), below(last, first)) {
        (true, _) if steady(|a, b| a <= b) => Trend::Rises,
        (true, _) => Trend::HigherAtDeepest,
        (_, true) if steady(|a, b| a >= b) => Trend::Falls,
        (_, true) => Trend::LowerAtDeepest,
        (false, false) => Trend::Unclear,
    }
}

/// The lost runs of each group, such as "Diverged: plain 44, 1 of 3 (<consequence>). Unfinished: residual
/// 44, 2 of 3. Without <column>: plain 8, 3 of 3.", or nothing.
pub(super) fn losses(
    groups: &[(String, Finals)],
    column: &str,
    consequence: &str,
) -> Option<String> {
    let list = |count: fn(&Finals) -> usize| {
        let some = groups.iter().filter(|(_, finals)| count(finals) > 0);
        let one = |(name, f): &(String, Finals)| {
            let name = if name.is_empty() { String::new() } else { format!("{name}, ") };
            format!("{name}{} of {}", count(f), f.all())
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
    let without = list(|f| f.without);
    if !without.is_empty() {
        parts.push(format!("Without {column}: {without}."));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn finals(values: &[f64]) -> Finals {
        Finals { values: values.to_vec(), ..Finals::default() }
    }

    #[test]
    fn a_trend_is_stated_only_where_the_seeds_leave_little_doubt() {
        let of = |list: &[&[f64]]| {
            // Two seeds close to each of the values, so that there are four.
            let four = |values: &[f64]| finals(&[values, values].concat());
            let finals: Vec<Finals> = list.iter().map(|values| four(values)).collect();
            trend(&finals.iter().collect::<Vec<_>>())
        };
        assert_eq!(of(&[&[10.0, 11.0], &[20.0, 21.0], &[30.0, 31.0]]), Trend::Rises);
        assert_eq!(of(&[&[10.0, 11.0], &[9.0, 9.5], &[30.0, 31.0]]), Trend::HigherAtDeepest);
        assert_eq!(of(&[&[30.0, 31.0], &[10.0, 11.0]]), Trend::Falls);
        assert_eq!(of(&[&[30.0, 31.0], &[9.0, 9.0], &[10.0, 11.0]]), Trend::LowerAtDeepest);
        assert_eq!(of(&[&[10.0, 12.0], &[11.0, 13.0]]), Trend::Unclear, "seeds overlap");
        assert_eq!(of(&[&[10.0], &[30.0]]), Trend::Unclear, "two seeds prove nothing");
        assert_eq!(of(&[&[10.0, 11.0]]), Trend::Unclear);
        assert_eq!(of(&[]), Trend::Unclear);
        let (low, high) = (finals(&[1.0, 2.0, 3.0, 4.0]), [30.0, 31.0, 32.0, 33.0, 34.0]);
        let lost = Finals { diverged: 1, ..finals(&high) };
        assert_eq!(trend(&[&low, &lost]), Trend::Unclear, "one diverged");
        for (shallow, deep, expected) in [
            (4, 4, Trend::Rises),
            (3, 5, Trend::Rises),
            (3, 4, Trend::Unclear),
            (2, 5, Trend::Unclear),
        ] {
            let found = trend(&[&finals(&low.values[..shallow]), &finals(&high[..deep])]);
            assert_eq!(found, expected, "{shallow} against {deep}");
        }
        assert!((separated_by_chance(2, 2) - 1.0 / 3.0).abs() < 1e-12);
        assert!((separated_by_chance(4, 4) - 2.0 / 70.0).abs() < 1e-12);
    }

    #[test]
    fn every_column_is_a_metric_and_training_metrics_have_a_test_metric() {
        let of = |column: &str| column.parse::<Metric>().unwrap();
        let pair = of("train_loss");
        assert_eq!(
            (pair.test, pair.words().as_str()),
            ("test_loss", "training loss and test loss")
        );
        assert_eq!(pair.lines().len(), 2);
        for column in ["validation_err_pct", "test_loss", "top5_pct"] {
            assert!(of(column).is_single(), "{column}");
            assert_eq!(of(column).lines(), [(of(column).train, Stroke::Bold)]);
        }
        assert_eq!(of("top5_pct").sentences().matches("top5_pct").count(), 1);
        let message = of("train_los").check(&SweepCurves::default()).unwrap_err().to_string();
        assert!(message.ends_with("did you mean train_loss?"), "{message}");
        of("test_loss").check(&SweepCurves::default()).unwrap();
    }
}
