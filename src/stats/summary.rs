//! Tables of final values over seeds, with one row for each configuration.

use super::numbers::Summary;
use fathom_base::choice;
use fathom_record::{METRICS, RunCurve, State, SweepCurves};

/// Columns of the metrics in final tables, in order.
pub fn table_columns() -> impl Iterator<Item = &'static str> + Clone {
    METRICS.iter().filter(|metric| metric.is_in_tables).map(|metric| metric.column)
}

/// The final values of one configuration over its seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryRow {
    /// One value for each axis of the table; empty where the runs do not have it.
    pub axes: Vec<String>,
    /// Number of runs in any state.
    pub runs: usize,
    /// Number of runs that made all steps, which `metrics` summarises.
    pub done: usize,
    /// Number of runs that diverged. They are in no mean, so tables show their number.
    pub diverged: usize,
    /// Number of runs that failed, were stopped or have not ended.
    pub unfinished: usize,
    /// Final values, in the order of [`table_columns`]; absent where no finished run has a finite
    /// one. `n` is below `done` where some runs lack the metric.
    pub metrics: Vec<Option<Summary>>,
    /// Lowest test error of each curve, or the test error at the lowest validation error.
    pub best: Option<Best>,
}

/// Test errors at the best step of each run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Test error in per cent over the finished runs.
    pub error: Summary,
    /// The images that the step was chosen on.
    pub by: ChosenOn,
}

choice! {
    /// The images that the best step of a run is chosen on.
    pub enum ChosenOn {
        /// Test images: the error is biased downwards.
        Test,
        /// Images held out of the training set.
        Validation,
    }
}

impl ChosenOn {
    /// The column whose lowest value is the best one.
    fn column(self) -> &'static str {
        match self {
            ChosenOn::Test => "test_err_pct",
            ChosenOn::Validation => "validation_err_pct",
        }
    }
}

/// The table of final values of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SummaryTable {
    /// Names of the axes: family and depth first, without the seed.
    pub axes: Vec<String>,
    /// One row for each configuration, in the natural order of the axes' values.
    pub rows: Vec<SummaryRow>,
}

/// Summarises the final values of every configuration over its seeds.
pub fn table(curves: &SweepCurves) -> SummaryTable {
    let axes = curves.axes();
    let groups = curves.groups(&axes).into_iter();
    let rows = groups.map(|group| row(group.values, &group.runs)).collect();
    SummaryTable { axes, rows }
}

fn row(axes: Vec<String>, runs: &[&RunCurve]) -> SummaryRow {
    let count = |state: State| runs.iter().filter(|run| run.state == state).count();
    let (done, diverged) = (count(State::Done), count(State::Diverged));
    let finals = |metric: &str| -> Vec<f64> {
        runs.iter().filter_map(|run| run.final_metric(metric)).collect()
    };
    SummaryRow {
        axes,
        runs: runs.len(),
        done,
        diverged,
        unfinished: runs.len() - done - diverged,
        metrics: table_columns().map(|metric| Summary::of(&finals(metric))).collect(),
        best: best(runs),
    }
}

/// Test errors at the best steps, chosen on held-out images where there are some, else on the test
/// images.
fn best(runs: &[&RunCurve]) -> Option<Best> {
    let done: Vec<&&RunCurve> = runs.iter().filter(|run| run.state == State::Done).collect();
    let has_validation =
        done.iter().any(|run| run.final_metric(ChosenOn::Validation.column()).is_some());
    let by = if has_validation { ChosenOn::Validation } else { ChosenOn::Test };
    let of = |run: &&&RunCurve| {
        // The first of equal values. The untrained net does not count.
        let rows = run.rows.iter().filter(|row| row.step > 0);
        let rows =
            rows.filter_map(|row| Some((row.metric(by.column())?, row.metric("test_err_pct")?)));
        let finite = rows.filter(|(chosen, test)| chosen.is_finite() && test.is_finite());
        finite.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, test)| test)
    };
    let errors: Vec<f64> = done.iter().filter_map(of).collect();
    Some(Best { error: Summary::of(&errors)?, by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_record::CurveRow;

    fn run(depth: &str, seed: u64, state: State, error: Option<f64>) -> RunCurve {
        let axes = [("family", "plain"), ("depth", depth)];
        RunCurve {
            id: format!("plain-{depth}-s{seed}"),
            axes: axes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            keys: Default::default(),
            seed: seed.into(),
            state,
            rows: vec![
                CurveRow { train_err_pct: Some(90.0), ..CurveRow::default() },
                CurveRow { step: 300, train_err_pct: error, ..CurveRow::default() },
            ],
        }
    }

    #[test]
    fn every_run_is_counted_once_and_only_done_ones_are_averaged() {
        let curves = SweepCurves {
            runs: vec![
                run("44", 0, State::Done, Some(40.0)),
                run("44", 1, State::Diverged, Some(90.0)),
                run("44", 2, State::Interrupted, Some(60.0)),
                run("44", 3, State::OutOfMemory, None),
                run("8", 0, State::Done, Some(12.0)),
                run("8", 1, State::Done, Some(14.0)),
                run("8", 2, State::Done, Some(f64::NAN)),
            ],
        };
        let table = table(&curves);
        assert_eq!(table.axes, ["family", "depth"]);
        let [shallow, deep] = table.rows.as_slice() else { panic!("two rows") };
        assert_eq!(shallow.axes, ["plain", "8"]);
        assert_eq!((shallow.runs, shallow.done), (3, 3));
        let error = shallow.metrics[0].unwrap();
        assert_eq!((error.n, error.mean), (2, 13.0));
        assert_eq!((deep.runs, deep.done, deep.diverged, deep.unfinished), (4, 1, 1, 2));
        assert_eq!(deep.metrics[0].unwrap().mean, 40.0);
        assert_eq!(deep.metrics[3], None);
    }

    #[test]
    fn no_runs_make_an_empty_table() {
        assert!(super::table(&SweepCurves::default()).rows.is_empty());
    }

    #[test]
    fn the_best_error_says_on_what_it_was_chosen() {
        let with = |rows: [(u64, f64, Option<f64>); 3]| {
            let mut run = run("8", 0, State::Done, None);
            let row = |(step, test, validation)| CurveRow {
                step,
                test_err_pct: Some(test),
                validation_err_pct: validation,
                ..CurveRow::default()
            };
            run.rows = rows.map(row).to_vec();
            table(&SweepCurves { runs: vec![run] }).rows[0].best.unwrap()
        };
        let seen = with([(0, 1.0, None), (5, 20.0, None), (9, 30.0, None)]);
        assert_eq!((seen.error.mean, seen.by), (20.0, ChosenOn::Test), "step 0 is not trained");
        let held = with([(0, 1.0, Some(1.0)), (5, 20.0, Some(40.0)), (9, 30.0, Some(35.0))]);
        assert_eq!((held.error.mean, held.by), (30.0, ChosenOn::Validation));
    }
}
