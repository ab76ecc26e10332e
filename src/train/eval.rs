//! Loss and errors of given weights.

use super::device_dataset::Source;
use super::evaluate::Evaluator;
use super::interrupt::Interrupt;
use super::objective::Objective;
use super::placement::Placement;
use super::{device, weights};
use anyhow::{Context, Result, anyhow};
use fathom_data::{self as data, Standardiser};
use fathom_protocol::{EvalJob, Evaluated, Part};
use fathom_record::{CudaUse, Weights};
use fathom_spec::Precision;
use tch::Kind;

/// Evaluates.
///
/// # Errors
/// When weights or data are not there or do not fit the net.
pub fn eval(job: &EvalJob) -> Result<Evaluated> {
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let plain = CudaUse { graphs: false, resident: false, deterministic: true };
    device::fast(device, plain, Precision::F32)?;
    let read = Weights::read(&job.weights)?;
    read.fit(&job.network).with_context(|| job.weights.display().to_string())?;
    let dataset = data::load(&job.data, job.data_dir.as_deref())?;
    let standardiser = Standardiser::measure(&job.standardise, &dataset.train);
    let place = Placement::plain(device, Kind::Float);
    let (net, _) = weights::load(&read, &job.network, place);
    let images = match job.part {
        Part::Train => &dataset.train,
        Part::Test => &dataset.test,
    };
    let all: Vec<u32> = (0..images.len() as u32).collect();
    let stop = Interrupt::default();
    let source = Source::new((images, &standardiser), place, false, job.threads);
    let evaluator = Evaluator::new(place, &stop, false);
    let errors = evaluator
        .errors((&net, &Objective::Classify), &source, &all)
        .map_err(|_| anyhow!("stopped"))?;
    Ok(Evaluated {
        images: errors.images,
        loss: errors.loss,
        top1_err_pct: errors.err_pct,
        top5_err_pct: errors.top5_err_pct,
    })
}
