//! How long a run would take: some updates and evaluations of it, timed.

use super::evaluate::Evaluator;
use super::fault::Fault;
use super::feed::Feed;
use super::place::Place;
use super::running::Running;
use super::source::Source;
use super::step::Trainer;
use super::stop::Stop;
use super::{device, run};
use anyhow::anyhow;
use fathom::data::{Augment, Standardiser};
use fathom::protocol::{Event, Job, Measured};
use fathom::spec::Settings;
use std::time::Instant;

/// Updates before the clock starts: the first ones allocate, and choose algorithms.
const WARM_UP: u64 = 3;
/// At least so many updates are timed.
const AT_LEAST: usize = 5;
/// Images of the timed evaluation.
const EVALUATED: usize = 1000;

/// Times updates for so many seconds, and an evaluation; nothing is written.
///
/// # Errors
/// Whatever would keep the run from training.
pub fn measure(job: &Job, seconds: f64, started: Instant) -> Result<Measured, Fault> {
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let settings =
        Settings::new(&job.config).map_err(|(key, message)| anyhow!("{key}: {message}"))?;
    let mut quiet = |_: Event| {};
    let dataset = run::load(job, &settings, &mut quiet).map_err(|error| Fault::data(&error))?;
    let standardiser = Standardiser::measure(&settings.standardise, &dataset.train);
    let place = Place::new(device, job.layout, settings.training.precision);
    let fast = device::fast(device, job.cuda, settings.training.precision)?;
    let mut trainer = Trainer::new(&job.network, &settings, place, fast.graphs);
    let train = &dataset.train;
    let resident = fast.resident && settings.augment != Augment::ResizedCrop;
    let spare = device::spare_cores(job);
    let source = Source::new((train, &standardiser), place, resident, spare);
    let mut feed = Feed::new(train.len(), &settings, place);
    let mut times = Vec::new();
    let startup = started.elapsed();
    let mut sums = Running::new(device);
    let mut begun = Instant::now();
    let mut step = 0;
    while begun.elapsed().as_secs_f64() < seconds || times.len() < AT_LEAST {
        let clock = Instant::now();
        let (images, labels) = feed.batch(&source, step);
        // As a diverging net would be slower for its subnormal numbers, the rate is small.
        let outcome = trainer.step(step, &images, &labels, 1e-4 * settings.training.lr);
        sums.add(&outcome);
        // The loop of a run looks at the loss too, which on a GPU waits for the update.
        let _ = sums.is_finite();
        step += 1;
        if step == WARM_UP {
            begun = Instant::now();
        } else if step > WARM_UP {
            times.push(clock.elapsed().as_secs_f64());
        }
    }
    let stop = Stop::default();
    let evaluator = Evaluator::new(place, &stop, fast.graphs);
    let indices: Vec<u32> = (0..train.len().min(EVALUATED) as u32).collect();
    let clock = Instant::now();
    let _ = evaluator.errors((&trainer.net, &trainer.task), &source, &indices);
    let per_image = clock.elapsed().as_secs_f64() / indices.len() as f64;
    Ok(Measured {
        startup_seconds: startup.as_secs_f64(),
        step_seconds: times.iter().sum::<f64>() / times.len() as f64,
        evaluated_image_seconds: per_image,
        peak_memory_bytes: run::peak_memory(device),
        images: [train.len(), dataset.validation.len(), dataset.test.len()],
    })
}
