//! The worker of `fathom`, and the only program that links libtorch. It reads one job from its
//! standard input, trains it, and tells of it on its standard output; see `fathom::protocol`.

// The room of libtorch belongs to this program and not to the library: what `fathom` links must
// not reach it.
#[path = "../train/mod.rs"]
mod train;

use anyhow::{Context, Result, bail, ensure};
use fathom::protocol::{BUILD, EvalJob, Event, Job};
use fathom::record::{RunDir, State, Status};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    die_with_parent();
    let result = match std::env::args().nth(1).as_deref() {
        Some("run") => run(),
        Some("eval") => eval(),
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

/// A supervisor that dies leaves no orphans.
fn die_with_parent() {
    // SAFETY: prctl only sets a property of this process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

fn probe() -> Result<ExitCode> {
    let probe = train::probe(train::load_cuda());
    println!("{}", serde_json::to_string(&probe)?);
    Ok(ExitCode::SUCCESS)
}

fn eval() -> Result<ExitCode> {
    let job: EvalJob = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    ensure!(job.build == BUILD, "this worker is of another build than fathom");
    if job.device.starts_with("cuda") {
        train::load_cuda()?;
    }
    let result = std::panic::catch_unwind(|| train::eval(&job));
    match result.unwrap_or_else(|panic| Err(anyhow::anyhow!(words(&panic)))) {
        Ok(evaluated) => println!("{}", serde_json::to_string(&evaluated)?),
        // The last line is what the user is told.
        Err(error) => bail!("{}", format!("{error:#}").lines().next().unwrap_or_default()),
    }
    Ok(ExitCode::SUCCESS)
}

/// libtorch's failures arrive as panics of the operation.
fn words(panic: &Box<dyn std::any::Any + Send>) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "the worker panicked".into())
}

fn run() -> Result<ExitCode> {
    let job: Job = serde_json::from_reader(std::io::stdin().lock()).context("the job")?;
    ensure!(job.build == BUILD, "this worker is of another build than fathom");
    if job.device.starts_with("cuda") {
        train::load_cuda()?;
    }
    let directory = RunDir::new(&job.directory);
    let result = std::panic::catch_unwind(|| train::run(&job, &mut tell));
    let failure = match result {
        Ok(Ok(_)) => {
            tell(Event::Ended);
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => words(&panic),
    };
    let state = if is_out_of_memory(&failure) { State::OutOfMemory } else { State::Failed };
    let line = failure.lines().next().unwrap_or_default();
    directory.create()?;
    directory.write_status(&Status::new(state, 0, line))?;
    tell(Event::Ended);
    bail!("{failure}");
}

fn is_out_of_memory(failure: &str) -> bool {
    ["out of memory", "can't allocate memory", "not enough memory"]
        .iter()
        .any(|words| failure.contains(words))
}

fn tell(event: Event) {
    if let Ok(line) = serde_json::to_string(&event) {
        // A supervisor that is gone is noticed by its death signal, not here.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}
