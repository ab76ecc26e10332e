//! The one builder of blocks. Plain, residual and pre-activation nets, convolutional or fully
//! connected, with and without normalisation, differ by values of [`BlockBuilder`] and share every
//! parameter that they have in common.

use super::branch::BranchEnd;
use super::{Activation, Layer, Norm, Shortcut};
use fathom_base::choice;

/// Properties that all blocks of a net share.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockBuilder {
    /// Normalisation of each layer with weights. Without it these layers have a bias.
    pub norm: Option<Norm>,
    /// Learned scalars that replace normalisation.
    pub scalars: Scalars,
    /// What each residual branch ends with.
    pub branch_end: BranchEnd,
    /// Whether the convolutions of blocks have Dirac kernels (1706.00388).
    pub dirac: bool,
    /// Probability of dropout before the last layer with weights of each block; 0 for none.
    pub dropout: f64,
    /// Non-linearity.
    pub activation: Activation,
    /// Shortcut of each block; `None` gives a plain net.
    pub shortcut: Option<ShortcutRule>,
    /// Layers with weights of each block.
    pub kind: BlockKind,
    /// Order of weights, normalisation and activation.
    pub order: ActivationOrder,
}

/// Learned scalars that initialisations for nets without normalisation add to blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalars {
    /// No scalars.
    None,
    /// Fixup (1901.09321): a shift, initially 0, before each layer with weights and each
    /// non-linearity, in place of biases; a scale, initially 1, at the end of each branch.
    Fixup,
    /// SkipInit (2002.10444): a scale, initially 0, at the end of each branch, so that every block is
    /// initially the identity.
    SkipInit,
}

/// How the shortcuts of a net are built.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShortcutRule {
    /// Identity or projection.
    pub option: ShortcutOption,
    /// Position of the zero channels of option A.
    pub pad: ShortcutPad,
    /// Constant that multiplies the shortcut.
    pub scale: f64,
}

choice! {
    /// Words of `network.shortcut`: the options of 1512.03385, section 4.1.
    pub(super) enum ShortcutOption {
        /// Identity everywhere; new channels are zero.
        A,
        /// 1×1 convolution where the shape changes, identity elsewhere.
        B,
        /// 1×1 convolution around every block.
        C,
    }
}

choice! {
    /// Words of `network.shortcut_pad`: position of the zero channels of option A.
    pub(super) enum ShortcutPad {
        /// After the channels of the input.
        Behind,
        /// Half of them before the channels of the input, half after.
        Split,
    }
}

/// Layers with weights of a block (1512.03385 Fig. 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// Two 3×3 convolutions.
    Basic,
    /// Convolutions of 1×1, 3×3 and 1×1, the last with four times the channels of the others.
    Bottleneck {
        /// Whether the first convolution has the block's stride (the paper) or the 3×3 convolution
        /// has it (torchvision).
        stride_first: bool,
    },
    /// This number of fully connected layers.
    Linear(usize),
}

/// Order of weights, normalisation and activation in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActivationOrder {
    /// 1512.03385: weights, normalisation, activation; the last activation after the addition.
    Original,
    /// 1603.05027: normalisation, activation, weights; no activation after the addition.
    PreActivation,
}

/// One block of a net.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    /// Prefix of its parameters.
    pub name: &'a str,
    /// Number of input channels.
    pub inputs: usize,
    /// Channels of its 3×3 convolutions, or units of its fully connected layers.
    pub channels: usize,
    /// Stride of the whole block.
    pub stride: usize,
    /// Whether it is the first block of the net.
    pub is_first: bool,
}

/// Shape of one layer with weights.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weights {
    /// A convolution that keeps rows and columns at stride 1.
    Conv {
        /// Side of the kernel.
        kernel: usize,
        /// Output channels.
        outputs: usize,
        /// Stride.
        stride: usize,
    },
    /// A fully connected layer.
    Linear {
        /// Number of outputs.
        outputs: usize,
    },
}

impl Weights {
    fn outputs(self) -> usize {
        match self {
            Weights::Conv { outputs, .. } | Weights::Linear { outputs } => outputs,
        }
    }

