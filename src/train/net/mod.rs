//! A network's description as libtorch operations.

mod norm;
mod taps;

pub use taps::{Averages, Pass, Seen, observe};

use super::parameters::Parameters;
use fathom_arch::{AVERAGES, Activation, Layer, Network, Shortcut};
use norm::{After, Normalisation};
use tch::Tensor;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, over sub-batches of this many images where given; moving averages follow.
    Train {
        /// Images over which statistics are taken.
        norm_batch: Option<usize>,
    },
    /// Moving averages; one image's output does not depend on its batch.
    Predict,
    /// Batch statistics, and moving averages become the mean over the batches since this count
    /// was 0.
    Refresh {
        /// Batches before this one.
        batches: usize,
    },
}

/// A net on a device.
pub struct Net {
    modules: Vec<Module>,
}

enum Module {
    Conv {
        weight: Tensor,
        bias: Option<Tensor>,
        stride: i64,
        padding: i64,
    },
    /// A normalisation, with the ReLU after it.
    Norm {
        norm: Normalisation,
        relu: bool,
    },
    Activation(Activation),
    Residual(Box<Residual>),
    MaxPool {
        kernel: i64,
        stride: i64,
        padding: i64,
    },
    AvgPool {
        kernel: i64,
    },
    Concat {
        branch: Vec<Module>,
    },
    Dropout {
        p: f64,
    },
    Flatten,
    GlobalAvgPool,
    Linear {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    Scale(Tensor),
    Shift(Tensor),
}

/// A branch, the way around it, and what follows their addition.
struct Residual {
    branch: Vec<Module>,
    around: Around,
    scale: f64,
    /// The last normalisation of the branch.
    norm: Option<Normalisation>,
    relu: bool,
}

/// The way around a branch.
enum Around {
    Identity,
    /// Every `stride`-th pixel, with so many channels of zeros in front and behind.
    Pad {
        stride: i64,
        channels: [i64; 2],
    },
    Project(Vec<Module>),
}

impl Net {
    /// Builds the modules around the leaves of `parameters`.
    pub fn new(network: &Network, parameters: &Parameters) -> Self {
        Self { modules: build(&network.layers, parameters) }
    }

    /// Logits (images × classes) of a batch (images × channels × rows × columns).
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Tensor {
        chain(&self.modules, images, mode)
    }

    /// Moving averages of all normalisations, to be put back by [`Net::restore_statistics`].
    pub fn statistics(&self) -> Vec<Tensor> {
        let mut all = Vec::new();
        visit_norms(&self.modules, &mut |norm| {
            all.extend(norm.averages().iter().map(Tensor::copy))
        });
        all
    }

    /// Names (`bn1.running_mean`, `bn1.running_var`) and moving averages, in the order of the
    /// layers, sharing memory with the net.
    pub fn named_statistics(&self) -> Vec<(String, Tensor)> {
        let mut all = Vec::new();
        visit_norms(&self.modules, &mut |norm| {
            for (average, part) in norm.averages().iter().zip(AVERAGES) {
                all.push((format!("{}.{part}", norm.name()), average.shallow_clone()));
            }
        });
        all
    }

    /// Puts moving averages back.
    pub fn restore_statistics(&self, saved: &[Tensor]) {
        let mut saved = saved.iter();
        visit_norms(&self.modules, &mut |norm| {
            for (average, saved) in norm.averages().iter().zip(&mut saved) {
                average.shallow_clone().copy_(saved);
            }
        });
    }
}

fn build(layers: &[Layer], parameters: &Parameters) -> Vec<Module> {
    let module = |layer: &Layer| match layer {
        Layer::Conv { name, stride, padding, bias, .. } => Module::Conv {
            weight: parameters.leaf(&format!("{name}.weight")),
            bias: bias.then(|| parameters.leaf(&format!("{name}.bias"))),
            stride: *stride as i64,
            padding: *padding as i64,
        },
        Layer::Norm { name, norm, .. } => {
            let part = |part| parameters.leaf(&format!("{name}.{part}"));
            let norm = Normalisation::new(name, *norm, [part("weight"), part("bias")]);
            Module::Norm { norm, relu: false }
        }
        Layer::Activation(activation) => Module::Activation(*activation),
        Layer::Residual { branch, shortcut, scale } => {
            let mut branch = build(branch, parameters);
            let norm = match branch.pop() {
                Some(Module::Norm { norm, relu: false }) => Some(norm),
                last => {
                    branch.extend(last);
                    None
                }
            };
            let around = match shortcut {
                Shortcut::Identity => Around::Identity,
                Shortcut::Pad { stride, inputs, outputs, split } => {
                    let new = (outputs - inputs) as i64;
                    let front = if *split { new / 2 } else { 0 };
                    Around::Pad { stride: *stride as i64, channels: [front, new - front] }
                }
                Shortcut::Project(layers) => Around::Project(build(layers, parameters)),
            };
            let scale = *scale;
            Module::Residual(Box::new(Residual { branch, around, scale, norm, relu: false }))
        }
        Layer::MaxPool { kernel, stride, padding } => {
            let [kernel, stride, padding] = [kernel, stride, padding].map(|n| *n as i64);
            Module::MaxPool { kernel, stride, padding }
        }
        Layer::AvgPool { kernel } => Module::AvgPool { kernel: *kernel as i64 },
        Layer::Concat { branch } => Module::Concat { branch: build(branch, parameters) },
        Layer::Dropout { p } => Module::Dropout { p: *p },
        Layer::Flatten => Module::Flatten,
        Layer::GlobalAvgPool => Module::GlobalAvgPool,
        Layer::Linear { name, bias, .. } => Module::Linear {
            weight: parameters.leaf(&format!("{name}.weight")),
            bias: bias.then(|| parameters.leaf(&format!("{name}.bias"))),
        },
        Layer::Scale { name, .. } => Module::Scale(parameters.leaf(name)),
        Layer::Shift { name } => Module::Shift(parameters.leaf(name)),
    };
    let mut modules: Vec<Module> = Vec::new();
    for layer in layers {
        // ReLU goes with what it follows, where that can do it in passing.
        match (modules.last_mut(), layer) {
            (Some(Module::Norm { relu, .. }), Layer::Activation(Activation::Relu)) => *relu = true,
            (Some(Module::Residual(residual)), Layer::Activation(Activation::Relu)) => {
                residual.relu = true;
            }
            _ => modules.push(module(layer)),
        }
    }
    modules
}

fn chain(modules: &[Module], input: &Tensor, mode: Mode) -> Tensor {
    let mut x = input.shallow_clone();
    for (place, module) in modules.iter().enumerate() {
        // An input from outside is somebody else's; the results of the modules before are not
        // needed by their own backward passes, except by that of an activation.
        let own = place > 0 && !modules[place - 1].keeps_result();
        x = module.forward(x, own, mode);
    }
    x
}

impl Module {
    /// Whether its backward pass needs its result.
    fn keeps_result(&self) -> bool {
        match self {
            Module::Activation(_) => true,
            Module::Norm { relu, .. } => *relu,
            Module::Residual(residual) => residual.relu,
            _ => false,
        }
    }

