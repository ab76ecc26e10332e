//! The types that describe a network.

use super::Init;
use fathom_base::choice;
use serde::{Deserialize, Serialize};

/// Channels, rows and columns of one image's activations.
pub type Dims = [usize; 3];

/// A network: its layers in the order in which they are applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Shape of an input image.
    pub input: Dims,
    /// Number of outputs.
    pub classes: usize,
    /// Initialisation of the weights.
    pub init: Init,
    /// Factor of the initial weights, except those of the last fully connected layer.
    pub gain: f32,
    /// The layers.
    pub layers: Vec<Layer>,
}

/// One layer. Parameters have the names of torchvision's models, so that weights can be exchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Layer {
    /// Convolution with a square kernel.
    Conv {
        /// Prefix of its parameters.
        name: String,
        /// Input channels.
        inputs: usize,
        /// Output channels.
        outputs: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Stride in both directions.
        stride: usize,
        /// Zeros added on every side.
        padding: usize,
        /// Whether it has a bias. Blocks have one exactly where no normalisation follows.
        bias: bool,
        /// Whether its kernel is the identity plus a filter of norm 1, with a learned factor of each for every
        /// output (1706.00388): α δ + β W/‖W‖, where δ is the convolution that copies channels.
        dirac: bool,
    },
    /// Normalisation with a learned scale γ and shift β for each channel.
    Norm {
        /// Prefix of its parameters.
        name: String,
        /// Number of channels.
        channels: usize,
        /// Kind of normalisation.
        norm: Norm,
        /// Initial value of γ; 1 except at the end of residual branches that begin as 0.
        gamma: f32,
    },
    /// Non-linearity, applied to each value.
    Activation(Activation),
    /// branch(x) + scale × shortcut(x).
    Residual {
        /// The residual branch F of 1512.03385.
        branch: Vec<Layer>,
        /// The connection that bypasses the branch.
        shortcut: Shortcut,
        /// Constant that multiplies the shortcut; 1 in the paper.
        scale: f64,
        /// Probability that the branch takes part in an update: stochastic depth (1603.09382), 1 without it.
        /// In training the branch counts fully or not at all, the same for all images of a batch; in
        /// prediction it is multiplied by this.
        survival: f64,
    },
    /// Maximum over square windows.
    MaxPool {
        /// Side of the window.
        kernel: usize,
        /// Stride in both directions.
        stride: usize,
        /// Values of −∞ added on every side.
        padding: usize,
    },
    /// Mean over square windows that do not overlap.
    AvgPool {
        /// Side of the window, and stride.
        kernel: usize,
    },
    /// Concatenation of x and branch(x) along the channels, in this order.
    Concat {
        /// The layers that add channels.
        branch: Vec<Layer>,
        /// Whether the backward pass computes the layers up to the first convolution anew, instead of keeping
        /// their values (1707.06990).
        recompute: bool,
    },
    /// Dropout: in training each value is zeroed with probability `p`, and the others are multiplied
    /// by 1/(1 − p).
    Dropout {
        /// Probability.
        p: f64,
    },
    /// Channels, rows and columns as one vector.
    Flatten,
    /// Mean of each channel over rows and columns.
    GlobalAvgPool,
    /// Fully connected layer.
    Linear {
        /// Prefix of its parameters.
        name: String,
        /// Number of inputs.
        inputs: usize,
        /// Number of outputs.
        outputs: usize,
        /// Whether it has a bias.
        bias: bool,
    },
    /// Multiplication of every value by one learned factor, or by that of its channel.
    Scale {
        /// Name of the parameter.
        name: String,
        /// Number of factors: 1, or the number of channels.
        factors: usize,
        /// Initial value of all factors.
        initial: f32,
    },
    /// Addition of one learned scalar, initially 0, to every value.
    Shift {
        /// Name of the scalar.
        name: String,
    },
}

/// Kind of normalisation: the set of values over which mean and variance are taken. ε is added to the
/// variance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Norm {
    /// Batch normalisation (1502.03167): each channel over the batch in training, moving averages in
    /// evaluation.
    Batch {
        /// ε.
        eps: f64,
        /// Weight of the newest batch in the moving averages (libtorch's convention).
        momentum: f64,
        /// Whether it is computed from its formulas instead of by libtorch's fused operation.
        from_formula: bool,
    },
    /// Group normalisation (1803.08494): groups of channels of one image.
    Group {
        /// Number of groups; it divides the number of channels.
        groups: usize,
        /// ε.
        eps: f64,
    },
    /// Layer normalisation (1607.06450): all channels of one image.
    Layer {
        /// ε.
        eps: f64,
    },
}

/// Names of the learned factors of a Dirac convolution with their initial values (1706.00388, section 3): α of the
/// identity and β of the filter.
pub const DIRAC: [(&str, f32); 2] = [("alpha", 1.0), ("beta", 0.1)];

