use super::*;
use crate::protocol::BUILD;
use crate::record::{Lock, Patience, RunDir};
use crate::spec::Experiment;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ends attempts as told, without a process. A state is written as a worker would.
struct Fake<F: Fn(&Job, &Control) -> Result<State, Ended> + Sync>(F);

impl<F: Fn(&Job, &Control) -> Result<State, Ended> + Sync> Executor for Fake<F> {
    fn run(&self, job: &Job, control: &Control, on_event: &mut dyn FnMut(Event)) -> Ended {
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
        build: BUILD.into(),
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
        supervisor: std::process::id(),
        checkpoint: Interval::default(),
    }
}

/// A sweep with a fake.
struct Trial {
    _folder: tempfile::TempDir,
    directory: SweepDir,
    control: Control,
    order: Order,
}

impl Trial {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        Self { _folder: folder, directory, control: Control::new(), order: Order::default() }
    }

    fn run<F>(&self, runs: &[Run], options: &Options, fake: F) -> Result<Outcome>
    where
        F: Fn(&Job, &Control) -> Result<State, Ended> + Sync,
    {
        let (directory, control, observer) = (&self.directory, &self.control, &self.order);
        let executor = &Fake(fake);
        let sweep = Sweep { runs, directory, options, executor, observer, control, lock: None };
        sweep.run()
    }

    fn status(&self, run: &Run) -> Status {
        self.directory.run(&run.id).status().unwrap()
    }

    fn tally(&self, runs: &[Run]) -> BTreeMap<State, usize> {
        tally(runs, &self.directory).unwrap()
    }
}

const KILLED: Ended = Ended::Killed { signal: libc::SIGKILL };

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
    let fake = |_: &Job, _: &Control| {
        meeting.wait();
        Ok(State::Done)
    };
    Trial::new().run(&runs(), &options(2), fake).unwrap();
}

