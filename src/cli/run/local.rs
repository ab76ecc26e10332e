//! Training on this machine.

use super::Prepared;
use super::report::report;
use crate::session::Session;
use crate::stderr::log;
use anyhow::Result;
use fathom_record::Lock;
use fathom_sweep::Worker;
use std::process::ExitCode;
use std::time::Duration;

impl Prepared<'_> {
    /// Trains the runs, and further seeds until all claims are decided if that is wanted.
    pub(super) fn train(mut self, worker: &Worker, lock: &Lock) -> Result<ExitCode> {
        let (args, directory) = (self.args, self.directory);
        let (name, options) = (self.experiment.name.clone(), self.options.clone());
        let session = Session::new(&name, directory, &options, worker, Some(lock));
        session.listen()?;
        if let (Some(hours), true) = (args.max_hours, args.until_decided) {
            let time = Duration::try_from_secs_f64(3600.0 * hours).unwrap_or(Duration::MAX);
            session.shutdown.stop_after(time, move || {
                log(format!("--max-hours {hours}: stopping at a checkpoint"));
            })?;
        }
        let mut outcome = session.run(&self.experiment.runs)?;
        while !session.shutdown.is_stopping() {
            let further = self.add_runs()?;
            if further.is_empty() {
                break;
            }
            let next = session.run(&further)?;
            outcome.held.extend(next.held);
            outcome.remarks.extend(next.remarks);
        }
        report(&self.experiment, directory, args.format, &outcome, &session.shutdown)
    }
}