choice! {
    /// Non-linearities.
    pub enum Activation {
        /// max(x, 0).
        Relu,
        /// 1/(1 + e⁻ˣ).
        Sigmoid,
        /// (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).
        Tanh,
    }
}

/// The connection that bypasses a residual branch (1512.03385 §3.3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Shortcut {
    /// The input unchanged.
    Identity,
    /// Option A: every `stride`-th pixel of the input; new channels are zero.
    Pad {
        /// Stride of the subsampling.
        stride: usize,
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Whether the zero channels are split before and after the old ones, instead of all after.
        split: bool,
    },
    /// Options B and C: a projection, which has layers of its own.
    Project(Vec<Layer>),
}

impl Norm {
    /// Whether training changes a moving mean and variance of each channel.
    pub fn has_moving_averages(&self) -> bool {
        match self {
            Norm::Batch { .. } => true,
            Norm::Group { .. } | Norm::Layer { .. } => false,
        }
    }

    /// The number of groups into which the channels must be divisible.
    pub(super) fn groups(&self) -> usize {
        match self {
            Norm::Group { groups, .. } => *groups,
            Norm::Batch { .. } | Norm::Layer { .. } => 1,
        }
    }
}

impl Layer {
    /// Names and shapes of the trained parameters of this layer alone, without those of its branches.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let weight_and_bias = |name: &str, shape: Vec<usize>, has_bias: bool| {
            let bias = has_bias.then(|| (format!("{name}.bias"), vec![shape[0]]));
            [(format!("{name}.weight"), shape)].into_iter().chain(bias).collect::<Vec<_>>()
        };
        match self {
            Layer::Conv { name, inputs, outputs, kernel, bias, dirac, .. } => {
                let mut all =
                    weight_and_bias(name, vec![*outputs, *inputs, *kernel, *kernel], *bias);
                if *dirac {
                    all.extend(DIRAC.map(|(part, _)| (format!("{name}.{part}"), vec![*outputs])));
                }
                all
            }
            Layer::Linear { name, inputs, outputs, bias } => {
                weight_and_bias(name, vec![*outputs, *inputs], *bias)
            }
            Layer::Norm { name, channels, .. } => weight_and_bias(name, vec![*channels], true),
            Layer::Scale { name, factors, .. } => vec![(name.clone(), vec![*factors])],
            Layer::Shift { name } => vec![(name.clone(), vec![1])],
            Layer::Activation(_)
            | Layer::Residual { .. }
            | Layer::MaxPool { .. }
            | Layer::AvgPool { .. }
            | Layer::Concat { .. }
            | Layer::Dropout { .. }
            | Layer::Flatten
            | Layer::GlobalAvgPool => Vec::new(),
        }
    }

    /// The name of a layer with weights, which the papers count as depth: a convolution or a fully connected layer.
    pub(super) fn weights_name(&self) -> Option<&str> {
        match self {
            Layer::Conv { name, .. } | Layer::Linear { name, .. } => Some(name),
            Layer::Norm { .. }
            | Layer::Activation(_)
            | Layer::Residual { .. }
            | Layer::MaxPool { .. }
            | Layer::AvgPool { .. }
            | Layer::Concat { .. }
            | Layer::Dropout { .. }
            | Layer::Flatten
            | Layer::GlobalAvgPool
            | Layer::Scale { .. }
            | Layer::Shift { .. } => None,
        }
    }

    /// Whether this is a layer with weights.
    pub(super) fn has_weights(&self) -> bool {
        self.weights_name().is_some()
    }

    /// The layers inside this one: its branch, then its projection.
    pub(super) fn inner(&self) -> [&[Layer]; 2] {
        match self {
            Layer::Concat { branch, .. } => [branch, &[]],
            Layer::Residual { branch, shortcut, .. } => match shortcut {
                Shortcut::Project(layers) => [branch, layers],
                Shortcut::Identity | Shortcut::Pad { .. } => [branch, &[]],
            },
            Layer::Conv { .. }
            | Layer::Norm { .. }
            | Layer::Activation(_)
            | Layer::MaxPool { .. }
            | Layer::AvgPool { .. }
            | Layer::Dropout { .. }
            | Layer::Flatten
            | Layer::GlobalAvgPool
            | Layer::Linear { .. }
            | Layer::Scale { .. }
            | Layer::Shift { .. } => [&[], &[]],
        }
    }
}

impl Network {
    /// Calls `visitor` on every layer, those of branches and projections included.
    pub(super) fn visit(&self, visitor: &mut impl FnMut(&Layer)) {
        visit(&self.layers, visitor);
    }
}

fn visit(layers: &[Layer], visitor: &mut impl FnMut(&Layer)) {
    for layer in layers {
        visitor(layer);
        layer.inner().iter().for_each(|inner| visit(inner, visitor));
    }
}
