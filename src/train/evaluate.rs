//! Loss and error on images, without augmentation.

use super::net::{Mode, Net};
use super::place::Place;
use super::recorder::Recorder;
use super::source::Source;
use super::step::wrong;
use super::stop::{Stop, Stopped};
use std::cell::RefCell;
use tch::{Device, Kind, Reduction, Tensor};

/// Images of one forward pass: large enough to be fast, small enough for memory and caches.
const BATCH: usize = 250;
/// The same on a GPU.
const DEVICE_BATCH: usize = 1000;

/// What a net makes of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Top-1 error in per cent.
    pub err_pct: f64,
    /// Top-5 error in per cent.
    pub top5_err_pct: f64,
    /// How many images.
    pub images: usize,
}

/// Feeds images to nets.
pub struct Evaluator<'a> {
    place: Place,
    stop: &'a Stop,
    /// Images of one forward pass.
    batch: usize,
    recorder: RefCell<Recorder<()>>,
    sums: Sums,
}

/// Sums over images, on the device.
struct Sums {
    /// Of the losses, in f64.
    loss: Tensor,
    /// How many answers are wrong, and how many classes are not among the five best answers.
    counts: Tensor,
}

impl<'a> Evaluator<'a> {
    /// Between batches `stop` is asked. `records`: whether forward passes are recorded and
    /// replayed.
    pub fn new(place: Place, stop: &'a Stop, records: bool) -> Self {
        let sums = Sums {
            loss: Tensor::zeros([], (Kind::Double, place.device)),
            counts: Tensor::zeros([2], (Kind::Int64, place.device)),
        };
        let batch = if place.device == Device::Cpu { BATCH } else { DEVICE_BATCH };
        Self { place, stop, batch, recorder: RefCell::new(Recorder::new(records)), sums }
    }

    fn go_on(&self) -> Result<(), Stopped> {
        if self.stop.is_asked() { Err(Stopped) } else { Ok(()) }
    }

    /// Loss and error at prediction, on the images at `indices`. An evaluator is for one net.
    ///
    /// # Errors
    /// When it was told to stop.
    pub fn errors(&self, net: &Net, source: &Source, indices: &[u32]) -> Result<Errors, Stopped> {
        let _guard = tch::no_grad_guard();
        let Sums { loss, counts } = &self.sums;
        let (mut loss, mut counts) = (loss.shallow_clone(), counts.shallow_clone());
        let _ = (loss.zero_(), counts.zero_());
        for part in indices.chunks(self.batch) {
            self.go_on()?;
            let (images, labels) = source.plain(part, self.place);
            self.recorder.borrow_mut().run([&images, &labels], |[images, labels]| {
                let logits = net.forward(images, Mode::Predict).to_kind(Kind::Float);
                loss += logits
                    .log_softmax(-1, Kind::Float)
                    .nll_loss_nd::<Tensor>(labels, None, Reduction::Sum, -100)
                    .to_kind(Kind::Double);
                counts +=
                    Tensor::stack(&[wrong(&logits, labels), outside_top5(&logits, labels)], 0);
            });
        }
        let images = indices.len();
        let n = images.max(1) as f64;
        let [err_pct, top5_err_pct] = [0, 1].map(|at| 100.0 * counts.int64_value(&[at]) as f64 / n);
        Ok(Errors { loss: loss.double_value(&[]) / n, err_pct, top5_err_pct, images })
    }

    /// Error at prediction with the normalisations' averages taken anew over the same images, of
    /// which each batch has `batch`; the moving averages are put back afterwards.
    ///
    /// # Errors
    /// When it was told to stop; the averages are put back then too.
    pub fn fresh_error(
        &self,
        net: &Net,
        source: &Source,
        indices: &[u32],
        batch: usize,
    ) -> Result<f64, Stopped> {
        let _guard = tch::no_grad_guard();
        let saved = net.statistics();
        let fresh = || {
            for (batches, part) in indices.chunks_exact(batch.min(indices.len())).enumerate() {
                self.go_on()?;
                let (images, _) = source.plain(part, self.place);
                // Only the averages are wanted.
                let _ = net.forward(&images, Mode::Refresh { batches });
            }
            self.errors(net, source, indices)
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
