//! A run that is stopped or killed and then resumed ends with the bytes of an undisturbed one.

use crate::session::{ARMS, NEVER, job, outcome, resumed, runs, session, start};
use crate::support::{fail, succeed, with_experiment};
use fathom::protocol::{Event, HELD, Job, STOPPED};
use fathom::record::{Layout, RunDir, State};
use fathom::spec::{Config, Experiment};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The configuration with statistics of the layers.
fn watched(config: &Config) -> Config {
    let mut config = config.clone();
    config.insert("evaluate.layers".into(), true.into());
    config
}

/// The text of `layers.csv`, which has rows for these steps alone.
fn layers(job: &Job) -> String {
    let directory = RunDir::new(&job.directory);
    let steps: BTreeSet<u64> =
        directory.layers().expect("rows").iter().map(|row| row.step).collect();
    assert_eq!(Vec::from_iter(steps), [0, 1, 2, 5, 10, 12]);
    std::fs::read_to_string(directory.layers_path()).expect("rows")
}

#[test]
fn runs_of_every_family_resume_exactly_after_being_stopped_and_killed() {
    let folder = with_experiment(ARMS);
    let runs = runs(folder.path());
    assert_eq!(runs.len(), 9);
    let layouts = [Layout::BatchLast, Layout::ChannelsLast].into_iter().cycle();
    for (run, layout) in runs.iter().zip(layouts) {
        let job = |part: &str| Job { layout, ..job(run, &folder.path().join(part), 1) };
        let alone = job("alone");
        assert_eq!(session(&alone, NEVER, 0).0, Some(0), "{}", run.id);
        let watched = Job { config: watched(&run.config), ..job("watched") };
        assert_eq!(session(&watched, NEVER, 0).0, Some(0), "{}", run.id);
        assert_eq!(
            outcome(&alone),
            outcome(&watched),
            "{}: statistics of layers change nothing",
            run.id
        );
        let config = watched.config.clone();
        let disturbed = Job { config, ..job("disturbed") };
        // Rows are written at 0, 2, 4 …, checkpoints at 3, 6, 9: a run that is killed after the row
        // of step 4 resumes from 3, and after that of step 8 from 6.
        assert_eq!(session(&disturbed, 3, libc::SIGKILL).0, None);
        let (code, told) = session(&disturbed, 3, libc::SIGTERM);
        assert_eq!(code, Some(i32::from(STOPPED)), "{}", run.id);
        let from = resumed(&told).expect("a checkpoint");
        assert!((3..=4).contains(&from), "{}: {from}", run.id);
        let status = RunDir::new(&disturbed.directory).status().expect("a status");
        assert_eq!(status.state, State::Interrupted);
        let (code, told) = session(&disturbed, 1, libc::SIGKILL);
        assert_eq!((code, resumed(&told)), (None, Some(status.step)), "{}", run.id);
        let (code, told) = session(&disturbed, NEVER, 0);
        assert_eq!(code, Some(0));
        assert!(resumed(&told) >= Some(status.step));
        assert_eq!(outcome(&alone), outcome(&disturbed), "{}", run.id);
        assert_eq!(layers(&watched), layers(&disturbed), "{}", run.id);
        // A finished run keeps its weights, but not the state of its optimiser.
        let size = std::fs::metadata(disturbed.directory.join("checkpoint.safetensors"));
        assert!(size.expect("weights").len() < 6 * run.audit.parameters + 40_000);
    }
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_and_then_to_the_start() {
    let folder = with_experiment("");
    let runs = runs(folder.path());
    let alone = job(&runs[0], &folder.path().join("alone"), 1);
    assert_eq!(session(&alone, NEVER, 0).0, Some(0));
    let disturbed = job(&runs[0], &folder.path().join("disturbed"), 1);
    let directory = RunDir::new(&disturbed.directory);
    let damage = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("a checkpoint");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(path, bytes).expect("writable");
    };
    // Checkpoints at 3 and 6.
    assert_eq!(session(&disturbed, 5, libc::SIGKILL).0, None);
    damage(&directory.checkpoint());
    let (_, told) = session(&disturbed, 3, libc::SIGKILL);
    assert_eq!(resumed(&told), Some(3));
    let remarks = told.iter().filter(
        |event| matches!(event, Event::Remark { text } if text.contains("the run resumes from the checkpoint before")),
    );
    assert_eq!(remarks.count(), 1, "{told:?}");
    damage(&directory.checkpoint());
    damage(&directory.previous_checkpoint());
    let (code, told) = session(&disturbed, NEVER, 0);
    assert_eq!((code, resumed(&told)), (Some(0), None), "{told:?}");
    assert_eq!(outcome(&alone), outcome(&disturbed));
}

