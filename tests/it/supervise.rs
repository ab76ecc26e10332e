//! `fathom run` with a shell script as the worker: signals, locks, failures, and workers of another
//! build.

use crate::support::{probe, with_experiment, write_script};
use fathom::record::{Execution, Manifest, SCHEMA, State, SweepDir};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder with an experiment and a script as the worker, in which `$dir` is the directory of the
/// run.
fn with_worker(text: &str) -> tempfile::TempDir {
    with_worker_of(fathom::PROGRAM.build, text)
}

/// Like [`with_worker`], of this build of the sources.
fn with_worker_of(build: &str, text: &str) -> tempfile::TempDir {
    let folder = with_experiment("");
    let probe = probe(build);
    let script = format!(
        "#!/bin/sh\n[ $1 = probe ] && echo '{probe}' && exit\n\
         read -r job; dir=$(printf '%s' \"$job\" | sed 's/.*\"directory\":\"\\([^\"]*\\)\".*/\\1/')\n\
         end() {{ echo '{{\"schema\":1,\"state\":\"'$1'\",\"step\":5,\"message\":\"\",\
         \"seconds\":0,\"peak_memory_bytes\":0}}' >$dir/status.json; }}\n{text}\n"
    );
    write_script(&folder.path().join("worker"), &script);
    folder
}

