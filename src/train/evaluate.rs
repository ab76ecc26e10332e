//! Loss and error of a net on images without augmentation.

use super::cuda_graph::CudaGraphs;
use super::device_dataset::Source;
use super::interrupt::{Interrupt, Stopped};
use super::net::{Mode, Net};
use super::objective::Objective;
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Images of one forward pass on the CPU: enough for speed, few enough for memory and caches.
const CPU_BATCH: usize = 250;
/// Images of one forward pass on a GPU.
const GPU_BATCH: usize = 1000;
/// Maximum number of pixel values of one forward pass: limits the memory for large images.
const MAX_VALUES: usize = 1 << 24;

/// Loss and error on a set of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Mean cross-entropy in nats; for regression, the mean squared error.
    pub loss: f64,
    /// Top-1 error in per cent; for regression, ‖ŷ − y‖² / ‖y‖² in per cent.
    pub err_pct: f64,
    /// Top-5 error in per cent; for regression 0.
    pub top5_err_pct: f64,
    /// Number of images.
    pub images: usize,
}

/// Evaluates one net. Forward passes may be captured as CUDA graphs of this net, so another net needs
/// another evaluator.
pub struct Evaluator {
    interrupt: Interrupt,
    /// Images of one forward pass, unless [`MAX_VALUES`] allows fewer.
    batch: usize,
    /// Images of one forward pass that the user wants.
    wanted_batch: Option<usize>,
    /// How normalisations get their statistics.
    mode: Mode,
    cuda_graphs: RefCell<CudaGraphs<(), 2>>,
    sums: Sums,
}

/// Sums over images, on the device.
struct Sums {
    /// Sum of losses (f64 scalar).
    loss: Tensor,
    /// Error, the number or norm that it is a share of, and number of images whose class is not
    /// among the five largest logits (f64, 3 values).
    counts: Tensor,
}

impl Evaluator {
    /// An evaluator on a device, which checks `interrupt` between batches. `graphs`: whether forward
    /// passes are captured and replayed as CUDA graphs.
    pub fn new(device: Device, graphs: bool, interrupt: &Interrupt) -> Self {
        let sums = Sums {
            loss: Tensor::zeros([], (Kind::Double, device)),
            counts: Tensor::zeros([3], (Kind::Double, device)),
        };
        Self {
            interrupt: interrupt.clone(),
            batch: if device == Device::Cpu { CPU_BATCH } else { GPU_BATCH },
            wanted_batch: None,
            mode: Mode::Predict,
            cuda_graphs: RefCell::new(CudaGraphs::new(graphs)),
            sums,
        }
    }

    /// The same evaluator with so many images in each forward pass, the last of which may have fewer.
    pub fn with_batch(self, images: usize) -> Self {
        Self { wanted_batch: Some(images), ..self }
    }

    /// The same evaluator, which normalises by the statistics of each batch. It changes the moving averages of
    /// the nets that it evaluates.
    pub fn with_batch_statistics(self) -> Self {
        Self { mode: Mode::Refresh { batches: 0 }, ..self }
    }

    /// Number of images of one forward pass.
    pub fn batch(&self, source: &Source) -> usize {
        let suitable = || self.batch.min(MAX_VALUES / source.values()).max(1);
        self.wanted_batch.unwrap_or_else(suitable)
    }

    /// Whether warm-up is over: further evaluations take as long as all later ones.
    pub fn is_settled(&self) -> bool {
        self.cuda_graphs.borrow().is_settled()
    }

    fn check_interrupt(&self) -> Result<(), Stopped> {
        if self.interrupt.is_set() { Err(Stopped) } else { Ok(()) }
    }

    /// Loss and error on the images at `indices`, with the moving averages of the normalisations unless
    /// [`Evaluator::with_batch_statistics`] says otherwise.
    ///
    /// # Errors
    /// [`Stopped`] if the stop flag was set.
    pub fn errors(
        &self,
        net: &Net,
        objective: &Objective,
        source: &Source,
        indices: &[u32],
    ) -> Result<Errors, Stopped> {
        let _guard = tch::no_grad_guard();
        let Sums { loss, counts } = &self.sums;
        let (mut loss, mut counts) = (loss.shallow_clone(), counts.shallow_clone());
        let _ = (loss.zero_(), counts.zero_());
        for (images, labels) in source.batches(indices, self.batch(source)) {
            self.check_interrupt()?;
            self.cuda_graphs.borrow_mut().run([&images, &labels], |[images, labels]| {
                let outputs = net.forward(images, self.mode).to_kind(Kind::Float);
                let batch = objective.error(&outputs, images, labels);
                loss += batch.loss;
                let outside = match batch.target_norm {
                    None => outside_top5(&outputs, labels).to_kind(Kind::Double),
                    Some(_) => batch.error.zeros_like(),
                };
                let images = || batch.error.full_like(labels.size()[0]);
                let of = batch.target_norm.unwrap_or_else(images);
                counts += Tensor::stack(&[batch.error, of, outside], 0);
            });
        }
        let images = indices.len();
        let n = images.max(1) as f64;
        let [error, of, outside] = [0, 1, 2].map(|at| counts.double_value(&[at]));
        Ok(Errors {
            loss: loss.double_value(&[]) / n,
            err_pct: 100.0 * error / of.max(f64::MIN_POSITIVE),
            top5_err_pct: 100.0 * outside / n,
            images,
        })
    }

    /// Error in per cent with the averages of the normalisations recomputed over the same images, in
    /// batches of `batch`. The moving averages are restored afterwards, also after an error.
    ///
    /// # Errors
    /// [`Stopped`] if the stop flag was set.
    pub fn fresh_error(
        &self,
        net: &Net,
        objective: &Objective,
        source: &Source,
        indices: &[u32],
        batch: usize,
    ) -> Result<f64, Stopped> {
        let _guard = tch::no_grad_guard();
        let saved = net.statistics();
        let fresh = || {
            let batch = batch.min(indices.len());
            let whole = &indices[..indices.len() - indices.len() % batch];
            for (batches, (images, _)) in source.batches(whole, batch).enumerate() {
                self.check_interrupt()?;
                // Only the averages are needed.
                let _ = net.forward(&images, Mode::Refresh { batches });
            }
            self.errors(net, objective, source, indices)
        };
        let errors = fresh();
        net.restore_statistics(&saved);
        Ok(errors?.err_pct)
    }
}

/// Number of images whose class is not among the five largest logits, or whose logits are not finite.
fn outside_top5(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (_, best) = logits.topk(5.min(logits.size()[1]), 1, true, false);
    let found = best.eq_tensor(&labels.unsqueeze(1)).any_dim(1, false);
    let finite = logits.isfinite().all_dim(1, false);
    found.logical_and(&finite).logical_not().sum(Kind::Int64)
}
