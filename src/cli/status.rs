//! `fathom status`.

mod watch;

use super::integrity;
use super::stderr::say;
use super::table::{self, Format, Table};
use anyhow::{Context, Result};
use fathom_record::{CurveRow, Holder, Lock, RunDir, State, SweepDir, TaskId, natural_order};
use fathom_spec::Config;
use fathom_stats as stats;
use fathom_sweep::slurm::{Queue, Refusal, Slurm};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// Results directory
    dir: PathBuf,
    /// Mean, deviation and n over seeds instead of single runs
    #[arg(long)]
    summary: bool,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show the table again every SECONDS, until all runs have ended
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with_all = ["summary", "format"]
    )]
    watch: Option<u16>,
}

/// Place of the state among them.
const STATE: usize = 1;

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
    integrity::check(&directory)?;
    if args.summary {
        table::summary(&stats::table(&directory.load()?), args.format).print(args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let table = || {
        let planned = directory.resolved()?.map(|resolved| resolved.runs).unwrap_or_default();
        runs(&directory, &planned, &Tasks::of(&directory)?)
    };
    match args.watch {
        Some(seconds) => {
            let title = directory.root().display().to_string();
            watch::watch(Duration::from_secs(seconds.into()), &title, table)?;
        }
        None => table()?.print(args.format)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What Slurm has of a directory's runs.
#[derive(Default)]
struct Tasks {
    of_runs: BTreeMap<String, TaskId>,
    queue: Queue,
    /// Whether Slurm told.
    is_known: bool,
}

impl Tasks {
    fn of(directory: &SweepDir) -> Result<Self> {
        let of_runs = directory.tasks_of_runs()?;
        let jobs: BTreeSet<u64> = of_runs.values().map(|(job, _)| *job).collect();
        let jobs: Vec<u64> = jobs.into_iter().collect();
        let told = Slurm.queue(&jobs);
        // Results are read on other machines than those that made them.
        if let Err(refusal @ (Refusal::Away(_) | Refusal::Full | Refusal::Other(_))) = &told {
            say(format!("note: what Slurm has of the runs is not known: {refusal}"));
        }
        let is_known = told.is_ok();
        Ok(Self { of_runs, queue: told.unwrap_or_default(), is_known })
    }

    /// Of a run: the task in words, and whether Slurm holds it.
    fn find(&self, id: &str) -> Option<(String, bool)> {
        let task @ (job, index) = self.of_runs.get(id)?;
        let name = format!("{job}_{index}");
        let Some(place) = self.queue.get(task) else {
            return Some((if self.is_known { "ended".into() } else { format!("{name} ?") }, false));
        };
        let where_or_why = if place.node.is_empty() { &place.reason } else { &place.node };
        Some((format!("{name} {} ({where_or_why})", place.state), true))
    }
}

/// One row per run that was planned or has begun.
fn runs(directory: &SweepDir, planned: &BTreeMap<String, Config>, tasks: &Tasks) -> Result<Table> {
    let mut ids: BTreeSet<String> = directory.runs()?.iter().map(RunDir::id).collect();
    ids.extend(planned.keys().cloned());
    // Depth 8 before depth 20.
    let mut ids: Vec<String> = ids.into_iter().collect();
    ids.sort_by(|a, b| {
        let mut parts = a.split('-').zip(b.split('-')).map(|(a, b)| natural_order(a, b));
        parts.find(|order| order.is_ne()).unwrap_or_else(|| a.cmp(b))
    });
    let has_tasks = !tasks.of_runs.is_empty();
    let mut table = Table::new(COLUMNS.into_iter().chain(has_tasks.then_some("slurm")));
    for id in &ids {
        let run = directory.run(id);
        let config = match planned.get(id) {
            Some(config) => config.clone(),
            None => run.manifest()?.config,
        };
        let mut cells = row(id, &run, &config)?.to_vec();
        if has_tasks {
            let task = tasks.find(id);
            if task.as_ref().is_some_and(|(_, is_held)| *is_held) {
                // It comes to it by itself.
                cells[COLUMNS.len() - 1] = "".into();
            }
            cells.push(task.map(|(words, _)| words).into());
        }
        table.row(cells);
    }
    Ok(table)
}

fn row(id: &str, run: &RunDir, config: &Config) -> Result<[Value; COLUMNS.len()]> {
    let status = run.status()?;
    let curve = run.curve()?;
    let last = curve.last().cloned().unwrap_or_default();
    let iterations = config.get("training.iterations").and_then(Value::as_u64);
    let path = run.lock();
    let holder = Lock::peek(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let holder = match holder {
        Some(Holder::Alive(owner)) => Some(format!("{owner}")),
        Some(Holder::Elsewhere(owner)) => Some(format!("{owner}, if it still runs")),
        Some(Holder::Gone(_)) | None => None,
    };
    let holder = holder.filter(|_| !status.state.is_final());
    let is_running = holder.is_some();
    let step = if is_running { last.step } else { last.step.max(status.step) };
    let rate = rate(&curve);
    let left = match (rate, iterations) {
        (Some(rate), Some(all)) if is_running => Some(all.saturating_sub(step) as f64 / rate),
        _ => None,
    };
    let seconds = if status.seconds > 0.0 && !is_running {
        status.seconds
    } else {
        last.seconds.unwrap_or(0.0)
    };
    let (state, what_to_do) = match is_running {
        true => ("running".to_owned(), ""),
        false => (status.state.to_string(), remedy(status.state)),
    };
    Ok([
        id.into(),
        state.into(),
        step.into(),
        iterations.into(),
        last.train_err_pct.into(),
        last.test_err_pct.into(),
        rate.map(tenths).into(),
        tenths(seconds).into(),
        left.map(f64::round).into(),
        holder.unwrap_or(status.message).into(),
        what_to_do.into(),
    ])
}

/// Updates per second between the last two rows, evaluation included.
fn rate(curve: &[CurveRow]) -> Option<f64> {
    let [.., before, last] = curve else { return None };
    let steps = last.step.checked_sub(before.step)? as f64;
    // A run that went on from a checkpoint may have had a clock of its own.
    let rate = steps / (last.seconds? - before.seconds?);
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// What helps a run in this state.
fn remedy(state: State) -> &'static str {
    match state {
        State::Done | State::Diverged => "",
        State::Pending => "fathom run begins it",
        State::Interrupted => "the same command goes on",
        State::OutOfMemory => "fewer --jobs or a larger machine; a smaller batch changes BatchNorm",
        State::BadData => "fathom data verify",
        State::LostDevice => "fathom doctor; the same command goes on, also on another device",
        State::Killed => "the same command goes on; if memory ran out, fewer --jobs",
        State::Disk => "free space, then the same command goes on",
        State::Failed => "see log.txt in the run's folder",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_record::{LockTiming, SCHEMA, Status};
    use serde_json::json;

    fn at(step: u64, seconds: f64) -> CurveRow {
        CurveRow { schema: SCHEMA, step, seconds: Some(seconds), ..CurveRow::default() }
    }

    #[test]
    fn a_run_that_is_trained_now_says_how_long_it_will_take() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SweepDir::new(folder.path());
        directory.create().unwrap();
        let run = directory.run("a");
        run.create().unwrap();
        run.write_status(&Status::new(State::Killed, 7, "killed by signal 9")).unwrap();
        let mut curve = run.curve_writer().unwrap();
        curve.append(&at(0, 1.0)).unwrap();
        curve.append(&at(20, 5.0)).unwrap();
        let config = Config::from([("training.iterations".to_owned(), json!(70))]);
        let planned = BTreeMap::from([("a".to_owned(), config)]);
        let cells = || runs(&directory, &planned, &Tasks::default()).unwrap().rows.remove(0);
        assert_eq!(cells()[1..4], [json!("killed"), json!(20), json!(70)]);
        assert_eq!(cells()[8], Value::Null);
        let lock = Lock::acquire(&run.lock(), "fathom-train", &LockTiming::default()).unwrap();
        let running = cells();
        assert_eq!(running[1], json!("running"));
        assert_eq!((&running[6], &running[8]), (&json!(5.0), &json!(10.0)));
        assert!(running[9].as_str().unwrap().starts_with("fathom-train (pid "));
        drop(lock);
        assert_eq!(cells()[1], json!("killed"), "released");
    }

    #[test]
    fn a_clock_that_went_back_gives_no_rate() {
        assert_eq!(rate(&[at(0, 5.0), at(10, 1.0)]), None);
        assert_eq!(rate(&[at(0, 1.0)]), None);
        assert_eq!(rate(&[at(0, 0.0), at(10, 2.0)]), Some(5.0));
    }
}
