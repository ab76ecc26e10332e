//! Batch normalisation (1502.03167) by libtorch's fused operation.

use super::Mode;
use tch::{Device, Kind, Tensor};

/// γ, β, and the moving averages of mean and (unbiased) variance, per channel.
pub struct BatchNorm {
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: f64,
    momentum: f64,
}

impl BatchNorm {
    /// Averages start at mean 0 and variance 1; `momentum` is the weight of the newest batch.
    pub fn new(
        gamma: Tensor,
        beta: Tensor,
        (channels, eps, momentum): (usize, f64, f64),
        device: Device,
    ) -> Self {
        let options = (Kind::Float, device);
        let mean = Tensor::zeros([channels as i64], options);
        let variance = Tensor::ones([channels as i64], options);
        Self { gamma, beta, mean, variance, eps, momentum }
    }

    /// Mean and variance.
    pub fn averages(&self) -> [&Tensor; 2] {
        [&self.mean, &self.variance]
    }

    /// Normalises images × channels × … .
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match mode {
            Mode::Predict => self.apply(x, true, false, 0.0),
            Mode::Refresh { batches } => self.apply(x, true, true, 1.0 / (batches + 1) as f64),
            Mode::Train { norm_batch: Some(part) } if (part as i64) < x.size()[0] => {
                // As on the papers' machines with one part on each GPU, of which the first one's
                // averages are kept.
                let parts = x.split(part as i64, 0);
                let normalised: Vec<Tensor> = parts
                    .iter()
                    .enumerate()
                    .map(|(place, part)| self.apply(part, place == 0, true, self.momentum))
                    .collect();
                Tensor::cat(&normalised, 0)
            }
            Mode::Train { .. } => self.apply(x, true, true, self.momentum),
        }
    }

    fn apply(&self, x: &Tensor, averages: bool, training: bool, momentum: f64) -> Tensor {
        let [mean, variance] = self.averages().map(|average| averages.then_some(average));
        let (gamma, beta) = (Some(&self.gamma), Some(&self.beta));
        x.batch_norm(gamma, beta, mean, variance, training, momentum, self.eps, true)
    }
}
