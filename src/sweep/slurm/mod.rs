//! Slurm as the engine of a sweep: an array job whose tasks are runs. What Slurm knows is asked of
//! its own programs (`client`); what it is given is a script (`script`).

mod client;
mod limit;
mod script;

pub use client::{Limits, Place, Queue, Refusal, Slurm};
pub use script::Script;

use fathom_spec::Run;

/// Seconds before its end at which a task is told to stop, where its time is long enough.
const AHEAD: u64 = 120;

/// The runs of each task, `per_task` each: seed by seed and the longest first, as slots take them.
pub fn tasks(mut runs: Vec<&Run>, per_task: usize) -> Vec<Vec<String>> {
    super::worker_slot::order(&mut runs);
    runs.chunks(per_task).map(|runs| runs.iter().map(|run| run.id.clone()).collect()).collect()
}
