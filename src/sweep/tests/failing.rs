//! Failing runs and failing devices.

use super::*;

#[test]
fn a_killed_run_is_tried_three_more_times_and_its_status_says_so() {
    let trial = Trial::new();
    let run = &with_seeds(1);
    trial.run(run, &options(1), |_, _| Err(KILLED)).unwrap();
    let start = "start 8-s0";
    let again = |attempt| format!("again 8-s0 killed {attempt}");
    let expected = [start, &again(2), start, &again(3), start, &again(4), start, "end 8-s0 killed"];
    assert_eq!(trial.recorder.lines(), expected);
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
        assert_eq!(trial.recorder.count("start"), attempts, "{state}");
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
    let fake = |job: &Job, _: &Shutdown| {
        let others = now.fetch_add(1, Ordering::SeqCst);
        let is_it = job.id.contains("-s0-");
        let first = is_it && failed.load(Ordering::SeqCst) == 0;
        if first || job.id.contains("-s1-") {
            both.wait();
        }
        std::thread::sleep(Duration::from_millis(3));
        if is_it && !first {
            assert_eq!((others, now.load(Ordering::SeqCst)), (0, 1), "alone all the time");
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
    let fake = |job: &Job, _: &Shutdown| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(if job.device == "cuda:0" { State::LostDevice } else { State::Done })
    };
    let report = trial.run(&runs, &options, fake).unwrap();
    assert_eq!(trial.count_states(&runs), [(State::Done, 8)].into());
    assert_eq!(trial.recorder.count("again"), 3, "{:?}", trial.recorder.lines());
    assert_eq!(report.remarks.len(), 1);
    let remark = &report.remarks[0];
    assert!(remark.starts_with("cuda:0 is no longer used: 3 different runs"), "{remark}");
}

#[test]
fn without_a_device_the_sweep_ends_and_says_why() {
    let trial = Trial::new();
    let runs = with_seeds(5);
    let error = trial.run(&runs, &options(1), |_, _| Err(KILLED)).unwrap_err().to_string();
    assert!(error.starts_with("no device is left for 2 runs: cpu is no longer used"), "{error}");
    assert_eq!(trial.recorder.count("start"), 12, "the same run several times is no streak");
    assert_eq!(trial.count_states(&runs), [(State::Pending, 2), (State::Killed, 3)].into());
}

#[test]
fn a_success_clears_a_device() {
    let trial = Trial::new();
    let fake = |job: &Job, _: &Shutdown| match job.id.contains("-s2-") {
        true => Ok(State::Done),
        false => Ok(State::OutOfMemory),
    };
    let report = trial.run(&with_seeds(5), &options(1), fake).unwrap();
    assert_eq!(report, SweepReport::default());
}

#[test]
fn a_full_disk_ends_dispatching_and_bad_data_that_of_its_runs() {
    let trial = Trial::new();
    let report = trial.run(&runs(), &options(1), |_, _| Ok(State::Disk)).unwrap();
    assert_eq!(trial.recorder.count("start"), 1);
    assert!(report.remarks[0].starts_with("no further run begins (3 left)"));

    let trial = Trial::new();
    let text = TEXT.replace("\"network.depth\" = [8, 14]", "\"data.train\" = [200, 300]");
    let mixed = runs_of(&text.replace("family = \"plain\"", "family = \"plain\"\ndepth = 8"));
    let fake = |job: &Job, _: &Shutdown| match job.config["data.train"] == 200 {
        true => Ok(State::BadData),
        false => Ok(State::Done),
    };
    let report = trial.run(&mixed, &options(1), fake).unwrap();
    let expected = [(State::Pending, 1), (State::Done, 2), (State::BadData, 1)];
    assert_eq!(trial.count_states(&mixed), expected.into());
    assert_eq!(report.remarks, ["1 runs on the same data not begun: message"]);
}
