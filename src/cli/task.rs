//! `fathom task`: what a task of a Slurm array does. It holds the locks of its runs alone.

use super::setup::Stage;
use super::stderr::say;
use super::{SOME_FAILED, Usage};
use anyhow::{Context, Result, ensure};
use fathom_protocol::{Interval, Probe, STOPPED};
use fathom_record::{State, Status, SweepDir};
use fathom_spec::{Experiment, Run};
use fathom_sweep::slurm::Slurm;
use fathom_sweep::{Options, Shutdown, Worker, available_memory, tally};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
    /// Number of the array in its folder slurm
    #[arg(long)]
    array: u32,
    /// Index of the task
    #[arg(long, env = "SLURM_ARRAY_TASK_ID")]
    index: usize,
    /// Runs side by side on each device
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Time between two checkpoints
    #[arg(long)]
    checkpoint: Option<Interval>,
    /// Where data sets lie
    #[arg(long, env = "FATHOM_DATA")]
    data_dir: Option<PathBuf>,
    /// As the experiment was planned with
    #[arg(long = "set")]
    sets: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    let runs = wanted(args, &directory)?;
    let (worker, probe) = Worker::ready()?;
    let options = options(args, &directory, &probe)?;
    let stage = Stage {
        name: &format!("task {} of array {}", args.index, args.array),
        directory: &directory,
        options: &options,
        worker: &worker,
        lock: None,
        control: Arc::new(Shutdown::new()),
        progress: Arc::default(),
    };
    stage.listen()?;
    let outcome = stage.run(&runs)?;
    outcome.remarks.iter().for_each(say);
    let counts = tally(&runs, &directory)?;
    if counts.keys().all(|state| state.is_final()) {
        return Ok(ExitCode::SUCCESS);
    }
    if stage.control.is_stopping() {
        go_on_later(&runs, &directory)?;
        return Ok(ExitCode::from(STOPPED));
    }
    let failed = counts.keys().any(|state| !state.is_final() && *state != State::Pending);
    Ok(ExitCode::from(if failed { SOME_FAILED } else { STOPPED }))
}

/// The runs of this task, as the experiment beside the results has them.
fn wanted(args: &Args, directory: &SweepDir) -> Result<Vec<Run>> {
    let arrays = directory.arrays()?;
    let task = arrays.get(&args.array).and_then(|array| array.tasks.get(args.index));
    let root = directory.root().display();
    let (array, index) = (args.array, args.index);
    let task = task.ok_or_else(|| Usage(format!("{root}: array {array} has no task {index}")))?;
    let ids: BTreeSet<&String> = task.iter().collect();
    let experiment = Experiment::load(&directory.experiment(), &args.sets)?;
    let all = experiment.runs.into_iter().chain(experiment.later);
    let runs: Vec<Run> = all.filter(|run| ids.contains(&run.id)).collect();
    ensure!(
        runs.len() == ids.len(),
        "{} does not come to all runs of array {array}: it was changed since",
        directory.experiment().display()
    );
    Ok(runs)
}

/// As it was settled when the runs were handed over, on whatever devices and cores the task has.
fn options(args: &Args, directory: &SweepDir, probe: &Probe) -> Result<Options> {
    let stored = directory.planned_execution()?;
    let stored = stored
        .with_context(|| format!("{}: there is no execution.json", directory.root().display()))?;
    let on_cpu = stored.device == "cpu";
    if let (false, Err(why)) = (on_cpu, &probe.cuda_library) {
        anyhow::bail!("this node: {why}");
    }
    ensure!(
        on_cpu || probe.cuda_devices > 0,
        "the runs are on GPUs, and this task has none: ask for one by --gres gpu:1"
    );
    let cuda = (0..probe.cuda_devices).map(|index| format!("cuda:{index}"));
    let devices = if on_cpu { vec!["cpu".into()] } else { cuda.collect() };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = (cores / stored.threads.max(1)).max(1);
    let jobs = usize::from(args.jobs).min(if on_cpu { most } else { usize::MAX });
    if jobs < usize::from(args.jobs) {
        say(format!("this task has {cores} cores: {jobs} runs side by side, not {}", args.jobs));
    }
    Ok(Options {
        devices,
        jobs,
        threads: stored.threads,
        layouts: stored.layouts,
        cuda: stored.cuda,
        memory: if on_cpu { allotted().or_else(available_memory) } else { None },
        checkpoint: args.checkpoint.unwrap_or_default(),
        data_dir: args.data_dir.clone(),
        stand_in: false,
        second: Duration::from_secs(1),
    })
}

/// Memory of this task in bytes, where Slurm says.
fn allotted() -> Option<u64> {
    let megabytes: u64 = std::env::var("SLURM_MEM_PER_NODE").ok()?.parse().ok()?;
    (megabytes > 0).then_some(megabytes << 20)
}

/// Asks for this task to be queued again, unless Slurm is ending it anyway: whoever cancels a job
/// does not want it back, and one that is preempted comes back by itself.
fn go_on_later(runs: &[Run], directory: &SweepDir) -> Result<()> {
    let number = |name: &str| std::env::var(name).ok();
    let (Some(job), Some(array), Some(index)) = (
        number("SLURM_JOB_ID").and_then(|job| job.parse().ok()),
        number("SLURM_ARRAY_JOB_ID"),
        number("SLURM_ARRAY_TASK_ID"),
    ) else {
        return Ok(());
    };
    let task = format!("{array}_{index}");
    let refusal = match Slurm.state(job) {
        Ok(state) if state == "RUNNING" => match Slurm.requeue(&task) {
            Ok(()) => {
                say(format!("{task} is queued again"));
                return Ok(());
            }
            Err(refusal) => refusal,
        },
        Ok(state) => {
            say(format!("{task} is {state}: Slurm ends it"));
            return Ok(());
        }
        Err(refusal) => refusal,
    };
    say(format!("{task} is not queued again: {refusal}"));
    for run in runs {
        let files = directory.run(&run.id);
        let status = files.status()?;
        if status.state == State::Interrupted {
            let message = format!(
                "{}; not queued again ({refusal}): scontrol requeue {task}",
                status.message
            );
            files.write_status(&Status { message, ..status })?;
        }
    }
    Ok(())
}
