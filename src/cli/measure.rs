//! How long a sweep takes, for `fathom plan --measure` and `--max-hours`.

use super::stderr::say;
use super::table::{Table, count};
use anyhow::{Result, ensure};
use fathom_record::SweepDir;
use fathom_spec::Run;
use fathom_sweep::{self as sweep, Conditions, Estimate, Options, Worker, makespan};

/// What a sweep is expected to need.
pub struct Found {
    /// Of each run, in their order.
    pub estimates: Vec<Estimate>,
    /// From the first run's start to the last one's end.
    seconds: f64,
}

/// Times a few updates of each distinct net.
///
/// # Errors
/// Whatever would keep a run from training.
pub fn measured(runs: &[Run], worker: &Worker, options: &Options) -> Result<Found> {
    let slots = options.jobs * options.devices.len();
    let conditions = conditions(runs, options);
    let mut told = |run: &Run| say(format!("measuring {}", run.id));
    let estimates = sweep::measure(runs, worker, &conditions, &mut told)?;
    let times: Vec<(&Run, f64)> =
        runs.iter().zip(&estimates).map(|(run, estimate)| (run, estimate.seconds)).collect();
    let seconds = makespan(&times, slots);
    Ok(Found { estimates, seconds })
}

/// What measuring one of these runs should be like.
pub fn conditions(runs: &[Run], options: &Options) -> Conditions {
    Conditions {
        device: options.devices[0].clone(),
        jobs: options.jobs.min(runs.len()),
        threads: options.threads,
        layouts: options.layouts.clone(),
        cuda: options.cuda,
        data_dir: options.data_dir.clone(),
    }
}

impl Found {
    /// The sum of it.
    pub fn in_words(&self, name: &str, options: &Options) -> String {
        let of = |part: fn(&Estimate) -> u64| self.estimates.iter().map(part);
        let busy: f64 = self.estimates.iter().map(|estimate| estimate.seconds).sum();
        format!(
            "{name}: {} runs take about {} with {} side by side ({} one after the other), at most \
             {}B of memory each, {}B of results",
            self.estimates.len(),
            duration(self.seconds),
            options.jobs * options.devices.len(),
            duration(busy),
            count(of(|estimate| estimate.memory_bytes).max().unwrap_or_default()),
            count(of(|estimate| estimate.disk_bytes).sum()),
        )
    }

    /// # Errors
    /// When the sweep would take longer.
    pub fn refuse_longer(&self, hours: f64) -> Result<()> {
        ensure!(
            self.seconds <= 3600.0 * hours,
            "the sweep would take about {}, more than --max-hours {hours}",
            duration(self.seconds)
        );
        Ok(())
    }
}

/// Refuses runs of which those that are not finished would take longer.
///
/// # Errors
/// When they would, or cannot be measured.
pub fn refuse_longer(
    runs: &[Run],
    directory: &SweepDir,
    worker: &Worker,
    options: &Options,
    hours: f64,
) -> Result<()> {
    let mut left = Vec::new();
    for run in runs {
        if !directory.run(&run.id).status()?.state.is_final() {
            left.push(run.clone());
        }
    }
    measured(&left, worker, options)?.refuse_longer(hours)
}

/// One line per run.
pub fn table(runs: &[Run], estimates: &[Estimate]) -> Table {
    let columns =
        ["run", "iterations", "parameters", "macs", "seconds", "memory_bytes", "disk_bytes"];
    let mut table = Table::new(columns);
    for (run, estimate) in runs.iter().zip(estimates) {
        table.row([
            run.id.as_str().into(),
            run.settings.training.iterations.into(),
            run.audit.parameters.into(),
            run.audit.macs.into(),
            ((estimate.seconds * 10.0).round() / 10.0).into(),
            estimate.memory_bytes.into(),
            estimate.disk_bytes.into(),
        ]);
    }
    table
}

/// A duration for people.
pub fn duration(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// A number of hours on the command line.
///
/// # Errors
/// When it is none.
pub fn hours(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| "expected a number of hours, such as 12 or 0.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_sweeps_are_refused_in_words() {
        let estimate = Estimate { seconds: 5400.0, memory_bytes: 1, disk_bytes: 1 };
        let found = Found { estimates: vec![estimate; 2], seconds: 10_800.0 };
        found.refuse_longer(3.0).unwrap();
        let message = found.refuse_longer(2.5).unwrap_err().to_string();
        assert_eq!(message, "the sweep would take about 3.0 h, more than --max-hours 2.5");
        assert_eq!(duration(75.4), "75 s");
        assert_eq!(duration(600.0), "10.0 min");
    }
}
