//! Worker slots of a sweep: each takes runs from the queue, starts workers, and records how they end.

use super::scheduler::{AttemptEnd, QueuedRun, Scheduler};
use super::{
    Executor, HeldRun, Observer, Options, Shutdown, SweepReport, WorkerExit, locked, policy,
    unfinished,
};
use anyhow::{Result, bail};
use fathom_protocol::Event;
use fathom_record::{LockToken, RunDir, State, Status, SweepDir};
use fathom_spec::Run;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Least time between two updates of `curves.csv` during a sweep.
const CURVES_INTERVAL: Duration = Duration::from_secs(10);
/// The interval is at least this many times as long as an update takes.
const CURVES_COST_FACTOR: u32 = 50;

/// Attempts at a run that another process holds, and seconds between them: a worker whose supervisor
/// died may take a while to die.
const HELD_TRIES: u32 = 10;
const HELD_PAUSE: u32 = 2;

/// A sweep and all that it needs.
pub struct Sweep<'a> {
    /// The runs of the sweep; finished ones are left alone.
    pub runs: &'a [Run],
    /// The results directory.
    pub directory: &'a SweepDir,
    /// Devices, threads and limits.
    pub options: &'a Options,
    /// What runs the jobs.
    pub executor: &'a dyn Executor,
    /// Callbacks for progress.
    pub observer: &'a dyn Observer,
    /// What stops the sweep.
    pub shutdown: &'a Shutdown,
    /// The lock of the directory. `None` if several processes train runs of one sweep; files that are
    /// derived from all runs are then not written.
    pub lock: Option<&'a LockToken>,
}

/// State that the slots of a sweep share.
struct Running<'a> {
    sweep: &'a Sweep<'a>,
    scheduler: Scheduler<'a>,
    curves_due: Mutex<Instant>,
    failure: Mutex<Option<anyhow::Error>>,
    report: Mutex<SweepReport>,
}

/// How an attempt at a run went, as far as this process saw it.
struct Attempt {
    exit: WorkerExit,
    /// Status before the attempt.
    before: Status,
    /// Last step that the worker sent.
    step: u64,
    /// State and message of a failure that the worker sent.
    failure: Option<(State, String)>,
    /// Attempts that failed before.
    failures: u32,
}

impl Sweep<'_> {
    /// Runs what is not finished yet.
    ///
    /// # Errors
    /// When the directory cannot be written, its lock is lost, or no device is left. Runs that fail
    /// are no error here: their status says so.
    pub fn run(&self) -> Result<SweepReport> {
        let mut queue = unfinished(self.runs, self.directory)?;
        order(&mut queue);
        let running = Running {
            sweep: self,
            scheduler: Scheduler::new(queue, self.options),
            curves_due: Mutex::new(Instant::now() + CURVES_INTERVAL),
            failure: Mutex::default(),
            report: Mutex::default(),
        };
        std::thread::scope(|scope| {
            for slot in 0..self.options.slots() {
                let running = &running;
                scope.spawn(move || running.slot(slot % self.options.devices.len()));
            }
        });
        if let Some(error) = locked(&running.failure).take() {
            return Err(error);
        }
        self.update_curves()?;
        let report = std::mem::take(&mut *locked(&running.report));
        if let Some(left) = running.scheduler.stranded() {
            bail!("no device is left for {left} runs: {}", report.remarks.join("; "));
        }
        Ok(report)
    }

    /// Writes `curves.csv`, unless other processes train runs of the same sweep.
    fn update_curves(&self) -> Result<()> {
        if self.lock.is_none() {
            return Ok(());
        }
        let curves = self.directory.load()?;
        self.check_lock()?;
        curves.write(&self.directory.curves())
    }

    /// Fails and stops the sweep if another process has taken the lock of the directory.
    fn check_lock(&self) -> Result<()> {
        let Some(lock) = self.lock else { return Ok(()) };
        Ok(lock.check().inspect_err(|_| self.shutdown.stop())?)
    }
}

/// Sorts runs by seed, so that every arm has its first seed early, and within a seed the longest
/// first, so that no slot is idle at the end.
pub(super) fn order(runs: &mut [&Run]) {
    runs.sort_by_key(|run| (run.settings.seed, std::cmp::Reverse(run.work())));
}

impl<'a> Running<'a> {
    /// Takes runs for a device until there are none.
    fn slot(&self, device: usize) {
        // If this thread panics, the others must not wait for its run.
        let _halt = HaltOnPanic(&self.scheduler);
        while let Some(task) = self.scheduler.take(device, self.sweep.shutdown) {
            if let Err(error) =
                self.attempt(task, device).and_then(|()| self.update_curves_if_due())
            {
                self.scheduler.halt();
                locked(&self.failure).get_or_insert(error);
            }
        }
        self.sweep.executor.retire();
    }

