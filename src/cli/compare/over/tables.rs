//! Comparisons of the values of a key as tables.

use fathom_base::key::short;
use fathom_record::{Table, Unit};
use fathom_stats::{Ablation, AblationRow, AblationSide, At, ChosenBy, axis_cell};
use serde_json::Value;

/// Columns for programs after those of the axes.
const COLUMNS: [&str; 19] = [
    "key",
    "baseline",
    "value",
    "at",
    "swept",
    "swept_baseline",
    "swept_value",
    "chosen_by",
    "edge",
    "mean_baseline",
    "mean_value",
    "difference",
    "low95",
    "high95",
    "n",
    "planned",
    "diverged_baseline",
    "diverged_value",
    "intervals",
];

/// One row for each comparison, with every number. `intervals` is their number, for
/// which they are not adjusted.
pub fn for_programs(ablations: &[Ablation]) -> Table {
    let axes = ablations.first().map_or(&[][..], |one| &one.axes).iter().cloned();
    let mut table =
        Table::new(["metric".to_owned()].into_iter().chain(axes).chain(COLUMNS.map(str::to_owned)));
    for ablation in ablations {
        for row in &ablation.rows {
            let AblationRow { baseline, other, interval, .. } = row;
            let best = ablation.best.as_ref();
            let chosen_by = best.filter(|_| row.at == At::Best).map(|best| best.by.word());
            let edge = match (baseline.is_at_edge, other.is_at_edge) {
                (false, false) => None,
                (true, false) => Some("baseline"),
                (false, true) => Some("value"),
                (true, true) => Some("both"),
            };
            let texts = [
                Some(ablation.over.clone()),
                Some(baseline.value.clone()),
                Some(other.value.clone()),
                Some(row.at.word().to_owned()),
                best.map(|best| best.key.clone()),
                baseline.chosen.clone(),
                other.chosen.clone(),
                chosen_by.map(str::to_owned),
                edge.map(str::to_owned),
            ];
            let numbers = [
                baseline.mean(),
                other.mean(),
                row.difference(),
                interval.map(|it| it.low),
                interval.map(|it| it.high),
            ];
            let counts = [
                row.differences.len(),
                row.planned,
                baseline.diverged,
                other.diverged,
                ablation.interval_count(),
            ];
            let axes = row.axes.iter().map(|value| axis_cell(value));
            let cells = [Value::from(ablation.metric.clone())].into_iter().chain(axes);
            let cells = cells.chain(texts.map(Value::from)).chain(numbers.map(Value::from));
            table.row(cells.chain(counts.map(Value::from)));
        }
    }
    table
}

/// One row for each comparison, rounded.
pub fn for_people(ablations: &[Ablation]) -> Table {
    let many = ablations.len() > 1;
    let swept = ablations.iter().any(|one| one.swept().is_some());
    let mut headers: Vec<String> = Vec::new();
    headers.extend(many.then(|| "metric".to_owned()));
    headers.extend(ablations.first().map_or(&[][..], |one| &one.axes).iter().cloned());
    headers.extend(swept.then(|| "at".to_owned()));
    let over = ablations.first().map_or("", |one| short(&one.over));
    let baseline = ablations.first().map_or("", |one| &one.values[0]);
    headers.extend([over.to_owned(), format!("with {baseline}"), format!("with this {over}")]);
    headers.extend(["difference", "95% interval", "n", "diverged"].map(str::to_owned));
    let mut table = Table::new(headers);
    for ablation in ablations {
        for row in &ablation.rows {
            let mut cells: Vec<Value> = Vec::new();
            cells.extend(many.then(|| ablation.metric.clone().into()));
            cells.extend(row.axes.iter().map(|value| axis_cell(value)));
            cells.extend(swept.then(|| at(ablation, row).into()));
            let decimals = decimals(&ablation.metric);
            let number = |value: f64| format!("{value:.decimals$}");
            let interval =
                row.interval.map(|it| format!("{} … {}", number(it.low), number(it.high)));
            cells.extend([
                format!("{} − {}", row.other.value, row.baseline.value).into(),
                mean(row, &row.baseline, decimals).into(),
                mean(row, &row.other, decimals).into(),
                row.difference().map(number).into(),
                interval.into(),
                n(row),
                diverged(row).into(),
            ]);
            table.row(cells);
        }
    }
    table
}

/// The value of the swept key, or that it is the best one of each side.
fn at(ablation: &Ablation, row: &AblationRow) -> Option<String> {
    let best = ablation.best.as_ref()?;
    let key = short(&best.key);
    Some(match (row.at, best.by) {
        (At::Best, ChosenBy::SameSeeds) => format!("best {key}, chosen on the same seeds"),
        (At::Best, ChosenBy::OtherSeeds | ChosenBy::HeldOut) => format!("best {key}"),
        (At::Equal, _) => format!("{key} {}", row.other.chosen.as_deref().unwrap_or_default()),
    })
}

/// Number of decimals of a metric for people: errors in per cent need fewer than losses.
fn decimals(metric: &str) -> usize {
    if Unit::of(metric) == Some(Unit::PerCent) { 2 } else { 4 }
}

/// The mean of a side, with its best value of the swept key.
fn mean(row: &AblationRow, side: &AblationSide, decimals: usize) -> Option<String> {
    let mean = format!("{:.decimals$}", side.mean()?);
    Some(match (row.at, &side.chosen) {
        (At::Best, Some(chosen)) => format!("{mean} at {chosen}"),
        (At::Best, None) | (At::Equal, _) => mean,
    })
}

/// Number of seeds, with that of planned ones where some are missing.
fn n(row: &AblationRow) -> Value {
    match (row.differences.len(), row.planned) {
        (n, planned) if n == planned => n.into(),
        (n, planned) => format!("{n} of {planned}").into(),
    }
}

/// The runs of each side that diverged.
fn diverged(row: &AblationRow) -> Option<String> {
    let sides = [&row.baseline, &row.other].into_iter().filter(|side| side.diverged > 0);
    let parts: Vec<String> =
        sides.map(|side| format!("{} {}", side.diverged, side.value)).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