#[test]
fn a_run_that_ends_early_says_why_and_resumes_exactly() {
    let folder = with_experiment("");
    // Without updates of the weights the error stays at chance.
    let run = runs(folder.path()).remove(0);
    let job = |part: &str, metric: Option<&str>| {
        let mut config = watched(&run.config);
        config.insert("training.lr".into(), 0.0.into());
        config.insert("training.stop_when.at_chance_for".into(), 7.into());
        if let Some(metric) = metric {
            config.insert("training.stop_when.metric".into(), metric.into());
            config.insert("training.stop_when.below".into(), 100.0.into());
        }
        Job { config, ..job(&run, &folder.path().join(part), 1) }
    };
    let told = |job: &Job| {
        let directory = RunDir::new(&job.directory);
        let status = directory.status().expect("a status");
        let last = directory.curve().expect("rows").pop().expect("a row");
        assert_eq!((status.state, last.step), (State::Done, status.step));
        (status.step, status.message)
    };
    let alone = job("alone", None);
    assert_eq!(session(&alone, NEVER, 0).0, Some(0));
    let why = "stopped early, at step 8 of 12: train_err_pct was at chance (90.0) for 8 updates";
    assert_eq!(told(&alone), (8, why.into()));
    let layers = RunDir::new(&alone.directory).layers().expect("rows");
    let steps: BTreeSet<u64> = layers.iter().map(|row| row.step).collect();
    assert_eq!(Vec::from_iter(steps), [0, 1, 2, 5, 8]);
    // Checkpoints at 3 and 6, rows at 0, 2, 4, 6 and 8.
    let disturbed = job("disturbed", None);
    assert_eq!(session(&disturbed, 3, libc::SIGKILL).0, None);
    let (code, found) = session(&disturbed, 2, libc::SIGTERM);
    assert_eq!((code, resumed(&found)), (Some(i32::from(STOPPED)), Some(3)));
    assert_eq!(session(&disturbed, NEVER, 0).0, Some(0));
    assert_eq!(told(&disturbed), (8, why.into()));
    assert_eq!(outcome(&alone), outcome(&disturbed));
    let text = |job: &Job| std::fs::read_to_string(RunDir::new(&job.directory).layers_path());
    assert_eq!(text(&alone).expect("rows"), text(&disturbed).expect("rows"));

    let other = job("other", Some("train_err_running_pct"));
    assert_eq!(session(&other, NEVER, 0).0, Some(0));
    let (step, message) = told(&other);
    assert_eq!(step, 2, "the first row with this metric");
    assert!(message.starts_with("stopped early, at step 2 of 12: train_err_running_pct is "));
}

#[test]
fn the_weights_of_the_best_validation_step_are_kept_beside_the_last_ones_and_resume_exactly() {
    let folder = with_experiment("");
    let sets = ["iterations=40", "lr=0.5", "batch=10", "schedule.kind=constant"]
        .map(|set| format!("training.{set}"));
    let sets = sets
        .into_iter()
        .chain(["evaluate.keep=best-validation", "data.validation=40"].map(String::from));
    let sets: Vec<String> = sets.chain(["evaluate.every=2".into()]).collect();
    let run =
        Experiment::load(&folder.path().join("tiny.toml"), &sets).expect("fine").runs.remove(0);
    let job = |part: &str| job(&run, &folder.path().join(part), 1);
    let best =
        |job: &Job| std::fs::read(RunDir::new(&job.directory).best_validation()).expect("weights");

    let (alone, disturbed) = (job("alone"), job("disturbed"));
    assert_eq!(session(&alone, NEVER, 0).0, Some(0));
    let rows = RunDir::new(&alone.directory).curve().expect("rows");
    let errors: Vec<f64> = rows.iter().filter_map(|row| row.validation_err_pct).collect();
    let lowest = errors.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(errors.last().is_some_and(|last| *last > lowest), "a test of something: {errors:?}");
    for (at, expected) in [("best-validation", lowest), ("last", errors[errors.len() - 1])] {
        let arguments = [
            "eval",
            "--device",
            "cpu",
            "--part",
            "validation",
            "--format",
            "csv",
            "--at",
            at,
            "--run",
        ];
        let root = alone.directory.to_str().expect("text");
        let table = succeed(folder.path(), &[&arguments[..], &[root]].concat());
        let row = table.lines().nth(1).expect("a row");
        assert_eq!(row.split(',').nth(2).expect("cells").parse::<f64>(), Ok(expected), "{row}");
    }

    assert_eq!(session(&disturbed, 4, libc::SIGKILL).0, None);
    assert_eq!(session(&disturbed, 5, libc::SIGTERM).0, Some(i32::from(STOPPED)));
    assert_eq!(session(&disturbed, NEVER, 0).0, Some(0));
    assert_eq!(outcome(&alone), outcome(&disturbed));
    assert_eq!(best(&alone), best(&disturbed));

    let set = ["plan", "tiny.toml", "--set", "evaluate.keep=best-validation"];
    let errors = fail(folder.path(), 2, &set);
    assert!(
        errors.contains("evaluate.keep: \"best-validation\" needs validation images"),
        "{errors}"
    );
}