    /// Makes one attempt at a run and draws the consequences.
    fn attempt(&self, task: QueuedRun<'a>, device: usize) -> Result<()> {
        let Sweep { directory, options, observer, .. } = self.sweep;
        let run = task.run;
        let files = directory.run(&run.id);
        self.sweep.check_lock()?;
        files.create()?;
        let before = files.status()?;
        if task.held > 0 && before.state.is_final() {
            // The process that held it has finished it.
            self.follow_up(task, device, &before, None);
            return Ok(());
        }
        observer.started(run);
        let (mut step, mut failure) = (before.step, None);
        let job = options.job(run, &options.devices[device], files.root());
        let exit = self.sweep.executor.run(&job, self.sweep.shutdown, &mut |event| {
            match event {
                Event::Progress { step: now } | Event::Row { step: now, .. } => step = now,
                Event::Resumed { step: now } => step = now,
                Event::Failed { state, ref message } => failure = Some((state, message.clone())),
                Event::Remark { .. } | Event::Ended | Event::Ready => {}
            }
            observer.event(run, &event);
        });
        if let WorkerExit::Held(holder) = &exit {
            self.held(task, device, holder);
            return Ok(());
        }
        let signal = if let WorkerExit::Killed { signal } = exit { Some(signal) } else { None };
        let attempt = Attempt { exit, before, step, failure, failures: task.failures };
        let status = self.record_status(&files, attempt)?;
        self.follow_up(task, device, &status, signal);
        Ok(())
    }

    /// Determines the status of a run after an attempt and writes it if the worker did not.
    fn record_status(&self, files: &RunDir, attempt: Attempt) -> Result<Status> {
        let found = files.status()?;
        let failures = attempt.failures;
        let mut status = attempt.status(&found, self.sweep.shutdown);
        if failures > 0 {
            let tried = format!("tried {} times", failures + 1);
            let message = std::mem::take(&mut status.message);
            status.message = if message.is_empty() { tried } else { format!("{message}; {tried}") };
        }
        if status != found {
            self.sweep.check_lock()?;
            let written = files.write_status(&status);
            // If the disk is full, that is what must be reported, not that the status does not fit.
            if status.state != State::Disk {
                written?;
            }
        }
        Ok(status)
    }

    /// Queues a retry or reports the end of a run, and reports the consequences for other runs.
    fn follow_up(&self, task: QueuedRun<'a>, device: usize, status: &Status, signal: Option<i32>) {
        let Sweep { options, observer, shutdown, .. } = self.sweep;
        let (run, failures) = (task.run, task.failures + 1);
        let retry = policy::retry(status.state, signal, failures);
        let retry = retry.filter(|_| !shutdown.is_stopping());
        match retry {
            Some(retry) => {
                observer.retrying(run, status, failures + 1, options.pause_unit * retry.pause);
            }
            None => observer.finished(run, status),
        }
        let end = AttemptEnd::With(status.state, &status.message, retry);
        for remark in self.scheduler.done(task, device, end) {
            observer.remark(&remark);
            locked(&self.report).remarks.push(remark);
        }
    }

    /// Leaves a run to the process that trains it, or tries it again later.
    fn held(&self, task: QueuedRun<'a>, device: usize, holder: &str) {
        let run = task.run;
        let again = task.held + 1 < HELD_TRIES && !self.sweep.shutdown.is_stopping();
        if !again {
            let held = HeldRun { id: run.id.clone(), holder: holder.to_owned() };
            locked(&self.report).held.push(held);
        }
        self.sweep.observer.held(run, holder, again);
        self.scheduler.done(task, device, AttemptEnd::Held(again.then_some(HELD_PAUSE)));
    }

    fn update_curves_if_due(&self) -> Result<()> {
        let mut due = locked(&self.curves_due);
        let now = Instant::now();
        if now >= *due {
            self.sweep.update_curves()?;
            *due = Instant::now() + CURVES_INTERVAL.max(CURVES_COST_FACTOR * now.elapsed());
        }
        Ok(())
    }
}

impl Attempt {
    /// Status of the run after the attempt: the one that the worker wrote (`found`), else the failure
    /// that it sent, else what its exit says.
    fn status(self, found: &Status, shutdown: &Shutdown) -> Status {
        let is_new = found.state != State::Pending && *found != self.before;
        let step = self.step;
        if is_new && found.state.is_final() {
            // The step of an outcome is the worker's alone: on a GPU updates may have been made after
            // the one at which training diverged.
            return found.clone();
        }
        if is_new {
            // What the worker wrote before it was killed is true.
            return Status { step: found.step.max(step), ..found.clone() };
        }
        if let Some((state, message)) = self.failure {
            return Status::new(state, step, message);
        }
        match self.exit {
            WorkerExit::Killed { signal: libc::SIGKILL } if shutdown.killed_by().is_some() => {
                Status::new(State::Killed, step, "killed at the second signal to fathom run")
            }
            // The worker received the signal before it had installed its handler.
            WorkerExit::Killed { signal: libc::SIGTERM } if shutdown.is_stopping() => {
                Status::new(State::Interrupted, step, "stopped before it began")
            }
            WorkerExit::Killed { signal } => {
                Status::new(State::Killed, step, policy::describe_signal(signal))
            }
            WorkerExit::Stopped => Status::new(State::Interrupted, step, "stopped by a signal"),
            WorkerExit::Silent(cause) => Status::new(State::Failed, step, cause),
            WorkerExit::Reported if found.state == State::Pending => {
                Status::new(State::Failed, step, "the worker ended without a status")
            }
            WorkerExit::Reported | WorkerExit::Held(_) => found.clone(),
        }
    }
}

/// Halts the scheduler when its thread panics.
struct HaltOnPanic<'a, 'b>(&'a Scheduler<'b>);

impl Drop for HaltOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt();
        }
    }
}
