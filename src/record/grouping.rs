//! Groups of runs with equal values of some axes: the seeds of one configuration, the depths of one
//! family.

use super::{RunCurve, State, SweepCurves};
use fathom_base::plain;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// The runs of one group with the values that they share.
#[derive(Clone, Debug, PartialEq)]
pub struct RunGroup<'a> {
    /// One value for each axis of the grouping; empty where the runs do not have the axis.
    pub values: Vec<String>,
    /// The runs, ordered by seed.
    pub runs: Vec<&'a RunCurve>,
}

impl SweepCurves {
    /// Groups all runs by their values of `axes`, see [`group`].
    pub fn groups(&self, axes: &[String]) -> Vec<RunGroup<'_>> {
        group(&self.runs.iter().collect::<Vec<_>>(), axes)
    }
}

/// Groups runs by their values of `axes`. Groups are in the [`natural_order`] of the values, runs in
/// that of seeds.
pub fn group<'a>(runs: &[&'a RunCurve], axes: &[String]) -> Vec<RunGroup<'a>> {
    let mut groups: Vec<RunGroup> = Vec::new();
    for &run in runs {
        let values: Vec<String> =
            axes.iter().map(|axis| run.axes.get(axis).cloned().unwrap_or_default()).collect();
        match groups.iter_mut().find(|group| group.values == values) {
            Some(group) => group.runs.push(run),
            None => groups.push(RunGroup { values, runs: vec![run] }),
        }
    }
    for group in &mut groups {
        group.runs.sort_by(|a, b| (a.seed, &a.id).cmp(&(b.seed, &b.id)));
    }
    groups.sort_by(|a, b| {
        let pairs = a.values.iter().zip(&b.values);
        pairs.map(|(a, b)| natural_order(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    });
    groups
}

/// Adds the keys to the axes in which runs with equal axes differ nevertheless, as those of two experiments in one
/// directory do: runs of different configurations are then in different groups. A key that one of two configurations
/// lacks does not count, since other versions of a program have other keys.
pub(super) fn distinguish(runs: &mut [RunCurve], configs: &[BTreeMap<String, Value>]) {
    let mut groups: BTreeMap<&BTreeMap<String, String>, BTreeMap<&str, &Value>> = BTreeMap::new();
    let mut differing: BTreeSet<&str> = BTreeSet::new();
    for (run, config) in runs.iter().zip(configs) {
        let first = groups.entry(&run.axes).or_default();
        for (key, value) in config.iter().filter(|(key, _)| *key != "seed") {
            if !is_same_value(&plain(first.entry(key).or_insert(value)), &plain(value)) {
                differing.insert(key);
            }
        }
    }
    for (run, config) in runs.iter_mut().zip(configs) {
        for key in &differing {
            if let Some(value) = config.get(*key) {
                run.add(key, plain(value));
            }
        }
    }
}

/// Whether two texts are one value of an axis: as text, or as numbers, so that `1` is `1.0`.
pub fn is_same_value(a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    a == b || number(a).is_some_and(|value| number(b) == Some(value))
}

/// Order of values of axes: numbers by size and before words, families from plain to dense, and other
/// words alphabetically.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| !value.is_nan());
    match (number(a), number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => (family_rank(a), a).cmp(&(family_rank(b), b)),
    }
}

/// Order of texts part by part, each in [`natural_order`], where `separator` stands between parts: depth 8 comes before
/// depth 20. Texts with equal common parts are in alphabetical order.
pub fn natural_order_of_parts(a: &str, b: &str, separator: char) -> Ordering {
    let mut parts = a.split(separator).zip(b.split(separator)).map(|(a, b)| natural_order(a, b));
    parts.find(|order| order.is_ne()).unwrap_or_else(|| a.cmp(b))
}

fn family_rank(text: &str) -> usize {
    let order = ["plain", "residual", "preact", "dense"];
    order.iter().position(|family| *family == text).unwrap_or(order.len())
}

/// Number of updates until a metric of a run was below a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdatesUntil {
    /// The number; for a run that never was below the bar, that of its last update.
    pub updates: u64,
    /// Whether the run never was below the bar, so that the true number is greater.
    pub is_censored: bool,
}

impl RunCurve {
    /// The number of updates before the first row whose value of `column` is below `bar`; `None` if no row has a
    /// value. A run that diverged learned nothing that lasts, and counts as one that never was below the bar.
    pub fn updates_until(&self, column: &str, bar: f64) -> Option<UpdatesUntil> {
        let values = || self.rows.iter().filter_map(|row| Some((row.step, row.metric(column)?)));
        let last = values().next_back()?;
        let reached = values().find(|(_, value)| *value < bar && self.state == State::Done);
        Some(UpdatesUntil { updates: reached.unwrap_or(last).0, is_censored: reached.is_none() })
    }

