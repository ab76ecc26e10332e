//! The one builder of blocks. Plain, residual and pre-activation nets, of convolutions or of fully
//! connected layers, with and without normalisation, differ by values of [`Block`] and share every
//! parameter that they have in common.

use super::{Activation, Layer, Norm, Shortcut};

/// What all blocks of a net have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Normalisation beside each layer with weights; without it these have a bias.
    pub norm: Option<Norm>,
    /// Single learned numbers in its place.
    pub scalars: Scalars,
    /// Non-linearity.
    pub activation: Activation,
    /// The way around each block; none makes a plain net.
    pub around: Option<Around>,
    /// Convolutions of a block.
    pub shape: BlockShape,
    /// Where normalisation and non-linearity stand.
    pub order: Order,
}

/// Single learned numbers that initialisations for nets without normalisation add to blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalars {
    /// None.
    None,
    /// 1901.09321: one added, 0 at first, before each layer with weights and each non-linearity,
    /// in place of biases; one multiplied, 1 at first, at the end of each branch.
    Fixup,
    /// 2002.10444: one multiplied, 0 at first, at the end of each branch, so that every block
    /// begins as the identity.
    SkipInit,
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

/// Layers with weights of a block (1512.03385 Fig. 5).
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
    /// So many fully connected layers.
    Linear(usize),
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
    /// Channels of its 3×3 convolutions, or units.
    pub channels: usize,
    /// Stride of the whole block.
    pub stride: usize,
    /// Whether it is the net's first.
    pub is_first: bool,
}

/// One layer with weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Side of the kernel and stride; a fully connected layer has none.
    pub window: Option<(usize, usize)>,
    /// Channels or units that come out.
    pub outputs: usize,
}

impl Step {
    /// A convolution.
    pub fn conv(kernel: usize, outputs: usize, stride: usize) -> Self {
        Self { window: Some((kernel, stride)), outputs }
    }

    /// A fully connected layer.
    pub fn linear(outputs: usize) -> Self {
        Self { window: None, outputs }
    }
}

impl BlockShape {
    /// What its layers with weights are called.
    fn kind(self) -> &'static str {
        if matches!(self, BlockShape::Linear(_)) { "fc" } else { "conv" }
    }

    /// Channels that come out of a block whose 3×3 convolutions have `channels`.
    pub fn outputs(self, channels: usize) -> usize {
        match self {
            BlockShape::Basic | BlockShape::Linear(_) => channels,
            BlockShape::Bottleneck { .. } => 4 * channels,
        }
    }

    fn steps(self, channels: usize, stride: usize) -> Vec<Step> {
        match self {
            BlockShape::Basic => {
                vec![Step::conv(3, channels, stride), Step::conv(3, channels, 1)]
            }
            BlockShape::Bottleneck { stride_first } => {
                let (first, second) = if stride_first { (stride, 1) } else { (1, stride) };
                vec![
                    Step::conv(1, channels, first),
                    Step::conv(3, channels, second),
                    Step::conv(1, 4 * channels, 1),
                ]
            }
            BlockShape::Linear(count) => vec![Step::linear(channels); count],
        }
    }
}

impl Block {
    /// A layer with weights; convolutions keep the size at stride 1.
    pub fn weights(&self, name: String, inputs: usize, step: Step) -> Layer {
        let bias = self.norm.is_none() && self.scalars != Scalars::Fixup;
        let outputs = step.outputs;
        match step.window {
            Some((kernel, stride)) => {
                Layer::Conv { name, inputs, outputs, kernel, stride, padding: kernel / 2, bias }
            }
            None => Layer::Linear { name, inputs, outputs, bias },
        }
    }

    /// The number that Fixup adds, where it is asked for.
    pub fn shift(&self, name: String) -> Option<Layer> {
        (self.scalars == Scalars::Fixup).then_some(Layer::Shift { name })
    }

    /// The number that ends a branch; a plain net has no branches.
    fn scale(&self, name: &str) -> Option<Layer> {
        let initial = match self.scalars {
            Scalars::None => return None,
            Scalars::Fixup => 1.0,
            Scalars::SkipInit => 0.0,
        };
        self.around.map(|_| Layer::Scale { name: format!("{name}.scale"), initial })
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
                let has_weights =
                    |layer: &Layer| matches!(layer, Layer::Conv { .. } | Layer::Linear { .. });
                branch.drain(..branch.iter().position(has_weights).unwrap_or(0)).collect()
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
        let (mut layers, last, kind) = (Vec::new(), steps.len(), self.shape.kind());
        for (number, step) in (1..).zip(steps) {
            layers.extend(self.shift(format!("{name}.bias{number}a")));
            layers.push(self.weights(format!("{name}.{kind}{number}"), inputs, step));
            layers.extend(self.norm(format!("{name}.bn{number}"), step.outputs));
            if number == last {
                layers.extend(self.scale(name));
            }
            layers.extend(self.shift(format!("{name}.bias{number}b")));
            if number < last {
                layers.push(Layer::Activation(self.activation));
            }
            inputs = step.outputs;
        }
        layers
    }

    /// norm-act-conv-norm-act-conv…
    fn pre_activation(
        &self,
        Place { name, mut inputs, .. }: Place,
        steps: Vec<Step>,
    ) -> Vec<Layer> {
        let (mut layers, kind) = (Vec::new(), self.shape.kind());
        for (number, step) in (1..).zip(steps) {
            layers.extend(self.norm(format!("{name}.bn{number}"), inputs));
            layers.extend(self.shift(format!("{name}.bias{number}a")));
            layers.push(Layer::Activation(self.activation));
            layers.extend(self.shift(format!("{name}.bias{number}b")));
            layers.push(self.weights(format!("{name}.{kind}{number}"), inputs, step));
            inputs = step.outputs;
        }
        layers.extend(self.scale(name));
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
                let mut layers = Vec::from_iter(self.shift(format!("{name}.downsample.bias")));
                let step = Step::conv(1, outputs, stride);
                layers.push(self.weights(format!("{name}.downsample.0"), inputs, step));
                if self.order == Order::Original {
                    layers.extend(self.norm(format!("{name}.downsample.1"), outputs));
                }
                Shortcut::Project(layers)
            }
        }
    }
}
