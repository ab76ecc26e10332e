//! Devices that vanish, are lost, run out of memory or are taken.

use super::Machine;
use crate::support::with_experiment;
use fathom::record::State;

/// Six runs of some seconds.
const SWEEP: &str = r#"
[sweep]
"network.family" = ["plain", "residual"]
seed = [0, 1, 2]
"#;

const RUN: &str = "run tiny.toml --threads 1 --set training.iterations=60";

fn all_done(machine: &Machine, results: &str, runs: usize) {
    let states = machine.states(results);
    assert_eq!(states.len(), runs);
    assert!(states.values().all(|state| *state == State::Done), "{states:?}");
}

/// The devices that runs were trained on.
fn devices(machine: &Machine, results: &str) -> Vec<String> {
    let device =
        |run: &fathom::record::RunDir| run.manifest().expect("a manifest").execution.device;
    let mut all: Vec<String> = machine.runs(results).values().map(device).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn two_runs_on_each_of_two_devices_side_by_side() {
    let folder = with_experiment(SWEEP);
    let Some(machine) = Machine::new(folder.path()) else { return };
    let machine = machine.with("DEVICES", 2);
    let ended = machine.fathom(&format!("{RUN} --device cuda:0,1 --jobs 2"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("6 runs, 4 at the same time"), "{}", ended.stderr);
    all_done(&machine, "results/tiny", 6);
    assert_eq!(devices(&machine, "results/tiny"), ["cuda:0", "cuda:1"]);
    let manifest = machine.runs("results/tiny").into_values().next().expect("a run").manifest();
    let gpu = manifest.expect("a manifest").execution.gpu.expect("a GPU");
    assert_eq!((gpu.name.as_str(), gpu.capability.as_str()), ("Emulated device", "9.0"));
    assert!(gpu.memory_bytes > 0 && !gpu.driver.is_empty(), "{gpu:?}");
}

#[test]
fn a_device_that_vanishes_takes_no_further_runs() {
    let folder = with_experiment(SWEEP);
    let Some(machine) = Machine::new(folder.path()) else { return };
    let number = folder.path().join("devices");
    std::fs::write(&number, "2").expect("writable");
    let machine = machine.with("DEVICES_FILE", number.display());
    // The first command sees both devices; the workers of the second one see one of them.
    machine.succeed(&format!("{RUN} --device cuda:0,1 --only *-s0-* --set seed=[0,1,2]"));
    let ended = std::thread::scope(|scope| {
        let sweep = scope.spawn(|| machine.fathom(&format!("{RUN} --device cuda:0,1")));
        let begun = || {
            let runs = machine.states("results/tiny");
            runs.len() > 2
        };
        while !begun() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::fs::write(&number, "1").expect("writable");
        sweep.join().expect("it ends")
    });
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    all_done(&machine, "results/tiny", 6);
    assert!(!ended.stderr.contains("cuda:0 is no longer used"), "{}", ended.stderr);
}

#[test]
fn a_worker_that_finds_its_device_gone_calls_it_lost() {
    let folder = with_experiment(SWEEP);
    let Some(machine) = Machine::new(folder.path()) else { return };
    // One that sees two devices asks for the second, its worker sees one.
    let number = folder.path().join("devices");
    std::fs::write(&number, "1").expect("writable");
    let machine = machine.with("DEVICES_FILE", number.display());
    let runs = crate::session::runs(folder.path());
    let job = fathom::protocol::Job {
        device: "cuda:1".into(),
        ..crate::session::job(&runs[0], &folder.path().join("alone"), 1)
    };
    let (code, told) = crate::session::session_on(&machine, &job);
    assert_eq!(code, Some(1));
    let failed = told.iter().find_map(|event| match event {
        fathom::protocol::Event::Failed { state, message } => Some((*state, message.clone())),
        _ => None,
    });
    let (state, message) = failed.expect("told");
    assert_eq!(state, State::LostDevice, "{message}");
    assert!(message.contains("cuda:1 does not exist: libtorch sees 1 CUDA devices"), "{message}");
}

#[test]
fn runs_of_a_lost_device_go_to_another_one() {
    let folder = with_experiment(SWEEP);
    let Some(machine) = Machine::new(folder.path()) else { return };
    let machine = machine.with("DEVICES", 2).with("LOST", 4000).with("LOST_DEVICE", 1);
    let ended = machine.fathom(&format!("{RUN} --device cuda:0,1"));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    all_done(&machine, "results/tiny", 6);
    assert!(ended.stderr.contains("unspecified launch failure"), "{}", ended.stderr);
    assert_eq!(devices(&machine, "results/tiny"), ["cuda:0"]);
}

#[test]
fn a_device_that_fails_once_is_tried_again() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let once = folder.path().join("lost-once");
    let machine = machine.with("LOST", 4000).with("LOST_ONCE", once.display());
    let ended = machine.fathom(&format!("{RUN} --device cuda"));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(once.exists(), "it was lost");
    all_done(&machine, "results/tiny", 1);
}

#[test]
fn too_little_memory_is_told_as_such_after_tries_alone() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let machine = machine.with("MEMORY", 200_000);
    let ended = machine.fathom(&format!("{RUN} --device cuda --jobs 2 --set seed=[0,1]"));
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let states = machine.states("results/tiny");
    assert!(states.values().all(|state| *state == State::OutOfMemory), "{states:?}");
    let status = machine.runs("results/tiny").into_values().next().expect("a run").status();
    let message = status.expect("a status").message;
    assert!(message.starts_with("CUDA out of memory. Tried to allocate"), "{message}");
    assert!(message.ends_with("tried 3 times"), "{message}");
}

#[test]
fn an_exclusive_device_that_is_taken_is_refused_in_one_sentence() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).expect("writable");
    // This very process has it.
    std::fs::write(taken.join("0"), std::process::id().to_string()).expect("writable");
    let machine = machine.with("EXCLUSIVE", taken.display());
    let ended = machine.fathom(&format!("{RUN} --device cuda"));
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let status = machine.runs("results/tiny").into_values().next().expect("a run").status();
    let status = status.expect("a status");
    assert_eq!(status.state, State::LostDevice, "{}", status.message);
    let said = "another process has this GPU, which is in exclusive mode";
    assert!(status.message.contains(said), "{}", status.message);
}