    /// `own`: whether `x` may be overwritten.
    fn forward(&self, mut x: Tensor, own: bool, mode: Mode) -> Tensor {
        match self {
            Module::Conv { weight, bias, stride, padding } => {
                x.conv2d(weight, bias.as_ref(), [*stride, *stride], [*padding, *padding], [1, 1], 1)
            }
            Module::Norm { norm, relu } => {
                norm.forward(&x, mode, &After { added: None, relu: *relu, own })
            }
            Module::Activation(Activation::Relu) => {
                if own {
                    x.relu_()
                } else {
                    x.relu()
                }
            }
            Module::Activation(Activation::Sigmoid) => {
                if own {
                    x.sigmoid_()
                } else {
                    x.sigmoid()
                }
            }
            Module::Residual(residual) => residual.forward(&x, mode),
            Module::MaxPool { kernel, stride, padding } => {
                let [kernel, stride, padding] = [kernel, stride, padding].map(|n| [*n, *n]);
                x.max_pool2d(kernel, stride, padding, [1, 1], false)
            }
            Module::AvgPool { kernel } => {
                let side = [*kernel, *kernel];
                x.avg_pool2d(side, side, [0, 0], false, true, None::<i64>)
            }
            Module::Concat { branch } => Tensor::cat(&[&x, &chain(branch, &x, mode)], 1),
            Module::Dropout { p } => x.dropout(*p, matches!(mode, Mode::Train { .. })),
            Module::Flatten => x.flatten(1, -1),
            Module::GlobalAvgPool => x.mean_dim([2i64, 3].as_slice(), false, x.kind()),
            Module::Linear { weight, bias } => x.linear(weight, bias.as_ref()),
            Module::Scale(number) => x * number,
            Module::Shift(number) => x + number,
        }
    }
}

impl Residual {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let around = self.around.forward(x, mode);
        let around = if self.scale == 1.0 { around } else { around * self.scale };
        let mut through = chain(&self.branch, x, mode);
        let own = matches!(self.branch.last(), Some(Module::Conv { .. } | Module::Linear { .. }));
        if let Some(norm) = &self.norm {
            let after = After { added: Some(&around), relu: self.relu, own };
            return norm.forward(&through, mode, &after);
        }
        let mut sum = if matches!(self.branch.last(), Some(Module::Conv { .. })) {
            through.g_add_(&around)
        } else {
            through + around
        };
        if self.relu { sum.relu_() } else { sum }
    }
}

impl Around {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            Around::Identity => x.shallow_clone(),
            Around::Pad { stride, channels: [front, behind] } => {
                let kept = x.slice(2, None, None, *stride).slice(3, None, None, *stride);
                kept.constant_pad_nd([0, 0, 0, 0, *front, *behind])
            }
            Around::Project(modules) => chain(modules, x, mode),
        }
    }
}

fn visit_norms(modules: &[Module], visit: &mut impl FnMut(&Normalisation)) {
    for module in modules {
        match module {
            Module::Norm { norm, .. } => visit(norm),
            Module::Residual(residual) => {
                visit_norms(&residual.branch, visit);
                residual.norm.iter().for_each(&mut *visit);
                if let Around::Project(modules) = &residual.around {
                    visit_norms(modules, visit);
                }
            }
            Module::Concat { branch } => visit_norms(branch, visit),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod parity;
