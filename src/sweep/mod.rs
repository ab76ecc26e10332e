//! Which run goes where and when: slots that take runs from a queue, one process per run. What
//! happens inside a run is the worker's business; this room knows its files and its protocol.

mod estimate;
mod machine;
mod measure;
mod worker;

pub use estimate::{Estimate, estimate, makespan};
pub use machine::available_memory;
pub use measure::{Conditions, measure};
pub use worker::Worker;

use crate::protocol::{BUILD, Event, Interval, Job};
use crate::record::{State, Status, SweepDir};
use crate::spec::{Config, Run, changes_among};
use anyhow::{Result, ensure};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Runs one job to its end; a real worker, or a fake one in tests.
pub trait Executor: Sync {
    /// Returns when the run is over; its files say how it ended.
    ///
    /// # Errors
    /// The cause, when the run ended without a word.
    fn run(&self, job: &Job, on_event: &mut dyn FnMut(Event)) -> Result<(), String>;
}

/// Told of what happens in a sweep, from several threads.
pub trait Observer: Sync {
    /// A run begins.
    fn started(&self, run: &Run);
    /// The worker of a run says something.
    fn event(&self, run: &Run, event: &Event);
    /// A run is over.
    fn finished(&self, run: &Run, status: &Status);
}

/// How a sweep is run, the same for all of its runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `cpu`, `cuda:0`, …: runs are dealt out to these in turn.
    pub devices: Vec<String>,
    /// Runs side by side on each device.
    pub jobs: usize,
    /// Threads of one operation.
    pub threads: usize,
    /// Where data sets lie, when the user said so.
    pub data_dir: Option<PathBuf>,
    /// Whether generated images may stand in for a data set that is absent.
    pub stand_in: bool,
}

/// Time between two renewals of `curves.csv` while a sweep runs.
const JOIN_EVERY: Duration = Duration::from_secs(10);

/// Runs what is not finished yet.
///
/// # Errors
/// When the directory cannot be written. Runs that fail are no error here: their status says so.
pub fn sweep(
    runs: &[Run],
    directory: &SweepDir,
    options: &Options,
    executor: &dyn Executor,
    observer: &dyn Observer,
) -> Result<()> {
    let queue = Mutex::new(queue(runs, directory)?);
    let joined = Mutex::new(Instant::now());
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for slot in 0..options.jobs * options.devices.len() {
            let device = &options.devices[slot % options.devices.len()];
            let (queue, joined, failure) = (&queue, &joined, &failure);
            scope.spawn(move || {
                // A function of its own, so that the queue is not locked while a run lasts.
                let next = || locked(queue).pop_front();
                while let Some(run) = next() {
                    let outcome = one(run, directory, options, device, executor, observer)
                        .and_then(|()| join(directory, joined));
                    if let Err(error) = outcome {
                        locked(queue).clear();
                        locked(failure).get_or_insert(error);
                    }
                }
            });
        }
    });
    if let Some(error) = locked(&failure).take() {
        return Err(error);
    }
    directory.load()?.write(&directory.curves())
}

/// A lock whose holder panicked still guards plain data.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Refuses a directory where runs have begun that are not among `present` ones: results of two
/// experiments must not mix. A superset (more seeds, depths, arms) is welcome, and so are runs
/// that were planned once and never begun.
///
/// # Errors
/// When there are such runs, with what changed, key by key.
pub fn refuse_strangers(present: &BTreeMap<String, Config>, directory: &SweepDir) -> Result<()> {
    // It only helps to tell what changed; a damaged one is about to be written anew.
    let recorded = directory.resolved().ok().flatten().map(|file| file.runs).unwrap_or_default();
    let mut begun = BTreeMap::new();
    for run in directory.runs()? {
        let id = run.id();
        let config = match present.get(&id).or_else(|| recorded.get(&id)) {
            Some(config) => config.clone(),
            None => run.manifest()?.config,
        };
        begun.insert(id, config);
    }
    let changes = changes_among(&begun, &recorded, present);
    let count = changes.strangers;
    ensure!(
        changes.is_empty(),
        "{} holds {count} {} that this experiment does not have:\n{}give another --out, or change \
         the file or --set back; more seeds, depths or arms are welcome, and only they run then",
        directory.root().display(),
        if count == 1 { "run" } else { "runs" },
        changes.to_string().lines().map(|line| format!("  {line}\n")).collect::<String>(),
    );
    Ok(())
}

