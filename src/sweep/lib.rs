//! Which run goes where and when, so that nobody has to watch: slots that take runs from a queue
//! (`pool`), one process per run (`worker`), what becomes of a run that failed (`policy`), and how
//! all of it stops (`control`, `signals`). What happens inside a run is the worker's business; this
//! room knows its files and its protocol.

mod compatibility;
mod concurrent;
mod estimate;
mod layout;
mod measure;
mod memory;
mod policy;
mod scheduler;
mod shutdown;
mod signals;
pub mod slurm;
#[cfg(test)]
mod tests;
mod worker;
mod worker_slot;

pub use compatibility::check_compatible;
pub use concurrent::concurrently;
pub use estimate::{Estimate, disk, estimate, makespan};
pub use layout::{begun, choose, on_gpu, shape};
pub use measure::{Conditions, measure};
pub use memory::available_memory;
pub use shutdown::{Child, Shutdown, SignalEffect};
pub use signals::listen;
pub use worker::Worker;
pub use worker_slot::Sweep;

use anyhow::Result;
use fathom_protocol::{Event, Interval, Job};
use fathom_record::{CudaUse, Layouts, State, Status, SweepDir};
use fathom_spec::Run;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a run's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It wrote its status.
    Reported,
    /// It was told to stop, and did so at a checkpoint.
    Stopped,
    /// It did not begin: another process trains this run, as its last words say.
    Held(String),
    /// A signal ended it, without a status.
    Killed {
        /// Which.
        signal: i32,
    },
    /// It ended by itself without a status; the cause as far as it is known.
    Silent(String),
}

/// Runs one job to its end; a real worker, or a fake one in tests.
pub trait Executor: Sync {
    /// Returns when the run is over. Until then it does what `control` says.
    fn run(&self, job: &Job, control: &Shutdown, on_event: &mut dyn FnMut(Event)) -> Ended;
}

/// SignalEffect of what happens in a sweep, from several threads.
pub trait Observer: Sync {
    /// An attempt at a run begins.
    fn started(&self, run: &Run);
    /// The worker of a run says something.
    fn event(&self, run: &Run, event: &Event);
    /// A run is over, for this sweep.
    fn finished(&self, run: &Run, status: &Status);
    /// An attempt failed; `attempt`, counted from 1, begins after a pause.
    fn retrying(&self, run: &Run, status: &Status, attempt: u32, after: Duration);
    /// Another process trains the run; `again` tells whether it will be asked for once more.
    fn held(&self, run: &Run, who: &str, again: bool);
    /// Something that concerns the sweep, such as a device that is no longer used.
    fn remark(&self, text: &str);
}

/// How a sweep is run, the same for all of its runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `cpu`, `cuda:0`, …
    pub devices: Vec<String>,
    /// Runs side by side on each device.
    pub jobs: usize,
    /// Threads of one operation.
    pub threads: usize,
    /// Of the runs' nets.
    pub layouts: Layouts,
    /// How GPUs are used.
    pub cuda: CudaUse,
    /// Bytes that the runs side by side on one device may need together, see [`reserved`].
    pub memory: Option<u64>,
    /// When checkpoints are written.
    pub checkpoint: Interval,
    /// Where data sets lie, when the user said so.
    pub data_dir: Option<PathBuf>,
    /// Whether generated images may stand in for a data set that is absent.
    pub stand_in: bool,
    /// How long a second of pausing lasts: shorter in tests.
    pub second: Duration,
}

/// What became of a sweep, besides what the runs' files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Runs that another process trains, and which one.
    pub held: Vec<(String, String)>,
    /// What a person should know: devices no longer used, runs not begun and why.
    pub remarks: Vec<String>,
}

/// Memory that a worker needs before it knows its run: libtorch, and the data set.
const WORKER: u64 = 400_000_000;

/// Bytes that a run is expected to need on the CPU.
pub fn reserved(run: &Run) -> u64 {
    run.memory().saturating_add(WORKER)
}

/// A lock whose holder panicked still guards plain data.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many of these runs are in each state.
///
/// # Errors
/// When a status is damaged.
pub fn tally(runs: &[Run], directory: &SweepDir) -> Result<BTreeMap<State, usize>> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(directory.run(&run.id).status()?.state).or_insert(0) += 1;
    }
    Ok(counts)
}
