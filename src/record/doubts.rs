//! Values of other programs that can be read, but are probably not what their column says.

use super::metrics::is_error;
use super::{METRICS, Metric, RunCurve};
use std::collections::BTreeSet;

/// Rise of an error, in points, that is beyond what a net does whose loss falls.
const RISE: f64 = 10.0;

/// Remarks for a reader on columns of errors: fractions in the place of per cent, and accuracies in
/// the place of errors.
pub fn doubts(runs: &[&RunCurve]) -> Vec<String> {
    let rows = || runs.iter().flat_map(|run| &run.rows);
    let extra: BTreeSet<&str> =
        rows().flat_map(|row| row.extra.keys()).map(String::as_str).collect();
    let own = METRICS.iter().map(|metric| metric.column);
    let errors = own.chain(extra).filter(|column| is_error(column));
    errors
        .filter_map(|column| {
            let values = rows().filter_map(|row| row.metric(column));
            let greatest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
            match greatest > 0.0 && greatest <= 1.0 {
                true => Some(format!(
                    "all values of {column} are at most 1, as if they were fractions: the unit is per cent"
                )),
                false => rising(column, runs),
            }
        })
        .collect()
}

/// A remark if an error rises while the loss on the same images falls, in most runs.
fn rising(column: &str, runs: &[&RunCurve]) -> Option<String> {
    let metric = Metric::named(column)?;
    // `train_err_running_pct` and `train_loss_running` are measured on the same images.
    let loss = Metric::named(column.replace("_err", "_loss").strip_suffix("_pct")?)?;
    let ends = |run: &RunCurve, metric: &Metric| {
        let values = run.rows.iter().filter_map(|row| metric.of(row));
        let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        Some((*finite.first()?, *finite.last()?))
    };
    let both: Vec<_> = runs
        .iter()
        .filter_map(|run| Some((&run.id, ends(run, metric)?, ends(run, loss)?)))
        .collect();
    let rises = |(_, error, loss): &&(&String, (f64, f64), (f64, f64))| {
        error.1 >= error.0 + RISE && loss.1 < loss.0
    };
    let rising: Vec<_> = both.iter().filter(rises).collect();
    let (first, ..) = rising.first().filter(|_| 2 * rising.len() > both.len())?;
    Some(format!(
        "{column} rises while {} falls, as an accuracy does, in {} of {} runs, such as {first}: \
         an error is 100 - accuracy",
        loss.column,
        rising.len(),
        both.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CurveRow, State};

    /// A run with these training errors and losses.
    fn run(rows: &[(f64, f64)]) -> RunCurve {
        let row = |(step, (error, loss)): (u64, &(f64, f64))| CurveRow {
            step,
            train_err_pct: Some(*error),
            train_loss: Some(*loss),
            ..CurveRow::default()
        };
        RunCurve {
            id: "a".into(),
            axes: Default::default(),
            keys: Default::default(),
            seed: 0,
            state: State::Done,
            rows: (0..).zip(rows).map(row).collect(),
        }
    }

    #[test]
    fn fractions_and_accuracies_are_told() {
        let said = |runs: &[RunCurve]| doubts(&runs.iter().collect::<Vec<_>>());
        let good = run(&[(90.0, 2.3), (0.5, 0.1)]);
        assert_eq!(said(std::slice::from_ref(&good)), Vec::<String>::new());
        assert_eq!(
            said(&[run(&[(0.0, 2.3), (0.0, 0.1)])]),
            Vec::<String>::new(),
            "no error at all"
        );
        let fractions = run(&[(0.9, 2.3), (f64::NAN, 1.0), (1.0, 0.1)]);
        let found = said(std::slice::from_ref(&fractions));
        assert!(found[0].starts_with("all values of train_err_pct are at most 1"), "{found:?}");
        assert_eq!(said(&[fractions, good.clone()]), Vec::<String>::new(), "one run is above 1");
        let accuracy = run(&[(10.0, 2.3), (60.0, 1.0)]);
        let found = said(&[accuracy.clone(), accuracy.clone(), good.clone()]);
        let expected =
            "train_err_pct rises while train_loss falls, as an accuracy does, in 2 of 3 runs";
        assert!(found[0].starts_with(expected), "{found:?}");
        assert_eq!(said(&[accuracy, good.clone(), good]), Vec::<String>::new(), "not in most runs");
        let lost = run(&[(10.0, 0.3), (90.0, 2.3)]);
        assert_eq!(said(&[lost]), Vec::<String>::new(), "the loss rises, too");
    }
}