    /// The layer of this shape.
    pub fn layer(self, name: String, inputs: usize, bias: bool) -> Layer {
        match self {
            Weights::Conv { kernel, outputs, stride } => Layer::Conv {
                name,
                inputs,
                outputs,
                kernel,
                stride,
                padding: kernel / 2,
                bias,
                dirac: false,
            },
            Weights::Linear { outputs } => Layer::Linear { name, inputs, outputs, bias },
        }
    }
}

impl BlockKind {
    /// What torchvision calls its layers with weights.
    fn prefix(self) -> &'static str {
        match self {
            BlockKind::Basic | BlockKind::Bottleneck { .. } => "conv",
            BlockKind::Linear(_) => "fc",
        }
    }

    /// Output channels of a block whose 3×3 convolutions have `channels`.
    pub fn outputs(self, channels: usize) -> usize {
        match self {
            BlockKind::Basic | BlockKind::Linear(_) => channels,
            BlockKind::Bottleneck { .. } => 4 * channels,
        }
    }

    fn weights(self, channels: usize, stride: usize) -> Vec<Weights> {
        let conv = |kernel, outputs, stride| Weights::Conv { kernel, outputs, stride };
        match self {
            BlockKind::Basic => vec![conv(3, channels, stride), conv(3, channels, 1)],
            BlockKind::Bottleneck { stride_first } => {
                let (first, second) = if stride_first { (stride, 1) } else { (1, stride) };
                vec![conv(1, channels, first), conv(3, channels, second), conv(1, 4 * channels, 1)]
            }
            BlockKind::Linear(count) => vec![Weights::Linear { outputs: channels }; count],
        }
    }
}

impl BlockBuilder {
    /// A layer with weights.
    pub fn weights(&self, name: String, inputs: usize, weights: Weights) -> Layer {
        let has_bias = match self.scalars {
            Scalars::Fixup => false,
            Scalars::None | Scalars::SkipInit => self.norm.is_none(),
        };
        weights.layer(name, inputs, has_bias)
    }

    /// The normalisation of a layer with weights, if any.
    pub fn norm(&self, name: String, channels: usize) -> Option<Layer> {
        self.norm.map(|norm| Layer::Norm { name, channels, norm, gamma: 1.0 })
    }

    /// The scalar that Fixup adds, if any.
    pub fn shift(&self, name: String) -> Option<Layer> {
        match self.scalars {
            Scalars::Fixup => Some(Layer::Shift { name }),
            Scalars::None | Scalars::SkipInit => None,
        }
    }

    /// The factor at the end of a residual branch, if any; plain nets have no branches.
    fn scale(&self, block: &str, channels: usize) -> Option<Layer> {
        let (factors, initial) = match self.branch_end {
            BranchEnd::Plain | BranchEnd::ZeroGamma => return None,
            BranchEnd::Factor(initial) => (1, initial),
            BranchEnd::FactorOfChannels(initial) => (channels, initial),
        };
        self.shortcut.map(|_| Layer::Scale { name: format!("{block}.scale"), factors, initial })
    }

    /// The normalisation at the end of a residual branch or of the block of a plain net, if any.
    fn last_norm(&self, name: String, channels: usize) -> Option<Layer> {
        let gamma = match (self.shortcut, self.branch_end) {
            (Some(_), BranchEnd::ZeroGamma) => 0.0,
            (None, _)
            | (Some(_), BranchEnd::Plain | BranchEnd::Factor(_) | BranchEnd::FactorOfChannels(_)) => {
                1.0
            }
        };
        self.norm.map(|norm| Layer::Norm { name, channels, norm, gamma })
    }

    /// The layers of one block.
    pub fn layers(&self, block: Block) -> Vec<Layer> {
        let shortcut = self.shortcut.map(|rule| (self.shortcut(rule, block), rule.scale));
        let is_projected = matches!(shortcut, Some((Shortcut::Project(_), _)));
        let mut branch = match self.order {
            ActivationOrder::Original => self.original(block),
            ActivationOrder::PreActivation => self.pre_activation(block),
        };
        // 1603.05027, appendix: the first unit is activated before the split into branch and
        // shortcut, and so is every input of a projection.
        let before_split = match self.order {
            ActivationOrder::PreActivation if block.is_first || is_projected => {
                branch.iter().position(Layer::has_weights).unwrap_or(0)
            }
            ActivationOrder::PreActivation | ActivationOrder::Original => 0,
        };
        let mut layers: Vec<Layer> = branch.drain(..before_split).collect();
        match shortcut {
            Some((shortcut, scale)) => {
                layers.push(Layer::Residual { branch, shortcut, scale, survival: 1.0 });
            }
            None => layers.extend(branch),
        }
        match self.order {
            ActivationOrder::Original => layers.push(Layer::Activation(self.activation)),
            ActivationOrder::PreActivation => {}
        }
        layers
    }

