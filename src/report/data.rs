//! The data of the report's interactive curves, as JSON.

use super::{Report, label};
use fathom_record::{CurveRow, RunCurve, group, metric_columns};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All curves by configuration. Each list of steps is stored once, and runs refer to it by number.
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
    let arms: Vec<Value> = groups
        .iter()
        .map(|same| {
            let first = same.runs.first();
            json!({
                "name": first.map_or(String::new(), |run| label(&run.axes)),
                "family": first.map_or(String::new(), |run| family(&run.axes)),
                "depth": first.and_then(|run| run.number("depth")),
                "runs": same.runs.iter().map(|run| columns(run, &metrics, &mut steps)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let chance = |metric| report.results.chance(metric);
    let chance = json!({ "error": chance("test_err_pct"), "loss": chance("test_loss") });
    json!({ "metrics": metrics, "steps": steps, "chance": chance, "arms": arms })
}

/// The label of a configuration without its depth: its depths make one line.
fn family(axes: &BTreeMap<String, String>) -> String {
    let mut axes = axes.clone();
    axes.remove("depth");
    label(&axes)
}

/// One run: its seed and state, the number of its list of steps, and its values by column.
fn columns(run: &RunCurve, metrics: &[&str], steps: &mut Vec<Vec<u64>>) -> Value {
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
    json!({ "seed": run.seed, "state": run.state.to_string(), "steps": place, "values": values })
}

/// JSON for a script element, which no text in it can close.
pub(super) fn for_script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// All runs in the order of their configurations.
pub(super) fn runs_by_name(report: &Report) -> Vec<&RunCurve> {
    let runs: Vec<&RunCurve> = report.results.curves.runs.iter().collect();
    let axes = report.results.curves.axes();
    group(&runs, &axes).into_iter().flat_map(|same| same.runs).collect()
}
