//! Loss and error on images, without augmentation.

use super::cuda_graph::CudaGraphs;
use super::device_dataset::Source;
use super::interrupt::{Interrupt, Stopped};
use super::net::{Mode, Net};
use super::objective::Objective;
use super::placement::Placement;
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Images of one forward pass: large enough to be fast, small enough for memory and caches.
const BATCH: usize = 250;
/// The same on a GPU.
const DEVICE_BATCH: usize = 1000;
/// Values of these images, at most: large images fill the memory with fewer.
const VALUES: usize = 1 << 24;

/// What a net makes of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Top-1 error in per cent; where images are to be given, the square of the difference over that
    /// of what was to be given.
    pub err_pct: f64,
    /// Top-5 error in per cent; of classes.
    pub top5_err_pct: f64,
    /// How many images.
    pub images: usize,
}

/// Feeds images to nets.
pub struct Evaluator<'a> {
    place: Placement,
    stop: &'a Interrupt,
    /// Images of one forward pass.
    batch: usize,
    recorder: RefCell<CudaGraphs<()>>,
    sums: Sums,
}

/// Sums over images, on the device.
struct Sums {
    /// Of the losses, in f64.
    loss: Tensor,
    /// Errors, what they are a share of, and how many classes are not among the five best answers,
    /// in f64.
    counts: Tensor,
}

impl<'a> Evaluator<'a> {
    /// Between batches `stop` is asked. `records`: whether forward passes are recorded and
    /// replayed.
    pub fn new(place: Placement, stop: &'a Interrupt, records: bool) -> Self {
        let sums = Sums {
            loss: Tensor::zeros([], (Kind::Double, place.device)),
            counts: Tensor::zeros([3], (Kind::Double, place.device)),
        };
        let batch = if place.device == Device::Cpu { BATCH } else { DEVICE_BATCH };
        Self { place, stop, batch, recorder: RefCell::new(CudaGraphs::new(records)), sums }
    }

    /// Images of one forward pass.
    pub fn batch(&self, source: &Source) -> usize {
        self.batch.min(VALUES / source.values()).max(1)
    }

    /// Whether further evaluations cost what they will cost from now on.
    pub fn is_settled(&self) -> bool {
        self.recorder.borrow().is_settled()
    }

    fn go_on(&self) -> Result<(), Stopped> {
        if self.stop.is_asked() { Err(Stopped) } else { Ok(()) }
    }

    /// Loss and error at prediction, on the images at `indices`. An evaluator is for one net.
    ///
    /// # Errors
    /// When it was told to stop.
    pub fn errors(
        &self,
        (net, task): (&Net, &Objective),
        source: &Source,
        indices: &[u32],
    ) -> Result<Errors, Stopped> {
        let _guard = tch::no_grad_guard();
        let Sums { loss, counts } = &self.sums;
        let (mut loss, mut counts) = (loss.shallow_clone(), counts.shallow_clone());
        let _ = (loss.zero_(), counts.zero_());
        for (images, labels) in source.batches(indices, self.batch(source), self.place) {
            self.go_on()?;
            self.recorder.borrow_mut().run([&images, &labels], |[images, labels]| {
                let outputs = net.forward(images, Mode::Predict).to_kind(Kind::Float);
                let judged = task.judge(&outputs, images, labels);
                loss += judged.loss;
                let outside = match judged.of {
                    None => outside_top5(&outputs, labels).to_kind(Kind::Double),
                    Some(_) => judged.errors.zeros_like(),
                };
                let of = judged.of.unwrap_or_else(|| judged.errors.full_like(labels.size()[0]));
                counts += Tensor::stack(&[judged.errors, of, outside], 0);
            });
        }
        let images = indices.len();
        let n = images.max(1) as f64;
        let [errors, of, outside] = [0, 1, 2].map(|at| counts.double_value(&[at]));
        let (err_pct, top5_err_pct) =
            (100.0 * errors / of.max(f64::MIN_POSITIVE), 100.0 * outside / n);
        Ok(Errors { loss: loss.double_value(&[]) / n, err_pct, top5_err_pct, images })
    }

    /// Error at prediction with the normalisations' averages taken anew over the same images, of
    /// which each batch has `batch`; the moving averages are put back afterwards.
    ///
    /// # Errors
    /// When it was told to stop; the averages are put back then too.
    pub fn fresh_error(
        &self,
        (net, task): (&Net, &Objective),
        source: &Source,
        indices: &[u32],
        batch: usize,
    ) -> Result<f64, Stopped> {
        let _guard = tch::no_grad_guard();
        let saved = net.statistics();
        let fresh = || {
            let batch = batch.min(indices.len());
            let whole = &indices[..indices.len() - indices.len() % batch];
            for (batches, (images, _)) in source.batches(whole, batch, self.place).enumerate() {
                self.go_on()?;
                // Only the averages are wanted.
                let _ = net.forward(&images, Mode::Refresh { batches });
            }
            self.errors((net, task), source, indices)
        };
        let errors = fresh();
        net.restore_statistics(&saved);
        Ok(errors?.err_pct)
    }
}

/// How many images' classes are not among the five largest logits.
fn outside_top5(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (_, best) = logits.topk(5.min(logits.size()[1]), 1, true, false);
    let found = best.eq_tensor(&labels.unsqueeze(1)).any_dim(1, false);
    let finite = logits.isfinite().all_dim(1, false);
    found.logical_and(&finite).logical_not().sum(Kind::Int64)
}
