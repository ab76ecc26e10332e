//! A sweep: slots that take runs from the pool, and what they leave in the runs' files.

use super::layout::shape;
use super::scheduler::{End, Pool, Task};
use super::{Ended, Executor, Observer, Options, Shutdown, SweepReport, locked, policy};
use anyhow::{Result, bail};
use fathom_protocol::{Event, Job};
use fathom_record::{LockToken, RunDir, State, Status, SweepDir};
use fathom_spec::Run;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Least time between two renewals of `curves.csv` while a sweep runs, and how many times as long as
/// a renewal takes it is: large sweeps take their time.
const JOIN_EVERY: Duration = Duration::from_secs(10);
const JOIN_SHARE: u32 = 50;

/// How often a run is asked for that another process holds, and seconds between: a worker whose
/// supervisor died may take a while to die.
const HELD_TRIES: u32 = 10;
const HELD_PAUSE: u32 = 2;

/// What a sweep needs.
pub struct Sweep<'a> {
    /// Its runs; what is finished stays.
    pub runs: &'a [Run],
    /// Where their files go.
    pub directory: &'a SweepDir,
    /// How they are run.
    pub options: &'a Options,
    /// What runs them.
    pub executor: &'a dyn Executor,
    /// Who is told.
    pub observer: &'a dyn Observer,
    /// What stops it.
    pub control: &'a Shutdown,
    /// The lock of the directory under which everything is written. Without it, where several
    /// processes train runs of one sweep, what is derived from all runs is left to others.
    pub lock: Option<&'a LockToken>,
}

/// What the slots of a running sweep share.
struct Running<'a> {
    sweep: &'a Sweep<'a>,
    pool: Pool<'a>,
    join_at: Mutex<Instant>,
    failure: Mutex<Option<anyhow::Error>>,
    outcome: Mutex<SweepReport>,
}

impl Sweep<'_> {
    /// Runs what is not finished yet.
    ///
    /// # Errors
    /// When the directory cannot be written or is no longer this process's, or no device is left.
    /// Runs that fail are no error here: their status says so.
    pub fn run(&self) -> Result<SweepReport> {
        let running = Running {
            sweep: self,
            pool: Pool::new(self.queue()?, self.options),
            join_at: Mutex::new(Instant::now() + JOIN_EVERY),
            failure: Mutex::default(),
            outcome: Mutex::default(),
        };
        std::thread::scope(|scope| {
            for slot in 0..self.options.jobs * self.options.devices.len() {
                let running = &running;
                scope.spawn(move || running.slot(slot % self.options.devices.len()));
            }
        });
        if let Some(error) = locked(&running.failure).take() {
            return Err(error);
        }
        self.renew_curves()?;
        let outcome = std::mem::take(&mut *locked(&running.outcome));
        if let Some(left) = running.pool.stranded() {
            bail!("no device is left for {left} runs: {}", outcome.remarks.join("; "));
        }
        Ok(outcome)
    }

    /// Unfinished runs.
    fn queue(&self) -> Result<Vec<&Run>> {
        let mut unfinished = Vec::new();
        for run in self.runs {
            if !self.directory.run(&run.id).status()?.state.is_final() {
                unfinished.push(run);
            }
        }
        order(&mut unfinished);
        Ok(unfinished)
    }

    fn renew_curves(&self) -> Result<()> {
        if self.lock.is_none() {
            return Ok(());
        }
        let curves = self.directory.load()?;
        self.check_lock()?;
        curves.write(&self.directory.curves())
    }

    /// Whether this process may still write here. If not, its workers make room for those of
    /// whoever may.
    fn check_lock(&self) -> Result<()> {
        let Some(lock) = self.lock else { return Ok(()) };
        Ok(lock.check().inspect_err(|_| self.control.stop())?)
    }

    fn job(&self, run: &Run, files: &RunDir, device: &str) -> Job {
        Job {
            build: fathom_base::program().build.into(),
            id: run.id.clone(),
            arm: run.arm.clone(),
            axes: run.axes.clone(),
            config: run.config.clone(),
            network: run.network.clone(),
            directory: files.root().into(),
            data_dir: self.options.data_dir.clone(),
            stand_in: self.options.stand_in,
            device: device.into(),
            threads: self.options.threads,
            jobs: self.options.jobs,
            cuda: self.options.cuda,
            layout: self.options.layouts.of(&shape(run)),
            supervisor: std::process::id(),
            checkpoint: self.options.checkpoint,
        }
    }
}

/// Seed by seed, so that every arm has its first seed early, and within a seed the longest first, so
/// that no slot is idle at the end.
pub(super) fn order(runs: &mut [&Run]) {
    runs.sort_by_key(|run| (run.settings.seed, std::cmp::Reverse(run.work())));
}

impl<'a> Running<'a> {
    fn slot(&self, device: usize) {
        // A fault in this thread must not leave the others waiting for its run.
        let _halting = Halting(&self.pool);
        while let Some(task) = self.pool.take(device, self.sweep.control) {
            if let Err(error) = self.attempt(task, device).and_then(|()| self.join()) {
                self.pool.halt();
                locked(&self.failure).get_or_insert(error);
            }
        }
    }

