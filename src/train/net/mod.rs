//! A network's description as libtorch modules, and their forward pass.

mod dense_run;
mod dirac;
mod norm;
mod residual;
mod taps;

pub use norm::Moments;
pub use taps::{BatchTap, LayerTap, NormTap, Tapped};

use super::parameters::Parameters;
use super::placement::is_batch_last;
use crate::shim::conv::BatchLastConvolution;
use dense_run::dense_run;
use dirac::Dirac;
use fathom_arch::{AVERAGES, Activation, Layer, Network, Shortcut};
use fathom_record::Layout;
use norm::{After, Normalisation};
use residual::{fused_residual, surviving, tapped_residual};
use taps::Taps;
use tch::Tensor;

/// Purpose of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Training: batch normalisation uses the statistics of the batch and updates its running
    /// averages, and dropout is on.
    Train {
        /// Images per sub-batch with statistics of its own; `None` for the whole batch.
        norm_batch: Option<usize>,
    },
    /// Prediction: batch normalisation uses its running averages, so that the output for an image
    /// does not depend on the others.
    Predict,
    /// Recomputation of the running averages, as the mean over the batches since `batches` was 0.
    /// Normalisation itself uses the statistics of the batch.
    Refresh {
        /// Number of batches before this one.
        batches: usize,
    },
    /// Observation, see [`Net::tapped`].
    Tapped(TappedNorm),
}

/// Statistics that batch normalisation uses in a tapped forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TappedNorm {
    /// Those of the batch.
    Batch,
    /// The running averages.
    Running,
}

/// A net on a device.
pub struct Net {
    modules: Vec<Module>,
    /// Running averages by name, in the order of the layers, sharing memory with the modules.
    averages: Vec<(String, Tensor)>,
}

enum Module {
    Conv { affine: Affine, dirac: Option<Dirac>, stride: i64, padding: i64, batch_last: bool },
    Norm(Normalisation),
    Activation(Activation),
    Residual { branch: Vec<Module>, shortcut: ShortcutModule, scale: f64, survival: f64 },
    MaxPool { kernel: i64, stride: i64, padding: i64 },
    AvgPool { kernel: i64 },
    Concat { branch: Vec<Module>, recompute: bool },
    Dropout { p: f64 },
    Flatten,
    GlobalAvgPool,
    Linear(Affine),
    Scale(Tensor),
    Shift(Tensor),
}

/// Parameters of a convolution or a fully connected layer.
struct Affine {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
}

enum ShortcutModule {
    Identity,
    /// Every `stride`-th pixel, with channels of zeros before and after the input's.
    Pad {
        stride: i64,
        before: i64,
        after: i64,
    },
    Project(Vec<Module>),
}

impl Net {
    /// Builds the modules around the leaves of `parameters`.
    pub fn new(network: &Network, parameters: &Parameters) -> Self {
        let mut builder = Builder { parameters, averages: Vec::new() };
        let modules = builder.modules(&network.layers);
        Self { modules, averages: builder.averages }
    }

    /// Logits (images × classes) of a batch (images × channels × rows × columns).
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Tensor {
        chain(&self.modules, images, &mut Pass { mode, taps: None })
    }

    /// The forward pass with the values of every layer with weights.
    ///
    /// No operation is fused or done in place, so the values stay intact and have gradients.
    /// Running averages stay as they are, and dropout is off.
    pub fn tapped(&self, images: &Tensor, norm: TappedNorm) -> Tapped {
        let mut taps = Taps::default();
        let mut pass = Pass { mode: Mode::Tapped(norm), taps: Some(&mut taps) };
        let logits = chain(&self.modules, images, &mut pass);
        Tapped { logits, layers: taps.layers }
    }

    /// Copies of the running averages, for [`Net::restore_statistics`].
    pub fn statistics(&self) -> Vec<Tensor> {
        self.averages.iter().map(|(_, average)| average.copy()).collect()
    }

    /// Names (`bn1.running_mean`, `bn1.running_var`) and running averages, in the order of the
    /// layers, sharing memory with the net.
    pub fn named_statistics(&self) -> Vec<(String, Tensor)> {
        self.averages
            .iter()
            .map(|(name, average)| (name.clone(), average.shallow_clone()))
            .collect()
    }

    /// Restores running averages from [`Net::statistics`].
    pub fn restore_statistics(&self, saved: &[Tensor]) {
        for ((_, average), saved) in self.averages.iter().zip(saved) {
            average.shallow_clone().copy_(saved);
        }
    }
}

struct Builder<'a> {
    parameters: &'a Parameters,
    averages: Vec<(String, Tensor)>,
}

