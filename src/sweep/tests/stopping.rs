//! Stopping, limits of memory, and runs that other processes hold.

use super::*;

#[test]
fn the_first_signal_lets_runs_stop_and_begins_none() {
    let trial = Trial::new();
    let fake = |_: &Job, shutdown: &Shutdown| {
        shutdown.signal(libc::SIGTERM);
        Err(WorkerExit::Stopped)
    };
    trial.run(&runs(), &options(1), fake).unwrap();
    assert_eq!(trial.count_states(&runs()), [(State::Pending, 3), (State::Interrupted, 1)].into());
    assert!(trial.directory.curves().exists());
    // The same command resumes.
    let trial = Trial { shutdown: Shutdown::new(), ..trial };
    trial.run(&runs(), &options(1), |_, _| Ok(State::Done)).unwrap();
    assert_eq!(trial.count_states(&runs()), [(State::Done, 4)].into());
}

#[test]
fn a_run_that_is_killed_while_stopping_is_not_tried_again() {
    let trial = Trial::new();
    let run = &with_seeds(1);
    let fake = |_: &Job, shutdown: &Shutdown| {
        let now = std::time::Instant::now();
        shutdown.signal_at(libc::SIGINT, now);
        shutdown.signal_at(libc::SIGINT, now + Duration::from_secs(1));
        Err(KILLED)
    };
    trial.run(run, &options(1), fake).unwrap();
    assert_eq!(trial.recorder.lines(), ["start 8-s0", "end 8-s0 killed"]);
    assert_eq!(trial.status(&run[0]).message, "killed at the second signal to fathom run");
}

#[test]
fn no_more_runs_begin_than_fit_into_memory() {
    let runs = with_seeds(6);
    let each = reserved_memory(&runs[0]);
    for (room, most) in [(each * 2 + 1, 2), (each / 2, 1), (each * 4, 4)] {
        let (now, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let fake = |_: &Job, _: &Shutdown| {
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
    let fake = |job: &Job, _: &Shutdown| match job.id.contains("-s0-") {
        true => Err(WorkerExit::Held("held by somebody".into())),
        false => Ok(State::Done),
    };
    let report = trial.run(&runs, &options(1), fake).unwrap();
    assert_eq!(
        report.held,
        [HeldRun { id: runs[0].id.clone(), holder: "held by somebody".into() }]
    );
    assert_eq!(trial.count_states(&runs), [(State::Pending, 1), (State::Done, 1)].into());
    assert_eq!(trial.recorder.count("held 8-s0 true"), 9);
    assert_eq!(trial.recorder.count("held 8-s0 false"), 1);
}

#[test]
fn a_sweep_whose_lock_is_lost_begins_nothing_more() {
    let trial = Trial::new();
    let patience = LockTiming::default();
    let taken = Lock::acquire(&trial.directory.lock(), "test", &patience).unwrap();
    let lock = taken.lock.token();
    let executor = &Fake(|_: &Job, _: &Shutdown| {
        std::fs::remove_file(&lock.path).unwrap();
        Ok(State::Done)
    });
    let (directory, shutdown, observer) = (&trial.directory, &trial.shutdown, &trial.recorder);
    let (runs, options) = (&runs(), &options(1));
    let sweep = Sweep { runs, directory, options, executor, observer, shutdown, lock: Some(lock) };
    let error = sweep.run().unwrap_err().to_string();
    assert!(error.contains("sweep.lock is lost"), "{error}");
    assert_eq!(trial.recorder.count("start"), 1);
    assert!(shutdown.is_stopping() && !directory.curves().exists());
}
