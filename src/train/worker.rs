//! The worker program: reads one job from its standard input and reports on its standard output; see
//! [`fathom_protocol`].

use super::bench::{bench, peaks};
use super::check::check;
use super::device::{load_cuda, probe};
use super::eval::eval;
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::landscape::landscape;
use super::measure::measure;
use super::process::{forget_peak_memory, process_age};
use super::run;
use anyhow::{Context, Result, bail, ensure};
use fathom_protocol::{
    BenchJob, CheckJob, EvalJob, Event, HELD, Job, LandscapeJob, MeasureJob, PeaksJob, STOPPED,
};
use fathom_record::{RunDir, State, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

/// Runs the command that the first argument of this process names, and returns the exit code.
pub fn main() -> ExitCode {
    let started = Instant::now();
    keep_memory();
    let result = match std::env::args().nth(1).as_deref() {
        Some("run") => train(started),
        Some("eval") => answer(eval),
        Some("measure") => answer(|job: &MeasureJob| measure(&job.job, job.seconds, started)),
        Some("look") => answer(landscape),
        Some("bench") => answer(|job| bench(job, started)),
        Some("peaks") => answer(peaks),
        Some("check") => answer(|job| check(job, started)),
        Some("probe") => print(&probe(load_cuda())),
        _ => Err(anyhow::anyhow!("fathom-train is the worker of fathom: run `fathom` instead")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            log(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The part of a job that concerns the process of the worker.
struct Header<'a> {
    /// Build of the program that sent the job.
    build: &'a str,
    /// Name of the device.
    device: &'a str,
    /// Process without which the worker ends, if there is one.
    supervisor: Option<u32>,
}

trait WorkerJob: DeserializeOwned {
    fn header(&self) -> Header<'_>;

    /// Reads the job from the standard input, and binds the worker to it.
    fn read() -> Result<Self> {
        let job: Self = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
        job.bind()?;
        Ok(job)
    }

    /// Binds the worker to the supervisor of the job, and checks the build.
    fn bind(&self) -> Result<()> {
        let Header { build, supervisor, .. } = self.header();
        if let Some(supervisor) = supervisor {
            die_with(supervisor);
        }
        let own = fathom_base::program().build;
        ensure!(build == own, "this worker is of another build than fathom");
        Ok(())
    }

    /// Loads the libraries of the device. Must precede every other use of libtorch.
    fn load_device(&self) -> Result<()> {
        if self.header().device.starts_with("cuda") { load_cuda() } else { Ok(()) }
    }
}

/// Implements [`WorkerJob`], given where a job has its build and device, and its supervisor.
macro_rules! worker_jobs {
    ($($job:ty: |$this:ident| $at:expr, $supervisor:expr;)*) => {$(
        impl WorkerJob for $job {
            fn header(&self) -> Header<'_> {
                let $this = self;
                Header { build: &$at.build, device: &$at.device, supervisor: $supervisor }
            }
        }
    )*};
}

worker_jobs! {
    Job: |job| job, Some(job.supervisor);
    MeasureJob: |measure| measure.job, Some(measure.job.supervisor);
    LandscapeJob: |job| job, Some(job.supervisor);
    BenchJob: |job| job, Some(job.supervisor);
    PeaksJob: |job| job, Some(job.supervisor);
    CheckJob: |job| job, Some(job.supervisor);
    EvalJob: |job| job, None;
}

/// Keeps memory that one update frees for the next one. By default glibc maps each large tensor
/// again, and the kernel clears its pages: 14% of the time of an update of ResNet-20. Whoever would
/// rather have less memory says so by glibc's own variable, which mallopt would overrule.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt sets limits of the allocator; no other thread exists yet.
    unsafe {
        if std::env::var_os("MALLOC_MMAP_THRESHOLD_").is_none() {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        }
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Ends this process when its supervisor ends, also if that has already happened.
fn die_with(supervisor: u32) {
    // SAFETY: prctl only sets a property of this process, and getppid only reads one.
    let parent = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid()
    };
    if u32::try_from(parent) != Ok(supervisor) {
        std::process::exit(1);
    }
}

/// Does `work`; a panic becomes the failure that it reports.
fn catch<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let result = std::panic::catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic)))
}

/// Reads a job, and prints the result of `work` on it.
fn answer<J: WorkerJob, A: Serialize>(
    work: impl FnOnce(&J) -> Result<A, Fault>,
) -> Result<ExitCode> {
    let job = J::read()?;
    job.load_device()?;
    match catch(|| work(&job)) {
        Ok(answer) => print(&answer),
        Err(Fault::Failed(State::OutOfMemory, message)) => bail!("out of memory: {message}"),
        Err(Fault::Failed(_, message) | Fault::Held(message)) => bail!("{message}"),
    }
}

