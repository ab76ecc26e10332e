//! Status of every run of a results directory, for `fathom status`.

use super::integrity::check_run;
use super::slurm::{Queue, QueuedTask, Slurm, SlurmError};
use anyhow::{Context, Result};
use fathom_record::{
    CurveRow, Holder, Lock, Provenance, RunCurve, RunDir, State, SweepDir, TaskId,
    natural_order_of_parts,
};
use fathom_spec::Config;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Whether a run trains now, and its state if it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// A process trains the run now.
    Running,
    /// No process trains the run; its last state.
    Idle(State),
    /// A file of the run is missing or damaged, so that nothing is known of it.
    Damaged,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activity::Running => f.pad("running"),
            Activity::Idle(state) => f.pad(state.word()),
            Activity::Damaged => f.pad("damaged"),
        }
    }
}

/// The Slurm task of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// The task waits or runs.
    Queued(TaskId, QueuedTask),
    /// The task is over.
    Ended,
    /// Slurm could not be asked.
    Unknown(TaskId),
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskStatus::Queued((job, index), QueuedTask { state, reason, node }) => {
                let node_or_reason = if node.is_empty() { reason } else { node };
                write!(f, "{job}_{index} {state} ({node_or_reason})")
            }
            TaskStatus::Ended => f.write_str("ended"),
            TaskStatus::Unknown((job, index)) => write!(f, "{job}_{index} ?"),
        }
    }
}

/// Status of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStatus {
    /// Id of the run.
    pub id: String,
    /// Whether the run trains now, and its state if it does not.
    pub activity: Activity,
    /// Whether fathom trains the run; other programs' runs are only read.
    pub is_ours: bool,
    /// Number of updates made.
    pub step: u64,
    /// Number of updates planned.
    pub iterations: Option<u64>,
    /// Training error of the last evaluation, in per cent.
    pub train_err_pct: Option<f64>,
    /// Test error of the last evaluation, in per cent.
    pub test_err_pct: Option<f64>,
    /// Updates per second between the last two evaluations, their time included.
    pub steps_per_second: Option<f64>,
    /// Time spent on the run, in seconds.
    pub seconds: f64,
    /// Expected time to the end of a run that trains now, in seconds.
    pub left_seconds: Option<f64>,
    /// The process that trains the run, the message of its last status, or what is damaged.
    pub message: String,
    /// The Slurm task of the run, if it was submitted.
    pub task: Option<TaskStatus>,
}

impl RunStatus {
    /// The status of a run of this experiment of which no row and no task is known.
    pub fn without_rows(id: String, activity: Activity) -> Self {
        Self {
            id,
            activity,
            is_ours: true,
            step: 0,
            iterations: None,
            train_err_pct: None,
            test_err_pct: None,
            steps_per_second: None,
            seconds: 0.0,
            left_seconds: None,
            message: String::new(),
            task: None,
        }
    }
}

/// The status of every run that was planned or has begun, in their natural order; and why Slurm could
/// not be asked for their tasks, unless it is not installed: results are also read on machines outside
/// of the cluster. Where `runs/` was not kept, the statuses are those in `curves.csv`.
///
/// # Errors
/// When the directory has no results, or a file that is not of a single run is damaged.
pub fn run_statuses(directory: &SweepDir) -> Result<(Vec<RunStatus>, Option<SlurmError>)> {
    let planned = directory.resolved()?.map(|resolved| resolved.runs).unwrap_or_default();
    let tasks_of_runs = directory.tasks_of_runs()?;
    let jobs: BTreeSet<u64> = tasks_of_runs.values().map(|(job, _)| *job).collect();
    let queue = Slurm.queue(&jobs.into_iter().collect::<Vec<_>>());
    let mut runs = statuses(directory, &planned)?;
    for run in &mut runs {
        run.task = tasks_of_runs.get(&run.id).map(|task| task_status(*task, queue.as_ref().ok()));
    }
    let error = queue.err().filter(|error| match error {
        SlurmError::NotInstalled(_) => false,
        SlurmError::Unreachable(_) | SlurmError::QueueFull | SlurmError::Refused(_) => true,
    });
    Ok((runs, error))
}

fn task_status(task: TaskId, queue: Option<&Queue>) -> TaskStatus {
    match queue.map(|queue| queue.get(&task)) {
        Some(Some(queued)) => TaskStatus::Queued(task, queued.clone()),
        Some(None) => TaskStatus::Ended,
        None => TaskStatus::Unknown(task),
    }
}