/// Unfinished runs: seed by seed, so that every arm has its first seed early, and within a seed
/// the longest first, so that no slot is idle at the end.
fn queue<'a>(runs: &'a [Run], directory: &SweepDir) -> Result<VecDeque<&'a Run>> {
    let mut unfinished = Vec::new();
    for run in runs {
        if !directory.run(&run.id).status()?.state.is_final() {
            unfinished.push(run);
        }
    }
    unfinished.sort_by_key(|run| (run.settings.seed, std::cmp::Reverse(run.work())));
    Ok(unfinished.into())
}

fn one(
    run: &Run,
    directory: &SweepDir,
    options: &Options,
    device: &str,
    executor: &dyn Executor,
    observer: &dyn Observer,
) -> Result<()> {
    let files = directory.run(&run.id);
    files.create()?;
    files.clear_status()?;
    let job = Job {
        build: BUILD.into(),
        id: run.id.clone(),
        arm: run.arm.clone(),
        axes: run.axes.clone(),
        config: run.config.clone(),
        network: run.network.clone(),
        directory: files.root().into(),
        data_dir: options.data_dir.clone(),
        stand_in: options.stand_in,
        device: device.into(),
        threads: options.threads,
        supervisor: std::process::id(),
        checkpoint: Interval::default(),
    };
    observer.started(run);
    let mut step = 0;
    let ended = executor.run(&job, &mut |event| {
        if let Event::Progress { step: now } | Event::Row { step: now, .. } = event {
            step = now;
        }
        observer.event(run, &event);
    });
    if let Err(cause) = ended
        && files.status()?.state == State::Pending
    {
        files.write_status(&Status::new(State::Failed, step, cause))?;
    }
    observer.finished(run, &files.status()?);
    Ok(())
}

fn join(directory: &SweepDir, joined: &Mutex<Instant>) -> Result<()> {
    let mut last = locked(joined);
    if last.elapsed() >= JOIN_EVERY {
        directory.load()?.write(&directory.curves())?;
        *last = Instant::now();
    }
    Ok(())
}

