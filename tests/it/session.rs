//! Workers that are started by hand, watched, and told to stop.

use fathom::protocol::{CheckpointInterval, Event, Job};
use fathom::record::{Layout, RunDir, State};
use fathom::spec::{Experiment, Run};
use fathom::sweep::Options;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// As the number of rows after which a signal is sent: the run is left alone.
pub const NEVER: usize = usize::MAX;

/// Recipes with every optimiser and every kind of state that a run has: momentum, moments, a warm-up that
/// watches, dropout and stochastic depth, moving averages, crops.
pub const ARMS: &str = r#"
[[arm]]
name = "plain"
[[arm]]
name = "residual"
"network.family" = "residual"
"training.norm_batch" = 10
"training.clip_norm" = 0.5
"training.warmup" = { kind = "until-error", lr = 0.01, error_pct = 89 }
[[arm]]
name = "preact"
"network.family" = "preact"
"training.optimiser" = "adam"
"training.lr" = 0.01
"data.augment" = "crop-flip"
[[arm]]
name = "dense"
"network.family" = "dense"
"network.depth" = 10
"network.dropout" = 0.3
"network.growth" = 3
[[arm]]
name = "mlp"
"network.family" = "mlp"
"training.optimiser" = "rmsprop"
"training.lr" = 0.001
[[arm]]
name = "residual-mlp"
"network.family" = "residual-mlp"
"network.norm" = "batch-formula"
"data.validation" = 20
[[arm]]
name = "lenet"
"network.family" = "lenet"
[[arm]]
name = "stochastic depth"
"network.family" = "residual"
"network.survival" = 0.5
"training.optimiser" = "muon"
[[arm]]
name = "decoupled decay"
"training.optimiser" = "adamw"
"training.lr" = 0.01
"training.weight_decay" = 0.1
"#;

pub fn runs(folder: &Path) -> Vec<Run> {
    let sets = ["training.iterations=12", "evaluate.every=2", "data.size=12"];
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Experiment::load(&folder.join("tiny.toml"), &sets).expect("an experiment").runs
}

pub fn job(run: &Run, directory: &Path, threads: usize) -> Job {
    let options = Options {
        checkpoint: CheckpointInterval::Steps(3),
        ..Options::new(vec!["cpu".into()], 1, threads)
    };
    Job {
        build: fathom::PROGRAM.build.into(),
        layout: Layout::ChannelsLast,
        ..options.job(run, "cpu", &directory.join(&run.id))
    }
}

fn command(job: &Job) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("fathom-train"));
    command
        .arg("run")
        .env("OMP_NUM_THREADS", job.threads.to_string())
        .env("XDG_CACHE_HOME", job.directory.parent().expect("a folder"));
    if job.device != "cpu" {
        command.env("LD_LIBRARY_PATH", crate::cuda::libraries().expect("looked for before"));
    }
    command
}

pub fn start(job: &Job) -> Child {
    start_by(command(job), job)
}

fn start_by(mut command: Command, job: &Job) -> Child {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().expect("the worker starts");
    let input = serde_json::to_vec(job).expect("json");
    child.stdin.take().expect("a pipe").write_all(&input).expect("it reads");
    child
}

/// Runs to the end on a machine with emulated devices. The exit code, and what was told.
pub fn session_on(machine: &crate::cuda::Machine, job: &Job) -> (Option<i32>, Vec<Event>) {
    let mut command = command(job);
    machine.equip(&mut command);
    hear(start_by(command, job), NEVER, 0)
}

/// Runs until the end or until so many rows were written, when `signal` is sent. The exit code,
/// where there is one, and what was told.
pub fn session(job: &Job, rows: usize, signal: i32) -> (Option<i32>, Vec<Event>) {
    hear(start(job), rows, signal)
}

fn hear(mut child: Child, rows: usize, signal: i32) -> (Option<i32>, Vec<Event>) {
    let mut told = Vec::new();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let event: Event = serde_json::from_str(&line.expect("text")).expect("an event");
        seen += usize::from(matches!(event, Event::Row { .. }));
        if seen == rows && matches!(event, Event::Row { .. }) {
            // SAFETY: the child is there until it is waited for.
            unsafe { libc::kill(child.id() as i32, signal) };
        }
        told.push(event);
    }
    (child.wait().expect("a child").code(), told)
}

pub fn resumed(told: &[Event]) -> Option<u64> {
    told.iter().find_map(|event| match event {
        Event::Resumed { step } => Some(*step),
        _ => None,
    })
}

/// The curve without its clock, and the weights.
pub fn outcome(job: &Job) -> (String, Vec<u8>) {
    let directory = RunDir::new(&job.directory);
    assert_eq!(directory.status().expect("a status").state, State::Done);
    assert!(!directory.previous_checkpoint().exists());
    let text = std::fs::read_to_string(directory.curve_path()).expect("a curve");
    let rows = text.lines().map(|line| line.rsplit_once(',').expect("columns").0);
    let weights = std::fs::read(directory.checkpoint()).expect("weights");
    (rows.collect::<Vec<_>>().join("\n"), weights)
}