    /// The value of a metric in the last row of a run that made all steps; `None` for every other run,
    /// and where the value is absent or not finite.
    pub fn final_metric(&self, column: &str) -> Option<f64> {
        let last = self.rows.last().filter(|_| self.state == State::Done)?;
        last.metric(column).filter(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::super::CurveRow;
    use super::*;

    #[test]
    fn numbers_are_sorted_by_size_and_families_from_plain_to_dense() {
        let mut values = ["residual", "44", "group", "plain", "8", "0.1", "arm"];
        values.sort_by(|a, b| natural_order(a, b));
        assert_eq!(values, ["0.1", "8", "44", "plain", "residual", "arm", "group"]);
        let mut ids = ["plain-20-s0", "residual-8", "plain-8-s10", "plain-8-s2", "plain-8"];
        ids.sort_by(|a, b| natural_order_of_parts(a, b, '-'));
        assert_eq!(ids, ["plain-8", "plain-8-s10", "plain-8-s2", "plain-20-s0", "residual-8"]);
    }

    #[test]
    fn updates_are_counted_until_the_first_value_below_the_bar() {
        let row = |step, error| CurveRow { step, train_err_pct: error, ..CurveRow::default() };
        let mut run = RunCurve {
            id: "a".to_owned(),
            axes: Default::default(),
            keys: Default::default(),
            seed: 0,
            state: State::Done,
            rows: vec![row(0, Some(90.0)), row(10, Some(39.0)), row(20, Some(41.0)), row(30, None)],
        };
        let until = |run: &RunCurve, bar| {
            let found = run.updates_until("train_err_pct", bar)?;
            Some((found.updates, found.is_censored))
        };
        assert_eq!(until(&run, 40.0), Some((10, false)));
        assert_eq!(until(&run, 39.0), Some((20, true)));
        assert_eq!(run.updates_until("validation_err_pct", 40.0), None);
        run.state = State::Diverged;
        assert_eq!(until(&run, 40.0), Some((20, true)));
    }

    #[test]
    fn runs_with_equal_axes_and_other_configurations_share_no_group() {
        let run = |seed| RunCurve {
            id: format!("8-{seed}"),
            axes: [("depth".to_owned(), "8".to_owned())].into(),
            keys: Default::default(),
            seed,
            state: State::Done,
            rows: Vec::new(),
        };
        let config = |seed: u64, keys: &[(&str, Value)]| {
            let seed = [("seed".to_owned(), seed.into())].into_iter();
            seed.chain(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone()))).collect()
        };
        let lr = |rate: f64| ("training.lr", Value::from(rate));
        let mut runs = [run(0), run(1), run(2), run(3)];
        let same = [
            config(0, &[lr(0.1), ("network.width", 1.into())]),
            config(1, &[lr(0.1), ("network.width", 1.0.into())]),
            config(2, &[lr(0.1), ("evaluate.later", true.into())]),
            config(3, &[lr(0.1)]),
        ];
        let before = runs.clone();
        distinguish(&mut runs, &same);
        assert_eq!(runs, before, "equal, but for keys that some do not have");
        let mut configs = same;
        configs[3] = config(3, &[lr(0.5)]);
        distinguish(&mut runs, &configs);
        let rates: Vec<&str> = runs.iter().map(|run| run.axes["lr"].as_str()).collect();
        assert_eq!(rates, ["0.1", "0.1", "0.1", "0.5"]);
        assert_eq!(runs[0].keys["lr"], "training.lr");
        let curves = SweepCurves { runs: runs.into() };
        let groups = curves.groups(&curves.axes());
        assert_eq!(groups.iter().map(|group| group.runs.len()).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn groups_hold_the_seeds_of_one_configuration_in_order() {
        let run = |depth: &str, seed| RunCurve {
            id: format!("{depth}-{seed}"),
            axes: [("depth".to_owned(), depth.to_owned())].into(),
            keys: Default::default(),
            seed,
            state: State::Done,
            rows: Vec::new(),
        };
        let curves = SweepCurves { runs: vec![run("44", 1), run("8", 0), run("44", 0)] };
        let groups = curves.groups(&["depth".to_owned()]);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].values, ["8"]);
        assert_eq!(groups[1].runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(curves.groups(&[]).len(), 1);
    }
}
