//! Scheduling of a sweep: which run trains where and when, without anyone watching.
//!
//! - [`Sweep`] has worker slots (`worker_slot`) that take runs from a queue (`scheduler`); each trains them in a
//!   process (`trainer`) of the program [`Worker`]; `policy` decides on retries, [`Shutdown`] and [`listen`] on
//!   stopping.
//! - Before a sweep: [`check_compatible`] and [`check_integrity`] guard the results directory,
//!   [`settle_layouts`] chooses memory layouts, [`Forecast`] estimates time, memory and disk.
//! - [`begin_from`] lets runs begin where shorter ones end; [`second_stage`] runs each arm with its best value of a tuned key; [`until_decided`] adds seeds until claims are
//!   decided; [`slurm`] submits runs as array jobs;
//!   [`RunStatus`] describes every run of a results directory.
//!
//! What happens inside a run is the worker's business; this crate knows its files and its protocol.

mod compatibility;
mod concurrent;
mod estimate;
mod forecast;
mod integrity;
mod job;
mod jobs;
mod layout;
mod lengthen;
mod measure;
mod memory;
mod plan;
mod policy;
mod processor;
mod scheduler;
mod second_stage;
mod shutdown;
mod signals;
pub mod slurm;
mod status;
#[cfg(test)]
mod tests;
mod trainer;
pub mod until_decided;
mod worker;
mod worker_slot;

pub use compatibility::check_compatible;
pub use concurrent::concurrently;
pub use estimate::{Estimate, disk_bytes, estimate, makespan};
pub use forecast::{Forecast, TooLong};
pub use integrity::check_integrity;
pub use job::{Options, net_shape};
pub use jobs::jobs_per_gpu;
pub use layout::{gpu_layouts, is_f32, settle_layouts};
pub use lengthen::begin_from;
pub use memory::{Memory, OverMemory, available_memory, reserved_memory};
pub use plan::{count_states, prepare_data, unfinished, write_plan};
pub use processor::Bf16Units;
pub use second_stage::{SecondStage, second_stage};
pub use shutdown::{Child, Shutdown, SignalEffect};
pub use signals::listen;
pub use status::{Activity, RunStatus, TaskStatus, run_statuses};
pub use worker::Worker;
pub use worker_slot::Sweep;

use fathom_protocol::{Event, Job};
use fathom_record::Status;
use fathom_spec::Run;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a worker process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerExit {
    /// The worker wrote the status of its run.
    Reported,
    /// The worker was asked to stop and did so at a checkpoint.
    Stopped,
    /// The worker did not begin because another process trains the run; the text names the holder of
    /// the lock.
    Held(String),
    /// A signal ended the worker before it wrote a status.
    Killed {
        /// Number of the signal.
        signal: i32,
    },
    /// The worker exited without a status; the text is the cause as far as it is known.
    Silent(String),
}

/// Runs one job to its end: a real worker process, or a fake in tests.
pub trait Executor: Sync {
    /// Runs `job` and returns when it is over. Signals that arrive at `shutdown` reach the worker;
    /// `on_event` is called for every event of the worker.
    fn run(&self, job: &Job, shutdown: &Shutdown, on_event: &mut dyn FnMut(Event)) -> WorkerExit;

    /// Ends what the calling thread keeps for further jobs.
    fn retire(&self) {}
}

/// Callbacks for the progress of a sweep. They are called from several threads.
pub trait Observer: Sync {
    /// An attempt at a run begins.
    fn started(&self, run: &Run);
    /// The worker of a run sent an event.
    fn event(&self, run: &Run, event: &Event);
    /// A run is over as far as this sweep is concerned.
    fn finished(&self, run: &Run, status: &Status);
    /// An attempt failed; attempt number `attempt`, counted from 1, begins after a pause.
    fn retrying(&self, run: &Run, status: &Status, attempt: u32, after: Duration);
    /// Another process, `holder`, trains the run; `again` says whether this sweep tries it once more.
    fn held(&self, run: &Run, holder: &str, again: bool);
    /// A remark about the sweep as a whole, such as a device that is no longer used.
    fn remark(&self, text: &str);
}

/// A run that another process trains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRun {
    /// Id of the run.
    pub id: String,
    /// The process that holds the lock of the run.
    pub holder: String,
}

/// Result of a sweep, in addition to the files of its runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Runs that were left to another process.
    pub held: Vec<HeldRun>,
    /// Remarks for the user: devices no longer used, runs not begun and why.
    pub remarks: Vec<String>,
}

/// Locks a mutex. A holder that panicked leaves plain data behind, so poison is ignored.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
