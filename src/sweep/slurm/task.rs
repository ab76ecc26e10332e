//! One task of an array job, on its node. It holds only the locks of its runs.

use super::{Slurm, SlurmError};
use crate::{Options, available_memory};
use anyhow::{Context, Result, bail, ensure};
use fathom_protocol::Probe;
use fathom_record::{State, Status, SweepDir};
use fathom_spec::{Experiment, Run, SpecError};
use std::collections::BTreeSet;

/// The runs of the task with this index in the array with this number, from the experiment beside
/// the results with `sets` applied.
///
/// # Errors
/// When there is no such task, or the experiment no longer has its runs.
pub fn task_runs(
    directory: &SweepDir,
    array: u32,
    index: usize,
    sets: &[String],
) -> Result<Vec<Run>> {
    let arrays = directory.arrays()?;
    let task = arrays.get(&array).and_then(|array| array.tasks.get(index));
    let task = task.ok_or_else(|| SpecError {
        place: directory.root().display().to_string(),
        message: format!("array {array} has no task {index}"),
    })?;
    let ids: BTreeSet<&String> = task.iter().collect();
    let experiment = Experiment::load(&directory.experiment(), sets)?;
    let all = experiment.runs.into_iter().chain(experiment.later);
    let runs: Vec<Run> = all.filter(|run| ids.contains(&run.id)).collect();
    ensure!(
        runs.len() == ids.len(),
        "{} no longer has all runs of array {array}: the file was changed after the submission",
        directory.experiment().display()
    );
    Ok(runs)
}

/// Options for a task with at most `jobs` concurrent runs on each device: the execution that was
/// recorded at the submission, on the devices and cores that Slurm has given the task.
///
/// # Errors
/// When the runs need GPUs and the task has none that work.
pub fn task_options(directory: &SweepDir, probe: &Probe, jobs: usize) -> Result<Options> {
    let stored = directory.planned_execution()?;
    let stored = stored
        .with_context(|| format!("{}: there is no execution.json", directory.root().display()))?;
    let on_cpu = stored.device == "cpu";
    if let (false, Err(why)) = (on_cpu, &probe.cuda_library) {
        bail!("this node: {why}");
    }
    ensure!(
        on_cpu || probe.cuda_devices > 0,
        "the runs are on GPUs, and this task has none: request one by --gres gpu:1"
    );
    let cuda = (0..probe.cuda_devices).map(|index| format!("cuda:{index}"));
    let devices = if on_cpu { vec!["cpu".into()] } else { cuda.collect() };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = if on_cpu { (cores / stored.threads.max(1)).max(1) } else { usize::MAX };
    Ok(Options {
        layouts: stored.layouts,
        cuda: stored.cuda,
        memory: if on_cpu { memory_of_this_task().or_else(available_memory) } else { None },
        ..Options::new(devices, jobs.min(most), stored.threads)
    })
}

/// Memory that Slurm has given this task, in bytes.
fn memory_of_this_task() -> Option<u64> {
    let megabytes: u64 = std::env::var("SLURM_MEM_PER_NODE").ok()?.parse().ok()?;
    (megabytes > 0).then_some(megabytes << 20)
}

/// Result of returning a task to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requeued {
    /// The task waits again.
    Waiting,
    /// Slurm ends the task in this state: a cancelled task is not wanted back, and a preempted one
    /// returns by itself.
    Ending(String),
    /// Slurm refused.
    Failed(SlurmError),
}

/// Returns the task of this process to Slurm's queue, unless Slurm is ending it: its name such as
/// `7_1`, and the result; `None` outside of Slurm. If Slurm refuses, the statuses of interrupted
/// `runs` say how to do it by hand.
///
/// # Errors
/// When a status cannot be read or written.
pub fn requeue_this_task(runs: &[Run], directory: &SweepDir) -> Result<Option<(String, Requeued)>> {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(array), Some(index)) =
        (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID"))
    else {
        return Ok(None);
    };
    let task = format!("{array}_{index}");
    let result = match Slurm.state(&task) {
        Ok(state) if state == "RUNNING" => match Slurm.requeue(&task) {
            Ok(()) => Requeued::Waiting,
            Err(error) => Requeued::Failed(error),
        },
        Ok(state) => Requeued::Ending(state),
        Err(error) => Requeued::Failed(error),
    };
    if let Requeued::Failed(error) = &result {
        for run in runs {
            let files = directory.run(&run.id);
            let status = files.status()?;
            if status.state == State::Interrupted {
                let message = format!(
                    "{}; not queued again ({error}): scontrol requeue {task}",
                    status.message
                );
                files.write_status(&Status { message, ..status })?;
            }
        }
    }
    Ok(Some((task, result)))
}