impl Builder<'_> {
    fn modules(&mut self, layers: &[Layer]) -> Vec<Module> {
        layers.iter().map(|layer| self.module(layer)).collect()
    }

    fn module(&mut self, layer: &Layer) -> Module {
        match layer {
            Layer::Conv { name, stride, padding, bias, dirac, .. } => Module::Conv {
                affine: self.affine(name, *bias),
                dirac: dirac.then(|| Dirac::new(name, self.parameters)),
                stride: *stride as i64,
                padding: *padding as i64,
                batch_last: self.parameters.place().layout == Layout::BatchLast,
            },
            Layer::Norm { name, norm, .. } => {
                let leaf = |part| self.parameters.leaf(&format!("{name}.{part}"));
                let norm = Normalisation::new(*norm, leaf("weight"), leaf("bias"));
                if let Some(Moments { mean, variance }) = norm.running() {
                    for (part, average) in AVERAGES.iter().zip([mean, variance]) {
                        self.averages.push((format!("{name}.{part}"), average.shallow_clone()));
                    }
                }
                Module::Norm(norm)
            }
            Layer::Activation(activation) => Module::Activation(*activation),
            Layer::Residual { branch, shortcut, scale, survival } => Module::Residual {
                branch: self.modules(branch),
                shortcut: self.shortcut(shortcut),
                scale: *scale,
                survival: *survival,
            },
            Layer::MaxPool { kernel, stride, padding } => {
                let [kernel, stride, padding] = [kernel, stride, padding].map(|n| *n as i64);
                Module::MaxPool { kernel, stride, padding }
            }
            Layer::AvgPool { kernel } => Module::AvgPool { kernel: *kernel as i64 },
            Layer::Concat { branch, recompute } => {
                Module::Concat { branch: self.modules(branch), recompute: *recompute }
            }
            Layer::Dropout { p } => Module::Dropout { p: *p },
            Layer::Flatten => Module::Flatten,
            Layer::GlobalAvgPool => Module::GlobalAvgPool,
            Layer::Linear { name, bias, .. } => Module::Linear(self.affine(name, *bias)),
            Layer::Scale { name, .. } => Module::Scale(self.parameters.leaf(name)),
            Layer::Shift { name } => Module::Shift(self.parameters.leaf(name)),
        }
    }

    fn affine(&self, name: &str, bias: bool) -> Affine {
        let leaf = |part| self.parameters.leaf(&format!("{name}.{part}"));
        Affine { name: name.into(), weight: leaf("weight"), bias: bias.then(|| leaf("bias")) }
    }

    fn shortcut(&mut self, shortcut: &Shortcut) -> ShortcutModule {
        match shortcut {
            Shortcut::Identity => ShortcutModule::Identity,
            Shortcut::Pad { stride, inputs, outputs, split } => {
                let new = (outputs - inputs) as i64;
                let before = if *split { new / 2 } else { 0 };
                ShortcutModule::Pad { stride: *stride as i64, before, after: new - before }
            }
            Shortcut::Project(layers) => ShortcutModule::Project(self.modules(layers)),
        }
    }
}

/// A forward pass.
struct Pass<'a> {
    mode: Mode,
    /// Recorder of the layers' values, for [`Mode::Tapped`] alone.
    taps: Option<&'a mut Taps>,
}

/// An operation that treats images and channels alike, such as pooling, without a change of the order
/// in memory: a batch in batch-last order is a batch of channels in channels-last order, which
/// libtorch's operations keep.
fn keeping_order(x: &Tensor, operation: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    if is_batch_last(x) { operation(&x.transpose(0, 1)).transpose(0, 1) } else { operation(x) }
}

/// Tensors one after the other along `axis` (0: images, 1: channels), in the order of the first.
fn concatenated(parts: &[Tensor], axis: i64) -> Tensor {
    if is_batch_last(&parts[0]) {
        let parts: Vec<Tensor> = parts.iter().map(|part| part.transpose(0, 1)).collect();
        Tensor::cat(&parts, 1 - axis).transpose(0, 1)
    } else {
        Tensor::cat(parts, axis)
    }
}

/// What a module may do beyond its own operation to save time and memory.
#[derive(Clone, Copy, Default)]
struct Fusion {
    /// Whether the input may be overwritten.
    own: bool,
    /// Whether ReLU follows and is applied by the module.
    relu: bool,
}

/// Applies modules in their order.
fn chain(modules: &[Module], input: &Tensor, pass: &mut Pass) -> Tensor {
    let mut x = input.shallow_clone();
    if let Some(taps) = &mut pass.taps {
        taps.begin_chain();
        for module in modules {
            let y = module.forward(x.shallow_clone(), Fusion::default(), pass);
            if let Some(taps) = &mut pass.taps {
                taps.record(module, &x, &y);
            }
            x = y;
        }
        return x;
    }
    // The input belongs to the caller. A module's result is not needed by its own backward pass,
    // except by that of an activation, so the next module may overwrite it.
    let mut own = false;
    let mut modules = modules.iter().peekable();
    while let Some(module) = modules.next() {
        if let Some(branch) = module.recomputed(pass) {
            let mut branches = vec![branch];
            while let Some(more) = modules.peek().and_then(|next| next.recomputed(pass)) {
                branches.push(more);
                modules.next();
            }
            (x, own) = (dense_run(&branches, x, pass), true);
            continue;
        }
        let is_relu = |next: &&Module| matches!(next, Module::Activation(Activation::Relu));
        let relu = module.fuses_relu() && modules.next_if(is_relu).is_some();
        x = module.forward(x, Fusion { own, relu }, pass);
        own = !relu && !matches!(module, Module::Activation(_));
    }
    x
}

