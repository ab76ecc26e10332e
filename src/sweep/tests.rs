//! Sweeps with a fake executor instead of a worker process.

mod failing;
mod stopping;

use super::*;
use anyhow::Result;
use fathom_record::{
    CurveRow, DataRecord, Execution, Lock, LockTiming, Manifest, Revision, RunDir, SCHEMA, State,
    SweepDir,
};
use fathom_spec::{Config, Experiment};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ends attempts as a closure says, without a process. A state is written as a worker would write it.
struct Fake<F: Fn(&Job, &Shutdown) -> Result<State, WorkerExit> + Sync>(F);

impl<F: Fn(&Job, &Shutdown) -> Result<State, WorkerExit> + Sync> Executor for Fake<F> {
    fn run(&self, job: &Job, shutdown: &Shutdown, on_event: &mut dyn FnMut(Event)) -> WorkerExit {
        on_event(Event::Progress { step: 1 });
        match (self.0)(job, shutdown) {
            Ok(state) => {
                let run = RunDir::new(&job.directory);
                begin(&run, &job.config);
                let row = CurveRow { schema: SCHEMA, step: 1, ..CurveRow::default() };
                run.curve_writer().unwrap().append(&row).unwrap();
                run.write_status(&Status::new(state, 1, "message")).unwrap();
                WorkerExit::Reported
            }
            Err(ended) => ended,
        }
    }
}

/// Writes `run.json` as a worker does when it begins.
pub(super) fn begin(run: &RunDir, config: &Config) {
    run.create().unwrap();
    let manifest = Manifest {
        schema: SCHEMA,
        id: run.id(),
        arm: None,
        axes: Vec::new(),
        config: config.clone(),
        execution: Execution::default(),
        revision: Revision::default(),
        data: DataRecord::default(),
        parameters: 0,
        macs: 0,
    };
    run.write_manifest(&manifest).unwrap();
}

/// Records the callbacks of a sweep as lines.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn lines(&self) -> Vec<String> {
        locked(&self.0).clone()
    }

    fn count(&self, begin: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(begin)).count()
    }

    fn push(&self, line: String) {
        locked(&self.0).push(line);
    }
}

impl Observer for Recorder {
    fn started(&self, run: &Run) {
        self.push(format!("start {}", short(&run.id)));
    }
    fn event(&self, _: &Run, _: &Event) {}
    fn finished(&self, run: &Run, status: &Status) {
        self.push(format!("end {} {}", short(&run.id), status.state));
    }
    fn retrying(&self, run: &Run, status: &Status, attempt: u32, _: Duration) {
        self.push(format!("again {} {} {attempt}", short(&run.id), status.state));
    }
    fn held(&self, run: &Run, _: &str, again: bool) {
        self.push(format!("held {} {again}", short(&run.id)));
    }
    fn remark(&self, text: &str) {
        self.push(format!("remark {text}"));
    }
}

/// A run id without family and fingerprint.
fn short(id: &str) -> String {
    let id = id.strip_prefix("plain-").unwrap_or(id);
    id.rsplit_once('-').map_or(id, |(name, _)| name).into()
}

pub(super) const TEXT: &str = "name = \"t\"\n[data]\nsource = \"shapes\"\n[network]\n\
    family = \"plain\"\n[training]\niterations = 1\n[sweep]\n\"network.depth\" = [8, 14]\n\
    seed = [0, 1]\n";

fn runs_of(text: &str) -> Vec<Run> {
    Experiment::parse(Path::new("t.toml"), text, &[]).unwrap().runs
}

pub(super) fn runs() -> Vec<Run> {
    runs_of(TEXT)
}

fn with_seeds(count: usize) -> Vec<Run> {
    let seeds: Vec<String> = (0..count).map(|seed| seed.to_string()).collect();
    runs_of(&TEXT.replace("[8, 14]", "[8]").replace("[0, 1]", &format!("[{}]", seeds.join(","))))
}

