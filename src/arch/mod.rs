//! Networks as plain data. A [`Network`] is the single description that the audit prints, whose
//! parameters are counted, and that `train::net` turns into libtorch modules; nothing here knows
//! libtorch.

mod audit;
mod block;
mod family;
mod init;
mod residual;

pub use audit::{Audit, AuditRow};
pub use family::{FAMILIES, Family, FamilyKeys, InvalidKey, family, network};
pub use init::{Init, Initial};

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
        /// Stride in both directions; padding is `kernel / 2`, so that stride 1 keeps the size.
        stride: usize,
        /// Whether a bias is added: exactly when no normalisation follows.
        bias: bool,
    },
    /// Normalisation over the batch, per channel.
    BatchNorm {
        /// Prefix of its parameters.
        name: String,
        /// Channels.
        channels: usize,
        /// ε, added to the variance.
        eps: f64,
        /// Weight of the newest batch in the moving averages (libtorch's convention).
        momentum: f64,
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
    /// Mean over rows and columns.
    GlobalAvgPool,
    /// Fully connected layer with bias.
    Linear {
        /// Prefix of its parameters.
        name: String,
        /// Inputs.
        inputs: usize,
        /// Outputs.
        outputs: usize,
    },
}

/// Non-linearities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
}

/// The way around a residual branch. Neither has parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shortcut {
    /// The input as it is.
    Identity,
    /// Option A of 1512.03385: every `stride`-th pixel, new channels zero, put behind the old.
    Pad {
        /// Stride of the subsampling.
        stride: usize,
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
    },
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
            Layer::BatchNorm { name, channels, .. } => {
                ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![*channels])).into()
            }
            Layer::Linear { name, inputs, outputs } => vec![
                (format!("{name}.weight"), vec![*outputs, *inputs]),
                (format!("{name}.bias"), vec![*outputs]),
            ],
            Layer::Activation(_) | Layer::Residual { .. } | Layer::GlobalAvgPool => Vec::new(),
        }
    }
}

impl Network {
    /// Number of trained parameters.
    pub fn parameter_count(&self) -> u64 {
        self.audit().parameters
    }
}
