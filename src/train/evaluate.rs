//! Loss and error on images, without augmentation.

use super::feed::to_device;
use super::net::{Mode, Net};
use super::place::Place;
use super::step::wrong;
use super::stop::{Stop, Stopped};
use fathom::data::{Images, Standardiser};
use tch::{Kind, Reduction, Tensor};

/// Images of one forward pass: large enough to be fast, small enough for memory.
const BATCH: usize = 250;

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
    standardiser: &'a Standardiser,
    place: Place,
    stop: &'a Stop,
}

impl<'a> Evaluator<'a> {
    /// Images are standardised as in training. Between batches `stop` is asked.
    pub fn new(standardiser: &'a Standardiser, place: Place, stop: &'a Stop) -> Self {
        Self { standardiser, place, stop }
    }

    fn go_on(&self) -> Result<(), Stopped> {
        if self.stop.is_asked() { Err(Stopped) } else { Ok(()) }
    }

    /// Images and labels of these indices on the device.
    pub fn batch(&self, images: &Images, indices: &[u32]) -> (Tensor, Tensor) {
        let mut pixels = Vec::new();
        self.standardiser.fill(images, indices, &mut pixels);
        to_device(images, &pixels, indices.iter().copied(), self.place)
    }

    /// Loss and error at prediction, on the images at `indices`.
    ///
    /// # Errors
    /// When it was told to stop.
    pub fn errors(&self, net: &Net, images: &Images, indices: &[u32]) -> Result<Errors, Stopped> {
        let _guard = tch::no_grad_guard();
        let (mut loss, mut mistakes, mut misses) = (0.0, 0, 0);
        for part in indices.chunks(BATCH) {
            self.go_on()?;
            let (pixels, labels) = self.batch(images, part);
            let logits = net.forward(&pixels, Mode::Predict);
            loss += logits
                .log_softmax(-1, Kind::Float)
                .nll_loss_nd::<Tensor>(&labels, None, Reduction::Sum, -100)
                .double_value(&[]);
            mistakes += wrong(&logits, &labels).int64_value(&[]);
            misses += outside_top5(&logits, &labels).int64_value(&[]);
        }
        let images = indices.len();
        let n = images.max(1) as f64;
        let [err_pct, top5_err_pct] = [mistakes, misses].map(|count| 100.0 * count as f64 / n);
        Ok(Errors { loss: loss / n, err_pct, top5_err_pct, images })
    }

    /// Error at prediction with the normalisations' averages taken anew over the same images, of
    /// which each batch has `batch`; the moving averages are put back afterwards.
    ///
    /// # Errors
    /// When it was told to stop; the averages are put back then too.
    pub fn fresh_error(
        &self,
        net: &Net,
        images: &Images,
        indices: &[u32],
        batch: usize,
    ) -> Result<f64, Stopped> {
        let _guard = tch::no_grad_guard();
        let saved = net.statistics();
        let fresh = || {
            for (batches, part) in indices.chunks_exact(batch.min(indices.len())).enumerate() {
                self.go_on()?;
                let (pixels, _) = self.batch(images, part);
                // Only the averages are wanted.
                let _ = net.forward(&pixels, Mode::Refresh { batches });
            }
            self.errors(net, images, indices)
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
