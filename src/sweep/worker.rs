//! The worker `fathom-train` as a child process.

use super::trainer::{RunEnd, Trainer};
use super::{Executor, Shutdown, WorkerExit};
use anyhow::{Context, Result, bail, ensure};
use fathom_protocol::{
    BenchJob, Benched, CheckJob, Checked, EvalJob, Evaluated, Event, HELD, Job, Landscape,
    LandscapeJob, MeasureJob, Measured, Peaks, PeaksJob, Probe, STOPPED,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Environment variable with the path of the worker, for a worker that is neither beside this program
/// nor in a folder of `PATH`.
const VARIABLE: &str = "FATHOM_TRAIN";

/// The worker program: the one that `FATHOM_TRAIN` names, else the one beside this program, else the
/// first one in a folder of `PATH`.
pub struct Worker {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

thread_local! {
    /// A process that this thread has started, and that waits for another run. It belongs to the thread, because a
    /// worker ends with the thread that started it (`PR_SET_PDEATHSIG`), as it does with the whole program.
    static IDLE: RefCell<Option<Trainer>> = const { RefCell::new(None) };
}

impl Worker {
    /// Finds the worker without starting it.
    ///
    /// # Errors
    /// When there is none, with the command that builds it.
    pub fn find() -> Result<Self> {
        if let Some(program) = std::env::var_os(VARIABLE).map(PathBuf::from) {
            ensure!(program.exists(), "{VARIABLE}: there is no {}", program.display());
            return Ok(Self::at(program));
        }
        let here = std::env::current_exe().context("where is this program?")?;
        let beside = here.with_file_name("fathom-train");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let elsewhere = std::env::split_paths(&path).map(|folder| folder.join("fathom-train"));
        let found = std::iter::once(beside.clone()).chain(elsewhere).find(|file| file.is_file());
        let program = found.with_context(|| {
            format!("the worker {} is missing: {}", beside.display(), remedy(&beside))
        })?;
        Ok(Self::at(program))
    }

    /// The worker at this path, which need not exist.
    pub(super) fn at(program: PathBuf) -> Self {
        Self { program, environment: Vec::new() }
    }

    /// Sets variables that worker processes get in addition to those of this process, instead of
    /// those that were set before.
    pub fn set_environment(&mut self, environment: Vec<(OsString, OsString)>) {
        self.environment = environment;
    }

    /// Finds the worker and starts it once: the worker, and what it reports on libtorch and devices.
    ///
    /// # Errors
    /// When it does not start or is of another build, with the command that repairs it.
    pub fn ready() -> Result<(Self, Probe)> {
        let worker = Self::find()?;
        let probe = worker.probe()?;
        ensure!(
            probe.build == fathom_base::program().build,
            "the worker {} is of another build than this program: {}",
            worker.program.display(),
            remedy(&worker.program)
        );
        Ok((worker, probe))
    }

    /// Reports on the worker's build, its libtorch and the devices that it can use.
    ///
    /// # Errors
    /// When the worker does not start.
    pub fn probe(&self) -> Result<Probe> {
        let output = Command::new(&self.program)
            .arg("probe")
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let other = std::env::var_os("LD_LIBRARY_PATH").and_then(|path| libtorch_in(&path));
            let remedy = match other {
                Some(folder) => format!(
                    "LD_LIBRARY_PATH puts the libtorch in {} before the one that the worker was built with: leave that \
                     folder out",
                    folder.display()
                ),
                None => remedy(&self.program).into(),
            };
            let program = self.program.display();
            bail!("the worker {program} does not start: {}; {remedy}", errors.trim());
        }
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("{} is of another build: {}", self.program.display(), remedy(&self.program))
        })
    }

    /// Evaluates given weights: loss and error rates.
    ///
    /// # Errors
    /// The message of the worker: weights that do not fit, missing data, lack of memory.
    pub fn eval(&self, job: &EvalJob) -> Result<Evaluated> {
        self.ask("eval", job.threads, job)
    }

    /// Measures the loss landscape and the gradients of a trained net.
    ///
    /// # Errors
    /// The message of the worker: weights that do not fit, missing or different data.
    pub fn landscape(&self, job: &LandscapeJob) -> Result<Landscape> {
        self.ask("look", job.threads, job)
    }

    /// Times the updates of a run for a number of seconds.
    ///
    /// # Errors
    /// Whatever would keep the run from training.
    pub fn measure(&self, job: &Job, seconds: f64) -> Result<Measured> {
        let threads = job.threads;
        self.ask("measure", threads, &MeasureJob { job: job.clone(), seconds })
    }

    /// Checks that a device does what training needs.
    ///
    /// # Errors
    /// The reason why it does not.
    pub fn check(&self, device: &str) -> Result<Checked> {
        let (build, supervisor) = (fathom_base::program().build.into(), std::process::id());
        self.ask("check", 1, &CheckJob { build, device: device.into(), supervisor })
    }

    /// Measures the training speed of a net.
    ///
    /// # Errors
    /// The message of the worker: lack of memory, a missing device.
    pub fn bench(&self, job: &BenchJob) -> Result<Benched> {
        self.ask("bench", job.threads, job)
    }

    /// Measures the peak speed of the machine.
    ///
    /// # Errors
    /// The errors of [`Worker::bench`].
    pub fn peaks(&self, job: &PeaksJob) -> Result<Peaks> {
        self.ask("peaks", job.threads, job)
    }

    /// Runs a worker command that takes one job and prints one answer, both as JSON.
    fn ask<A: DeserializeOwned>(
        &self,
        task: &str,
        threads: usize,
        job: &impl Serialize,
    ) -> Result<A> {
        let mut child = self
            .command(task, threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut input = child.stdin.take().context("the worker has no input")?;
        let _ = input.write_all(&serde_json::to_vec(job)?);
        drop(input);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            match (output.status.signal(), last_message(&errors)) {
                (Some(signal), Some(said)) => {
                    bail!("the worker was killed by signal {signal}: {said}")
                }
                (Some(signal), None) => bail!("the worker was killed by signal {signal}"),
                (None, said) => bail!("{}", said.unwrap_or("the worker gave no reason")),
            }
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn command(&self, task: &str, threads: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(task).env("OMP_NUM_THREADS", threads.to_string());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if std::env::var_os("GOMP_SPINCOUNT").is_none() {
            // Threads that wait for each other spin for some hundred microseconds instead of
            // milliseconds, which would be taken from other threads of their core: possibly from the
            // one that they wait for.
            command.env("GOMP_SPINCOUNT", "10000");
        }
        if std::env::var_os("CUBLAS_WORKSPACE_CONFIG").is_none() {
            // cuBLAS needs it to be deterministic; it has no other effect.
            command.env("CUBLAS_WORKSPACE_CONFIG", ":4096:8");
        }
        command
    }

    /// Path of the worker program.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// The command that builds the worker at this path.
/// The first folder of a search path that has a libtorch.
fn libtorch_in(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).find(|folder| folder.join("libtorch_cpu.so").exists())
}

fn remedy(program: &Path) -> &'static str {
    if program.parent().is_some_and(|folder| folder.ends_with("debug")) {
        "run scripts/setup, then cargo build"
    } else {
        "run scripts/setup, then cargo build --release"
    }
}

