//! Final values over seeds: one row for each configuration.

use crate::record::{RunCurve, State, SweepCurves};

/// The metrics of the final table, in order.
pub const METRICS: [&str; 4] =
    ["train_err_pct", "train_err_running_pct", "train_err_fresh_pct", "test_err_pct"];

/// A few numbers in brief.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many numbers.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation with n − 1 in the denominator; absent for one number.
    pub sd: Option<f64>,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Sums up numbers; absent when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let first = *values.first()?;
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        // In two passes, as the difference of two large sums would lose the digits that matter.
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            n,
            mean,
            sd: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()),
            min: values.iter().copied().fold(first, f64::min),
            max: values.iter().copied().fold(first, f64::max),
        })
    }
}

/// `12.3 ± 0.4`, or `12.3` for one number.
impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sd {
            Some(sd) => f.pad(&format!("{:.2} ± {sd:.2}", self.mean)),
            None => f.pad(&format!("{:.2}", self.mean)),
        }
    }
}

/// The seeds of one configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryRow {
    /// One value for each axis of the table; empty where the runs do not have it.
    pub axes: Vec<String>,
    /// All runs, however they ended.
    pub runs: usize,
    /// Runs that made all their steps: those behind `metrics`.
    pub done: usize,
    /// Runs that diverged: an outcome that no mean includes and none may hide.
    pub diverged: usize,
    /// Runs that failed, were stopped or have not ended.
    pub unfinished: usize,
    /// Final values, in the order of [`METRICS`]; absent where no run that is done has a finite
    /// one. `n` is below `done` where some have none.
    pub metrics: [Option<Summary>; METRICS.len()],
}

/// The final table of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryTable {
    /// Names of the axes: family and depth first, no seed.
    pub axes: Vec<String>,
    /// In the natural order of their axes' values.
    pub rows: Vec<SummaryRow>,
}

/// Sums up the final values of every configuration over its seeds.
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
        metrics: METRICS.map(|metric| Summary::of(&finals(metric))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CurveRow;

    fn run(depth: &str, seed: u64, state: State, error: Option<f64>) -> RunCurve {
        let axes = [("family", "plain"), ("depth", depth)];
        RunCurve {
            id: format!("plain-{depth}-s{seed}"),
            axes: axes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            seed,
            state,
            rows: vec![
                CurveRow { train_err_pct: Some(90.0), ..CurveRow::default() },
                CurveRow { step: 300, train_err_pct: error, ..CurveRow::default() },
            ],
        }
    }

    #[test]
    fn numbers_are_summed_up_as_by_hand() {
        let summary = Summary::of(&[2.0, 4.0, 9.0]).unwrap();
        assert_eq!((summary.n, summary.mean, summary.min, summary.max), (3, 5.0, 2.0, 9.0));
        // ((−3)² + (−1)² + 4²) / 2 = 13
        assert!((summary.sd.unwrap() - 13f64.sqrt()).abs() < 1e-12);
        assert_eq!(summary.to_string(), "5.00 ± 3.61");
        let one = Summary::of(&[7.25]).unwrap();
        assert_eq!((one.sd, one.to_string()), (None, "7.25".to_owned()));
        assert_eq!(Summary::of(&[]), None);
        // One pass over squares would give 0 here.
        let far = Summary::of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]).unwrap();
        assert_eq!(far.sd, Some(1.0));
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
}
