//! `fathom task`: one task of a Slurm array, which `fathom run --on slurm` submits.

use super::SOME_FAILED;
use super::mps::{self, Mps};
use super::session::Session;
use super::stderr::log;
use anyhow::{Context, Result};
use fathom_protocol::{CheckpointInterval, STOPPED};
use fathom_record::{State, SweepDir};
use fathom_sweep::slurm::{Requeued, requeue_this_task, task_options, task_runs};
use fathom_sweep::{Options, Worker, count_states};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Train the runs of one task of a Slurm array, as submitted by `run --on slurm`
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
    /// Number of the array in the folder slurm of the results directory
    #[arg(long)]
    array: u32,
    /// Index of the task
    #[arg(long, env = "SLURM_ARRAY_TASK_ID")]
    index: usize,
    /// Number of concurrent runs on each device
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Interval between two checkpoints
    #[arg(long)]
    checkpoint: Option<CheckpointInterval>,
    /// Folder of the data sets
    #[arg(long)]
    pub(super) data_dir: Option<PathBuf>,
    /// Whether finished runs keep their state
    #[arg(long)]
    keep_state: bool,
    /// Values of keys with which the experiment was planned
    #[arg(long = "set")]
    sets: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    let runs = task_runs(&directory, args.array, args.index, &args.sets)?;
    let (mut worker, probe) = Worker::ready()?;
    let jobs = usize::from(args.jobs);
    let options = Options {
        checkpoint: args.checkpoint.unwrap_or_default(),
        data_dir: args.data_dir.clone(),
        keep_state: args.keep_state,
        ..task_options(&directory, &probe, jobs)?
    };
    if options.jobs < jobs {
        log(format!("this task has cores for {} concurrent runs, not {jobs}", options.jobs));
    }
    let _mps = (options.jobs > 1 && !options.on_cpu())
        .then(|| mps::start(Mps::Auto, &mut worker, &options.devices[0]));
    let name = format!("task {} of array {}", args.index, args.array);
    let session = Session::new(&name, &directory, &options, &worker, None);
    session.listen()?;
    session.run(&runs)?.remarks.iter().for_each(log);
    let counts = count_states(&runs, &directory)?;
    if counts.keys().all(|state| state.is_final()) {
        return Ok(ExitCode::SUCCESS);
    }
    if session.shutdown.is_stopping() {
        match requeue_this_task(&runs, &directory)? {
            Some((task, Requeued::Waiting)) => log(format!("{task} is queued again")),
            Some((task, Requeued::Ending(state))) => {
                log(format!("{task} is {state}: Slurm ends it"))
            }
            Some((task, Requeued::Failed(error))) => {
                log(format!("{task} is not queued again: {error}"));
            }
            None => {}
        }
        return Ok(ExitCode::from(STOPPED));
    }
    let failed = counts.keys().any(|state| !state.is_final() && *state != State::Pending);
    Ok(ExitCode::from(if failed { SOME_FAILED } else { STOPPED }))
}

/// The command line of the tasks of an array: this program with arguments that [`Args`] parses. The
/// index of a task comes from Slurm.
///
/// # Errors
/// When a path is not UTF-8.
pub fn command(
    directory: &SweepDir,
    array: u32,
    jobs: usize,
    checkpoint: Option<CheckpointInterval>,
    keep_state: bool,
    data_dir: Option<&Path>,
    sets: &[String],
) -> Result<Vec<String>> {
    let text = |path: &Path| -> Result<String> {
        let text = path.to_str().map(str::to_owned);
        text.with_context(|| format!("the path {} is not UTF-8", path.display()))
    };
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = vec![text(&program)?, "task".into(), text(directory.root())?];
    let mut option = |name: &str, value: String| command.extend([name.to_owned(), value]);
    option("--array", array.to_string());
    option("--jobs", jobs.to_string());
    if let Some(interval) = checkpoint {
        option("--checkpoint", interval.to_string());
    }
    if let Some(folder) = data_dir {
        let folder = std::path::absolute(folder)
            .with_context(|| format!("invalid path {}", folder.display()))?;
        option("--data-dir", text(&folder)?);
    }
    for set in sets {
        option("--set", set.clone());
    }
    command.extend(keep_state.then(|| "--keep-state".to_owned()));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cli, Command};
    use clap::Parser;

    fn parse(command: &[String]) -> Args {
        let index = ["--index".to_owned(), "3".to_owned()];
        match Cli::try_parse_from(command.iter().chain(&index)).unwrap().command {
            Command::Task(args) => args,
            _ => panic!("not a task"),
        }
    }

    #[test]
    fn the_command_of_a_task_is_parsed_as_it_was_meant() {
        let directory = SweepDir::new("my results");
        let sets = ["training.lr=0.1".to_owned(), "seed=[0, 1]".to_owned()];
        let interval = Some(CheckpointInterval::Seconds(90.0));
        let data = Some(Path::new("/data"));
        let made = command(&directory, 2, 4, interval, true, data, &sets).unwrap();
        let args = parse(&made);
        assert_eq!(args.dir, Path::new("my results"));
        assert_eq!((args.array, args.index, args.jobs), (2, 3, 4));
        assert_eq!((args.checkpoint, args.data_dir.as_deref()), (interval, data));
        assert_eq!((args.sets, args.keep_state), (sets.to_vec(), true));
    }

    #[test]
    fn scripts_of_the_first_version_are_still_understood() {
        let line =
            "fathom task results/x --array 1 --jobs 2 --checkpoint 5 --data-dir /d --set seed=0";
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let args = parse(&arguments);
        assert_eq!(
            (args.array, args.jobs, args.checkpoint),
            (1, 2, Some(CheckpointInterval::Steps(5)))
        );
    }
}
