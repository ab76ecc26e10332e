//! Batch normalisation (1502.03167), by one fused operation or from its formulas, and group
//! (1803.08494) and layer normalisation (1607.06450).

use super::{Mode, TappedNorm, concatenated};
use crate::placement::{batch_last, is_batch_last};
use crate::shim::NormRelu;
use fathom_arch::Norm;
use tch::{Kind, Tensor};

/// Mean and variance of each channel.
pub struct Moments {
    /// Mean (one value per channel).
    pub mean: Tensor,
    /// Unbiased variance (one value per channel).
    pub variance: Tensor,
}

impl Moments {
    /// Moments of a batch (images × channels × …) in f32, without gradient.
    pub fn of(x: &Tensor) -> Self {
        let x = x.detach().to_kind(Kind::Float);
        let over = all_but_channels(&x);
        let mean = x.mean_dim(over.as_slice(), false, Kind::Float);
        Self { mean, variance: x.var_dim(over.as_slice(), true, false) }
    }
}

/// A normalisation layer with its parameters.
pub struct Normalisation {
    /// Scale of each channel.
    pub gamma: Tensor,
    /// Shift of each channel.
    pub beta: Tensor,
    rule: Rule,
}

enum Rule {
    Batch(BatchNorm),
    /// Over groups of channels of one image; layer normalisation has one group.
    Groups {
        groups: i64,
        eps: f64,
    },
}

/// What follows a normalisation and may be fused with it.
pub struct After<'a> {
    /// Residual shortcut that is added to the normalised values.
    pub added: Option<&'a Tensor>,
    /// Whether ReLU comes last.
    pub relu: bool,
    /// Whether the input of the normalisation may be overwritten.
    pub own: bool,
}

impl After<'_> {
    /// Applies addition and ReLU to normalised values, in place.
    fn apply(&self, mut normalised: Tensor) -> Tensor {
        if let Some(added) = self.added {
            normalised = normalised.g_add_(added);
        }
        if self.relu { normalised.relu_() } else { normalised }
    }
}

impl Normalisation {
    /// Running averages of batch normalisation start at mean 0 and variance 1.
    pub fn new(norm: Norm, gamma: Tensor, beta: Tensor) -> Self {
        let rule = match norm {
            Norm::Batch { eps, momentum, from_formula } => {
                let running = Moments {
                    mean: gamma.detach().zeros_like(),
                    variance: gamma.detach().ones_like(),
                };
                let (gamma, beta) = (gamma.shallow_clone(), beta.shallow_clone());
                Rule::Batch(BatchNorm { gamma, beta, running, eps, momentum, from_formula })
            }
            Norm::Group { groups, eps } => Rule::Groups { groups: groups as i64, eps },
            Norm::Layer { eps } => Rule::Groups { groups: 1, eps },
        };
        Self { gamma, beta, rule }
    }

    /// The same normalisation with other parameters, and with running averages of its own unless these are shared.
    pub fn with(&self, gamma: Tensor, beta: Tensor, is_sharing: bool) -> Self {
        let rule = match &self.rule {
            Rule::Batch(batch) => {
                let own = |average: &Tensor| match is_sharing {
                    true => average.shallow_clone(),
                    false => average.copy(),
                };
                let running = Moments {
                    mean: own(&batch.running.mean),
                    variance: own(&batch.running.variance),
                };
                let (gamma, beta) = (gamma.shallow_clone(), beta.shallow_clone());
                let BatchNorm { eps, momentum, from_formula, .. } = *batch;
                Rule::Batch(BatchNorm { gamma, beta, running, eps, momentum, from_formula })
            }
            Rule::Groups { groups, eps } => Rule::Groups { groups: *groups, eps: *eps },
        };
        Self { gamma, beta, rule }
    }

    /// Running averages of batch normalisation.
    pub fn running(&self) -> Option<&Moments> {
        match &self.rule {
            Rule::Batch(batch) => Some(&batch.running),
            Rule::Groups { .. } => None,
        }
    }

    /// Normalises a batch (images × channels × …) and applies what follows.
    pub fn forward(&self, x: &Tensor, mode: Mode, after: &After) -> Tensor {
        match &self.rule {
            Rule::Batch(batch) => batch.forward(x, mode, after),
            Rule::Groups { groups, eps } => {
                // Statistics are those of f32 whatever the activations are: CUDA's kernels take γ
                // and β in the activations' kind only.
                let values = x.to_kind(self.gamma.kind());
                let (gamma, beta) = (Some(&self.gamma), Some(&self.beta));
                let normalised = values.group_norm(*groups, gamma, beta, *eps, true);
                after.apply(normalised.to_kind(x.kind()))
            }
        }
    }
}

/// Statistics of one batch normalisation.
#[derive(Clone, Copy)]
enum Statistics {
    /// The running averages.
    Running,
    /// Those of the batch; the running averages move towards them by the fraction `update`, if any.
    Batch { update: Option<f64> },
}

struct BatchNorm {
    gamma: Tensor,
    beta: Tensor,
    running: Moments,
    eps: f64,
    /// Weight of a batch in the running averages.
    momentum: f64,
    from_formula: bool,
}

