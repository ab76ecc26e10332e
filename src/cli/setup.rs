//! A sweep on its way: what it says of itself, and who may stop it.

use super::progress::Progress;
use super::stderr::{say, so_many};
use anyhow::Result;
use fathom_record::{Lock, State, SweepDir};
use fathom_spec::Run;
use fathom_sweep::{
    Options, Shutdown, SignalEffect, Sweep, SweepReport, Worker, listen, locked, tally,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where and how runs are run.
pub struct Stage<'a> {
    /// Of the sweep.
    pub name: &'a str,
    /// Of its results.
    pub directory: &'a SweepDir,
    /// Devices, jobs, threads.
    pub options: &'a Options,
    /// What trains.
    pub worker: &'a Worker,
    /// On the directory, unless this process is one of several.
    pub lock: Option<&'a Lock>,
    /// Stops it.
    pub control: Arc<Shutdown>,
    /// Of the runs that are under way.
    pub progress: Arc<Mutex<Option<Arc<Progress>>>>,
}

impl Stage<'_> {
    /// Runs what of these is left.
    ///
    /// # Errors
    /// When files are damaged or locks lost.
    pub fn run(&self, runs: &[Run]) -> Result<SweepReport> {
        let before = tally(runs, self.directory)?;
        announce(self.name, runs.len(), &before, self.options);
        let progress = Arc::new(Progress::new(runs, &before, self.directory)?);
        *locked(&self.progress) = Some(Arc::clone(&progress));
        let outcome = Sweep {
            runs,
            directory: self.directory,
            options: self.options,
            executor: self.worker,
            observer: &*progress,
            control: &self.control,
            lock: self.lock.map(Lock::token),
        }
        .run();
        progress.close();
        *locked(&self.progress) = None;
        outcome
    }

    /// Listens to signals, and says what they came to.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen(&self) -> Result<()> {
        let progress = Arc::clone(&self.progress);
        listen(Arc::clone(&self.control), move |told| {
            let text = match told {
                SignalEffect::Stop(0) => "stopping: no run trains".into(),
                SignalEffect::Stop(1) => {
                    "stopping: 1 run finishes its step and writes a checkpoint; once more kills it"
                        .into()
                }
                SignalEffect::Stop(n) => format!(
                    "stopping: {n} runs finish their step and write a checkpoint; once more kills them"
                ),
                SignalEffect::Kill(n) => format!("killing {n} runs; once more does not wait"),
                SignalEffect::Echo | SignalEffect::Leave => return,
            };
            match &*locked(&progress) {
                Some(progress) => progress.say(&text),
                None => say(text),
            }
        })
    }
}

/// What is about to be run, and how.
fn announce(name: &str, runs: usize, before: &BTreeMap<State, usize>, options: &Options) {
    let done = before.iter().filter(|(state, _)| state.is_final()).map(|(_, n)| n).sum::<usize>();
    say(format!(
        "{name}: {}{}, {} side by side, {} on {}",
        so_many(runs, "run"),
        if done > 0 { format!(" ({done} done before)") } else { String::new() },
        options.jobs * options.devices.len(),
        if options.threads == 1 {
            "one thread each".into()
        } else {
            format!("{} threads each", options.threads)
        },
        options.devices.join(", "),
    ));
}
