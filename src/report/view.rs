//! What the interactive figures distinguish unless the reader chooses otherwise.

use super::Report;
use fathom_record::{RunCurve, natural_order};
use fathom_stats::{ArmSummary, Verdict};
use serde_json::{Value, json};
use std::cmp::Reverse;

/// A key in which runs differ.
pub(super) struct Key {
    pub name: String,
    /// Its values in natural order.
    pub values: Vec<String>,
    /// Whether all of them are numbers.
    pub is_numeric: bool,
}

impl Key {
    /// The keys in which the runs of a report differ, without the seed.
    pub fn all(report: &Report) -> Vec<Self> {
        let curves = &report.results.curves;
        let key = |name: String| {
            let value = |run: &RunCurve| run.axes.get(&name).cloned();
            let mut values: Vec<String> = curves.runs.iter().filter_map(value).collect();
            values.sort_by(|a, b| natural_order(a, b));
            values.dedup();
            let is_everywhere = curves.runs.iter().all(|run| run.axes.contains_key(&name));
            let is_numeric = values.iter().all(|value| value.parse::<f64>().is_ok());
            let differs = values.len() > 1 || !is_everywhere;
            differs.then_some(Self { is_numeric: is_numeric && is_everywhere, name, values })
        };
        curves.axes().into_iter().filter_map(key).collect()
    }

    /// Place of a run's value among the values, or -1 if the run does not have the key.
    pub fn place(&self, run: &RunCurve) -> i64 {
        let own = run.axes.get(&self.name);
        let place = own.and_then(|own| self.values.iter().position(|value| value == own));
        place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
    }
}

/// The metric, the axis of the main figure, its colours and panels, and the two keys of the heat map.
pub(super) fn view(report: &Report, keys: &[Key]) -> Value {
    let named =
        |name: &Option<String>| keys.iter().position(|key| Some(&key.name) == name.as_ref());
    let colour = named(&report.colour);
    let tuned = report.best.as_ref().and_then(|best| named(&Some(best.axis.clone())));
    let x = axis(report, keys, &[tuned, colour, named(&report.facet)]);
    let claimed = || claimed(report, keys, &[tuned, x]);
    json!({
        "metric": report.verdicts.first().map(|verdict| &verdict.metric),
        "x": x,
        "colour": colour.or_else(claimed),
        "asked": colour.is_some(),
        "panels": named(&report.facet),
        "heat": heat(report, keys, tuned, x),
    })
}

/// The key with most values, of numeric ones if there are any, and depth of equal ones. Keys that only arms set are
/// not swept.
fn axis(report: &Report, keys: &[Key], taken: &[Option<usize>]) -> Option<usize> {
    let free = |place: &usize| !taken.contains(&Some(*place));
    let is_swept =
        |place: &usize| keys[*place].name == "depth" || !is_implied(report, &keys[*place]);
    let places: Vec<usize> = (0..keys.len()).filter(free).filter(is_swept).collect();
    let order = |place: &usize| {
        let key = &keys[*place];
        (key.is_numeric, key.values.len(), key.name == "depth", Reverse(*place))
    };
    places.into_iter().max_by_key(order)
}

/// Whether the values of a key follow from the arm.
fn is_implied(report: &Report, key: &Key) -> bool {
    let arms = report.results.curves.groups(&["arm".to_owned()]);
    let has_arms = arms.iter().any(|arm| arm.values.iter().any(|name| !name.is_empty()));
    let is_single =
        |runs: &[&RunCurve]| runs.iter().all(|run| key.place(run) == key.place(runs[0]));
    has_arms && key.name != "arm" && arms.iter().all(|arm| is_single(&arm.runs))
}

/// The key in which most claims compare two values.
fn claimed(report: &Report, keys: &[Key], taken: &[Option<usize>]) -> Option<usize> {
    let runs = &report.results.curves.runs;
    let run = |arm: &ArmSummary| runs.iter().find(|run| arm.runs.contains(&run.id));
    let compares = |verdict: &Verdict, key: &Key| {
        let mut places = verdict.arms.iter().filter_map(run).map(|run| key.place(run));
        places.next().is_some_and(|first| places.any(|place| place != first))
    };
    let count = |place: &usize| {
        report.verdicts.iter().filter(|verdict| compares(verdict, &keys[*place])).count()
    };
    let free = (0..keys.len()).filter(|place| !taken.contains(&Some(*place)));
    let counted = free.map(|place| (count(&place), Reverse(place))).filter(|(count, _)| *count > 0);
    counted.max().map(|(_, Reverse(place))| place)
}

/// Rows and columns of the heat map: the tuned key or the learning rate, and the other numeric key with most values.
fn heat(
    report: &Report,
    keys: &[Key],
    tuned: Option<usize>,
    x: Option<usize>,
) -> Option<[usize; 2]> {
    let is_grid = |place: &usize| keys[*place].is_numeric && !is_implied(report, &keys[*place]);
    let rate = || keys.iter().position(|key| key.name == "lr");
    let row = tuned.or_else(rate).filter(is_grid)?;
    let others = (0..keys.len()).filter(is_grid).filter(|place| *place != row);
    let column = others.max_by_key(|place| {
        (Some(*place) == x, keys[*place].name == "depth", keys[*place].values.len())
    });
    Some([row, column?])
}
