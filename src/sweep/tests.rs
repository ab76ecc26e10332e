//! Sweeps with a fake instead of a worker.

mod failing;
mod stopping;

use super::*;
use fathom_record::{CudaUse, Layout, Layouts, Lock, LockTiming, RunDir};
use fathom_spec::Experiment;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ends attempts as told, without a process. A state is written as a worker would.
struct Fake<F: Fn(&Job, &Shutdown) -> Result<State, Ended> + Sync>(F);

impl<F: Fn(&Job, &Shutdown) -> Result<State, Ended> + Sync> Executor for Fake<F> {
    fn run(&self, job: &Job, control: &Shutdown, on_event: &mut dyn FnMut(Event)) -> Ended {
        on_event(Event::Progress { step: 1 });
        match (self.0)(job, control) {
            Ok(state) => {
                let status = Status::new(state, 1, "words");
                RunDir::new(&job.directory).write_status(&status).unwrap();
                Ended::Reported
            }
            Err(ended) => ended,
        }
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Order(Mutex<Vec<String>>);

impl Order {
    fn told(&self) -> Vec<String> {
        locked(&self.0).clone()
    }

    fn count(&self, begin: &str) -> usize {
        self.told().iter().filter(|line| line.starts_with(begin)).count()
    }

    fn say(&self, line: String) {
        locked(&self.0).push(line);
    }
}

impl Observer for Order {
    fn started(&self, run: &Run) {
        self.say(format!("start {}", short(&run.id)));
    }
    fn event(&self, _: &Run, _: &Event) {}
    fn finished(&self, run: &Run, status: &Status) {
        self.say(format!("end {} {}", short(&run.id), status.state));
    }
    fn retrying(&self, run: &Run, status: &Status, attempt: u32, _: Duration) {
        self.say(format!("again {} {} {attempt}", short(&run.id), status.state));
    }
    fn held(&self, run: &Run, _: &str, again: bool) {
        self.say(format!("held {} {again}", short(&run.id)));
    }
    fn remark(&self, text: &str) {
        self.say(format!("remark {text}"));
    }
}

/// Without family and fingerprint.
fn short(id: &str) -> String {
    let id = id.strip_prefix("plain-").unwrap_or(id);
    id.rsplit_once('-').map_or(id, |(name, _)| name).into()
}

pub(super) const TEXT: &str = "name = \"t\"\n[data]\nsource = \"shapes\"\n[network]\n\
    family = \"plain\"\n[training]\niterations = 1\n[sweep]\n\"network.depth\" = [8, 14]\n\
    seed = [0, 1]\n";

fn of(text: &str) -> Vec<Run> {
    Experiment::parse(Path::new("t.toml"), text, &[]).unwrap().runs
}

pub(super) fn runs() -> Vec<Run> {
    of(TEXT)
}

fn with_seeds(count: usize) -> Vec<Run> {
    let seeds: Vec<String> = (0..count).map(|seed| seed.to_string()).collect();
    of(&TEXT.replace("[8, 14]", "[8]").replace("[0, 1]", &format!("[{}]", seeds.join(","))))
}

pub(super) fn options(jobs: usize) -> Options {
    Options {
        devices: vec!["cpu".into()],
        jobs,
        threads: 1,
        layouts: Layouts::default(),
        cuda: CudaUse::default(),
        memory: None,
        checkpoint: Interval::default(),
        data_dir: None,
        stand_in: false,
        second: Duration::ZERO,
    }
}

pub(super) fn directory(folder: &tempfile::TempDir) -> SweepDir {
    let directory = SweepDir::new(folder.path());
    directory.create().unwrap();
    directory
}

pub(super) fn job(run: &Run, directory: &Path) -> Job {
    Job {
        build: fathom_base::program().build.into(),
        id: run.id.clone(),
        arm: None,
        axes: Vec::new(),
        config: run.config.clone(),
        network: run.network.clone(),
        directory: directory.into(),
        data_dir: None,
        stand_in: false,
        device: "cpu".into(),
        threads: 1,
        layout: Layout::default(),
        cuda: CudaUse::default(),
        jobs: 1,
        supervisor: std::process::id(),
        checkpoint: Interval::default(),
    }
}

/// A sweep with a fake.
struct Trial {
    _folder: tempfile::TempDir,
    directory: SweepDir,
    control: Shutdown,
    order: Order,
}

impl Trial {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        Self { _folder: folder, directory, control: Shutdown::new(), order: Order::default() }
    }

    fn run<F>(&self, runs: &[Run], options: &Options, fake: F) -> Result<SweepReport>
    where
        F: Fn(&Job, &Shutdown) -> Result<State, Ended> + Sync,
    {
        let (directory, control, observer) = (&self.directory, &self.control, &self.order);
        let executor = &Fake(fake);
        let taken = Lock::acquire(&directory.lock(), "a test", &LockTiming::default())?;
        let lock = Some(taken.lock.token());
        Sweep { runs, directory, options, executor, observer, control, lock }.run()
    }

    fn status(&self, run: &Run) -> Status {
        self.directory.run(&run.id).status().unwrap()
    }

    fn tally(&self, runs: &[Run]) -> BTreeMap<State, usize> {
        tally(runs, &self.directory).unwrap()
    }
}

pub(super) const KILLED: Ended = Ended::Killed { signal: libc::SIGKILL };

#[test]
fn runs_go_seed_by_seed_and_the_longest_first() {
    let trial = Trial::new();
    trial.run(&runs(), &options(1), |_, _| Ok(State::Done)).unwrap();
    let mut begun = trial.order.told();
    begun.retain(|line| line.starts_with("start"));
    assert_eq!(begun, ["start 14-s0", "start 8-s0", "start 14-s1", "start 8-s1"]);
}

#[test]
fn jobs_run_side_by_side() {
    // Every run waits for another one to be there at the same time.
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
    assert_eq!(trial.tally(&runs), [(State::Done, 1000)].into());
    assert!(seconds < 30.0, "{seconds} s, most of it waiting for the disk");
}

#[test]
fn a_run_that_fails_costs_only_itself_and_is_run_again() {
    let trial = Trial::new();
    let fails = |job: &Job, _: &Shutdown| match job.id.starts_with("plain-14-s0") {
        true => Err(Ended::Silent("no".into())),
        false => Ok(State::Diverged),
    };
    trial.run(&runs(), &options(2), fails).unwrap();
    assert_eq!(trial.tally(&runs()), [(State::Diverged, 3), (State::Failed, 1)].into());
    trial.run(&runs(), &options(2), |_, _| Ok(State::Done)).unwrap();
    assert_eq!(trial.order.count("start"), 5, "what is finished stays");
    // A superset runs only what is new.
    let more = of(&TEXT.replace("[0, 1]", "[0, 1, 2]"));
    trial.run(&more, &options(2), |_, _| Ok(State::Done)).unwrap();
    assert_eq!(trial.order.count("start"), 7);
}
