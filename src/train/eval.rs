//! Loss and errors of given weights.

use super::context::{DataContext, DeviceContext, read_weights};
use super::evaluate::Evaluator;
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::objective::Objective;
use super::weights;
use anyhow::{Error, anyhow, bail};
use fathom_arch::Network;
use fathom_data as data;
use fathom_protocol::{EvalJob, Evaluated, NormStatistics, Part};

/// Evaluates weights on a part of a data set.
///
/// # Errors
/// If the device, the weights or the data set is not usable, or the weights do not fit the net.
pub fn eval(job: &EvalJob) -> Result<Evaluated, Fault> {
    let device = DeviceContext::for_evaluation(&job.device, job.threads)?;
    let weights = read_weights(&job.weights, &job.renames, &job.network)?;
    let dataset = data::load(&job.data, job.data_dir.as_deref())?;
    let data = DataContext::new(dataset, &job.standardise, device, job.threads);
    let (net, _) = weights::load(&weights, &job.network, device.placement);
    let images = match job.part {
        Part::Train => &data.dataset.train,
        Part::Test => &data.dataset.test,
        Part::Validation => &data.dataset.validation,
    };
    let (all, wanted) = (images.len(), job.images.unwrap_or(images.len()));
    if wanted > all {
        return Err(anyhow!("--images {wanted}: there are only {all} images").into());
    }
    let indices = data::balanced(images.labels(), wanted);
    let mut evaluator = Evaluator::new(device.placement.device, false, &Interrupt::default());
    if let Some(images) = job.batch {
        evaluator = evaluator.with_batch(images);
    }
    let source = data.source(images);
    match job.statistics {
        NormStatistics::Moving => {}
        NormStatistics::Batch => {
            check_statistics(&job.network, indices.len(), evaluator.batch(&source))?;
            evaluator = evaluator.with_batch_statistics();
        }
    }
    let errors =
        evaluator.errors(&net, &Objective::Classify, &source, &indices).map_err(Error::from)?;
    Ok(Evaluated {
        images: errors.images,
        loss: errors.loss,
        top1_err_pct: errors.err_pct,
        top5_err_pct: errors.top5_err_pct,
    })
}

/// Checks that no normalisation takes mean and variance over one value, if images are evaluated in batches of so
/// many, the last of which may have fewer.
fn check_statistics(network: &Network, images: usize, batch: usize) -> Result<(), Error> {
    let rest = images % batch;
    for size in [batch.min(images), if rest == 0 { batch } else { rest }] {
        if let Some(name) = network.normalisation_of_one_value(size) {
            bail!(
                "{images} images in batches of {batch}: in a batch of {size}, {name} would take mean and variance over \
                 one value, so that its output does not depend on its input; change --batch or --images"
            );
        }
    }
    Ok(())
}