    /// conv-norm-act-…-conv-norm; the last activation follows the addition.
    fn original(&self, block: Block) -> Vec<Layer> {
        let Block { name, mut inputs, channels, stride, .. } = block;
        let (mut layers, prefix) = (Vec::new(), self.kind.prefix());
        let all = self.kind.weights(channels, stride);
        for (number, weights) in (1..).zip(&all) {
            let is_last = number == all.len();
            if is_last {
                layers.extend(self.dropout());
            }
            layers.extend(self.shift(format!("{name}.bias{number}a")));
            let mut layer = self.weights(format!("{name}.{prefix}{number}"), inputs, *weights);
            if let Layer::Conv { dirac, .. } = &mut layer {
                *dirac = self.dirac;
            }
            layers.push(layer);
            let norm = format!("{name}.bn{number}");
            if is_last {
                layers.extend(self.last_norm(norm, weights.outputs()));
                layers.extend(self.scale(name, weights.outputs()));
            } else {
                layers.extend(self.norm(norm, weights.outputs()));
            }
            layers.extend(self.shift(format!("{name}.bias{number}b")));
            if !is_last {
                layers.push(Layer::Activation(self.activation));
            }
            inputs = weights.outputs();
        }
        layers
    }

    /// norm-act-conv-norm-act-conv-….
    fn pre_activation(&self, block: Block) -> Vec<Layer> {
        let Block { name, mut inputs, channels, stride, .. } = block;
        let (mut layers, prefix) = (Vec::new(), self.kind.prefix());
        let all = self.kind.weights(channels, stride);
        for (number, weights) in (1..).zip(&all) {
            layers.extend(self.norm(format!("{name}.bn{number}"), inputs));
            layers.extend(self.shift(format!("{name}.bias{number}a")));
            layers.push(Layer::Activation(self.activation));
            layers.extend(self.shift(format!("{name}.bias{number}b")));
            if number == all.len() {
                layers.extend(self.dropout());
            }
            layers.push(self.weights(format!("{name}.{prefix}{number}"), inputs, *weights));
            inputs = weights.outputs();
        }
        layers.extend(self.scale(name, inputs));
        layers
    }

    /// The dropout before the last layer with weights, if any (1605.07146, section 2.4).
    fn dropout(&self) -> Option<Layer> {
        (self.dropout > 0.0).then_some(Layer::Dropout { p: self.dropout })
    }

    fn shortcut(&self, rule: ShortcutRule, block: Block) -> Shortcut {
        let Block { name, inputs, stride, .. } = block;
        let outputs = self.kind.outputs(block.channels);
        let keeps_shape = stride == 1 && inputs == outputs;
        match (rule.option, keeps_shape) {
            (ShortcutOption::A | ShortcutOption::B, true) => Shortcut::Identity,
            (ShortcutOption::A, false) => {
                let split = match rule.pad {
                    ShortcutPad::Behind => false,
                    ShortcutPad::Split => true,
                };
                Shortcut::Pad { stride, inputs, outputs, split }
            }
            (ShortcutOption::B, false) | (ShortcutOption::C, _) => {
                let weights = Weights::Conv { kernel: 1, outputs, stride };
                let mut layers = Vec::from_iter(self.shift(format!("{name}.downsample.bias")));
                layers.push(self.weights(format!("{name}.downsample.0"), inputs, weights));
                match self.order {
                    ActivationOrder::Original => {
                        layers.extend(self.norm(format!("{name}.downsample.1"), outputs));
                    }
                    ActivationOrder::PreActivation => {}
                }
                Shortcut::Project(layers)
            }
        }
    }
}
