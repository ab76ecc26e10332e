//! The results of a large sweep that nobody ran.

use crate::support::with_experiment_in;
use fathom::base::random::{Purpose, Stream};
use fathom::record::{
    CurveRow, DataRecord, Execution, Manifest, Resolved, Revision, RunDir, SCHEMA, State, Status,
    SweepDir,
};
use fathom::spec::{Experiment, Run};
use rayon::prelude::*;
use serde::Serialize;
use std::path::Path;
use tempfile::TempDir;

/// How large.
#[derive(Clone, Copy)]
pub struct Size {
    /// Of two families and five depths each.
    pub seeds: usize,
    /// Evaluations of each run, the untrained net's among them.
    pub rows: usize,
}

/// 200 runs.
pub const LARGE: Size = Size { seeds: 20, rows: 500 };

impl Size {
    pub fn runs(self) -> usize {
        10 * self.seeds
    }
}

const SWEEP: &str = r#"
[sweep]
"network.family" = ["plain", "residual"]
"network.depth" = [8, 20, 32, 44, 56]
seed = SEEDS

[[claim]]
name = "the error of plain nets rises with depth"
of = { family = "plain" }
rises_with = "depth"
by_at_least = 5

[[claim]]
name = "deeper residual nets train no worse"
of = { family = "residual", depth = 56 }
no_worse_than = { family = "residual", depth = 8 }
margin = 1
"#;

/// 200 configurations without claims, in place of those of [`written`].
pub const CONFIGURATIONS: &str = r#"
[sweep]
"network.family" = ["plain", "residual"]
"network.depth" = [8, 20, 32, 44, 56]
"network.norm" = ["batch", "none"]
"training.lr" = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
seed = SEEDS
"#;

/// Steps between two evaluations.
const EVERY: usize = 100;
const BATCH: usize = 128;
/// Images for training, of them those on which the error is measured, and for testing.
const TRAIN: usize = 50_000;
const MEASURED: usize = 10_000;
const TEST: usize = 10_000;

/// A folder with `results/large` in it, as a finished sweep leaves it.
pub fn written(size: Size) -> (TempDir, SweepDir) {
    written_as(SWEEP, size)
}

/// Like [`written`], with this sweep.
pub fn written_as(sweep: &str, size: Size) -> (TempDir, SweepDir) {
    let seeds: Vec<usize> = (0..size.seeds).collect();
    // Some disks take minutes to remove so many files.
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = with_experiment_in(&parent, &sweep.replace("SEEDS", &format!("{seeds:?}")));
    let sets = [
        ("training.iterations", EVERY * (size.rows - 1)),
        ("training.batch", BATCH),
        ("evaluate.every", EVERY),
        ("evaluate.train_images", MEASURED),
        ("data.train", TRAIN),
        ("data.test", TEST),
    ]
    .map(|(key, value)| format!("{key}={value}"));
    let experiment =
        Experiment::load(&folder.path().join("tiny.toml"), &sets).expect("a fine experiment");
    let directory = SweepDir::new(folder.path().join("results/large"));
    directory.create().expect("writable");
    let resolved = Resolved {
        schema: SCHEMA,
        runs: experiment.configs.clone(),
        arms: experiment.arms.clone(),
        ..Resolved::default()
    };
    directory.write_experiment(&experiment.text, &resolved).expect("writable");
    experiment.runs.par_iter().for_each(|run| {
        write(run, &directory.run(&run.id), size.rows).expect("writable");
    });
    drop(experiment);
    // SAFETY: gives memory back that nobody uses.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    (folder, directory)
}

fn write(run: &Run, files: &RunDir, count: usize) -> anyhow::Result<()> {
    files.create()?;
    let manifest = Manifest {
        schema: SCHEMA,
        id: run.id.clone(),
        arm: run.arm.clone(),
        axes: run.axes.clone(),
        config: run.config.clone(),
        execution: Execution::default(),
        revision: Revision::default(),
        data: DataRecord { train: TRAIN, test: TEST, classes: 10, ..DataRecord::default() },
        parameters: run.audit.parameters,
        macs: run.audit.macs,
    };
    put(files, "run.json", &manifest)?;
    let mut writer = files.curve_writer()?;
    let rows = rows(run, count);
    for row in &rows {
        writer.append(row)?;
    }
    let last = rows.last().expect("rows");
    let status = Status::new(State::Done, last.step, "");
    put(files, "status.json", &Status { seconds: last.seconds.unwrap_or_default(), ..status })
}

/// Not by `RunDir` itself, which waits until each file is on the disk: on a busy one, seconds for
/// all of them.
fn put(files: &RunDir, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(std::fs::write(files.root().join(name), serde_json::to_vec_pretty(value)?)?)
}

/// Curves that fall, each value up to 5% beside its course, as figures take longer over ragged ones;
/// of plain nets the deeper ones end higher, of residual nets lower.
fn rows(run: &Run, count: usize) -> Vec<CurveRow> {
    let number = |key: &str| run.config[key].as_u64().expect("a number");
    let (seed, depth) = (number("seed"), number("network.depth"));
    let is_plain = run.config["network.family"] == "plain";
    let mut noise = Stream::new(seed, Purpose::Dropout, depth, u64::from(is_plain));
    let end = if is_plain { depth as f32 } else { 600.0 / (60.0 + depth as f32) };
    let mut near = |error: f32| {
        let error = f64::from(error * noise.between(0.95, 1.05));
        (Some((error * 100.0).round() / 100.0), Some((error * 23_000.0).round() / 1e6))
    };
    let row = |place: usize| {
        let share = place as f32 / (count - 1) as f32;
        let error = end + (90.0 - end) * (-12.0 * share).exp();
        let (train_err_pct, train_loss) = near(error);
        let (train_err_running_pct, train_loss_running) = near(error);
        let (test_err_pct, test_loss) = near(error + 4.0);
        let is_end = place == 0 || place == count - 1;
        CurveRow {
            schema: SCHEMA,
            step: (place * EVERY) as u64,
            epoch: Some((place * EVERY * BATCH) as f64 / TRAIN as f64),
            lr: Some(0.05 * (1.0 + (std::f64::consts::PI * f64::from(share)).cos())),
            train_loss,
            train_err_pct,
            train_images: if place == count - 1 { TRAIN } else { MEASURED } as u64,
            train_loss_running: train_loss_running.filter(|_| place > 0),
            train_err_running_pct: train_err_running_pct.filter(|_| place > 0),
            train_err_fresh_pct: train_err_pct.filter(|_| is_end),
            test_loss,
            test_err_pct,
            test_images: TEST as u64,
            seconds: Some((place as f64 * 7_350.137).round() / 1e3),
            ..CurveRow::default()
        }
    };
    (0..count).map(row).collect()
}
