//! How long a sweep will take, for `fathom plan --measure` and `--max-hours`.

use super::measure::measure;
use super::{Estimate, Options, Worker, makespan};
use anyhow::Result;
use fathom_spec::Run;

/// Expected time, memory and disk space of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// One estimate for each run, in their order.
    pub estimates: Vec<Estimate>,
    /// Seconds from the start of the first run to the end of the last one.
    pub seconds: f64,
}

/// A sweep that would take longer than `--max-hours`.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the sweep would take about {}, more than --max-hours {limit}", time(*.hours))]
pub struct TooLong {
    /// Expected hours.
    pub hours: f64,
    /// Most hours.
    pub limit: f64,
}

/// Hours with a unit in which they are not 0.0.
fn time(hours: f64) -> String {
    if hours < 0.1 { format!("{:.1} s", hours * 3600.0) } else { format!("{hours:.1} h") }
}

impl Forecast {
    /// Measures `runs` by timing a few updates of each distinct net; `on_measure` is called before
    /// each measurement.
    ///
    /// # Errors
    /// Whatever would keep a run from training.
    pub fn measure(
        runs: &[Run],
        worker: &Worker,
        options: &Options,
        on_measure: &mut dyn FnMut(&Run),
    ) -> Result<Self> {
        let as_crowded = Options { jobs: options.jobs.min(runs.len()), ..options.clone() };
        let estimates = measure(runs, worker, &as_crowded, on_measure)?;
        let times: Vec<(&Run, f64)> =
            runs.iter().zip(&estimates).map(|(run, estimate)| (run, estimate.seconds)).collect();
        let seconds = makespan(&times, options.slots());
        Ok(Self { estimates, seconds })
    }

    /// Sum of the times of all runs, in seconds.
    pub fn total_seconds(&self) -> f64 {
        self.estimates.iter().map(|estimate| estimate.seconds).sum()
    }

    /// Most memory of one run, in bytes.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.estimates.iter().map(|estimate| estimate.memory_bytes).max().unwrap_or_default()
    }

    /// Disk space of all results, in bytes.
    pub fn disk_bytes(&self) -> u64 {
        self.estimates.iter().map(|estimate| estimate.disk_bytes).sum()
    }

    /// Refuses a sweep that would take more than `limit` hours.
    ///
    /// # Errors
    /// When it would.
    pub fn check_hours(&self, limit: f64) -> Result<(), TooLong> {
        let hours = self.seconds / 3600.0;
        if hours <= limit { Ok(()) } else { Err(TooLong { hours, limit }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_that_takes_longer_than_allowed_is_refused() {
        let estimate = Estimate { seconds: 5400.0, memory_bytes: 1, disk_bytes: 1 };
        let forecast = Forecast { estimates: vec![estimate; 2], seconds: 10_800.0 };
        forecast.check_hours(3.0).unwrap();
        let message = forecast.check_hours(2.5).unwrap_err().to_string();
        assert_eq!(message, "the sweep would take about 3.0 h, more than --max-hours 2.5");
        let short = TooLong { hours: 0.01, limit: 0.000_001 }.to_string();
        assert_eq!(short, "the sweep would take about 36.0 s, more than --max-hours 0.000001");
    }
}
