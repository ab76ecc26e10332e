//! Networks as plain data. A [`Network`] is the single description that the audit prints, whose
//! parameters are counted, and that `train::net` turns into libtorch modules; nothing here knows
//! libtorch.

mod audit;
mod block;
mod check;
mod dense;
mod family;
mod grow;
mod init;
mod keys;
mod lenet;
mod mlp;
mod published;
mod residual;
mod single;
mod state;

pub use audit::{Audit, AuditPart, AuditRow};
pub use family::{Family, FamilyKeys, InvalidKey, families, family, network, register};
pub use grow::shallower;
pub use init::{Init, Initial, Role};
pub use keys::{BATCH_NORM, InitName, NormName, Stem, defaults};
pub use published::{PUBLISHED, Published};
pub use state::{AVERAGES, COUNTER};

use fathom_base::choice;
use serde::{Deserialize, Serialize};

/// Channels, rows and columns of one image's activations.
pub type Dims = [usize; 3];

/// A network: layers in the order in which they are applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Shape of an input image.
    pub input: Dims,
    /// Number of outputs.
    pub classes: usize,
    /// How weights are drawn.
    pub init: Init,
    /// The layers.
    pub layers: Vec<Layer>,
}

/// One layer. Names are those of torchvision's models, so that weights travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Layer {
    /// Square convolution.
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
        /// Zeros on every side.
        padding: usize,
        /// Whether a bias is added: exactly when no normalisation follows.
        bias: bool,
    },
    /// Normalisation.
    Norm {
        /// Prefix of its parameters.
        name: String,
        /// Channels, each with a γ and a β.
        channels: usize,
        /// Over what.
        norm: Norm,
    },
    /// Non-linearity.
    Activation(Activation),
    /// branch(x) + scale × shortcut(x).
    Residual {
        /// The layers that learn.
        branch: Vec<Layer>,
        /// The way around them.
        shortcut: Shortcut,
        /// Constant that multiplies the way around; 1 in the paper.
        scale: f64,
    },
    /// Largest value of each square.
    MaxPool {
        /// Side of the square.
        kernel: usize,
        /// Stride in both directions.
        stride: usize,
        /// Pixels on every side that never win.
        padding: usize,
    },
    /// Mean of each square.
    AvgPool {
        /// Side of the square and stride.
        kernel: usize,
    },
    /// Input and branch(input), one behind the other along the channels.
    Concat {
        /// The layers that add channels.
        branch: Vec<Layer>,
    },
    /// In training, each value is zero with this probability, and the others are scaled up.
    Dropout {
        /// Probability.
        p: f64,
    },
    /// Channels, rows and columns become one list of values.
    Flatten,
    /// Mean over rows and columns.
    GlobalAvgPool,
    /// Fully connected layer.
    Linear {
        /// Prefix of its parameters.
        name: String,
        /// Inputs.
        inputs: usize,
        /// Outputs.
        outputs: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// One learned number, times every value.
    Scale {
        /// Its name.
        name: String,
        /// What it is before training.
        initial: f32,
    },
    /// One learned number, 0 before training, added to every value.
    Shift {
        /// Its name.
        name: String,
    },
}

/// What a normalisation takes mean and variance over. ε is added to the variance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Norm {
    /// Each channel over the batch (1502.03167); moving averages at prediction.
    Batch {
        /// ε.
        eps: f64,
        /// Weight of the newest batch in the moving averages (libtorch's convention).
        momentum: f64,
        /// Whether it is computed from its formulas instead of by libtorch's fused operation.
        from_formula: bool,
    },
    /// Groups of channels of one image (1803.08494).
    Group {
        /// Number of groups; it divides the channels.
        groups: usize,
        /// ε.
        eps: f64,
    },
    /// All channels of one image (1607.06450).
    Layer {
        /// ε.
        eps: f64,
    },
}

choice! {
    /// Non-linearities.
    pub enum Activation {
        /// max(x, 0).
        Relu,
        /// 1/(1 + e⁻ˣ).
        Sigmoid,
    }
}

/// The way around a residual branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Shortcut {
    /// The input as it is.
    Identity,
    /// Option A of 1512.03385: every `stride`-th pixel, new channels zero.
    Pad {
        /// Stride of the subsampling.
        stride: usize,
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Whether the new channels are split on both sides of the old ones, instead of behind.
        split: bool,
    },
    /// Options B and C: layers of its own.
    Project(Vec<Layer>),
}

impl Layer {
    /// Names and shapes of the trained parameters of this layer alone, branches not included.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Layer::Conv { name, inputs, outputs, kernel, bias, .. } => {
                let weight = vec![*outputs, *inputs, *kernel, *kernel];
                let mut all = vec![(format!("{name}.weight"), weight)];
                if *bias {
                    all.push((format!("{name}.bias"), vec![*outputs]));
                }
                all
            }
            Layer::Norm { name, channels, .. } => {
                ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![*channels])).into()
            }
            Layer::Linear { name, inputs, outputs, bias } => {
                let mut all = vec![(format!("{name}.weight"), vec![*outputs, *inputs])];
                if *bias {
                    all.push((format!("{name}.bias"), vec![*outputs]));
                }
                all
            }
            Layer::Scale { name, .. } | Layer::Shift { name } => vec![(name.clone(), vec![1])],
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
}

impl Network {
    /// Number of trained parameters.
    pub fn parameter_count(&self) -> u64 {
        self.audit().parameters
    }
}
