//! The lock of the results directory, and how the runs are run.

use super::Args;
use crate::mps::share;
use crate::options::{options, settle_layouts};
use crate::plan::all_stages;
use crate::stderr::log;
use anyhow::Result;
use fathom_gpu::MpsDaemon;
use fathom_protocol::Probe;
use fathom_record::{Layout, Lock, LockTiming, SweepDir};
use fathom_spec::{Experiment, Run};
use fathom_sweep::{Forecast, Options, Worker, gpu_layouts, second_stage, unfinished};

/// Locks the directory for this process, with messages if another one holds or held it.
pub(super) fn hold(directory: &SweepDir) -> Result<Lock> {
    let timing = LockTiming::default();
    let path = directory.lock();
    let acquired = Lock::acquire_with(&path, "fathom run", &timing, &mut |owner| {
        let seconds = timing.watch.as_secs();
        log(format!(
            "{} is held by {owner}: watching for {seconds} s whether that process is alive",
            path.display()
        ));
    })?;
    if let Some(owner) = acquired.taken_over {
        log(format!("took over the lock of {owner}, which has ended"));
    }
    Ok(acquired.lock)
}

impl Args {
    /// How the runs are run, and the daemon that they need for it. A sweep that would take more than
    /// `--max-hours` is refused.
    pub(super) fn options(
        &self,
        worker: &mut Worker,
        probe: &Probe,
        experiment: &Experiment,
        directory: &SweepDir,
    ) -> Result<(Options, Option<MpsDaemon>)> {
        let runs = &experiment.runs;
        // Smoke runs only show that everything works: earlier ones do not bind them.
        let earlier = (!self.smoke).then_some(directory);
        let mut options = if self.slurm.is_wanted() {
            self.slurm.options(&self.machine, probe, directory)?
        } else {
            options(&self.machine, probe, runs.len(), earlier)?
        };
        options.checkpoint = self.checkpoint.unwrap_or_default();
        options.stand_in = self.smoke;
        options.keep_state = self.keep_state;
        let layout = self.machine.layout.or(self.smoke.then(Layout::default));
        options.layouts = if layout.is_none() && self.slurm.is_wanted() && !options.on_cpu() {
            gpu_layouts(runs, directory)?
        } else {
            settle_layouts(runs, earlier, worker, &options, layout)?
        };
        let mut mps = None;
        if !self.slurm.is_wanted() {
            let left = unfinished(runs, directory)?;
            mps = share(&self.machine, &left, earlier, worker, probe, &mut options)?;
        }
        if let (Some(hours), false) = (self.max_hours, self.until_decided) {
            let wanted = if unfinished(runs, directory)?.is_empty() {
                second_stage(experiment, directory)?.runs
            } else {
                all_stages(experiment)
            };
            let left: Vec<Run> = unfinished(&wanted, directory)?.into_iter().cloned().collect();
            let log_run = &mut |run: &Run| log(format!("measuring {}", run.id));
            Forecast::measure(&left, worker, &options, log_run)?.check_hours(hours)?;
        }
        Ok((options, mps))
    }
}
