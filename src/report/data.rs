//! The numbers behind the report's curves, each once, in columns.

use super::{Report, label};
use fathom_record::{METRICS, Metric, RunCurve, group};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Steps that runs share are written once, and referred to by number.
pub(super) fn data(report: &Report) -> Value {
    let curves = &report.results.curves;
    let mut steps: Vec<Vec<u64>> = Vec::new();
    let groups = curves.groups(&curves.axes());
    let arms: Vec<Value> = groups
        .iter()
        .map(|same| {
            let depth = same.runs.first().and_then(|run: &&RunCurve| run.number("depth"));
            json!({
                "name": same.runs.first().map_or(String::new(), |run| label(&run.axes)),
                "family": same.runs.first().map_or(String::new(), |run| family(&run.axes)),
                "depth": depth,
                "runs": same.runs.iter().map(|run| columns(run, &mut steps)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let is_used = |metric: &&Metric| {
        curves.runs.iter().flat_map(|run| &run.rows).any(|row| metric.of(row).is_some())
    };
    let metrics: Vec<&str> = METRICS.iter().filter(is_used).map(|metric| metric.column).collect();
    let chance = |metric| report.results.chance(metric);
    let chance = json!({ "error": chance("test_err_pct"), "loss": chance("test_loss") });
    json!({ "metrics": metrics, "steps": steps, "chance": chance, "arms": arms })
}

/// What depths are drawn against one another: everything but the depth.
fn family(axes: &BTreeMap<String, String>) -> String {
    let mut axes = axes.clone();
    axes.remove("depth");
    label(&axes)
}

fn columns(run: &RunCurve, steps: &mut Vec<Vec<u64>>) -> Value {
    let own: Vec<u64> = run.rows.iter().map(|row| row.step).collect();
    let place = steps.iter().position(|known| *known == own).unwrap_or_else(|| {
        steps.push(own);
        steps.len() - 1
    });
    let mut values = serde_json::Map::new();
    for metric in METRICS.iter() {
        // What is no number is null, which leaves a gap.
        let finite = |row| metric.of(row).filter(|value: &f64| value.is_finite());
        let column: Vec<Option<f64>> = run.rows.iter().map(finite).collect();
        if column.iter().any(Option::is_some) {
            values.insert(metric.column.to_owned(), json!(column));
        }
    }
    json!({ "seed": run.seed, "state": run.state.to_string(), "steps": place, "values": values })
}

/// JSON that may stand inside a script element: nothing in it ends that.
pub(super) fn for_script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// Runs by configuration, for tables.
pub(super) fn runs_by_name(report: &Report) -> Vec<&RunCurve> {
    let runs: Vec<&RunCurve> = report.results.curves.runs.iter().collect();
    let axes = report.results.curves.axes();
    group(&runs, &axes).into_iter().flat_map(|same| same.runs).collect()
}
