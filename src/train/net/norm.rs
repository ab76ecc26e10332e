//! Normalisation: over the batch (1502.03167), fused or from its formulas; over groups of channels
//! (1803.08494) and over all channels (1607.06450) of one image.

use super::Mode;
use crate::shim::NormRelu;
use fathom_arch::Norm;
use tch::Tensor;

/// γ and β per channel, and for batch normalisation the moving averages of mean and variance.
pub struct Normalisation {
    name: String,
    norm: Norm,
    gamma: Tensor,
    beta: Tensor,
    /// Mean and unbiased variance; empty where nothing is averaged.
    averages: Vec<Tensor>,
}

impl Normalisation {
    /// Averages start at mean 0 and variance 1.
    pub fn new(name: &str, norm: Norm, [gamma, beta]: [Tensor; 2]) -> Self {
        let (size, options) = (gamma.size(), (gamma.kind(), gamma.device()));
        let averages = match norm {
            Norm::Batch { .. } => vec![Tensor::zeros(&size, options), Tensor::ones(size, options)],
            Norm::Group { .. } | Norm::Layer { .. } => Vec::new(),
        };
        Self { name: name.into(), norm, gamma, beta, averages }
    }

    /// Prefix of its parameters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Mean and variance, for batch normalisation.
    pub fn averages(&self) -> &[Tensor] {
        &self.averages
    }

    /// Normalises images × channels × … , and does what comes after it.
    pub fn forward(&self, x: &Tensor, mode: Mode, after: &After) -> Tensor {
        let scale = [&self.gamma, &self.beta];
        match self.norm {
            Norm::Batch { momentum, .. } => self.over_batch(x, mode, momentum, after),
            Norm::Group { groups, eps } => after.to(over_groups(x, groups as i64, scale, eps)),
            Norm::Layer { eps } => after.to(over_groups(x, 1, scale, eps)),
        }
    }

    fn over_batch(&self, x: &Tensor, mode: Mode, momentum: f64, after: &After) -> Tensor {
        match mode {
            Mode::Predict => self.apply(x, Statistics::Averages, after),
            Mode::Refresh { batches } => {
                let kept = Some(1.0 / (batches + 1) as f64);
                self.apply(x, Statistics::Batch { kept }, after)
            }
            Mode::Train { norm_batch: Some(part) } if (part as i64) < x.size()[0] => {
                // As on the papers' machines with one part on each GPU, of which the first one's
                // averages are kept.
                let parts = x.split(part as i64, 0);
                let added = after.added.map(|added| added.split(part as i64, 0));
                let normalise = |(place, part): (usize, &Tensor)| {
                    let kept = (place == 0).then_some(momentum);
                    let added = added.as_ref().map(|added| &added[place]);
                    let after = After { added, ..*after };
                    self.apply(part, Statistics::Batch { kept }, &after)
                };
                let normalised: Vec<Tensor> = parts.iter().enumerate().map(normalise).collect();
                Tensor::cat(&normalised, 0)
            }
            Mode::Train { .. } => self.apply(x, Statistics::Batch { kept: Some(momentum) }, after),
        }
    }

    fn apply(&self, x: &Tensor, statistics: Statistics, after: &After) -> Tensor {
        let Norm::Batch { eps, from_formula, .. } = self.norm else {
            return x.shallow_clone();
        };
        if from_formula {
            // Statistics are those of f32 whatever the activations are.
            let normal = self.by_formula(&x.to_kind(self.gamma.kind()), eps, statistics);
            return after.to(normal.to_kind(x.kind()));
        }
        if NormRelu::takes(x) {
            let fused = NormRelu {
                scale: [&self.gamma, &self.beta],
                averages: [&self.averages[0], &self.averages[1]],
                share: match statistics {
                    Statistics::Averages => None,
                    Statistics::Batch { kept } => Some(kept.unwrap_or(0.0)),
                },
                eps,
                relu: after.relu,
                overwrite: after.own,
            };
            return fused.forward(x, after.added);
        }
        let (training, kept) = match statistics {
            Statistics::Averages => (false, Some(0.0)),
            Statistics::Batch { kept } => (true, kept),
        };
        let average = |place: usize| kept.and_then(|_| self.averages.get(place));
        let (gamma, beta) = (Some(&self.gamma), Some(&self.beta));
        let momentum = kept.unwrap_or(0.0);
        after.to(x.batch_norm(gamma, beta, average(0), average(1), training, momentum, eps, true))
    }

    /// y = γ (x − μ) / √(σ² + ε) + β, with μ and the biased σ² of the batch per channel over
    /// images, rows and columns (over images where there are none), and gradients by autograd.
    fn by_formula(&self, x: &Tensor, eps: f64, statistics: Statistics) -> Tensor {
        let over: Vec<i64> = (0..x.dim() as i64).filter(|axis| *axis != 1).collect();
        // Channels stand in the second place of x.
        let shape: Vec<i64> = (0..x.dim()).map(|axis| if axis == 1 { -1 } else { 1 }).collect();
        let (mean, variance) = match statistics {
            Statistics::Averages => {
                (self.averages[0].view(shape.as_slice()), self.averages[1].view(shape.as_slice()))
            }
            Statistics::Batch { kept } => {
                let mean = x.mean_dim(over.as_slice(), true, x.kind());
                let variance = (x - &mean).square().mean_dim(over.as_slice(), true, x.kind());
                if let Some(share) = kept {
                    self.keep(&mean, &variance, x.numel() as f64 / x.size()[1] as f64, share);
                }
                (mean, variance)
            }
        };
        let normal = (x - mean) / (variance + eps).sqrt();
        normal * self.gamma.view(shape.as_slice()) + self.beta.view(shape.as_slice())
    }

    /// Moves the averages by `share` towards a batch's; the variance that is kept is the unbiased
    /// one, as libtorch's is.
    fn keep(&self, mean: &Tensor, variance: &Tensor, n: f64, share: f64) {
        let _guard = tch::no_grad_guard();
        let unbiased = variance * (n / (n - 1.0).max(1.0));
        for (average, new) in self.averages.iter().zip([mean, &unbiased]) {
            let moved = average * (1.0 - share) + new.view(-1) * share;
            average.shallow_clone().copy_(&moved);
        }
    }
}

/// Normalises over groups of channels of one image, with γ and β per channel. Statistics are those of
/// f32 whatever the activations are: kernels of CUDA take γ and β of the activations' kind only.
pub fn over_groups(x: &Tensor, groups: i64, [gamma, beta]: [&Tensor; 2], eps: f64) -> Tensor {
    let values = x.to_kind(gamma.kind());
    values.group_norm(groups, Some(gamma), Some(beta), eps, true).to_kind(x.kind())
}

/// What comes after a normalisation.
pub struct After<'a> {
    /// Added to its result.
    pub added: Option<&'a Tensor>,
    /// Whether negative values become 0 then.
    pub relu: bool,
    /// Whether the normalisation may overwrite what it gets.
    pub own: bool,
}

impl After<'_> {
    /// Does it, one operation after the other, in the place of what was normalised.
    fn to(&self, mut normal: Tensor) -> Tensor {
        if let Some(added) = self.added {
            normal = normal.g_add_(added);
        }
        if self.relu { normal.relu_() } else { normal }
    }
}

/// Where mean and variance come from.
#[derive(Clone, Copy)]
enum Statistics {
    /// The moving averages.
    Averages,
    /// The batch; the averages move towards it by this share.
    Batch { kept: Option<f64> },
}

#[cfg(test)]
mod tests;