#[test]
fn a_run_whose_curve_was_changed_starts_again() {
    let folder = with_experiment("");
    let runs = runs(folder.path());
    let alone = job(&runs[0], &folder.path().join("alone"), 1);
    assert_eq!(session(&alone, NEVER, 0).0, Some(0));
    let disturbed = job(&runs[0], &folder.path().join("disturbed"), 1);
    assert_eq!(session(&disturbed, 5, libc::SIGKILL).0, None);
    let curve = RunDir::new(&disturbed.directory).curve_path();
    let text = std::fs::read_to_string(&curve).expect("a curve");
    let changed = text.replacen("0.1", "0.2", 1);
    assert_ne!(text, changed);
    std::fs::write(&curve, changed).expect("writable");
    let (code, told) = session(&disturbed, NEVER, 0);
    assert_eq!((code, resumed(&told)), (Some(0), None), "{told:?}");
    assert_eq!(outcome(&alone), outcome(&disturbed));
}

#[test]
fn a_run_that_another_process_trains_is_left_alone() {
    let folder = with_experiment("");
    let runs = runs(folder.path());
    let job = job(&runs[0], folder.path(), 1);
    let directory = RunDir::new(&job.directory);
    directory.create().expect("writable");
    let patience = fathom::record::LockTiming::default();
    let taken = fathom::record::Lock::acquire(&directory.lock(), "a test", &patience);
    let lock = taken.expect("free").lock;
    assert_eq!(session(&job, NEVER, 0).0, Some(i32::from(HELD)));
    assert!(!directory.curve_path().exists());
    drop(lock);
    assert_eq!(session(&job, NEVER, 0).0, Some(0));
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    let folder = with_experiment("");
    // An update of this net takes seconds.
    let sets = ["network.width=192", "data.size=16", "training.batch=200"];
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let experiment = Experiment::load(&folder.path().join("tiny.toml"), &sets);
    let job = job(&experiment.expect("an experiment").runs[0], folder.path(), 1);
    let mut child = start(&job);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("told").expect("text");
    assert!(first.contains("row"), "{first}");
    let kill = |signal: i32| {
        // SAFETY: the child is there until it is waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
    };
    let wait = |millis| std::thread::sleep(std::time::Duration::from_millis(millis));
    // A signal between the row and the first update would stop the run before that update.
    wait(300);
    // A second signal shortly after the first is ignored as its echo, so it is sent later; meanwhile
    // the process is paused, so that the update has not ended by then.
    kill(libc::SIGUSR1);
    wait(300);
    kill(libc::SIGSTOP);
    wait(1000);
    kill(libc::SIGTERM);
    kill(libc::SIGCONT);
    let code = child.wait().expect("a child").code();
    assert_eq!(code, Some(128 + libc::SIGTERM));
}

#[test]
fn a_worker_whose_supervisor_is_gone_does_not_begin() {
    let folder = with_experiment("");
    let runs = runs(folder.path());
    let mut job = job(&runs[0], folder.path(), 1);
    job.supervisor = 1;
    assert_eq!(session(&job, NEVER, 0).0, Some(1));
    assert!(!job.directory.exists());
}

#[test]
fn a_sweep_resumes_with_the_threads_it_began_with() {
    let folder = with_experiment("[sweep]\nseed = [0, 1]\n");
    let run = |out: &str, more: &[&str]| {
        let mut all = vec!["run", "tiny.toml", "--device", "cpu", "--out", out];
        all.extend(more);
        crate::support::succeed(folder.path(), &all);
    };
    let threads = |out: &str| -> Vec<u64> {
        let entries = std::fs::read_dir(folder.path().join(out).join("runs")).expect("results");
        let of = |path: std::path::PathBuf| {
            let text = std::fs::read_to_string(path.join("run.json")).expect("a manifest");
            let manifest: serde_json::Value = serde_json::from_str(&text).expect("json");
            manifest["execution"]["threads"].as_u64().expect("a number")
        };
        entries.map(|entry| of(entry.expect("readable").path())).collect()
    };
    run("r", &["--threads", "2", "--jobs", "1", "--only", "*-s0-*"]);
    run("r", &["--jobs", "2"]);
    assert_eq!(threads("r"), [2, 2]);
    let refused = ["run", "tiny.toml", "--device", "cpu", "--out", "r", "--threads", "1"];
    let errors = crate::support::fail(folder.path(), 1, &refused);
    assert!(errors.contains("--threads 1 would change their last digits"), "{errors}");
}

