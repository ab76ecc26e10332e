//! The worker's entry: it reads one job from its standard input, trains it, and reports on its
//! standard output; see [`fathom_protocol`].

use crate::{Fault, Interrupt};
use anyhow::{Context, Result, bail, ensure};
use fathom_protocol::{
    BenchJob, CheckJob, EvalJob, Event, HELD, Job, LandscapeJob, MeasureJob, PeaksJob, STOPPED,
};
use fathom_record::{RunDir, State, Status};
use serde::Serialize;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

/// Does what the first argument of this process says, and returns the exit code.
pub fn main() -> ExitCode {
    let started = Instant::now();
    keep_memory();
    let result = match std::env::args().nth(1).as_deref() {
        Some("run") => run(),
        Some("eval") => eval(),
        Some("measure") => measure(started),
        Some("look") => look(),
        Some("bench") => bench(started),
        Some("peaks") => peaks(),
        Some("check") => check(started),
        Some("probe") => probe(),
        _ => Err(anyhow::anyhow!("fathom-train is the worker of fathom: type `fathom` instead")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(started: Instant) -> Result<ExitCode> {
    let measure: MeasureJob =
        serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    let MeasureJob { job, seconds } = &measure;
    prepare(job.supervisor, &job.build, &job.device)?;
    answer(|| crate::measure(job, *seconds, started))
}

fn look() -> Result<ExitCode> {
    let job: LandscapeJob = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    prepare(job.supervisor, &job.build, &job.device)?;
    answer(|| crate::look(&job))
}

fn bench(started: Instant) -> Result<ExitCode> {
    let job: BenchJob = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    prepare(job.supervisor, &job.build, &job.device)?;
    answer(|| crate::bench(&job, started))
}

fn peaks() -> Result<ExitCode> {
    let job: PeaksJob = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    prepare(job.supervisor, &job.build, &job.device)?;
    answer(|| crate::peaks(&job))
}

fn check(started: Instant) -> Result<ExitCode> {
    let job: CheckJob = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    prepare(job.supervisor, &job.build, &job.device)?;
    answer(|| crate::check(&job, started))
}

/// Memory that one update gives back is kept for the next one. By default each large tensor is
/// mapped anew, and the kernel clears its pages: that was 14% of an update of ResNet-20.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: these set limits of the allocator, before there are other threads.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// What comes before the first use of libtorch.
fn prepare(supervisor: u32, build: &str, device: &str) -> Result<()> {
    die_with(supervisor);
    check_build(build)?;
    if is_gpu(device) { crate::load_cuda() } else { Ok(()) }
}

fn check_build(build: &str) -> Result<()> {
    ensure!(build == fathom_base::program().build, "this worker is of another build than fathom");
    Ok(())
}

fn is_gpu(device: &str) -> bool {
    device.starts_with("cuda")
}

/// Prints what was measured, or says in one line why it was not.
fn answer<A: Serialize>(measure: impl FnOnce() -> Result<A, Fault>) -> Result<ExitCode> {
    let result = std::panic::catch_unwind(AssertUnwindSafe(measure));
    match result.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic))) {
        Ok(measured) => println!("{}", serde_json::to_string(&measured)?),
        Err(Fault::Failed(State::OutOfMemory, message)) => bail!("out of memory: {message}"),
        Err(Fault::Failed(_, message) | Fault::Held(message)) => bail!("{message}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// A supervisor that dies leaves no orphans, not even one that dies before this is called.
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

fn probe() -> Result<ExitCode> {
    let probe = crate::probe(crate::load_cuda());
    println!("{}", serde_json::to_string(&probe)?);
    Ok(ExitCode::SUCCESS)
}

fn eval() -> Result<ExitCode> {
    let job: EvalJob = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    check_build(&job.build)?;
    if is_gpu(&job.device) {
        crate::load_cuda()?;
    }
    let result = std::panic::catch_unwind(|| crate::eval(&job));
    let result = result.unwrap_or_else(|panic| {
        let (Fault::Failed(_, message) | Fault::Held(message)) = Fault::of_panic(&*panic);
        Err(anyhow::anyhow!(message))
    });
    println!("{}", serde_json::to_string(&result?)?);
    Ok(ExitCode::SUCCESS)
}

fn run() -> Result<ExitCode> {
    let job: Job = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    die_with(job.supervisor);
    check_build(&job.build)?;
    let stop = Interrupt::on_signals()?;
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        if is_gpu(&job.device) {
            crate::load_cuda().map_err(|error| Fault::lost_device(&error))?;
        }
        crate::run(&job, &stop, &mut tell)
    }));
    match result.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic))) {
        Ok(status) => {
            tell(Event::Ended);
            let stopped = status.state == State::Interrupted;
            Ok(if stopped { ExitCode::from(STOPPED) } else { ExitCode::SUCCESS })
        }
        Err(Fault::Held(message)) => {
            eprintln!("error: {message}");
            Ok(ExitCode::from(HELD))
        }
        Err(Fault::Failed(state, message)) => {
            // Where the disk is full the supervisor is the only one to hear of it.
            tell(Event::Failed { state, message: message.clone() });
            let written =
                RunDir::new(&job.directory).write_status(&Status::new(state, 0, &message));
            if written.is_ok() {
                tell(Event::Ended);
            }
            bail!("{message}");
        }
    }
}

fn tell(event: Event) {
    if let Ok(line) = serde_json::to_string(&event) {
        // A supervisor that is gone is noticed by its death signal, not here.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}