/// The same without Slurm.
fn statuses(directory: &SweepDir, planned: &BTreeMap<String, Config>) -> Result<Vec<RunStatus>> {
    directory.check_has_results()?;
    let mut kept = BTreeMap::new();
    let mut ids: BTreeSet<String> = if directory.has_begun() {
        directory.runs()?.iter().map(RunDir::id).collect()
    } else {
        let runs = directory.kept_curves(planned)?;
        kept.extend(runs.into_iter().map(|run| (run.id.clone(), run)));
        kept.keys().cloned().collect()
    };
    ids.extend(planned.keys().cloned());
    let mut ids: Vec<String> = ids.into_iter().collect();
    ids.sort_by(|a, b| natural_order_of_parts(a, b, '-'));
    let status = |id: String| match kept.get(&id) {
        Some(run) => of_curve(run, iterations(planned.get(&id))),
        None => {
            let status = run_status(&id, directory, planned.get(&id));
            status.unwrap_or_else(|error| RunStatus {
                message: format!("{error:#}"),
                ..RunStatus::without_rows(id, Activity::Damaged)
            })
        }
    };
    Ok(ids.into_iter().map(status).collect())
}

/// The number of updates that a configuration plans.
fn iterations(config: Option<&Config>) -> Option<u64> {
    config?.get("training.iterations")?.as_u64()
}

/// The status of a run of which nothing but its curve was kept.
fn of_curve(run: &RunCurve, iterations: Option<u64>) -> RunStatus {
    let last = run.rows.last().cloned().unwrap_or_default();
    RunStatus {
        step: last.step,
        iterations,
        train_err_pct: last.train_err_pct,
        test_err_pct: last.test_err_pct,
        steps_per_second: steps_per_second(&run.rows),
        seconds: last.seconds.unwrap_or_default(),
        ..RunStatus::without_rows(run.id.clone(), Activity::Idle(run.state))
    }
}

fn run_status(id: &str, directory: &SweepDir, planned: Option<&Config>) -> Result<RunStatus> {
    let run = directory.run(id);
    let manifest = run.has_begun().then(|| run.manifest()).transpose()?;
    if let Some(manifest) = &manifest {
        check_run(directory, id, &Provenance::from(manifest.clone()))?;
    }
    let is_ours = planned.is_some()
        || manifest.as_ref().is_none_or(|manifest| !manifest.revision.git.is_empty());
    let iterations = iterations(planned.or(manifest.as_ref().map(|manifest| &manifest.config)));
    let status = run.status()?;
    let curve = if is_ours { run.curve()? } else { run.curve_of_classifier()? };
    run.check_last(&status, &curve)?;
    run.layers()?;
    let last = curve.last().cloned().unwrap_or_default();
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
    let rate = steps_per_second(&curve);
    Ok(RunStatus {
        id: id.to_owned(),
        activity: if is_running { Activity::Running } else { Activity::Idle(status.state) },
        is_ours,
        step,
        iterations,
        train_err_pct: last.train_err_pct,
        test_err_pct: last.test_err_pct,
        steps_per_second: rate,
        seconds: if status.seconds > 0.0 && !is_running {
            status.seconds
        } else {
            last.seconds.unwrap_or_default()
        },
        left_seconds: match (rate, iterations) {
            (Some(rate), Some(all)) if is_running => Some(all.saturating_sub(step) as f64 / rate),
            (Some(_) | None, Some(_) | None) => None,
        },
        message: holder.unwrap_or(status.message),
        task: None,
    })
}