#[test]
fn a_sweep_resumes_with_the_layout_it_began_with() {
    fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["run", "tiny.toml", "--device", "cpu", "--out", "out"][..], more].concat()
    }

    let folder = with_experiment("[sweep]\nseed = [0]\n");
    succeed(folder.path(), &run(&["--layout", "channels-last"]));
    let read = |path: &Path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("json")
    };
    let stored = read(&folder.path().join("out/execution.json"));
    assert_eq!(stored["layouts"][0]["layout"], "channels-last");
    assert_eq!(stored["layouts"][0]["width"], 2);
    let told = fail(folder.path(), 1, &run(&["--layout", "nchw", "--set", "seed=[0,1]"]));
    assert!(told.contains("have another layout, and --layout would change"), "{told}");
    // Without the stored execution, the layout is read from the runs.
    std::fs::remove_file(folder.path().join("out/execution.json")).expect("a file");
    succeed(folder.path(), &run(&["--set", "seed=[0,1]"]));
    for entry in std::fs::read_dir(folder.path().join("out/runs")).expect("runs") {
        let manifest = read(&entry.expect("an entry").path().join("run.json"));
        assert_eq!(manifest["execution"]["layout"], "channels-last");
    }
    let mut bf16 = run(&["--layout", "batch-last", "--set", "training.precision=bf16"]);
    bf16[5] = "bf16";
    let told = fail(folder.path(), 2, &bf16);
    assert!(told.contains("valid here are nchw, channels-last"), "{told}");
    let told = fail(folder.path(), 2, &run(&["--set", "seed=[0,1]", "--deterministic"]));
    assert!(told.contains("--deterministic: only on a GPU"), "{told}");
    let told = fail(
        folder.path(),
        3,
        &[
            "run",
            "tiny.toml",
            "--device",
            "cpu",
            "--set",
            "training.precision=tf32",
            "--out",
            "tf32",
        ],
    );
    assert!(told.contains("is for GPUs: on the CPU there are f32 and bf16"), "{told}");
}

#[test]
fn a_net_that_grows_resumes_exactly_from_before_and_after() {
    let folder = with_experiment("");
    let sets = [
        "training.iterations=12",
        "evaluate.every=2",
        "data.size=12",
        "network.depth=14",
        "training.grow.kind=identity",
        "training.grow.from=8",
        "training.grow.at=6",
        // Adam's bias corrections count the updates since the growth.
        "training.optimiser=adam",
        "training.lr=0.01",
        "evaluate.layers=true",
    ];
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let file = folder.path().join("tiny.toml");
    let runs = Experiment::load(&file, &sets).expect("an experiment").runs;
    let alone = job(&runs[0], &folder.path().join("alone"), 1);
    let (code, told) = session(&alone, NEVER, 0);
    assert_eq!(code, Some(0));
    let grown = |told: &[Event]| {
        let text = "grown after 6 updates: logits at prediction within ";
        let is_it = |event: &&Event| matches!(event, Event::Remark { text: told } if told.starts_with(text));
        told.iter().filter(is_it).count()
    };
    assert_eq!(grown(&told), 1, "{told:?}");
    let names = |step: u64| {
        let rows = RunDir::new(&alone.directory).layers().expect("rows");
        rows.iter().filter(|row| row.step == step).count()
    };
    assert_eq!((names(5), names(10)), (8, 14));

    let disturbed = job(&runs[0], &folder.path().join("disturbed"), 1);
    // The row of step 6 is of the net before it grows, and so is the checkpoint.
    let (code, told) = session(&disturbed, 4, libc::SIGTERM);
    assert_eq!(code, Some(i32::from(STOPPED)));
    let status = RunDir::new(&disturbed.directory).status().expect("a status");
    assert!((6..=7).contains(&status.step), "{status:?}");
    assert_eq!(grown(&told), usize::from(status.step == 7));
    let (code, told) = session(&disturbed, 1, libc::SIGTERM);
    assert_eq!((code, grown(&told)), (Some(i32::from(STOPPED)), usize::from(status.step == 6)));
    let (code, told) = session(&disturbed, NEVER, 0);
    assert_eq!((code, grown(&told)), (Some(0), 0), "{told:?}");
    assert_eq!(outcome(&alone), outcome(&disturbed));

    let late: Vec<String> = sets.iter().map(|set| set.replace("grow.at=6", "grow.at=12")).collect();
    let error = Experiment::load(&file, &late).expect_err("too late").to_string();
    assert!(
        error.contains("training.grow.at: 12 must be below training.iterations = 12"),
        "{error}"
    );
}
