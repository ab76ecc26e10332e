//! Progress report of a run: events for the supervisor, and where the time went.

use super::context::Feedback;
use fathom_base::rounded;
use fathom_protocol::Event;
use fathom_record::{CurveRow, Spent};
use std::time::{Duration, Instant};

/// Minimum time between two progress events.
const INTERVAL: Duration = Duration::from_millis(200);

/// Sends events, and adds up the time of each phase of training.
pub struct Progress<'a> {
    feedback: Feedback<'a>,
    /// Start of this process's work on the run, and the seconds that it had spent on it before.
    started: Instant,
    age: f64,
    /// Time of the last progress event.
    reported: Instant,
    /// Time of each phase in seconds; [`Spent::rest`] is not set.
    pub spent: Spent,
}

impl<'a> Progress<'a> {
    /// Starts the report: the time until now is that of the phase `start`. `age`: seconds that the process spent
    /// on the run before `started`, such as those of its own start.
    pub fn new(feedback: Feedback<'a>, started: Instant, age: f64) -> Self {
        let start = age + started.elapsed().as_secs_f64();
        let spent = Spent { start, ..Spent::default() };
        Self { feedback, started, age, reported: Instant::now(), spent }
    }

    /// Sends a remark to the user.
    pub fn remark(&mut self, text: String) {
        (self.feedback)(Event::Remark { text });
    }

    /// Reports a new row of the curve.
    pub fn row(&mut self, row: &CurveRow) {
        let CurveRow { step, train_err_pct, test_err_pct, .. } = *row;
        (self.feedback)(Event::Row { step, train_err_pct, test_err_pct });
    }

    /// Reports the number of updates, unless the last such report was a moment ago.
    pub fn step(&mut self, step: u64) {
        if self.reported.elapsed() > INTERVAL {
            (self.feedback)(Event::Progress { step });
            self.reported = Instant::now();
        }
    }

    /// Time of each phase of this run until now, in seconds.
    pub fn spent(&self) -> Spent {
        let Spent { start, batches, updates, evaluations, diagnostics, checkpoints, .. } =
            self.spent;
        let known = [start, batches, updates, evaluations, diagnostics, checkpoints];
        let rest = self.age + self.started.elapsed().as_secs_f64() - known.iter().sum::<f64>();
        let [start, batches, updates, evaluations, diagnostics, checkpoints] = known.map(rounded);
        let rest = rounded(rest.max(0.0));
        Spent { start, batches, updates, evaluations, diagnostics, checkpoints, rest }
    }
}

/// Does `work`, and adds its time in seconds to `total`.
pub fn timed<T>(total: &mut f64, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    *total += begun.elapsed().as_secs_f64();
    result
}