/// How many of these runs are in each state.
///
/// # Errors
/// When a status is damaged.
pub fn tally(runs: &[Run], directory: &SweepDir) -> Result<BTreeMap<State, usize>> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(directory.run(&run.id).status()?.state).or_insert(0) += 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{DataRecord, Execution, Manifest, Resolved, Revision, SCHEMA};
    use crate::spec::Experiment;
    use std::path::Path;
    use std::sync::Barrier;

    /// Finishes runs as told, without a process.
    struct Fake<F: Fn(&Job) -> Result<State, String> + Sync>(F);

    impl<F: Fn(&Job) -> Result<State, String> + Sync> Executor for Fake<F> {
        fn run(&self, job: &Job, on_event: &mut dyn FnMut(Event)) -> Result<(), String> {
            on_event(Event::Progress { step: 1 });
            let state = (self.0)(job)?;
            let files = crate::record::RunDir::new(&job.directory);
            files.write_status(&Status::new(state, 1, "")).map_err(|error| error.to_string())
        }
    }

    /// Keeps the order in which runs began.
    #[derive(Default)]
    struct Order(Mutex<Vec<String>>);

    impl Observer for Order {
        fn started(&self, run: &Run) {
            locked(&self.0).push(run.id.clone());
        }
        fn event(&self, _: &Run, _: &Event) {}
        fn finished(&self, _: &Run, _: &Status) {}
    }

    const TEXT: &str = "name = \"t\"\n[data]\nsource = \"shapes\"\n[network]\nfamily = \"plain\"\n\
        [training]\niterations = 1\n[sweep]\n\"network.depth\" = [8, 14]\nseed = [0, 1]\n";

    fn runs() -> Vec<Run> {
        Experiment::parse(Path::new("t.toml"), TEXT, &[]).unwrap().runs
    }

    fn options(jobs: usize) -> Options {
        Options { devices: vec!["cpu".into()], jobs, threads: 1, data_dir: None, stand_in: false }
    }

    fn directory(folder: &tempfile::TempDir) -> SweepDir {
        let directory = SweepDir::new(folder.path());
        directory.create().unwrap();
        directory
    }

    #[test]
    fn runs_go_seed_by_seed_and_the_longest_first() {
        let folder = tempfile::tempdir().unwrap();
        let order = Order::default();
        let done = Fake(|_: &Job| Ok(State::Done));
        sweep(&runs(), &directory(&folder), &options(1), &done, &order).unwrap();
        let begun = locked(&order.0);
        let short: Vec<&str> = begun.iter().map(|id| id.rsplit_once('-').unwrap().0).collect();
        assert_eq!(short, ["plain-14-s0", "plain-8-s0", "plain-14-s1", "plain-8-s1"]);
    }

    #[test]
    fn jobs_run_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        // Every run waits for another one to be there at the same time.
        let meeting = Barrier::new(2);
        let fake = Fake(|_: &Job| {
            meeting.wait();
            Ok(State::Done)
        });
        sweep(&runs(), &directory(&folder), &options(2), &fake, &Order::default()).unwrap();
    }

    #[test]
    fn a_run_that_fails_costs_only_itself_and_is_run_again() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        let fails = Fake(|job: &Job| match job.id.starts_with("plain-14-s0") {
            true => Err("killed by signal 9".into()),
            false => Ok(State::Diverged),
        });
        sweep(&runs(), &directory, &options(2), &fails, &Order::default()).unwrap();
        let counts = tally(&runs(), &directory).unwrap();
        assert_eq!(counts, [(State::Diverged, 3), (State::Failed, 1)].into());
        let order = Order::default();
        sweep(&runs(), &directory, &options(2), &Fake(|_: &Job| Ok(State::Done)), &order).unwrap();
        assert_eq!(locked(&order.0).len(), 1, "what is finished stays");
    }

    /// Writes `run.json` as a worker that begins.
    fn begin(directory: &SweepDir, run: &Run) {
        let files = directory.run(&run.id);
        files.create().unwrap();
        let manifest = Manifest {
            schema: SCHEMA,
            id: run.id.clone(),
            arm: run.arm.clone(),
            axes: run.axes.clone(),
            config: run.config.clone(),
            execution: Execution::default(),
            revision: Revision::default(),
            data: DataRecord::default(),
            parameters: 0,
            macs: 0,
        };
        files.write_manifest(&manifest).unwrap();
    }

    fn configs(text: &str) -> BTreeMap<String, Config> {
        Experiment::parse(Path::new("t.toml"), text, &[]).unwrap().configs
    }

    #[test]
    fn runs_of_another_configuration_are_refused_with_what_changed() {
        let changed = configs(&TEXT.replace("iterations = 1\n", "iterations = 1\nlr = 0.05\n"));
        for is_recorded in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let directory = directory(&folder);
            if is_recorded {
                let resolved = Resolved { schema: SCHEMA, runs: configs(TEXT) };
                directory.write_experiment(TEXT, &resolved).unwrap();
            }
            refuse_strangers(&changed, &directory).unwrap();
            for run in &runs()[..3] {
                begin(&directory, run);
            }
            let message = refuse_strangers(&changed, &directory).unwrap_err().to_string();
            let begins = format!(
                "{} holds 3 runs that this experiment does not have:\n  \
                 training.lr: 0.1 -> 0.05 (3 runs)\ngive another --out, or change the file or",
                folder.path().display()
            );
            assert!(message.starts_with(&begins), "{message}");
        }
    }

    #[test]
    fn a_superset_keeps_every_run_that_has_begun() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        let record = |text: &str| {
            let present = configs(text);
            refuse_strangers(&present, &directory)?;
            directory.write_experiment(text, &Resolved { schema: SCHEMA, runs: present })
        };
        record(TEXT).unwrap();
        // Runs of depth 14 never begin, so the file may drop them, and take up others.
        let begun: Vec<Run> =
            runs().into_iter().filter(|run| run.id.starts_with("plain-8-")).collect();
        begun.iter().for_each(|run| begin(&directory, run));
        record(&TEXT.replace("[8, 14]", "[8, 20]").replace("[0, 1]", "[0, 1, 2]")).unwrap();
        let kept = directory.resolved().unwrap().unwrap().runs;
        assert!(begun.iter().all(|run| kept.contains_key(&run.id)));
        assert_eq!(kept.len(), 6);
        let message = record(&TEXT.replace("[0, 1]", "[0]")).unwrap_err().to_string();
        assert!(
            message.contains("  seed: 1 no longer swept (1 of 2 runs, plain-8-s1-"),
            "{message}"
        );
        assert_eq!(directory.resolved().unwrap().unwrap().runs, kept, "a refusal changes nothing");
        // Without the record, or with a damaged one, the runs themselves tell.
        std::fs::write(folder.path().join("resolved.json"), "{").unwrap();
        let message = record(&TEXT.replace("[0, 1]", "[0]")).unwrap_err().to_string();
        assert!(message.contains("seed: 1 no longer swept"), "{message}");
    }
}
