//! The one builder of convolution blocks. Plain, residual and pre-activation nets, with and without
//! normalisation, differ by values of [`Block`] and share every parameter that they have in common.

use super::{Activation, Layer, Norm, Shortcut};

/// What all blocks of a net have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Normalisation beside each convolution; none gives convolutions a bias.
    pub norm: Option<Norm>,
    /// Non-linearity.
    pub activation: Activation,
    /// The way around each block; none makes a plain net.
    pub around: Option<Around>,
    /// Convolutions of a block.
    pub shape: BlockShape,
    /// Where normalisation and non-linearity stand.
    pub order: Order,
}

/// A way around a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// What happens where a block changes the shape.
    pub option: ShortcutOption,
    /// Constant that multiplies the way around.
    pub scale: f64,
}

/// Options of 1512.03385 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShortcutOption {
    /// A: identity; new channels are zero, behind the old ones or split on both sides of them.
    Identity { split: bool },
    /// B: 1×1 convolution where the shape changes, identity elsewhere.
    ProjectionWhereNeeded,
    /// C: 1×1 convolution around every block.
    ProjectionEverywhere,
}

/// Convolutions of a block (1512.03385 Fig. 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockShape {
    /// Two of 3×3.
    Basic,
    /// 1×1, 3×3, 1×1, the last with four times the channels of the others.
    Bottleneck {
        /// Whether the first convolution has the stride, as in the paper, instead of the 3×3 one,
        /// as in torchvision's models.
        stride_first: bool,
    },
}

/// Where normalisation and non-linearity stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// After each convolution; non-linearity after the addition (1512.03385).
    Original,
    /// Before each convolution, nothing after the addition (1603.05027).
    PreActivation,
}

/// One block's place in a net.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Prefix of its parameters.
    pub name: &'a str,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels of its 3×3 convolutions.
    pub channels: usize,
    /// Stride of the whole block.
    pub stride: usize,
    /// Whether it is the net's first.
    pub is_first: bool,
}

/// Kernel, channels out and stride of one convolution of a block.
type Step = (usize, usize, usize);

impl BlockShape {
    /// Channels that come out of a block whose 3×3 convolutions have `channels`.
    pub fn outputs(self, channels: usize) -> usize {
        match self {
            BlockShape::Basic => channels,
            BlockShape::Bottleneck { .. } => 4 * channels,
        }
    }

    fn steps(self, channels: usize, stride: usize) -> Vec<Step> {
        match self {
            BlockShape::Basic => vec![(3, channels, stride), (3, channels, 1)],
            BlockShape::Bottleneck { stride_first } => {
                let (first, second) = if stride_first { (stride, 1) } else { (1, stride) };
                vec![(1, channels, first), (3, channels, second), (1, 4 * channels, 1)]
            }
        }
    }
}

impl Block {
    /// A convolution that keeps the size at stride 1.
    pub fn conv(&self, name: String, inputs: usize, (kernel, outputs, stride): Step) -> Layer {
        let bias = self.norm.is_none();
        Layer::Conv { name, inputs, outputs, kernel, stride, padding: kernel / 2, bias }
    }

    /// Normalisation, where there is one.
    pub fn norm(&self, name: String, channels: usize) -> impl Iterator<Item = Layer> {
        self.norm.map(|norm| Layer::Norm { name, channels, norm }).into_iter()
    }

    /// The layers of one block.
    pub fn layers(&self, place: Place) -> Vec<Layer> {
        let steps = self.shape.steps(place.channels, place.stride);
        let shortcut = self.around.map(|around| self.shortcut(around.option, place));
        let mut branch = match self.order {
            Order::Original => self.original(place, steps),
            Order::PreActivation => self.pre_activation(place, steps),
        };
        // 1603.05027's appendix: the first unit's non-linearity is before the split, as is one that
        // feeds a projection.
        let is_projected = matches!(shortcut, Some(Shortcut::Project(_)));
        let shared = match self.order {
            Order::PreActivation if place.is_first || is_projected => {
                let convolution =
                    branch.iter().position(|layer| matches!(layer, Layer::Conv { .. }));
                branch.drain(..convolution.unwrap_or(0)).collect()
            }
            _ => Vec::new(),
        };
        let mut layers: Vec<Layer> = shared;
        match (self.around, shortcut) {
            (Some(Around { scale, .. }), Some(shortcut)) => {
                layers.push(Layer::Residual { branch, shortcut, scale });
            }
            _ => layers.extend(branch),
        }
        if self.order == Order::Original {
            layers.push(Layer::Activation(self.activation));
        }
        layers
    }

    /// conv-norm-act-…-conv-norm; the last non-linearity is after the addition.
    fn original(&self, Place { name, mut inputs, .. }: Place, steps: Vec<Step>) -> Vec<Layer> {
        let (mut layers, last) = (Vec::new(), steps.len());
        for (number, step) in (1..).zip(steps) {
            layers.push(self.conv(format!("{name}.conv{number}"), inputs, step));
            layers.extend(self.norm(format!("{name}.bn{number}"), step.1));
            if number < last {
                layers.push(Layer::Activation(self.activation));
            }
            inputs = step.1;
        }
        layers
    }

    /// norm-act-conv-norm-act-conv…
    fn pre_activation(
        &self,
        Place { name, mut inputs, .. }: Place,
        steps: Vec<Step>,
    ) -> Vec<Layer> {
        let mut layers = Vec::new();
        for (number, step) in (1..).zip(steps) {
            layers.extend(self.norm(format!("{name}.bn{number}"), inputs));
            layers.push(Layer::Activation(self.activation));
            layers.push(self.conv(format!("{name}.conv{number}"), inputs, step));
            inputs = step.1;
        }
        layers
    }

    fn shortcut(&self, option: ShortcutOption, place: Place) -> Shortcut {
        let Place { name, inputs, stride, .. } = place;
        let outputs = self.shape.outputs(place.channels);
        let keeps_shape = stride == 1 && inputs == outputs;
        match option {
            ShortcutOption::Identity { .. } | ShortcutOption::ProjectionWhereNeeded
                if keeps_shape =>
            {
                Shortcut::Identity
            }
            ShortcutOption::Identity { split } => Shortcut::Pad { stride, inputs, outputs, split },
            _ => {
                let mut layers =
                    vec![self.conv(format!("{name}.downsample.0"), inputs, (1, outputs, stride))];
                if self.order == Order::Original {
                    layers.extend(self.norm(format!("{name}.downsample.1"), outputs));
                }
                Shortcut::Project(layers)
            }
        }
    }
}
