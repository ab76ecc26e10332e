//! Worker processes that are shell scripts.

use super::*;

/// A worker that is a shell script. This process never has the program open for writing: a fork of
/// another test could inherit the open file, and the program could not be started.
fn script(folder: &Path, text: &str) -> Worker {
    let (draft, program) = (folder.join("draft"), folder.join("worker"));
    std::fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
    let install = Command::new("install").args(["-m", "755"]).arg(draft).arg(&program).status();
    assert!(install.unwrap().success());
    Worker::at(program)
}

fn train(text: &str, shutdown: &Shutdown, on_event: &mut dyn FnMut(Event)) -> (WorkerExit, String) {
    let folder = tempfile::tempdir().unwrap();
    let run = &crate::tests::runs()[0];
    let job = crate::tests::options(1).job(run, "cpu", folder.path());
    let log = folder.path().join("log.txt");
    std::fs::write(&log, "error: of before\n").unwrap();
    let worker = script(folder.path(), text);
    let ended = worker.run(&job, shutdown, on_event);
    (ended, std::fs::read_to_string(&log).unwrap())
}

#[test]
fn exit_code_signal_and_last_message_say_how_a_worker_ended() {
    let end = |text: &str| train(text, &Shutdown::new(), &mut |_| {}).0;
    let ended = "echo '{\"event\":\"ended\"}'";
    assert_eq!(end(&format!("read -r job; {ended}")), WorkerExit::Reported);
    assert_eq!(end(&format!("read -r job; {ended}; exit 1")), WorkerExit::Reported);
    assert_eq!(end("exit 75"), WorkerExit::Stopped);
    let held = end("echo 'error: run.lock is held by me' >&2; exit 76");
    assert_eq!(held, WorkerExit::Held("run.lock is held by me".into()));
    assert_eq!(end("kill -KILL $$"), WorkerExit::Killed { signal: 9 });
    assert_eq!(end("echo 'error: no' >&2; exit 1"), WorkerExit::Silent("no".into()));
    let silent = end("exit 1");
    assert_eq!(silent, WorkerExit::Silent("ended with exit status: 1".into()));
}

#[test]
fn the_log_keeps_the_messages_of_earlier_attempts() {
    let (_, log) = train("echo again >&2; exit 1", &Shutdown::new(), &mut |_| {});
    assert!(log.starts_with("error: of before\n--- started again\n"), "{log}");
    assert!(log.ends_with("again\n"), "{log}");
}

/// The ids of the processes that trained `count` runs with these numbers of threads.
fn processes(worker: &Worker, folder: &Path, threads: &[usize]) -> Vec<String> {
    let run = &crate::tests::runs()[0];
    let train = |threads: &usize| {
        let options = crate::Options { threads: *threads, ..crate::tests::options(1) };
        let mut process = String::new();
        let ended = worker.run(&options.job(run, "cpu", folder), &Shutdown::new(), &mut |event| {
            if let Event::Remark { text } = event {
                process = text;
            }
        });
        assert_eq!(ended, WorkerExit::Reported);
        process
    };
    threads.iter().map(train).collect()
}

const LOOP: &str = "while read -r job; do
    echo '{\"event\":\"remark\",\"text\":\"'$$'\"}'
    echo '{\"event\":\"ended\"}'; echo '{\"event\":\"ready\"}'
    done";

#[test]
fn a_process_trains_one_run_after_the_other_with_the_same_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let worker = script(folder.path(), LOOP);
    let found = processes(&worker, folder.path(), &[1, 1, 2, 2]);
    assert_eq!((&found[0], &found[2]), (&found[1], &found[3]));
    assert_ne!(found[0], found[2]);
    let killed: i32 = found[2].parse().unwrap();
    // SAFETY: the process is a child that was not waited for.
    unsafe { libc::kill(killed, libc::SIGKILL) };
    while IDLE.with_borrow_mut(|idle| idle.as_mut().is_some_and(Trainer::is_alive)) {}
    let fresh = processes(&worker, folder.path(), &[2]);
    assert!(!found.contains(&fresh[0]), "a process that died while it waited is replaced");
    let mut many = processes(&worker, folder.path(), &[1; MOST_RUNS + 1]);
    many.dedup();
    assert_eq!(many.len(), 2, "a process trains a limited number of runs");
}

#[test]
fn a_process_that_does_not_say_that_it_is_ready_trains_no_other_run() {
    let folder = tempfile::tempdir().unwrap();
    let worker = script(folder.path(), &LOOP.replace("echo '{\"event\":\"ready\"}'", "exit 0"));
    let found = processes(&worker, folder.path(), &[1, 1]);
    assert_ne!(found[0], found[1]);
}

#[test]
fn a_signal_is_forwarded_and_a_second_one_kills() {
    let step = "echo '{\"event\":\"progress\",\"step\":1}'";
    let shutdown = Shutdown::new();
    let stops = format!("read -r job; trap 'exit 75' TERM; {step}; while :; do sleep 0.01; done");
    let ended = train(&stops, &shutdown, &mut |_| {
        shutdown.signal(libc::SIGINT);
    });
    assert_eq!(ended.0, WorkerExit::Stopped);
    let shutdown = Shutdown::new();
    let hears = format!("read -r job; trap '' TERM; {step}; while :; do sleep 0.01; done");
    let ended = train(&hears, &shutdown, &mut |_| {
        let now = std::time::Instant::now();
        shutdown.signal_at(libc::SIGINT, now);
        shutdown.signal_at(libc::SIGINT, now + std::time::Duration::from_secs(1));
    });
    assert_eq!(ended.0, WorkerExit::Killed { signal: libc::SIGKILL });
}

#[test]
fn another_libtorch_in_the_search_path_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [empty, other] = ["empty", "other"].map(|name| folder.path().join(name));
    for folder in [&empty, &other] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(other.join("libtorch_cpu.so"), "").unwrap();
    let path = |folders: &[&PathBuf]| std::env::join_paths(folders).unwrap();
    assert_eq!(libtorch_in(&path(&[&empty, &other])), Some(other));
    assert_eq!(libtorch_in(&path(&[&empty])), None);
}