impl Executor for Worker {
    fn run(&self, job: &Job, shutdown: &Shutdown, on_event: &mut dyn FnMut(Event)) -> WorkerExit {
        let log = job.directory.join("log.txt");
        match self.train(job, &log, shutdown, on_event) {
            Ok(Trained::Waits) => WorkerExit::Reported,
            Ok(Trained::Exited { ended, status, errors }) => judge(ended, status, &errors),
            Err(error) => WorkerExit::Silent(format!("{error:#}")),
        }
    }

    fn retire(&self) {
        // Not left to the end of the thread, for which nobody waits.
        drop(IDLE.take());
    }
}

/// What became of a worker process that trained a run.
enum Trained {
    /// The process waits for another run.
    Waits,
    /// The process has exited: whether it sent [`Event::Ended`], its status, and what it wrote to its standard error.
    Exited { ended: bool, status: ExitStatus, errors: String },
}

/// Most runs of one process, which bounds whatever memory libraries keep from each.
const MOST_RUNS: usize = 50;

impl Worker {
    /// Trains a run in a process that waits for one, or in a new one.
    fn train(
        &self,
        job: &Job,
        log: &Path,
        shutdown: &Shutdown,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Trained> {
        let (errors, from) = open_log(log)?;
        let command = self.command("run", job.threads);
        // A process that does not fit ends here.
        let fits = |trainer: &mut Trainer| trainer.fits(&command, job) && trainer.is_alive();
        let mut trainer = match IDLE.take().and_then(|mut one| fits(&mut one).then_some(one)) {
            Some(waiting) => waiting,
            None => Trainer::start(command, job, errors)
                .with_context(|| format!("cannot start {}", self.program.display()))?,
        };
        let forwarding = shutdown.child(trainer.process.id());
        let RunEnd { ended, is_ready } = trainer.train(job, on_event)?;
        if is_ready {
            drop(forwarding);
            if trainer.runs < MOST_RUNS {
                IDLE.set(Some(trainer));
            }
            return Ok(Trained::Waits);
        }
        wait_without_reaping(trainer.process.id());
        drop(forwarding);
        let status = trainer.process.wait()?;
        let written = std::fs::read(log).unwrap_or_default();
        let from = usize::try_from(from)?.min(written.len());
        let errors = String::from_utf8_lossy(&written[from..]).into_owned();
        Ok(Trained::Exited { ended, status, errors })
    }
}

/// Opens a run's log for appending: the file, and the length of what earlier attempts left there.
fn open_log(log: &Path) -> Result<(File, u64)> {
    let open = || -> std::io::Result<(File, u64)> {
        let mut file = File::options().append(true).create(true).open(log)?;
        if file.metadata()?.len() > 0 {
            file.write_all(b"--- started again\n")?;
        }
        let from = file.metadata()?.len();
        Ok((file, from))
    };
    open().with_context(|| format!("cannot write {}", log.display()))
}

/// Waits until the process has ended, but leaves it a zombie so that its id is not reused.
fn wait_without_reaping(pid: u32) {
    loop {
        // SAFETY: waitid only writes into `info`, for which all zeros are valid.
        let answer = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        let was_interrupted =
            answer != 0 && std::io::Error::last_os_error().kind() == ErrorKind::Interrupted;
        if !was_interrupted {
            return;
        }
    }
}

/// How a worker ended, from whether it sent [`Event::Ended`], its exit status and its log.
fn judge(ended: bool, status: ExitStatus, log: &str) -> WorkerExit {
    let message =
        || last_message(log).map_or_else(|| format!("ended with {status}"), str::to_owned);
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(STOPPED) => WorkerExit::Stopped,
        (Some(code), _) if code == i32::from(HELD) => WorkerExit::Held(message()),
        _ if ended => WorkerExit::Reported,
        (_, Some(signal)) => WorkerExit::Killed { signal },
        (_, None) => WorkerExit::Silent(message()),
    }
}

/// The last line of a worker's standard error, which is its error message.
fn last_message(text: &str) -> Option<&str> {
    let last = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(last.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests;
