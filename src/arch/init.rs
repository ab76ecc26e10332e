//! Initial weights, drawn by (seed, parameter name) so that arms share them.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Layer, Network, Shortcut};
use fathom_base::random::{Purpose, Stream};
use sha2::{Digest, Sha256};

/// How the weights of convolutions and fully connected layers are drawn. But for Xavier's and
/// Fixup's, those of the last fully connected layer are uniform within ±1/√inputs, as in
/// fb.resnet.torch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Init {
    /// Normal with deviation √(2 / (k² · outputs)): He et al. 1502.01852, backward case; the
    /// choice of fb.resnet.torch. SkipInit (2002.10444) starts from it too: what it adds is a
    /// learned number, 0 at first, at the end of each residual branch.
    HeFanOut,
    /// Normal with deviation √(2 / (k² · inputs)): the forward case of the same paper.
    HeFanIn,
    /// Uniform within ±√(6 / (k² · (inputs + outputs))): Glorot & Bengio 2010; the choice of the
    /// textbooks' LeNet with its sigmoids.
    Xavier,
    /// Zhang et al. 1901.09321: as [`Init::HeFanOut`]; then, with L residual branches in the net,
    /// each of m layers with weights, the last layer of every branch is 0 and the others are
    /// multiplied by L^(−1/(2m−2)); the last fully connected layer is 0.
    Fixup,
}

/// A parameter with its initial value.
#[derive(Clone, Debug, PartialEq)]
pub struct Initial {
    /// Full name (`layer1.0.conv1.weight`).
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
    /// What it does.
    pub role: Role,
}

/// What a parameter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It multiplies inputs: a convolution's or a fully connected layer's.
    Weight,
    /// A bias, or a single number.
    Bias,
    /// γ or β of a normalisation.
    Norm,
}

impl Network {
    /// All parameters in the order of the layers. Normalisation's γ is 1 and β is 0; biases are 0.
    pub fn initial(&self, seed: u64) -> Vec<Initial> {
        let branches = count_branches(&self.layers);
        let mut draw = Draw { init: self.init, seed, branches, all: Vec::new() };
        draw.layers(&self.layers, None);
        if let (Some(Layer::Linear { name, inputs, .. }), false) =
            (self.layers.last(), self.init == Init::Xavier)
        {
            draw.classifier(&format!("{name}.weight"), *inputs);
        }
        draw.all
    }
}

struct Draw {
    init: Init,
    seed: u64,
    /// Residual branches of the net.
    branches: usize,
    all: Vec<Initial>,
}

/// Place of a layer among those with weights in its residual branch, and how many these are.
type InBranch = Option<(usize, usize)>;

impl Draw {
    fn layers(&mut self, layers: &[Layer], branch: Option<usize>) {
        let mut place = 0;
        for layer in layers {
            match layer {
                Layer::Concat { branch } => self.layers(branch, None),
                Layer::Residual { branch, shortcut, .. } => {
                    let has_weights =
                        |layer: &&Layer| matches!(layer, Layer::Conv { .. } | Layer::Linear { .. });
                    self.layers(branch, Some(branch.iter().filter(has_weights).count()));
                    if let Shortcut::Project(layers) = shortcut {
                        self.layers(layers, None);
                    }
                }
                Layer::Conv { inputs, outputs, kernel, .. } => {
                    place += 1;
                    let fans = [inputs, outputs].map(|n| n * kernel * kernel);
                    self.draw(layer, fans, branch.map(|of| (place, of)));
                }
                Layer::Linear { inputs, outputs, .. } => {
                    place += 1;
                    self.draw(layer, [*inputs, *outputs], branch.map(|of| (place, of)));
                }
                Layer::Norm { .. } => self.constant(layer, 1.0, Role::Norm),
                Layer::Scale { initial, .. } => self.constant(layer, *initial, Role::Bias),
                Layer::Shift { .. } => self.constant(layer, 0.0, Role::Bias),
                Layer::Activation(_)
                | Layer::MaxPool { .. }
                | Layer::AvgPool { .. }
                | Layer::Dropout { .. }
                | Layer::Flatten
                | Layer::GlobalAvgPool => {}
            }
        }
    }

    /// Parameters that are not drawn: the first has this value, others (β) are 0.
    fn constant(&mut self, layer: &Layer, first: f32, role: Role) {
        for (place, (name, shape)) in layer.parameters().into_iter().enumerate() {
            let value = if place == 0 { first } else { 0.0 };
            let values = vec![value; shape.iter().product()];
            self.all.push(Initial { name, shape, values, role });
        }
    }

    /// Weights, and biases of 0.
    fn draw(&mut self, layer: &Layer, [fan_in, fan_out]: [usize; 2], branch: InBranch) {
        for (name, shape) in layer.parameters() {
            let mut values = vec![0.0; shape.iter().product()];
            let role = if name.ends_with(".weight") { Role::Weight } else { Role::Bias };
            if role == Role::Weight {
                let stream = stream(self.seed, &name);
                match self.init {
                    Init::HeFanIn => normal(stream, &mut values, fan_in, 1.0),
                    Init::HeFanOut => normal(stream, &mut values, fan_out, 1.0),
                    Init::Fixup => normal(stream, &mut values, fan_out, self.fixup(branch)),
                    Init::Xavier => {
                        let bound = libm::sqrtf(6.0 / (fan_in + fan_out) as f32);
                        uniform(stream, &mut values, bound);
                    }
                }
            }
            self.all.push(Initial { name, shape, values, role });
        }
    }

    /// What Fixup multiplies a layer's weights by.
    fn fixup(&self, branch: InBranch) -> f32 {
        match branch {
            None => 1.0,
            Some((place, of)) if place == of => 0.0,
            Some((_, of)) => {
                let exponent = -1.0 / (2.0 * of as f32 - 2.0);
                libm::powf(self.branches as f32, exponent)
            }
        }
    }

    /// The last fully connected layer, drawn last of all.
    fn classifier(&mut self, name: &str, inputs: usize) {
        let (init, seed) = (self.init, self.seed);
        let Some(weight) = self.all.iter_mut().find(|parameter| parameter.name == name) else {
            return;
        };
        if init == Init::Fixup {
            weight.values.fill(0.0);
        } else {
            uniform(stream(seed, name), &mut weight.values, 1.0 / libm::sqrtf(inputs as f32));
        }
    }
}

fn count_branches(layers: &[Layer]) -> usize {
    let mut count = 0;
    super::check::visit(layers, &mut |layer| {
        count += usize::from(matches!(layer, Layer::Residual { .. }));
    });
    count
}

/// Normal with deviation `gain` · √(2/fan).
fn normal(mut stream: Stream, values: &mut [f32], fan: usize, gain: f32) {
    let deviation = gain * libm::sqrtf(2.0 / fan as f32);
    stream.fill_normal(values);
    values.iter_mut().for_each(|value| *value *= deviation);
}

fn uniform(mut stream: Stream, values: &mut [f32], bound: f32) {
    values.iter_mut().for_each(|value| *value = stream.between(-bound, bound));
}

fn stream(seed: u64, name: &str) -> Stream {
    let digest = Sha256::digest(name.as_bytes());
    let word = digest.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte));
    Stream::new(seed, Purpose::Initial, word, 0)
}
