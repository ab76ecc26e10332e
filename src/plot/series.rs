//! The points of figures: curves over seeds, joined at equal steps, and final values.

use fathom_record::{CurveRow, METRICS, RunCurve, State, Unit};
use std::collections::BTreeMap;

/// The values of several runs at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) step: u64,
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Number of runs with a finite value at this step.
    pub(super) n: usize,
}

/// Steps and finite values of one run, up to the first row whose loss is not finite unless the run is done: its final
/// value counts, and so do those before it. Each value is the mean of up to `smooth` values that end with it.
pub(super) fn finite(run: &RunCurve, metric: &str, smooth: usize) -> Vec<(u64, f64)> {
    let rows = run.rows.iter().take_while(|row| run.state == State::Done || is_sound(row));
    let raw: Vec<(u64, f64)> = rows
        .filter_map(|row| Some((row.step, row.metric(metric)?)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let mean = |end: usize| {
        let window = &raw[(end + 1).saturating_sub(smooth.max(1))..=end];
        window.iter().map(|(_, value)| value).sum::<f64>() / window.len() as f64
    };
    raw.iter().enumerate().map(|(place, (step, _))| (*step, mean(place))).collect()
}

/// Whether all losses of a row are finite. A net whose loss is NaN predicts the first class for every
/// image, so its error is meaningless.
fn is_sound(row: &CurveRow) -> bool {
    let mut losses = METRICS.iter().filter(|metric| metric.unit == Unit::Nats);
    losses.all(|loss| loss.of(row).is_none_or(f64::is_finite))
}

/// Mean, minimum and maximum over runs at every step that any of them has.
pub(super) fn over_seeds(runs: &[&RunCurve], metric: &str, smooth: usize) -> Vec<Point> {
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in runs {
        for (step, value) in finite(run, metric, smooth) {
            at.entry(step).or_default().push(value);
        }
    }
    let point = |(step, values): (u64, Vec<f64>)| Point {
        step,
        mean: values.iter().sum::<f64>() / values.len() as f64,
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        n: values.len(),
    };
    at.into_iter().map(point).collect()
}

/// The final values of the runs of one configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Finals {
    /// Final values of the runs that made all steps, by seed.
    pub(super) values: Vec<f64>,
    /// Number of runs that diverged.
    pub(super) diverged: usize,
    /// Number of runs that stopped early or have not finished yet.
    pub(super) unfinished: usize,
    /// Number of runs that made all steps and have no finite value of the metric in their last row.
    pub(super) without: usize,
}

impl Finals {
    pub(super) fn of(runs: &[&RunCurve], metric: &str) -> Self {
        let values: Vec<f64> = runs.iter().filter_map(|run| run.final_metric(metric)).collect();
        let diverged = runs.iter().filter(|run| run.state == State::Diverged).count();
        let unfinished = runs.iter().filter(|run| !run.state.is_final()).count();
        let without = runs.len() - values.len() - diverged - unfinished;
        Self { values, diverged, unfinished, without }
    }

    /// Number of runs that have no final value.
    pub(super) fn lost(&self) -> usize {
        self.diverged + self.unfinished + self.without
    }

    /// Number of all runs.
    pub(super) fn all(&self) -> usize {
        self.values.len() + self.lost()
    }

    /// "1 of 3 diverged", "2 of 3 unfinished", or nothing.
    pub(super) fn losses(&self) -> Vec<String> {
        let counts = [
            (self.diverged, "diverged"),
            (self.unfinished, "unfinished"),
            (self.without, "without a value"),
        ];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        some.map(|(count, how)| format!("{count} of {} {how}", self.all())).collect()
    }

    /// Mean of the final values; `None` when there are none.
    pub(super) fn mean(&self) -> Option<f64> {
        let sum: f64 = self.values.iter().sum();
        (!self.values.is_empty()).then(|| sum / self.values.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;

    #[test]
    fn seeds_are_joined_on_exact_steps_and_never_interpolated() {
        let mut late = run("plain", "8", 1, State::Done, &[(100, 30.0), (200, 10.0)]);
        late.rows[0].step = 150;
        let early = run("plain", "8", 0, State::Done, &[(100, 40.0), (200, 20.0)]);
        let points = over_seeds(&[&early, &late], "train_err_pct", 1);
        let brief: Vec<_> = points.iter().map(|p| (p.step, p.mean, p.min, p.max, p.n)).collect();
        let want =
            [(100, 40.0, 40.0, 40.0, 1), (150, 30.0, 30.0, 30.0, 1), (200, 15.0, 10.0, 20.0, 2)];
        assert_eq!(brief, want);
    }

    #[test]
    fn a_curve_ends_where_the_loss_is_no_number() {
        let mut gone = run("plain", "8", 0, State::Diverged, &[(0, 90.0), (50, 80.0), (100, 90.0)]);
        gone.rows[2].train_loss = Some(f64::NAN);
        assert_eq!(finite(&gone, "train_err_pct", 1), [(0, 90.0), (50, 80.0)]);
    }

    #[test]
    fn the_curve_of_a_run_that_is_done_ends_with_its_final_value() {
        let mut done = run("plain", "8", 0, State::Done, &[(0, 90.0), (50, 80.0), (100, 70.0)]);
        done.rows.iter_mut().for_each(|row| row.train_loss = Some(1.0));
        done.rows[1].train_loss = Some(f64::INFINITY);
        let curve = finite(&done, "train_err_pct", 1);
        assert_eq!(curve, [(0, 90.0), (50, 80.0), (100, 70.0)]);
        assert_eq!(curve.last().map(|(_, value)| *value), done.final_metric("train_err_pct"));
        assert_eq!(finite(&done, "train_loss", 1), [(0, 1.0), (100, 1.0)]);
    }

    #[test]
    fn smoothing_is_a_trailing_mean() {
        let curve = run("plain", "8", 0, State::Done, &[(0, 9.0), (1, 6.0), (2, 3.0)]);
        assert_eq!(finite(&curve, "train_err_pct", 2), [(0, 9.0), (1, 7.5), (2, 4.5)]);
    }

    #[test]
    fn diverged_and_unfinished_runs_and_those_without_the_metric_are_counted_apart() {
        let mut foreign = run("plain", "8", 3, State::Done, &[(100, 30.0)]);
        foreign.rows[0].train_err_pct = None;
        let runs = [
            foreign,
            run("plain", "8", 0, State::Done, &[(100, 30.0)]),
            run("plain", "8", 1, State::Diverged, &[(100, 50.0)]),
            run("plain", "8", 2, State::Interrupted, &[(50, 60.0)]),
        ];
        let finals = Finals::of(&runs.iter().collect::<Vec<_>>(), "train_err_pct");
        assert_eq!(finals, Finals { values: vec![30.0], diverged: 1, unfinished: 1, without: 1 });
        let losses = ["1 of 4 diverged", "1 of 4 unfinished", "1 of 4 without a value"];
        assert_eq!(finals.losses(), losses);
    }
}
