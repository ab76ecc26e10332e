//! Times a few updates of every distinct net of a sweep, as many side by side as the sweep runs.

use super::layout::shape;
use super::{Estimate, Worker, concurrently, estimate};
use anyhow::{Context, Result};
use fathom_protocol::{Interval, Job, Measured};
use fathom_record::{CudaUse, Layout, Layouts};
use fathom_spec::Run;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Updates of a net are timed for so long.
const SECONDS: f64 = 2.5;

/// How runs will be run.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// `cpu`, `cuda:0`, …
    pub device: String,
    /// Runs side by side.
    pub jobs: usize,
    /// Threads of one operation.
    pub threads: usize,
    /// Of the runs' nets.
    pub layouts: Layouts,
    /// How a GPU is used.
    pub cuda: CudaUse,
    /// Where data sets lie, when the user said so.
    pub data_dir: Option<PathBuf>,
}

/// What each run is expected to need, in their order. Runs that differ only by their seed are
/// measured once; `told` hears of each measurement before it is made.
///
/// # Errors
/// Whatever would keep a run from training, naming the run.
pub fn measure(
    runs: &[Run],
    worker: &Worker,
    conditions: &Conditions,
    told: &mut dyn FnMut(&Run),
) -> Result<Vec<Estimate>> {
    let mut known: BTreeMap<String, Measured> = BTreeMap::new();
    let mut estimates = Vec::new();
    for run in runs {
        let mut config = run.config.clone();
        config.remove("seed");
        let key = serde_json::to_string(&config)?;
        let measured = match known.get(&key) {
            Some(measured) => *measured,
            None => {
                told(run);
                let layout = conditions.layouts.of(&shape(run));
                let measured = side_by_side(run, worker, conditions, layout)
                    .with_context(|| format!("measuring {}", run.id))?;
                known.insert(key, measured);
                measured
            }
        };
        estimates.push(estimate(run, &measured));
    }
    Ok(estimates)
}

/// The mean over as many copies as run side by side, since they share caches and memory.
fn side_by_side(
    run: &Run,
    worker: &Worker,
    conditions: &Conditions,
    layout: Layout,
) -> Result<Measured> {
    let job = job(run, conditions, layout);
    let all = concurrently(conditions.jobs, |_| worker.measure(&job, SECONDS))?;
    let mean = |of: fn(&Measured) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    Ok(Measured {
        startup_seconds: mean(|m| m.startup_seconds),
        step_seconds: mean(|m| m.step_seconds),
        evaluated_image_seconds: mean(|m| m.evaluated_image_seconds),
        peak_memory_bytes: all.iter().map(|m| m.peak_memory_bytes).max().unwrap_or_default(),
        images: all[0].images,
    })
}

/// What a worker is given to measure a run with this layout.
pub(super) fn job(run: &Run, conditions: &Conditions, layout: Layout) -> Job {
    Job {
        build: fathom_base::program().build.into(),
        id: run.id.clone(),
        arm: run.arm.clone(),
        axes: run.axes.clone(),
        config: run.config.clone(),
        network: run.network.clone(),
        directory: PathBuf::new(),
        data_dir: conditions.data_dir.clone(),
        stand_in: false,
        device: conditions.device.clone(),
        threads: conditions.threads,
        layout,
        jobs: conditions.jobs,
        cuda: conditions.cuda,
        supervisor: std::process::id(),
        checkpoint: Interval::default(),
    }
}