#[test]
fn a_run_that_fails_costs_only_itself_and_is_run_again() {
    let trial = Trial::new();
    let fails = |job: &Job, _: &Control| match job.id.starts_with("plain-14-s0") {
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

#[test]
fn a_killed_run_is_tried_three_more_times_and_its_status_says_so() {
    let trial = Trial::new();
    let run = &with_seeds(1);
    trial.run(run, &options(1), |_, _| Err(KILLED)).unwrap();
    let start = "start 8-s0";
    let again = |attempt| format!("again 8-s0 killed {attempt}");
    let expected = [start, &again(2), start, &again(3), start, &again(4), start, "end 8-s0 killed"];
    assert_eq!(trial.order.told(), expected);
    let message = "killed by signal 9, as the system does when memory runs out; tried 4 times";
    assert_eq!(trial.status(&run[0]).message, message);
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let states =
        [State::OutOfMemory, State::LostDevice, State::Failed, State::Disk, State::BadData];
    for (state, attempts) in states.into_iter().zip([3, 3, 1, 1, 1]) {
        let trial = Trial::new();
        let run = &with_seeds(1);
        trial.run(run, &options(1), |_, _| Ok(state)).unwrap();
        assert_eq!(trial.order.count("start"), attempts, "{state}");
        assert_eq!(trial.status(&run[0]).state, state);
        let tried = trial.status(&run[0]).message.ends_with("tried 3 times");
        assert_eq!(tried, attempts == 3);
    }
}

#[test]
fn a_run_that_lacked_memory_runs_alone() {
    let trial = Trial::new();
    let (now, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let both = Barrier::new(2);
    let fake = |job: &Job, _: &Control| {
        let beside = now.fetch_add(1, Ordering::SeqCst);
        let is_it = job.id.contains("-s0-");
        let first = is_it && failed.load(Ordering::SeqCst) == 0;
        if first || job.id.contains("-s1-") {
            both.wait();
        }
        std::thread::sleep(Duration::from_millis(3));
        if is_it && !first {
            assert_eq!((beside, now.load(Ordering::SeqCst)), (0, 1), "alone all the time");
        }
        failed.fetch_add(usize::from(is_it), Ordering::SeqCst);
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(if is_it { State::OutOfMemory } else { State::Done })
    };
    trial.run(&with_seeds(6), &options(3), fake).unwrap();
    assert_eq!(failed.load(Ordering::SeqCst), 3);
}

#[test]
fn a_device_that_fails_three_different_runs_is_left_for_the_others() {
    let trial = Trial::new();
    let runs = with_seeds(8);
    let options = Options { devices: vec!["cuda:0".into(), "cuda:1".into()], ..options(1) };
    let fake = |job: &Job, _: &Control| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(if job.device == "cuda:0" { State::LostDevice } else { State::Done })
    };
    let outcome = trial.run(&runs, &options, fake).unwrap();
    assert_eq!(trial.tally(&runs), [(State::Done, 8)].into());
    assert_eq!(trial.order.count("again"), 3, "{:?}", trial.order.told());
    assert_eq!(outcome.remarks.len(), 1);
    let remark = &outcome.remarks[0];
    assert!(remark.starts_with("cuda:0 is no longer used: 3 different runs"), "{remark}");
}

#[test]
fn without_a_device_the_sweep_ends_and_says_why() {
    let trial = Trial::new();
    let runs = with_seeds(5);
    let error = trial.run(&runs, &options(1), |_, _| Err(KILLED)).unwrap_err().to_string();
    assert!(error.starts_with("no device is left for 2 runs: cpu is no longer used"), "{error}");
    assert_eq!(trial.order.count("start"), 12, "the same run several times is no streak");
    assert_eq!(trial.tally(&runs), [(State::Pending, 2), (State::Killed, 3)].into());
}

#[test]
fn a_success_clears_a_device() {
    let trial = Trial::new();
    let fake = |job: &Job, _: &Control| match job.id.contains("-s2-") {
        true => Ok(State::Done),
        false => Ok(State::OutOfMemory),
    };
    let outcome = trial.run(&with_seeds(5), &options(1), fake).unwrap();
    assert_eq!(outcome, Outcome::default());
}

#[test]
fn the_first_signal_lets_runs_stop_and_begins_none() {
    let trial = Trial::new();
    let fake = |_: &Job, control: &Control| {
        control.signal(libc::SIGTERM);
        Err(Ended::Stopped)
    };
    trial.run(&runs(), &options(1), fake).unwrap();
    assert_eq!(trial.tally(&runs()), [(State::Pending, 3), (State::Interrupted, 1)].into());
    assert!(trial.directory.curves().exists());
    // The same command goes on.
    let trial = Trial { control: Control::new(), ..trial };
    trial.run(&runs(), &options(1), |_, _| Ok(State::Done)).unwrap();
    assert_eq!(trial.tally(&runs()), [(State::Done, 4)].into());
}

#[test]
fn a_run_that_is_killed_while_stopping_is_not_tried_again() {
    let trial = Trial::new();
    let run = &with_seeds(1);
    let fake = |_: &Job, control: &Control| {
        let now = std::time::Instant::now();
        control.signal_at(libc::SIGINT, now);
        control.signal_at(libc::SIGINT, now + Duration::from_secs(1));
        Err(KILLED)
    };
    trial.run(run, &options(1), fake).unwrap();
    assert_eq!(trial.order.told(), ["start 8-s0", "end 8-s0 killed"]);
    assert_eq!(trial.status(&run[0]).message, "killed at the second signal to fathom run");
}

#[test]
fn no_more_runs_begin_than_fit_into_memory() {
    let runs = with_seeds(6);
    let each = reserved(&runs[0]);
    for (room, most) in [(each * 2 + 1, 2), (each / 2, 1), (each * 4, 4)] {
        let (now, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let fake = |_: &Job, _: &Control| {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(State::Done)
        };
        let options = Options { memory: Some(room), ..options(4) };
        Trial::new().run(&runs, &options, fake).unwrap();
        assert_eq!(peak.load(Ordering::SeqCst), most);
    }
}

#[test]
fn a_run_that_another_process_trains_is_asked_for_again_and_left_alone() {
    let trial = Trial::new();
    let runs = with_seeds(2);
    let fake = |job: &Job, _: &Control| match job.id.contains("-s0-") {
        true => Err(Ended::Held("held by somebody".into())),
        false => Ok(State::Done),
    };
    let outcome = trial.run(&runs, &options(1), fake).unwrap();
    assert_eq!(outcome.held, [(runs[0].id.clone(), "held by somebody".to_owned())]);
    assert_eq!(trial.tally(&runs), [(State::Pending, 1), (State::Done, 1)].into());
    assert_eq!(trial.order.count("held 8-s0 true"), 9);
    assert_eq!(trial.order.count("held 8-s0 false"), 1);
}

#[test]
fn a_full_disk_ends_dispatching_and_bad_data_that_of_its_runs() {
    let trial = Trial::new();
    let outcome = trial.run(&runs(), &options(1), |_, _| Ok(State::Disk)).unwrap();
    assert_eq!(trial.order.count("start"), 1);
    assert!(outcome.remarks[0].starts_with("no further run is begun (3 left)"));

    let trial = Trial::new();
    let text = TEXT.replace("\"network.depth\" = [8, 14]", "\"data.train\" = [200, 300]");
    let mixed = of(&text.replace("family = \"plain\"", "family = \"plain\"\ndepth = 8"));
    let fake = |job: &Job, _: &Control| match job.config["data.train"] == 200 {
        true => Ok(State::BadData),
        false => Ok(State::Done),
    };
    let outcome = trial.run(&mixed, &options(1), fake).unwrap();
    let expected = [(State::Pending, 1), (State::Done, 2), (State::BadData, 1)];
    assert_eq!(trial.tally(&mixed), expected.into());
    assert_eq!(outcome.remarks, ["1 runs on the same data not begun: words"]);
}

#[test]
fn a_sweep_whose_lock_is_lost_begins_nothing_more() {
    let trial = Trial::new();
    let patience = Patience::default();
    let taken = Lock::acquire(&trial.directory.lock(), "test", &patience).unwrap();
    let lock = taken.lock.token();
    let executor = &Fake(|_: &Job, _: &Control| {
        std::fs::remove_file(&lock.path).unwrap();
        Ok(State::Done)
    });
    let (directory, control, observer) = (&trial.directory, &trial.control, &trial.order);
    let (runs, options) = (&runs(), &options(1));
    let sweep = Sweep { runs, directory, options, executor, observer, control, lock: Some(lock) };
    let error = sweep.run().unwrap_err().to_string();
    assert!(error.contains("sweep.lock is lost"), "{error}");
    assert_eq!(trial.order.count("start"), 1);
    assert!(control.is_stopping() && !directory.curves().exists());
}
