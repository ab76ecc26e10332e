//! `fathom cancel`.

use super::stderr::log;
use super::text::plural;
use anyhow::{Context, Result, anyhow, ensure};
use fathom_record::{Holder, Lock, SweepDir};
use fathom_sweep::slurm::{Slurm, SlurmError};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Stop the sweep of a results directory, on this machine and on a Slurm cluster
///
/// Runs in progress write a checkpoint and can be resumed
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    directory.check_has_results()?;
    let root = directory.root().display();
    let was_running = stop_supervisor(&directory)?;
    let tasks = cancel_tasks(&directory)?;
    if tasks > 0 {
        log(format!("{root}: {} cancelled", plural(tasks, "task")));
    }
    if tasks > 0 || was_running {
        log("runs in progress finish their step and write a checkpoint; fathom run resumes them");
    } else {
        log(format!("{root}: no run is in progress or queued"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops a `fathom run` on this machine and returns whether there was one.
fn stop_supervisor(directory: &SweepDir) -> Result<bool> {
    let path = directory.lock();
    match Lock::peek(&path).with_context(|| format!("cannot read {}", path.display()))? {
        Some(Holder::Alive(owner)) => {
            let pid = libc::pid_t::try_from(owner.pid)?;
            // SAFETY: sends a signal. The lock identifies the process by its start time as well, so
            // the id belonged to it a moment ago.
            let sent = unsafe { libc::kill(pid, libc::SIGTERM) };
            let error = std::io::Error::last_os_error();
            ensure!(sent == 0, "cannot stop {owner}: {error}");
            log(format!("stopping {owner}"));
            Ok(true)
        }
        Some(Holder::Elsewhere(owner)) => {
            log(format!("{owner} holds the directory: if it still runs, stop it there"));
            Ok(false)
        }
        Some(Holder::Gone(_)) | None => Ok(false),
    }
}

/// Cancels the queued tasks of the directory's arrays and returns their number.
fn cancel_tasks(directory: &SweepDir) -> Result<usize> {
    let jobs: Vec<u64> = directory.arrays()?.values().filter_map(|array| array.job).collect();
    if jobs.is_empty() {
        return Ok(0);
    }
    let failed = |error: SlurmError| anyhow!("{error}: nothing was cancelled");
    let queue = Slurm.queue(&jobs).map_err(failed)?;
    let live: BTreeSet<u64> = queue.keys().map(|(job, _)| *job).collect();
    if !live.is_empty() {
        let live: Vec<u64> = live.into_iter().collect();
        Slurm.cancel(&live).map_err(failed)?;
    }
    Ok(queue.len())
}
