//! `fathom cancel`.

use super::stderr::{say, so_many};
use anyhow::{Context, Result, anyhow, ensure};
use fathom_record::{Holder, Lock, SweepDir};
use fathom_sweep::slurm::Slurm;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    ensure!(directory.has_begun(), "{} is no directory of results", directory.root().display());
    let stopped = supervisor(&directory)?;
    let tasks = tasks(&directory)?;
    let root = directory.root().display();
    if tasks > 0 {
        say(format!("{root}: {} cancelled", so_many(tasks, "task")));
    }
    if tasks > 0 || stopped {
        say("what trains finishes its step and writes a checkpoint; fathom run goes on from there");
    } else {
        say(format!("{root}: nothing runs or waits"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops a `fathom run` on this machine; tells whether there was one.
fn supervisor(directory: &SweepDir) -> Result<bool> {
    let path = directory.lock();
    match Lock::peek(&path).with_context(|| format!("cannot read {}", path.display()))? {
        Some(Holder::Alive(owner)) => {
            let pid = libc::pid_t::try_from(owner.pid)?;
            // SAFETY: sends a signal. The lock says which process is meant by its time of start as
            // well, so the number was not another's a moment ago.
            let sent = unsafe { libc::kill(pid, libc::SIGTERM) };
            let error = std::io::Error::last_os_error();
            ensure!(sent == 0, "cannot stop {owner}: {error}");
            say(format!("told {owner} to stop"));
            Ok(true)
        }
        Some(Holder::Elsewhere(owner)) => {
            say(format!("{owner} holds the directory: if it still runs, stop it there"));
            Ok(false)
        }
        Some(Holder::Gone(_)) | None => Ok(false),
    }
}

/// Cancels what Slurm holds of the directory's arrays, and counts their tasks.
fn tasks(directory: &SweepDir) -> Result<usize> {
    let jobs: Vec<u64> = directory.arrays()?.values().filter_map(|array| array.job).collect();
    if jobs.is_empty() {
        return Ok(0);
    }
    let failed = |refusal| anyhow!("{refusal}: nothing was cancelled");
    let queue = Slurm.queue(&jobs).map_err(failed)?;
    let live: BTreeSet<u64> = queue.keys().map(|(job, _)| *job).collect();
    if !live.is_empty() {
        let live: Vec<u64> = live.into_iter().collect();
        Slurm.cancel(&live).map_err(failed)?;
    }
    Ok(queue.len())
}
