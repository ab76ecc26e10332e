//! Loss and errors of given weights.

use super::context::{DataContext, DeviceContext, read_weights};
use super::evaluate::Evaluator;
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::objective::Objective;
use super::weights;
use anyhow::Error;
use fathom_data as data;
use fathom_protocol::{EvalJob, Evaluated, Part};

/// Evaluates weights on a part of a data set.
///
/// # Errors
/// If the device, the weights or the data set is not usable, or the weights do not fit the net.
pub fn eval(job: &EvalJob) -> Result<Evaluated, Fault> {
    let device = DeviceContext::for_evaluation(&job.device, job.threads)?;
    let weights = read_weights(&job.weights, &job.network)?;
    let dataset = data::load(&job.data, job.data_dir.as_deref())?;
    let data = DataContext::new(dataset, &job.standardise, device, job.threads);
    let (net, _) = weights::load(&weights, &job.network, device.placement);
    let images = match job.part {
        Part::Train => &data.dataset.train,
        Part::Test => &data.dataset.test,
    };
    let indices: Vec<u32> = (0..images.len() as u32).collect();
    let evaluator = Evaluator::new(device.placement.device, false, &Interrupt::default());
    let source = data.source(images);
    let errors =
        evaluator.errors(&net, &Objective::Classify, &source, &indices).map_err(Error::from)?;
    Ok(Evaluated {
        images: errors.images,
        loss: errors.loss,
        top1_err_pct: errors.err_pct,
        top5_err_pct: errors.top5_err_pct,
    })
}
