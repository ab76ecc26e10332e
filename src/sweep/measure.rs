//! Timing a few updates of every distinct net of a sweep, with as many workers at the same time as
//! the sweep has.

use super::{Estimate, Options, Worker, concurrently, estimate};
use anyhow::{Context, Result};
use fathom_protocol::Measured;
use fathom_spec::Run;
use std::collections::BTreeMap;

/// Seconds for which updates of a net are timed.
const SECONDS: f64 = 2.5;

/// An estimate for each run, in their order. Runs that differ only in their seed are measured once;
/// `on_measure` is called before each measurement.
///
/// # Errors
/// Whatever would keep a run from training, with the id of the run.
pub(super) fn measure(
    runs: &[Run],
    worker: &Worker,
    options: &Options,
    on_measure: &mut dyn FnMut(&Run),
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
                on_measure(run);
                let measured = mean_of_concurrent(run, worker, options)
                    .with_context(|| format!("measuring {}", run.id))?;
                known.insert(key, measured);
                measured
            }
        };
        estimates.push(estimate(run, &measured));
    }
    Ok(estimates)
}

/// Mean over as many workers as the sweep runs at the same time, since they share caches and memory.
fn mean_of_concurrent(run: &Run, worker: &Worker, options: &Options) -> Result<Measured> {
    let job = options.timing_job(run);
    let all = concurrently(options.jobs, |_| worker.measure(&job, SECONDS))?;
    let mean = |of: fn(&Measured) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    Ok(Measured {
        startup_seconds: mean(|m| m.startup_seconds),
        step_seconds: mean(|m| m.step_seconds),
        evaluated_image_seconds: mean(|m| m.evaluated_image_seconds),
        peak_memory_bytes: all.iter().map(|m| m.peak_memory_bytes).max().unwrap_or_default(),
        images: all[0].images,
    })
}
