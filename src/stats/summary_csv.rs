//! `summary.csv`: final values over seeds, for programs.

use super::{ChosenOn, Interval, Summary, SummaryTable, table_columns};
use fathom_record::Table;
use serde_json::Value;

/// Columns after those of the axes.
const COLUMNS: [&str; 16] = [
    "metric",
    "at",
    "n",
    "mean",
    "sd",
    "median",
    "low95",
    "high95",
    "bootstrap_low95",
    "bootstrap_high95",
    "min",
    "max",
    "runs",
    "done",
    "diverged",
    "unfinished",
];

/// The contents of `summary.csv`: one row for each configuration and metric.
pub fn summary_csv(table: &SummaryTable) -> Table {
    let axes = table.axes.iter().cloned();
    let mut out = Table::new(axes.chain(COLUMNS.map(str::to_owned)));
    for row in &table.rows {
        let finals =
            table_columns().zip(&row.metrics).map(|(name, summary)| (name, "last", *summary));
        let best = row.best.map(|best| {
            let at = match best.by {
                ChosenOn::Test => "best-test",
                ChosenOn::Validation => "best-validation",
            };
            ("test_err_pct", at, Some(best.error))
        });
        for (metric, at, summary) in finals.chain(best) {
            let mut cells: Vec<Value> = row.axes.iter().map(|value| axis_cell(value)).collect();
            cells.extend([metric.into(), at.into()]);
            cells.extend(summary_cells(summary.as_ref()));
            let counts = [row.runs, row.done, row.diverged, row.unfinished];
            cells.extend(counts.map(Value::from));
            out.row(cells);
        }
    }
    out
}

/// The cells from `n` to `max`.
fn summary_cells(summary: Option<&Summary>) -> [Value; 10] {
    let Some(summary) = summary else {
        let mut none = [const { Value::Null }; 10];
        none[0] = 0.into();
        return none;
    };
    let ends = |interval: Option<Interval>| {
        [interval.map(|it| it.low), interval.map(|it| it.high)].map(Value::from)
    };
    let [low, high] = ends(summary.interval);
    let [bootstrap_low, bootstrap_high] = ends(summary.bootstrap);
    let Summary { n, mean, sd, median, min, max, .. } = *summary;
    [
        n.into(),
        mean.into(),
        sd.into(),
        median.into(),
        low,
        high,
        bootstrap_low,
        bootstrap_high,
        min.into(),
        max.into(),
    ]
}

/// The value of an axis as a cell: a whole number (a depth) as a number, anything else as text.
pub fn axis_cell(value: &str) -> Value {
    value.parse::<i64>().map_or_else(|_| value.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SummaryRow;

    #[test]
    fn programs_read_plain_numbers() {
        let row = SummaryRow {
            axes: vec!["plain".into(), "8".into()],
            runs: 2,
            done: 2,
            diverged: 0,
            unfinished: 0,
            metrics: vec![Summary::of(&[12.0, 14.0]), None, None, Summary::of(&[20.0])],
            best: None,
        };
        let lost = SummaryRow {
            axes: vec!["plain".into(), "44".into()],
            done: 1,
            diverged: 1,
            metrics: vec![Summary::of(&[40.0]), None, None, None],
            ..row.clone()
        };
        let table =
            SummaryTable { axes: vec!["family".into(), "depth".into()], rows: vec![row, lost] };
        let csv = summary_csv(&table).csv().unwrap();
        let mut lines = csv.lines();
        assert!(lines.next().unwrap().starts_with("family,depth,metric,at,n,mean,sd,median,low95"));
        let first = lines.next().unwrap();
        assert!(
            first.starts_with("plain,8,train_err_pct,last,2,13.0,1.4142135623730951,13.0,0.29"),
            "{first}"
        );
        let value: Value = serde_json::from_str(&summary_csv(&table).json().unwrap()).unwrap();
        let lost = &value[4];
        assert_eq!((&lost["depth"], &lost["metric"]), (&44.into(), &"train_err_pct".into()));
        assert_eq!(lost["sd"], Value::Null);
        assert_eq!(lost["diverged"], 1);
    }
}