/// Updates per second between the last two rows of a curve, the time of evaluation included.
fn steps_per_second(curve: &[CurveRow]) -> Option<f64> {
    let [.., before, last] = curve else { return None };
    let steps = last.step.checked_sub(before.step)? as f64;
    // A run that was resumed from a checkpoint may have been timed by another clock.
    let rate = steps / (last.seconds? - before.seconds?);
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_compatible;
    use crate::tests::{begin, directory};
    use fathom_record::{LockTiming, SCHEMA, Status};

    fn at(step: u64, seconds: f64) -> CurveRow {
        CurveRow { schema: SCHEMA, step, seconds: Some(seconds), ..CurveRow::default() }
    }

    #[test]
    fn a_run_that_trains_now_says_how_long_it_will_take() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        let run = directory.run("a");
        run.create().unwrap();
        run.write_status(&Status::new(State::Killed, 7, "killed by signal 9")).unwrap();
        let mut curve = run.curve_writer().unwrap();
        curve.append(&at(0, 1.0)).unwrap();
        curve.append(&at(20, 5.0)).unwrap();
        let config = Config::from([("training.iterations".to_owned(), 70.into())]);
        let planned = BTreeMap::from([("a".to_owned(), config)]);
        let status = || statuses(&directory, &planned).unwrap().remove(0);
        let killed = status();
        assert_eq!(killed.activity, Activity::Idle(State::Killed));
        assert_eq!((killed.step, killed.iterations, killed.left_seconds), (20, Some(70), None));
        assert_eq!(killed.message, "killed by signal 9");
        let lock = Lock::acquire(&run.lock(), "fathom-train", &LockTiming::default()).unwrap();
        let running = status();
        assert_eq!(running.activity, Activity::Running);
        assert_eq!((running.steps_per_second, running.left_seconds), (Some(5.0), Some(10.0)));
        assert!(running.message.starts_with("fathom-train (pid "), "{}", running.message);
        drop(lock);
        assert_eq!(status().activity, Activity::Idle(State::Killed), "released");
    }

    #[test]
    fn a_damaged_run_is_listed_beside_the_others_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        let planned: BTreeMap<String, Config> = ["cut", "empty", "layers", "lost", "waits"]
            .map(|id| (id.to_owned(), Config::new()))
            .into();
        for id in ["cut", "empty", "layers", "lost"] {
            let run = directory.run(id);
            run.create().unwrap();
            let step = if id == "layers" { 10 } else { 20 };
            run.write_status(&Status::new(State::Done, step, "")).unwrap();
            let mut curve = run.curve_writer().unwrap();
            curve.append(&at(10, 1.0)).unwrap();
            begin(&run, &[("seed".to_owned(), 0.into())].into());
        }
        std::fs::write(directory.run("empty").root().join("status.json"), "").unwrap();
        std::fs::remove_file(directory.run("lost").root().join("run.json")).unwrap();
        std::fs::write(directory.run("layers").layers_path(), "step;layer\n1;1\n").unwrap();
        let statuses = statuses(&directory, &planned).unwrap();
        let activities = statuses.iter().map(|run| (run.id.as_str(), run.activity));
        let expected = [
            ("cut", Activity::Damaged),
            ("empty", Activity::Damaged),
            ("layers", Activity::Damaged),
            ("lost", Activity::Damaged),
            ("waits", Activity::Idle(State::Pending)),
        ];
        assert!(activities.eq(expected), "{statuses:?}");
        for (run, fault) in statuses.iter().zip([
            "curve.csv ends at step 10, but status.json says done at step 20: ",
            "status.json is damaged: ",
            "layers.csv: line 1: columns are separated by ';', expected commas",
            "run.json does not exist: ",
        ]) {
            assert!(run.message.contains(fault), "{}", run.message);
            let has_remedy = run.message.contains("delete the folder ");
            assert_eq!(has_remedy, run.id != "layers", "{}", run.message);
        }
        let refused = check_compatible(&planned, &directory).unwrap_err().to_string();
        assert!(refused.contains("curve.csv ends at step 10"), "{refused}");
    }

    #[test]
    fn a_clock_that_went_back_gives_no_rate() {
        assert_eq!(steps_per_second(&[at(0, 5.0), at(10, 1.0)]), None);
        assert_eq!(steps_per_second(&[at(0, 1.0)]), None);
        assert_eq!(steps_per_second(&[at(0, 0.0), at(10, 2.0)]), Some(5.0));
    }

    #[test]
    fn a_task_is_described_by_its_node_or_by_why_it_waits() {
        let task = |state: &str, reason: &str, node: &str| QueuedTask {
            state: state.into(),
            reason: reason.into(),
            node: node.into(),
        };
        let queue = Queue::from([
            ((7, 0), task("RUNNING", "None", "a1")),
            ((7, 1), task("PENDING", "Priority", "")),
        ]);
        let text = |index| task_status((7, index), Some(&queue)).to_string();
        assert_eq!(
            [text(0), text(1), text(2)],
            ["7_0 RUNNING (a1)", "7_1 PENDING (Priority)", "ended"]
        );
        assert_eq!(task_status((7, 0), None).to_string(), "7_0 ?");
    }
}
