//! `fathom status`.

mod watch;

use super::choice::choice;
use super::doubts;
use super::stderr::log;
use super::table::{self, Format, print};
use super::text::plural;
use anyhow::{Result, bail};
use fathom_record::{State, SweepDir, Table, seed};
use fathom_spec::{Claims, Config};
use fathom_stats as stats;
use fathom_sweep::slurm::SlurmError;
use fathom_sweep::{Activity, RunStatus, TaskStatus, check_integrity, run_statuses};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Show the state of every run of a results directory
#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
    /// Show mean, deviation and number of seeds of final values instead of single runs
    #[arg(long)]
    summary: bool,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    /// Update the table every SECONDS until all runs have ended
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = seconds,
        allow_negative_numbers = true,
        conflicts_with_all = ["summary", "format"]
    )]
    watch: Option<u16>,
}

fn seconds(text: &str) -> Result<u16, &'static str> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or("expected a whole number of seconds from 1 to 65535")
}

const COLUMNS: [&str; 11] = [
    "run",
    "state",
    "step",
    "iterations",
    "train_err_pct",
    "test_err_pct",
    "steps_per_s",
    "seconds",
    "left_s",
    "message",
    "what_to_do",
];

pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = SweepDir::new(&args.dir);
    directory.check_exists()?;
    if args.summary {
        check_integrity(&directory)?;
        let curves = directory.load()?;
        doubts::note(&curves.runs);
        let summary = stats::table(&curves);
        print(&table::summary(&summary, args.format), args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let statuses = || {
        let (runs, slurm_error) = run_statuses(&directory)?;
        slurm_error.iter().for_each(warn);
        Ok(runs)
    };
    match args.watch {
        Some(seconds) => {
            let title = directory.root().display().to_string();
            watch::watch(Duration::from_secs(seconds.into()), &title, statuses)?;
        }
        None => {
            let runs = statuses()?;
            print(&runs_table(&runs), args.format)?;
            refuse_damaged(&runs)?;
        }
    }
    if has_second_stage_ahead(&directory)? {
        log(
            "these runs choose a value for each configuration; then `fathom run` adds the runs of the second stage",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends with an error that names the first damaged run, as every other command does, once all runs are listed.
fn refuse_damaged(runs: &[RunStatus]) -> Result<()> {
    let mut damaged = runs.iter().filter(|run| run.activity == Activity::Damaged);
    let Some(RunStatus { message, .. }) = damaged.next() else { return Ok(()) };
    match damaged.count() {
        0 => bail!("{message}"),
        more => bail!("{message} (and {} more)", plural(more, "damaged run")),
    }
}

/// Whether all runs so far are those of the first of two stages.
fn has_second_stage_ahead(directory: &SweepDir) -> Result<bool> {
    let path = directory.experiment();
    // Other programs' results have no experiment, and `fathom check` reports one that is damaged.
    let claims =
        std::fs::read_to_string(&path).ok().and_then(|text| Claims::parse(&path, &text).ok());
    let Some(tune) = claims.and_then(|claims| claims.tune) else { return Ok(false) };
    let is_of_first = |config: &Config| seed(config).is_some_and(|it| tune.seeds.contains(&it));
    Ok(directory.resolved()?.is_some_and(|resolved| resolved.runs.values().all(is_of_first)))
}

fn warn(error: &SlurmError) {
    log(format!("note: the Slurm tasks of the runs are not known: {error}"));
}

/// One row per run; runs that were submitted to Slurm have a column for their tasks.
fn runs_table(runs: &[RunStatus]) -> Table {
    let has_tasks = runs.iter().any(|run| run.task.is_some());
    let mut table = Table::new(COLUMNS.into_iter().chain(has_tasks.then_some("slurm")));
    for run in runs {
        let task = run.task.as_ref().map(|task| Value::from(task.to_string()));
        table.row(row(run).into_iter().chain(has_tasks.then(|| task.unwrap_or_default())));
    }
    table
}

fn row(run: &RunStatus) -> [Value; COLUMNS.len()] {
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    [
        run.id.as_str().into(),
        run.activity.to_string().into(),
        run.step.into(),
        run.iterations.into(),
        run.train_err_pct.into(),
        run.test_err_pct.into(),
        run.steps_per_second.map(tenths).into(),
        tenths(run.seconds).into(),
        run.left_seconds.map(f64::round).into(),
        run.message.as_str().into(),
        what_to_do(run).into(),
    ]
}

/// What a user can do to get a run done; empty if there is nothing to do.
fn what_to_do(run: &RunStatus) -> &'static str {
    match (run.activity, &run.task) {
        // Slurm starts the run again by itself.
        (Activity::Running, _) | (Activity::Idle(_), Some(TaskStatus::Queued(..))) => "",
        // The message says it.
        (Activity::Damaged, _) => "",
        (Activity::Idle(State::Pending), _) if !run.is_ours => {
            "its program writes status.json when it ends"
        }
        (Activity::Idle(_), _) if !run.is_ours => "",
        // A run that lost its process without a trace.
        (Activity::Idle(State::Pending), _) if run.step > 0 => "fathom run resumes it",
        (Activity::Idle(state), _) => remedy(state),
    }
}

fn remedy(state: State) -> &'static str {
    match state {
        State::Done | State::Diverged => "",
        State::Pending => "fathom run starts it",
        State::Interrupted => "the same command resumes it",
        State::OutOfMemory => "fewer --jobs or a larger machine; a smaller batch changes BatchNorm",
        State::BadData => "fathom data verify",
        State::LostDevice => "fathom doctor; the same command resumes it, also on another device",
        State::Killed => "the same command resumes it; fewer --jobs if memory ran out",
        State::Disk => "free disk space, then the same command resumes it",
        State::Failed => "see log.txt in the folder of the run",
    }
}