fn print(answer: &impl Serialize) -> Result<ExitCode> {
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(answer)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Trains one run after the other, and reports their events. After a run that is neither done nor diverged the
/// process ends, so that the next one has a fresh process.
fn train(started: Instant) -> Result<ExitCode> {
    let interrupt = Interrupt::on_signals()?;
    let mut is_first = true;
    for line in std::io::stdin().lines() {
        let job: Job = serde_json::from_str(&line?).context("the job")?;
        job.bind()?;
        let age = if is_first { process_age(started) } else { 0.0 };
        if !is_first {
            forget_earlier_runs(&job)?;
        }
        is_first = false;
        if let ControlFlow::Break(code) = train_one(&job, age, &interrupt)? {
            return Ok(code);
        }
        if interrupt.is_set() {
            break;
        }
        send(Event::Ready);
    }
    Ok(ExitCode::SUCCESS)
}

/// Leaves nothing of earlier runs of this process that a run records: its messages go to its own log, and its peak
/// of memory begins anew.
fn forget_earlier_runs(job: &Job) -> Result<()> {
    let log = job.directory.join("log.txt");
    let file = File::options().append(true).create(true).open(&log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    // SAFETY: both descriptors are open; the standard error becomes a copy of the file.
    ensure!(
        unsafe { libc::dup2(file.as_raw_fd(), libc::STDERR_FILENO) } >= 0,
        "cannot write {}",
        log.display()
    );
    forget_peak_memory(&job.device);
    Ok(())
}

/// Trains a run, and reports its events. Continues after a run that is done or diverged; breaks with the exit code of
/// the process otherwise.
fn train_one(job: &Job, age: f64, interrupt: &Interrupt) -> Result<ControlFlow<ExitCode>> {
    let result = catch(|| {
        job.load_device().map_err(|error| Fault::lost_device(&error))?;
        run::run(job, age, interrupt, &mut send)
    });
    match result {
        Ok(status) => {
            send(Event::Ended);
            Ok(match status.state {
                State::Done | State::Diverged => ControlFlow::Continue(()),
                State::Interrupted => ControlFlow::Break(ExitCode::from(STOPPED)),
                State::Pending
                | State::OutOfMemory
                | State::BadData
                | State::LostDevice
                | State::Killed
                | State::Disk
                | State::Failed => ControlFlow::Break(ExitCode::SUCCESS),
            })
        }
        Err(Fault::Held(message)) => {
            log(format!("error: {message}"));
            Ok(ControlFlow::Break(ExitCode::from(HELD)))
        }
        Err(Fault::Failed(state, message)) => {
            // The event reaches the supervisor even if the disk is full.
            send(Event::Failed { state, message: message.clone() });
            let written =
                RunDir::new(&job.directory).write_status(&Status::new(state, 0, &message));
            if written.is_ok() {
                send(Event::Ended);
            }
            bail!("{message}");
        }
    }
}

/// Writes a line to standard error, which may be closed.
fn log(line: String) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes an event to the standard output.
fn send(event: Event) {
    if let Ok(line) = serde_json::to_string(&event) {
        // If the supervisor no longer reads, its death signal ends this process.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::keep_memory;
    use std::{env, process::Command};

    /// A variable that the test sets for the processes it starts: how many allocations are to be mapped.
    const INNER: &str = "FATHOM_TEST_ALLOCATION";

    #[test]
    fn glibcs_own_variable_decides_which_tensors_are_mapped() {
        if let Some(expected) = env::var_os(INNER) {
            keep_memory();
            // SAFETY: mallinfo2 only reads the allocator's counters.
            let mapped = || unsafe { libc::mallinfo2() }.hblks;
            let before = mapped();
            let tensor = std::hint::black_box(vec![1_u8; 8 << 20]);
            assert_eq!((mapped() - before).to_string().as_str(), expected);
            drop(tensor);
            return;
        }
        for (threshold, expected) in [(None, "0"), (Some("1048576"), "1")] {
            let mut inner = Command::new(env::current_exe().unwrap());
            let name = "worker::tests::glibcs_own_variable_decides_which_tensors_are_mapped";
            inner.args(["--exact", name]).env(INNER, expected).env_remove("MALLOC_MMAP_THRESHOLD_");
            if let Some(bytes) = threshold {
                inner.env("MALLOC_MMAP_THRESHOLD_", bytes);
            }
            let output = inner.output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && told.contains("1 passed"), "{threshold:?}: {told}");
        }
    }
}
