//! Timing of a run's updates and evaluations, for estimates of its duration.

use super::context::RunContext;
use super::fault::Fault;
use super::process::peak_memory;
use super::timing::Updates;
use fathom_data::Dataset;
use fathom_protocol::{Event, Job, Measured};
use fathom_stats::median;
use std::time::Instant;

/// Time for which evaluations are timed, as a share of the time for updates.
const EVALUATIONS: f64 = 0.2;

/// Times updates of a run for so many seconds, and then evaluations. Writes no files.
///
/// # Errors
/// If the device, a key of the configuration or the data set is not usable, or memory runs out.
pub fn measure(job: &Job, seconds: f64, started: Instant) -> Result<Measured, Fault> {
    let mut ignore = |_: Event| {};
    let context = RunContext::of_run(job, &mut ignore)?;
    let mut updates = Updates::new(&job.network, &context);
    let startup_seconds = started.elapsed().as_secs_f64();
    let step_samples = updates.clock(seconds).samples(&mut updates);
    let mut evaluations = updates.evaluations(context.device.cuda.graphs);
    let clock = evaluations.clock(EVALUATIONS * seconds);
    let evaluation_samples = clock.samples(&mut evaluations);
    let middle = |samples: &[f64]| median(samples).unwrap_or_default();
    let Dataset { train, validation, test, .. } = &context.data.dataset;
    Ok(Measured {
        startup_seconds,
        step_seconds: middle(&step_samples),
        evaluated_image_seconds: middle(&evaluation_samples) / evaluations.images() as f64,
        peak_memory_bytes: peak_memory(context.device.placement.device),
        images: [train, validation, test].map(|images| images.len()),
    })
}
