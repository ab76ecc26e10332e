//! The data of the report's interactive figures, as JSON.

use super::view::{Key, view};
use super::{Report, label};
use fathom_record::{CurveRow, RunCurve, group, metric_columns};
use fathom_stats::BestRuns;
use serde_json::{Value, json};

/// All curves by configuration, and what figures distinguish. Each list of steps is stored once, and runs refer to it
/// by number.
pub(super) fn data(report: &Report) -> Value {
    let curves = &report.results.curves;
    let mut steps: Vec<Vec<u64>> = Vec::new();
    let groups = curves.groups(&curves.axes());
    let extra = curves.extra_columns();
    let is_used = |column: &&str| {
        curves.runs.iter().flat_map(|run| &run.rows).any(|row| row.metric(column).is_some())
    };
    let mut metrics: Vec<&str> = metric_columns().collect();
    metrics.extend(extra.iter().map(String::as_str));
    metrics.retain(is_used);
    let keys = Key::all(report);
    let is_best = |run: &RunCurve| report.best.as_ref().is_some_and(|it| it.runs.contains(&run.id));
    let arms: Vec<Value> = groups
        .iter()
        .map(|same| {
            let first = same.runs.first();
            let mut runs = Vec::new();
            for run in &same.runs {
                runs.push(columns(run, is_best(run), &metrics, &mut steps));
            }
            json!({
                "name": first.map_or(String::new(), |run| label(&run.axes)),
                "axes": keys.iter().map(|key| first.map_or(-1, |run| key.place(run))).collect::<Vec<_>>(),
                "runs": runs,
            })
        })
        .collect();
    let best = report.best.as_ref().map(|best| {
        let key = keys.iter().position(|key| key.name == best.axis);
        json!({ "key": key, "words": words(best) })
    });
    let chance = |metric| report.results.chance(metric);
    let chance = json!({ "error": chance("test_err_pct"), "loss": chance("test_loss") });
    let view = view(report, &keys);
    let key =
        |key: &Key| json!({ "name": key.name, "values": key.values, "numeric": key.is_numeric });
    let keys: Vec<Value> = keys.iter().map(key).collect();
    json!({
        "metrics": metrics, "steps": steps, "chance": chance, "arms": arms, "keys": keys, "best": best,
        "view": view,
    })
}

/// How best values were chosen, and which configurations have none.
fn words(best: &BestRuns) -> String {
    let seeds: Vec<String> = best.tune.seeds.iter().map(ToString::to_string).collect();
    let (by, axis, list) = (&best.tune.by, &best.axis, seeds.join(", "));
    let seeds = if seeds.len() == 1 {
        format!("seed {list}, which is")
    } else {
        format!("seeds {list}, which are")
    };
    let mut words = format!(
        "Each configuration is at its own best {axis}, chosen by {by} of {seeds} not shown."
    );
    if !best.open.is_empty() {
        words += &format!(" Without a best {axis} yet: {}.", best.open.join("; "));
    }
    words
}

/// One run: its seed and state, whether it is at the best value, the number of its list of steps, and its values by
/// column.
fn columns(run: &RunCurve, is_best: bool, metrics: &[&str], steps: &mut Vec<Vec<u64>>) -> Value {
    let own: Vec<u64> = run.rows.iter().map(|row| row.step).collect();
    let place = steps.iter().position(|known| *known == own).unwrap_or_else(|| {
        steps.push(own);
        steps.len() - 1
    });
    let mut values = serde_json::Map::new();
    for metric in metrics {
        // NaN and infinities become null, which leaves a gap in the curve.
        let finite = |row: &CurveRow| row.metric(metric).filter(|value| value.is_finite());
        let column: Vec<Option<f64>> = run.rows.iter().map(finite).collect();
        if column.iter().any(Option::is_some) {
            values.insert((*metric).to_owned(), json!(column));
        }
    }
    json!({
        "seed": run.seed, "state": run.state.to_string(), "best": is_best, "steps": place, "values": values,
    })
}

/// JSON for a script element, which no text in it can close.
pub(super) fn for_script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// All runs in the order of their configurations, each with the number of its configuration.
pub(super) fn runs_by_name(report: &Report) -> Vec<(usize, &RunCurve)> {
    let runs: Vec<&RunCurve> = report.results.curves.runs.iter().collect();
    let groups = group(&runs, &report.results.curves.axes()).into_iter().enumerate();
    groups.flat_map(|(arm, same)| same.runs.into_iter().map(move |run| (arm, run))).collect()
}
