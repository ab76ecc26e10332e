//! Slurm as the engine of a sweep: runs become the tasks of array jobs.
//!
//! - `client` calls Slurm's own programs,
//! - `submission` writes and submits the batch scripts (`script`) of `fathom run --on slurm`,
//! - `task` is what one task does on its node.

mod client;
mod limit;
mod script;
mod submission;
mod task;

pub use client::{Limits, Queue, QueuedTask, Slurm, SlurmError};
pub use submission::{Resources, Submission, SubmissionReport, SubmittedArray};
pub use task::{Requeued, requeue_this_task, task_options, task_runs};