fn start(folder: &Path, more: &[&str]) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin!("fathom"))
        .args(["run", "tiny.toml", "--device", "cpu"])
        .args(more)
        .current_dir(folder)
        .env("FATHOM_TRAIN", folder.join("worker"))
        .env("OMP_NUM_THREADS", "2")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn end(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = child.wait_with_output().expect("it ends");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// Waits until the worker has made this file.
fn wait_for(file: &Path) {
    let since = Instant::now();
    while !file.exists() {
        assert!(since.elapsed() < Duration::from_secs(30), "no {}", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send(child: &Child, signal: i32) {
    // SAFETY: sends a signal to a child that was not waited for.
    let sent = unsafe { libc::kill(libc::pid_t::try_from(child.id()).expect("a pid"), signal) };
    assert_eq!(sent, 0);
}

fn state(folder: &Path) -> State {
    let directory = SweepDir::new(folder.join("results/tiny"));
    let run = std::fs::read_dir(folder.join("results/tiny/runs")).expect("runs").next();
    let name = run.expect("a run").expect("readable").file_name();
    directory.run(&name.to_string_lossy()).status().expect("a status").state
}

/// Waits, at most until the test removes its folder.
const WAITS: &str = "touch started; while [ -d $dir ]; do sleep 0.02; done";

#[test]
fn a_signal_stops_a_sweep_at_a_checkpoint_and_the_lock_is_released() {
    let folder = with_worker(&format!("trap 'end interrupted; exit 75' TERM; {WAITS}"));
    let first = start(folder.path(), &[]);
    wait_for(&folder.path().join("started"));
    let (code, errors) = end(start(folder.path(), &[]));
    assert_eq!(code, Some(1), "{errors}");
    let owner = format!("sweep.lock is held by fathom run (pid {}", first.id());
    assert!(errors.contains(&owner), "{errors}");
    send(&first, libc::SIGUSR1);
    let (code, errors) = end(first);
    assert_eq!(code, Some(75), "{errors}");
    assert!(errors.contains("stopping: 1 run finishes its step and writes a checkpoint; a second"));
    assert!(errors.contains("stopped; the same command resumes"), "{errors}");
    assert_eq!(state(folder.path()), State::Interrupted);
    assert!(!folder.path().join("results/tiny/sweep.lock").exists());
}

#[test]
fn a_worker_of_another_build_is_refused_before_it_trains() {
    let folder = with_worker_of("0123456789abcdef", "touch started");
    let (code, errors) = end(start(folder.path(), &[]));
    assert_eq!(code, Some(1), "{errors}");
    let worker = folder.path().join("worker");
    assert!(errors.contains(worker.to_str().expect("text")), "{errors}");
    assert!(errors.contains("another build") && errors.contains("cargo build"), "{errors}");
    assert!(!folder.path().join("started").exists());
}

#[test]
fn a_second_signal_kills() {
    let folder = with_worker(&format!("trap '' TERM; {WAITS}"));
    let mut child = start(folder.path(), &[]);
    wait_for(&folder.path().join("started"));
    send(&child, libc::SIGTERM);
    // On a busy machine the program may hear of two signals at once, and take them for one.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(1500));
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        send(&child, libc::SIGTERM);
    }
    let (code, errors) = end(child);
    assert_eq!(code, Some(128 + libc::SIGTERM), "{errors}");
    assert_eq!(state(folder.path()), State::Killed);
}

#[test]
fn a_worker_that_is_killed_is_started_again() {
    let folder = with_worker(
        "[ -e once ] || { touch once; kill -KILL $$; }\n\
         echo '{\"schema\":1,\"id\":\"'${dir##*/}'\",\"axes\":[],\"config\":{\"seed\":0}}' >$dir/run.json\n\
         printf 'step,train_err_pct\\n5,50\\n' >$dir/curve.csv\n\
         end done; echo '{\"event\":\"ended\"}'",
    );
    let (code, errors) = end(start(folder.path(), &[]));
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("memory runs out; attempt 2 in 1 s"), "{errors}");
    assert_eq!(state(folder.path()), State::Done);
}

#[test]
fn a_lock_of_a_process_that_is_no_more_is_taken_over_and_told() {
    let folder = with_worker(WAITS);
    let mut dead = start(folder.path(), &[]);
    wait_for(&folder.path().join("started"));
    dead.kill().and_then(|()| dead.wait()).expect("it was running");
    let folder_of = |text: &str| std::fs::write(folder.path().join("tiny.toml"), text);
    // The missing data set is refused only after the lock was taken over.
    let text = std::fs::read_to_string(folder.path().join("tiny.toml")).expect("readable");
    folder_of(
        &text.replace("source = \"shapes\"", "source = \"cifar10\"").replace("size = 8\n", ""),
    )
    .expect("writable");
    let (code, errors) = end(start(folder.path(), &["--data-dir", "nowhere"]));
    assert_eq!(code, Some(1), "{errors}");
    let told = format!("took over the lock of fathom run (pid {}", dead.id());
    assert!(errors.contains(&told), "{errors}");
}

#[test]
fn threads_stay_as_they_were_for_the_runs_that_have_begun() {
    let folder = with_worker("exit 1");
    let file = folder.path().join("tiny.toml");
    let experiment = fathom::spec::Experiment::load(&file, &[]).expect("a fine experiment");
    let directory = SweepDir::new(folder.path().join("results/tiny"));
    let run = &experiment.runs[0];
    let manifest = Manifest {
        schema: SCHEMA,
        id: run.id.clone(),
        arm: None,
        axes: run.axes.clone(),
        config: run.config.clone(),
        execution: Execution { device: "cpu".into(), threads: 3, ..Execution::default() },
        revision: Default::default(),
        data: Default::default(),
        parameters: 0,
        macs: 0,
    };
    let files = directory.run(&run.id);
    files.create().and_then(|()| files.write_manifest(&manifest)).expect("writable");
    let (code, errors) = end(start(folder.path(), &["--threads", "1"]));
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("have 3 threads each, and --threads 1 would change"), "{errors}");
    let (code, errors) = end(start(folder.path(), &["--jobs", "4"]));
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("3 threads each on cpu"), "{errors}");
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_runs() {
    let folder = with_worker("touch started");
    std::fs::write(folder.path().join("taken"), "a file").expect("writable");
    let (code, errors) = end(start(folder.path(), &["--out", "taken"]));
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("error: cannot write to taken (existing files are unchanged"),
        "{errors}"
    );
    assert!(errors.contains("or give another --out"), "{errors}");
    assert!(!folder.path().join("started").exists());
}