pub(super) fn options(jobs: usize) -> Options {
    Options { pause_unit: Duration::ZERO, ..Options::new(vec!["cpu".into()], jobs, 1) }
}

pub(super) fn directory(folder: &tempfile::TempDir) -> SweepDir {
    let directory = SweepDir::new(folder.path());
    directory.create().unwrap();
    directory
}

/// A results directory in which sweeps run with fake executors.
struct Trial {
    _folder: tempfile::TempDir,
    directory: SweepDir,
    shutdown: Shutdown,
    recorder: Recorder,
}

impl Trial {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        Self {
            _folder: folder,
            directory,
            shutdown: Shutdown::new(),
            recorder: Recorder::default(),
        }
    }

    fn run<F>(&self, runs: &[Run], options: &Options, fake: F) -> Result<SweepReport>
    where
        F: Fn(&Job, &Shutdown) -> Result<State, WorkerExit> + Sync,
    {
        let (directory, shutdown, observer) = (&self.directory, &self.shutdown, &self.recorder);
        let executor = &Fake(fake);
        let taken = Lock::acquire(&directory.lock(), "a test", &LockTiming::default())?;
        let lock = Some(taken.lock.token());
        Sweep { runs, directory, options, executor, observer, shutdown, lock }.run()
    }

    fn status(&self, run: &Run) -> Status {
        self.directory.run(&run.id).status().unwrap()
    }

    fn count_states(&self, runs: &[Run]) -> BTreeMap<State, usize> {
        count_states(runs, &self.directory).unwrap()
    }
}

pub(super) const KILLED: WorkerExit = WorkerExit::Killed { signal: libc::SIGKILL };

#[test]
fn runs_go_seed_by_seed_and_the_longest_first() {
    let trial = Trial::new();
    trial.run(&runs(), &options(1), |_, _| Ok(State::Done)).unwrap();
    let mut begun = trial.recorder.lines();
    begun.retain(|line| line.starts_with("start"));
    assert_eq!(begun, ["start 14-s0", "start 8-s0", "start 14-s1", "start 8-s1"]);
}

#[test]
fn jobs_run_side_by_side() {
    // Every run waits until another one trains at the same time.
    let meeting = Barrier::new(2);
    let fake = |_: &Job, _: &Shutdown| {
        meeting.wait();
        Ok(State::Done)
    };
    Trial::new().run(&runs(), &options(2), fake).unwrap();
}

#[test]
fn a_thousand_runs_cost_little_more_than_themselves() {
    let (trial, runs) = (Trial::new(), with_seeds(1000));
    let since = std::time::Instant::now();
    trial.run(&runs, &options(4), |_, _| Ok(State::Done)).unwrap();
    let seconds = since.elapsed().as_secs_f64();
    println!("1,000 runs: {seconds:.2} s");
    assert_eq!(trial.count_states(&runs), [(State::Done, 1000)].into());
    assert!(seconds < 30.0, "{seconds} s, most of it waiting for the disk");
}

#[test]
fn a_run_that_fails_costs_only_itself_and_is_run_again() {
    let trial = Trial::new();
    let fails = |job: &Job, _: &Shutdown| match job.id.starts_with("plain-14-s0") {
        true => Err(WorkerExit::Silent("no".into())),
        false => Ok(State::Diverged),
    };
    trial.run(&runs(), &options(2), fails).unwrap();
    assert_eq!(trial.count_states(&runs()), [(State::Diverged, 3), (State::Failed, 1)].into());
    trial.run(&runs(), &options(2), |_, _| Ok(State::Done)).unwrap();
    assert_eq!(trial.recorder.count("start"), 5, "what is finished stays");
    // A superset runs only what is new.
    let more = runs_of(&TEXT.replace("[0, 1]", "[0, 1, 2]"));
    trial.run(&more, &options(2), |_, _| Ok(State::Done)).unwrap();
    assert_eq!(trial.recorder.count("start"), 7);
}