impl Module {
    /// Whether it applies a ReLU that follows it.
    fn fuses_relu(&self) -> bool {
        matches!(self, Module::Norm(_) | Module::Residual { .. })
    }

    /// The branch of a dense layer that is computed anew in the backward pass of training.
    fn recomputed(&self, pass: &Pass) -> Option<&[Module]> {
        match self {
            Module::Concat { branch, recompute: true }
                if matches!(pass.mode, Mode::Train { .. }) =>
            {
                Some(branch)
            }
            _ => None,
        }
    }

    fn forward(&self, mut x: Tensor, Fusion { own, relu }: Fusion, pass: &mut Pass) -> Tensor {
        match self {
            Module::Conv {
                affine: Affine { weight, bias, .. },
                dirac,
                stride,
                padding,
                batch_last,
            } => {
                let bias = bias.as_ref();
                let weight = &match dirac {
                    None => weight.shallow_clone(),
                    Some(dirac) => dirac.kernel(weight),
                };
                if *batch_last && BatchLastConvolution::takes(&x) {
                    let (stride, padding) = (*stride, *padding);
                    BatchLastConvolution { weight, bias, stride, padding }.forward(&x)
                } else {
                    x.conv2d(weight, bias, [*stride; 2], [*padding; 2], [1, 1], 1)
                }
            }
            Module::Norm(norm) => norm.forward(&x, pass.mode, &After { added: None, relu, own }),
            Module::Activation(Activation::Relu) if own => x.relu_(),
            Module::Activation(Activation::Relu) => x.relu(),
            Module::Activation(Activation::Sigmoid) if own => x.sigmoid_(),
            Module::Activation(Activation::Sigmoid) => x.sigmoid(),
            Module::Activation(Activation::Tanh) if own => x.tanh_(),
            Module::Activation(Activation::Tanh) => x.tanh(),
            Module::Residual { branch, shortcut, scale, survival } => {
                let shortcut = |pass: &mut Pass| {
                    let y = shortcut.forward(&x, pass);
                    if *scale == 1.0 { y } else { y * *scale }
                };
                if pass.taps.is_some() {
                    tapped_residual(branch, &x, shortcut, *survival, pass)
                } else if *survival < 1.0 {
                    let shortcut = shortcut(pass);
                    let sum = surviving(&chain(branch, &x, pass), *survival, pass.mode) + shortcut;
                    if relu { sum.relu() } else { sum }
                } else {
                    let shortcut = shortcut(pass);
                    fused_residual(branch, &x, &shortcut, relu, pass)
                }
            }
            Module::MaxPool { kernel, stride, padding } => keeping_order(&x, |x| {
                x.max_pool2d([*kernel; 2], [*stride; 2], [*padding; 2], [1, 1], false)
            }),
            Module::AvgPool { kernel } => keeping_order(&x, |x| {
                x.avg_pool2d([*kernel; 2], [*kernel; 2], [0, 0], false, true, None::<i64>)
            }),
            Module::Concat { branch, .. } => {
                let more = chain(branch, &x, pass);
                concatenated(&[x, more], 1)
            }
            Module::Dropout { p } => x.dropout(*p, matches!(pass.mode, Mode::Train { .. })),
            Module::Flatten => x.flatten(1, -1),
            Module::GlobalAvgPool => x.mean_dim([2i64, 3].as_slice(), false, x.kind()),
            Module::Linear(Affine { weight, bias, .. }) => x.linear(weight, bias.as_ref()),
            // Factors of channels, for images or for the outputs of fully connected layers.
            Module::Scale(factors) if factors.numel() > 1 && x.dim() == 4 => {
                x * factors.view([-1, 1, 1])
            }
            Module::Scale(factors) => x * factors,
            Module::Shift(term) => x + term,
        }
    }
}

impl ShortcutModule {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        match self {
            ShortcutModule::Identity => x.shallow_clone(),
            ShortcutModule::Pad { stride, before, after } => {
                let kept = x.slice(2, None, None, *stride).slice(3, None, None, *stride);
                if is_batch_last(x) {
                    let padding = [0, 0, 0, 0, 0, 0, *before, *after];
                    kept.transpose(0, 1).constant_pad_nd(padding).transpose(0, 1)
                } else {
                    kept.constant_pad_nd([0, 0, 0, 0, *before, *after])
                }
            }
            ShortcutModule::Project(modules) => chain(modules, x, pass),
        }
    }
}

#[cfg(test)]
mod branches;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod parity;
