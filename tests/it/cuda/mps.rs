//! Runs that share a device, and the MPS daemon for them: a script that behaves like the driver's
//! `nvidia-cuda-mps-control`. On the emulated device it changes nothing but the record.

use super::Machine;
use crate::support::{command, with_experiment};
use fathom::record::State;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

const RUNS: &str = "run tiny.toml --device cuda --threads 1 --set seed=[0,1]";

/// A daemon that keeps a diary, and ends when it is asked to quit, or told by a signal.
const CONTROL: &str = r#"#!/bin/sh
if [ "$1" = -f ]; then
  trap 'echo terminated >>"$DIARY"; exit' TERM
  [ -d "$CUDA_MPS_LOG_DIRECTORY" ] && echo "started ${CUDA_VISIBLE_DEVICES-all}" >>"$DIARY"
  : >"$CUDA_MPS_PIPE_DIRECTORY/control"
  while [ ! -e "$CUDA_MPS_PIPE_DIRECTORY/quit" ]; do sleep 0.02; done
  echo ended >>"$DIARY"
else
  read -r word && [ "$word" = quit ] && : >"$CUDA_MPS_PIPE_DIRECTORY/quit"
fi
"#;

/// A machine whose driver has this control program; what the program wrote is in `diary`.
fn machine<'a>(folder: &'a Path, control: &str) -> Option<Machine<'a>> {
    let program = folder.join("nvidia-cuda-mps-control");
    std::fs::write(&program, control).expect("writable");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("writable");
    let path = std::env::var("PATH").expect("a search path");
    let diary = folder.join("diary");
    let machine = Machine::new(folder)?
        .with_variable("PATH", &format!("{}:{path}", folder.display()))
        .with_variable("CUDA_VISIBLE_DEVICES", "0")
        .with_variable("TMPDIR", folder.to_str().expect("UTF-8"))
        .with_variable("DIARY", diary.to_str().expect("UTF-8"));
    Some(machine)
}

fn diary(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("diary")).unwrap_or_default()
}

/// Whether every run is done, and the jobs and the use of MPS that all of them record.
fn record(machine: &Machine, results: &str) -> (usize, bool) {
    let records = machine.runs(results).into_values().map(|run| {
        assert_eq!(run.status().expect("a status").state, State::Done);
        let execution = run.manifest().expect("a manifest").execution;
        (execution.jobs, execution.mps)
    });
    let records: Vec<(usize, bool)> = records.collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0], records[1]);
    records[0]
}

#[test]
fn runs_that_share_a_device_have_a_daemon_for_the_time_of_the_sweep() {
    let folder = with_experiment("");
    let Some(machine) = machine(folder.path(), CONTROL) else { return };
    let together = std::thread::available_parallelism().map_or(1, usize::from).min(2);
    machine.succeed(&format!("{RUNS} --out auto"));
    assert_eq!(record(&machine, "auto"), (together, true));
    assert_eq!(diary(folder.path()), "started all\nended\n");
    machine.succeed(&format!("{RUNS} --out off --mps off"));
    assert_eq!(record(&machine, "off"), (1, false));
    machine.succeed(&format!("{RUNS} --out two --jobs 2 --mps off"));
    assert_eq!(record(&machine, "two"), (2, false));
    machine.succeed(&format!("{RUNS} --out one --jobs 1"));
    assert_eq!(record(&machine, "one"), (1, false));
    assert_eq!(diary(folder.path()), "started all\nended\n", "no other sweep has a daemon");
    let left = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let left = left.filter(|file| file.file_name().to_string_lossy().starts_with("fathom-mps"));
    assert_eq!(left.count(), 0, "the daemon's folder is removed");
}

#[test]
fn a_daemon_that_is_there_is_used_and_left_alone() {
    let folder = with_experiment("");
    let pipes = folder.path().join("pipes");
    std::fs::create_dir(&pipes).expect("writable");
    std::fs::write(pipes.join("control"), "").expect("writable");
    let Some(machine) = machine(folder.path(), CONTROL) else { return };
    let machine = machine.with_variable("CUDA_MPS_PIPE_DIRECTORY", pipes.to_str().expect("UTF-8"));
    machine.succeed(&format!("{RUNS} --out there --jobs 2"));
    assert_eq!(record(&machine, "there"), (2, true));
    assert_eq!(diary(folder.path()), "");
}

#[test]
fn without_a_daemon_that_starts_runs_take_turns() {
    let folder = with_experiment("");
    let Some(machine) = machine(folder.path(), "#!/bin/sh\nexit 7\n") else { return };
    let ended = machine.fathom(&format!("{RUNS} --out broken"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let why = "runs take turns on the GPU, since MPS is not usable: nvidia-cuda-mps-control ended \
               with exit status: 7";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    assert_eq!(record(&machine, "broken"), (1, false));
}

#[test]
fn the_daemon_of_a_killed_sweep_is_told_to_end() {
    let folder = with_experiment("");
    let Some(machine) = machine(folder.path(), CONTROL) else { return };
    let mut command = command(folder.path());
    machine.equip(&mut command);
    command.args(RUNS.split(' ')).args(["--jobs", "2", "--set", "training.iterations=100000"]);
    let mut sweep = command.spawn().expect("the program starts");
    let waited = |text: &str| {
        let begun = Instant::now();
        while !diary(folder.path()).contains(text) && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(diary(folder.path()).contains(text), "{}", diary(folder.path()));
    };
    waited("started");
    sweep.kill().expect("it runs");
    sweep.wait().expect("it has ended");
    waited("terminated");
}
