//! How long a run would take: some updates and evaluations of it, timed.

use super::device_dataset::Source;
use super::evaluate::Evaluator;
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::placement::Placement;
use super::timing::{Clock, Evaluations, Updates};
use super::{device, run};
use fathom_data::{Augment, Standardiser};
use fathom_protocol::{Event, Job, Measured};
use fathom_spec::Settings;
use fathom_stats::median;
use std::time::{Duration, Instant};

/// The share of the time that evaluations are timed for, besides updates.
const EVALUATIONS: f64 = 0.2;

/// Times updates for so many seconds, and evaluations; nothing is written.
///
/// # Errors
/// Whatever would keep the run from training.
pub fn measure(job: &Job, seconds: f64, started: Instant) -> Result<Measured, Fault> {
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let settings = Settings::new(&job.config).map_err(anyhow::Error::from)?;
    let mut quiet = |_: Event| {};
    let dataset = run::load(job, &settings, &mut quiet).map_err(|error| Fault::data(&error))?;
    let standardiser = Standardiser::measure(&settings.standardise, &dataset.train);
    let place = Placement::new(device, job.layout, settings.training.precision);
    let fast = device::fast(device, job.cuda, settings.training.precision)?;
    let train = &dataset.train;
    let resident = fast.resident && settings.augment != Augment::ResizedCrop;
    let source = Source::new((train, &standardiser), place, resident, device::spare_cores(job));
    let startup = started.elapsed();
    let mut updates = Updates::new(&job.network, &settings, place, fast, (source, train.len()));
    let clock = updates.clock(Duration::from_secs_f64(seconds));
    let steps = clock.samples(&mut updates);
    let stop = Interrupt::default();
    let evaluator = Evaluator::new(place, &stop, fast.graphs);
    let images = evaluator.batch(&updates.source).min(train.len());
    let mut evaluations =
        Evaluations { evaluator, updates: &updates, indices: (0..images as u32).collect() };
    let clock = Clock {
        group: 1,
        warm_up: 1,
        at_least: 2,
        ..Clock::new(device, Duration::from_secs_f64(EVALUATIONS * seconds))
    };
    let evaluated = clock.samples(&mut evaluations);
    let middle = |samples: &[f64]| median(samples).unwrap_or_default();
    Ok(Measured {
        startup_seconds: startup.as_secs_f64(),
        step_seconds: middle(&steps),
        evaluated_image_seconds: middle(&evaluated) / images as f64,
        peak_memory_bytes: run::peak_memory(device),
        images: [train.len(), dataset.validation.len(), dataset.test.len()],
    })
}