    /// One attempt at a run, and what follows from how it ends.
    fn attempt(&self, task: Task<'a>, device: usize) -> Result<()> {
        let Sweep { directory, options, observer, .. } = self.sweep;
        let run = task.run;
        let files = directory.run(&run.id);
        self.sweep.check_lock()?;
        files.create()?;
        let before = files.status()?;
        observer.started(run);
        let (mut step, mut failed) = (before.step, None);
        let job = self.sweep.job(run, &files, &options.devices[device]);
        let ended = self.sweep.executor.run(&job, self.sweep.control, &mut |event| {
            match event {
                Event::Progress { step: now } | Event::Row { step: now, .. } => step = now,
                Event::Resumed { step: now } => step = now,
                Event::Failed { state, ref message } => failed = Some((state, message.clone())),
                Event::Remark { .. } | Event::Ended => {}
            }
            observer.event(run, &event);
        });
        if let Ended::Held(who) = &ended {
            self.held(task, device, who);
            return Ok(());
        }
        let signal = if let Ended::Killed { signal } = ended { Some(signal) } else { None };
        let told = failed.map(|(state, words): (State, String)| Status::new(state, step, words));
        let status = self.status(&files, (&before, step), (ended, told), task.failures)?;
        self.follow(task, device, &status, signal);
        Ok(())
    }

    /// The status of a run after an attempt: the worker's, what it told where it could not write
    /// one, or one in its stead. It says how often the run was tried when that was more than once.
    fn status(
        &self,
        files: &RunDir,
        (before, step): (&Status, u64),
        (ended, told): (Ended, Option<Status>),
        failures: u32,
    ) -> Result<Status> {
        let control = self.sweep.control;
        let found = files.status()?;
        let is_new = found.state != State::Pending && found != *before;
        let mut status = match ended {
            // How far an outcome goes is told by the worker alone: on a GPU updates may have been
            // made after the one at which training diverged.
            _ if is_new && found.state.is_final() => found.clone(),
            // Whatever the worker wrote before it was killed is true.
            _ if is_new => Status { step: found.step.max(step), ..found.clone() },
            _ if told.is_some() => told.unwrap_or_else(|| found.clone()),
            Ended::Killed { signal: libc::SIGKILL } if control.killed_by().is_some() => {
                Status::new(State::Killed, step, "killed at the second signal to fathom run")
            }
            // SignalEffect to stop before it could listen.
            Ended::Killed { signal: libc::SIGTERM } if control.is_stopping() => {
                Status::new(State::Interrupted, step, "stopped before it began")
            }
            Ended::Killed { signal } => Status::new(State::Killed, step, policy::in_words(signal)),
            Ended::Stopped => Status::new(State::Interrupted, step, "stopped by a signal"),
            Ended::Silent(cause) => Status::new(State::Failed, step, cause),
            Ended::Reported if found.state == State::Pending => {
                Status::new(State::Failed, step, "the worker ended without a status")
            }
            _ => found.clone(),
        };
        if failures > 0 {
            let tried = format!("tried {} times", failures + 1);
            let message = std::mem::take(&mut status.message);
            status.message = if message.is_empty() { tried } else { format!("{message}; {tried}") };
        }
        if status != found {
            self.sweep.check_lock()?;
            let written = files.write_status(&status);
            // A full disk is the news, not that the news does not fit on it.
            if status.state != State::Disk {
                written?;
            }
        }
        Ok(status)
    }

    fn follow(&self, task: Task<'a>, device: usize, status: &Status, signal: Option<i32>) {
        let Sweep { options, observer, control, .. } = self.sweep;
        let (run, failures) = (task.run, task.failures + 1);
        let retry = policy::retry(status.state, signal, failures);
        let retry = retry.filter(|_| !control.is_stopping());
        match retry {
            Some(retry) => {
                observer.retrying(run, status, failures + 1, options.second * retry.pause);
            }
            None => observer.finished(run, status),
        }
        let end = End::With(status.state, &status.message, retry);
        for remark in self.pool.done(task, device, end) {
            observer.remark(&remark);
            locked(&self.outcome).remarks.push(remark);
        }
    }

    /// Another process trains the run: it is left alone, and asked for again a few times.
    fn held(&self, task: Task<'a>, device: usize, who: &str) {
        let run = task.run;
        let again = task.held + 1 < HELD_TRIES && !self.sweep.control.is_stopping();
        if !again {
            locked(&self.outcome).held.push((run.id.clone(), who.to_owned()));
        }
        self.sweep.observer.held(run, who, again);
        self.pool.done(task, device, End::Held(again.then_some(HELD_PAUSE)));
    }

    fn join(&self) -> Result<()> {
        let mut next = locked(&self.join_at);
        let now = Instant::now();
        if now >= *next {
            self.sweep.renew_curves()?;
            *next = Instant::now() + JOIN_EVERY.max(JOIN_SHARE * now.elapsed());
        }
        Ok(())
    }
}

/// Halts the pool when its thread panics.
struct Halting<'a, 'b>(&'a Pool<'b>);

impl Drop for Halting<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt();
        }
    }
}