impl BatchNorm {
    fn forward(&self, x: &Tensor, mode: Mode, after: &After) -> Tensor {
        match mode {
            Mode::Predict => self.apply(x, Statistics::Running, None, after),
            Mode::Refresh { batches } => {
                let update = Some(1.0 / (batches + 1) as f64);
                self.apply(x, Statistics::Batch { update }, None, after)
            }
            Mode::Train { norm_batch: Some(part) }
                if (part as i64) < x.size()[0] && x.device().is_cuda() && self.is_fused(x) =>
            {
                let update = Some(self.momentum);
                self.apply(x, Statistics::Batch { update }, Some(part), after)
            }
            Mode::Train { norm_batch: Some(part) } if (part as i64) < x.size()[0] => {
                // As in the papers' runs on several GPUs, each part has its own statistics, and
                // only those of the first part enter the running averages.
                let split = |x: &Tensor| -> Vec<Tensor> {
                    let parts = x.split(part as i64, 0);
                    // Parts of a batch in batch-last order are not next to each other in memory.
                    let in_order = |part| if is_batch_last(x) { batch_last(&part) } else { part };
                    parts.into_iter().map(in_order).collect()
                };
                let parts = split(x);
                let added = after.added.map(split);
                let normalise = |(index, part): (usize, &Tensor)| {
                    let update = (index == 0).then_some(self.momentum);
                    let added = added.as_ref().map(|added| &added[index]);
                    let after = After { added, ..*after };
                    self.apply(part, Statistics::Batch { update }, None, &after)
                };
                let normalised: Vec<Tensor> = parts.iter().enumerate().map(normalise).collect();
                concatenated(&normalised, 0)
            }
            Mode::Train { .. } => {
                self.apply(x, Statistics::Batch { update: Some(self.momentum) }, None, after)
            }
            // Every value needs its gradient, at prediction too, which the fused operation lacks.
            Mode::Tapped(TappedNorm::Running) => {
                after.apply(self.by_libtorch(x, Statistics::Running))
            }
            Mode::Tapped(TappedNorm::Batch) => {
                after.apply(self.by_libtorch(x, Statistics::Batch { update: None }))
            }
        }
    }

    fn is_fused(&self, x: &Tensor) -> bool {
        !self.from_formula && NormRelu::takes(x)
    }

    /// `part`: number of images that share statistics, if not all of the batch do; for values on a GPU
    /// that the fused operation takes.
    fn apply(
        &self,
        x: &Tensor,
        statistics: Statistics,
        part: Option<usize>,
        after: &After,
    ) -> Tensor {
        if self.from_formula {
            // Statistics are those of f32 whatever the activations are.
            let normalised = self.by_formula(&x.to_kind(self.gamma.kind()), statistics);
            return after.apply(normalised.to_kind(x.kind()));
        }
        if !self.is_fused(x) {
            return after.apply(self.by_libtorch(x, statistics));
        }
        let fused = NormRelu {
            gamma: &self.gamma,
            beta: &self.beta,
            mean: &self.running.mean,
            variance: &self.running.variance,
            update: match statistics {
                Statistics::Running => None,
                Statistics::Batch { update } => Some(update.unwrap_or(0.0)),
            },
            eps: self.eps,
            relu: after.relu,
            overwrite: after.own,
            part,
        };
        fused.forward(x, after.added)
    }

    fn by_libtorch(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        let (training, update) = match statistics {
            Statistics::Running => (false, Some(0.0)),
            Statistics::Batch { update } => (true, update),
        };
        let running = update.map(|_| &self.running);
        let (mean, variance) = running.map(|running| (&running.mean, &running.variance)).unzip();
        let (gamma, beta) = (Some(&self.gamma), Some(&self.beta));
        let momentum = update.unwrap_or(0.0);
        x.batch_norm(gamma, beta, mean, variance, training, momentum, self.eps, true)
    }

    /// y = γ (x − μ) / √(σ² + ε) + β, with μ and the biased σ² of the batch per channel over
    /// images, rows and columns (over images where there are none), and gradients by autograd.
    fn by_formula(&self, x: &Tensor, statistics: Statistics) -> Tensor {
        let over = all_but_channels(x);
        let shape: Vec<i64> = (0..x.dim()).map(|axis| if axis == 1 { -1 } else { 1 }).collect();
        let per_channel = |values: &Tensor| values.view(shape.as_slice());
        let (mean, variance) = match statistics {
            Statistics::Running => {
                (per_channel(&self.running.mean), per_channel(&self.running.variance))
            }
            Statistics::Batch { update } => {
                let mean = x.mean_dim(over.as_slice(), true, x.kind());
                let variance = (x - &mean).square().mean_dim(over.as_slice(), true, x.kind());
                if let Some(update) = update {
                    let n = x.numel() as f64 / x.size()[1] as f64;
                    self.update_running(&mean, &variance, n, update);
                }
                (mean, variance)
            }
        };
        let normalised = (x - mean) / (variance + self.eps).sqrt();
        normalised * per_channel(&self.gamma) + per_channel(&self.beta)
    }

    /// Moves the running averages by the fraction `update` towards the statistics of a batch of `n`
    /// values per channel, with the unbiased variance as in libtorch.
    fn update_running(&self, mean: &Tensor, biased_variance: &Tensor, n: f64, update: f64) {
        let _guard = tch::no_grad_guard();
        let unbiased = biased_variance * (n / (n - 1.0).max(1.0));
        for (average, new) in [(&self.running.mean, mean), (&self.running.variance, &unbiased)] {
            let moved = average * (1.0 - update) + new.view(-1) * update;
            average.shallow_clone().copy_(&moved);
        }
    }
}

/// The axes of images × channels × … but that of the channels.
fn all_but_channels(x: &Tensor) -> Vec<i64> {
    (0..x.dim() as i64).filter(|axis| *axis != 1).collect()
}

#[cfg(test)]
mod tests;
