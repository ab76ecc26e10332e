//! One sweep in this process, with progress on the terminal and signals that stop it.

use super::progress::Progress;
use super::stderr::log;
use super::text::plural;
use anyhow::Result;
use fathom_record::{Lock, State, SweepDir};
use fathom_spec::Run;
use fathom_sweep::{
    Options, Shutdown, SignalEffect, Sweep, SweepReport, Worker, count_states, listen, locked,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where and how runs are run, and what stops them.
pub struct Session<'a> {
    /// Name of the sweep.
    name: &'a str,
    directory: &'a SweepDir,
    options: &'a Options,
    worker: &'a Worker,
    /// Lock of the directory; absent if this process is one of several.
    lock: Option<&'a Lock>,
    /// What stops the sweep.
    pub shutdown: Arc<Shutdown>,
    /// Progress of the runs in progress, if there are any.
    progress: Arc<Mutex<Option<Arc<Progress>>>>,
}

impl<'a> Session<'a> {
    /// A session that runs nothing yet.
    pub fn new(
        name: &'a str,
        directory: &'a SweepDir,
        options: &'a Options,
        worker: &'a Worker,
        lock: Option<&'a Lock>,
    ) -> Self {
        let (shutdown, progress) = (Arc::new(Shutdown::new()), Arc::default());
        Self { name, directory, options, worker, lock, shutdown, progress }
    }

    /// Trains those of `runs` that are not finished.
    ///
    /// # Errors
    /// When files are damaged or locks lost.
    pub fn run(&self, runs: &[Run]) -> Result<SweepReport> {
        let before = count_states(runs, self.directory)?;
        self.announce(runs.len(), &before);
        let progress = Arc::new(Progress::new(runs, &before, self.directory)?);
        *locked(&self.progress) = Some(Arc::clone(&progress));
        let report = Sweep {
            runs,
            directory: self.directory,
            options: self.options,
            executor: self.worker,
            observer: &*progress,
            shutdown: &self.shutdown,
            lock: self.lock.map(Lock::token),
        }
        .run();
        progress.close();
        *locked(&self.progress) = None;
        report
    }

    /// Handles signals from now on, with a message on the effect of each.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn listen(&self) -> Result<()> {
        let progress = Arc::clone(&self.progress);
        listen(Arc::clone(&self.shutdown), move |effect| {
            let Some(text) = describe(effect) else { return };
            match &*locked(&progress) {
                Some(progress) => progress.log(&text),
                None => log(text),
            }
        })
    }

    /// Prints the number of runs, and how they are run.
    fn announce(&self, runs: usize, before: &BTreeMap<State, usize>) {
        let Options { devices, threads, .. } = self.options;
        let done: usize = before.iter().filter(|(state, _)| state.is_final()).map(|(_, n)| n).sum();
        log(format!(
            "{}: {}{}, {} at the same time, {} on {}",
            self.name,
            plural(runs, "run"),
            if done > 0 { format!(" ({done} done before)") } else { String::new() },
            self.options.slots(),
            if *threads == 1 {
                "one thread each".into()
            } else {
                format!("{threads} threads each")
            },
            devices.join(", "),
        ));
    }
}

/// Message on the effect of a signal.
fn describe(effect: SignalEffect) -> Option<String> {
    match effect {
        SignalEffect::Stop(0) => Some("stopping: no run trains".into()),
        SignalEffect::Stop(1) => Some(
            "stopping: 1 run finishes its step and writes a checkpoint; a second signal kills it"
                .into(),
        ),
        SignalEffect::Stop(n) => Some(format!(
            "stopping: {n} runs finish their step and write a checkpoint; a second signal kills them"
        )),
        SignalEffect::Kill(n) => {
            Some(format!("killing {}; a further signal exits at once", plural(n, "run")))
        }
        SignalEffect::Echo | SignalEffect::Leave => None,
    }
}
