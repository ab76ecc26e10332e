//! Initial weights. Each is drawn from (seed, name of the parameter), so that nets share the initial
//! values of all parameters that they have in common.

use super::{DIRAC, Layer, Network, Shortcut};
use fathom_base::random::{Purpose, Stream};
use sha2::{Digest, Sha256};

/// Initialisation of the weights of convolutions and fully connected layers. Except under
/// [`Init::Xavier`] and [`Init::Fixup`], the weights of the last fully connected layer are uniform
/// within ±1/√inputs, as in fb.resnet.torch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Init {
    /// Normal with standard deviation √(2 / (k² · outputs)): He et al. 1502.01852, backward case; the
    /// choice of fb.resnet.torch, and of SkipInit (2002.10444), which adds a learned scale, initially
    /// 0, at the end of each residual branch.
    HeFanOut,
    /// Normal with standard deviation √(2 / (k² · inputs)): the forward case of the same paper.
    HeFanIn,
    /// Uniform within ±√(6 / (k² · (inputs + outputs))): Glorot & Bengio 2010; the choice of the
    /// textbooks' LeNet with sigmoids.
    Xavier,
    /// An orthogonal matrix in the middle of each kernel, and 0 elsewhere: Xiao et al. 1806.05393, algorithm 1.
    /// Where a layer has fewer outputs than inputs, the rows of the matrix are orthonormal instead of its columns.
    DeltaOrthogonal,
    /// Fixup, Zhang et al. 1901.09321: [`Init::HeFanOut`], then, in a net of L residual branches of m
    /// layers with weights each, the last layer of every branch is 0 and the others are multiplied
    /// by L^(−1/(2m−2)); the last fully connected layer is 0.
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
    /// Role of the parameter in its layer.
    pub role: Role,
}

/// Role of a parameter in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution or a fully connected layer.
    Weight,
    /// Bias, or learned scalar.
    Bias,
    /// γ or β of a normalisation.
    Norm,
    /// Factor of a Dirac kernel. It has no weight decay, whatever `training.decay` says, as in the
    /// authors' program (1706.00388).
    Factor,
}

impl Network {
    /// All parameters in the order of the layers. Weights are drawn; β of normalisations and biases
    /// are 0.
    pub fn initial(&self, seed: u64) -> Vec<Initial> {
        let mut branches = 0;
        self.visit(&mut |layer| branches += usize::from(matches!(layer, Layer::Residual { .. })));
        let (init, gain) = (self.init, self.gain);
        let mut initializer = Initializer { init, gain, seed, branches, all: Vec::new() };
        initializer.layers(&self.layers, None);
        if let Some(Layer::Linear { name, inputs, .. }) = self.layers.last() {
            initializer.classifier(&format!("{name}.weight"), *inputs);
        }
        initializer.all
    }
}

struct Initializer {
    init: Init,
    gain: f32,
    seed: u64,
    /// Number of residual branches of the net.
    branches: usize,
    all: Vec<Initial>,
}

/// Numbers of inputs and outputs of one unit, kernel positions included.
#[derive(Clone, Copy)]
struct Fans {
    input: usize,
    output: usize,
}

/// Position of a layer among those with weights in its residual branch.
#[derive(Clone, Copy)]
struct InBranch {
    /// Counted from 1.
    position: usize,
    /// Number of layers with weights in the branch.
    layers: usize,
}

impl Initializer {
    /// Draws the parameters of these layers; `in_branch` is the number of layers with weights where
    /// they are a residual branch.
    fn layers(&mut self, layers: &[Layer], in_branch: Option<usize>) {
        let mut position = 0;
        for layer in layers {
            position += usize::from(layer.has_weights());
            let place = in_branch.map(|layers| InBranch { position, layers });
            match layer {
                Layer::Concat { branch, .. } => self.layers(branch, None),
                Layer::Residual { branch, shortcut, .. } => {
                    let count = branch.iter().filter(|layer| layer.has_weights()).count();
                    self.layers(branch, Some(count));
                    match shortcut {
                        Shortcut::Project(layers) => self.layers(layers, None),
                        Shortcut::Identity | Shortcut::Pad { .. } => {}
                    }
                }
                Layer::Conv { inputs, outputs, kernel, .. } => {
                    let area = kernel * kernel;
                    let fans = Fans { input: inputs * area, output: outputs * area };
                    self.draw(layer, fans, place);
                }
                Layer::Linear { inputs, outputs, .. } => {
                    self.draw(layer, Fans { input: *inputs, output: *outputs }, place);
                }
                Layer::Norm { gamma, .. } => self.constant(layer, *gamma, Role::Norm),
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

    /// Adds parameters that are not drawn: the first (γ, or the scalar) is `first`, others (β) are 0.
    fn constant(&mut self, layer: &Layer, first: f32, role: Role) {
        for (index, (name, shape)) in layer.parameters().into_iter().enumerate() {
            let value = if index == 0 { first } else { 0.0 };
            let values = vec![value; shape.iter().product()];
            self.all.push(Initial { name, shape, values, role });
        }
    }

    /// Adds drawn weights, and biases of 0.
    fn draw(&mut self, layer: &Layer, fans: Fans, place: Option<InBranch>) {
        for (name, shape) in layer.parameters() {
            let mut values = vec![0.0; shape.iter().product()];
            let factor = DIRAC.iter().find(|(part, _)| name.ends_with(&format!(".{part}")));
            let role = match factor {
                Some((_, initial)) => {
                    values.fill(*initial);
                    Role::Factor
                }
                None if name.ends_with(".weight") => Role::Weight,
                None => Role::Bias,
            };
            if role == Role::Weight {
                let stream = stream(self.seed, &name);
                match self.init {
                    Init::HeFanIn => normal(stream, &mut values, fans.input, 1.0),
                    Init::HeFanOut => normal(stream, &mut values, fans.output, 1.0),
                    Init::Fixup => normal(stream, &mut values, fans.output, self.fixup(place)),
                    Init::Xavier => {
                        let bound = libm::sqrtf(6.0 / (fans.input + fans.output) as f32);
                        uniform(stream, &mut values, bound);
                    }
                    Init::DeltaOrthogonal => delta_orthogonal(stream, &mut values, &shape),
                }
                values.iter_mut().for_each(|value| *value *= self.gain);
            }
            self.all.push(Initial { name, shape, values, role });
        }
    }

    /// The factor of Fixup for the weights of a layer.
    fn fixup(&self, place: Option<InBranch>) -> f32 {
        match place {
            None => 1.0,
            Some(InBranch { position, layers }) if position == layers => 0.0,
            Some(InBranch { layers, .. }) => {
                let exponent = -1.0 / (2.0 * layers as f32 - 2.0);
                libm::powf(self.branches as f32, exponent)
            }
        }
    }

    /// Replaces the weights of the last fully connected layer.
    fn classifier(&mut self, name: &str, inputs: usize) {
        let Some(weight) = self.all.iter_mut().find(|parameter| parameter.name == name) else {
            return;
        };
        match self.init {
            Init::Xavier => {}
            Init::Fixup => weight.values.fill(0.0),
            Init::HeFanOut | Init::HeFanIn | Init::DeltaOrthogonal => {
                let bound = 1.0 / libm::sqrtf(inputs as f32);
                uniform(stream(self.seed, name), &mut weight.values, bound);
            }
        }
    }
}

/// Draws normal values with standard deviation `gain` · √(2/fan).
fn normal(mut stream: Stream, values: &mut [f32], fan: usize, gain: f32) {
    let deviation = gain * libm::sqrtf(2.0 / fan as f32);
    stream.fill_normal(values);
    values.iter_mut().for_each(|value| *value *= deviation);
}

/// Puts a random orthogonal matrix (outputs × inputs) into the middle of a kernel, whose other values are 0.
fn delta_orthogonal(mut stream: Stream, values: &mut [f32], shape: &[usize]) {
    let [outputs, inputs, kernel @ ..] = shape else { return };
    let (long, short) = (*outputs.max(inputs), *outputs.min(inputs));
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for _ in 0..short {
        let mut drawn = vec![0.0; long];
        stream.fill_normal(&mut drawn);
        let mut row: Vec<f64> = drawn.into_iter().map(f64::from).collect();
        // Gram and Schmidt, twice for the accuracy of f64.
        for known in rows.iter().chain(&rows) {
            let product: f64 = row.iter().zip(known).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(known).for_each(|(a, b)| *a -= product * b);
        }
        let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row.iter_mut().for_each(|value| *value /= norm);
        rows.push(row);
    }
    let area: usize = kernel.iter().product();
    for output in 0..*outputs {
        for input in 0..*inputs {
            let value = if outputs >= inputs { rows[input][output] } else { rows[output][input] };
            values[(output * inputs + input) * area + area / 2] = value as f32;
        }
    }
}

/// Draws values uniform within ±`bound`.
fn uniform(mut stream: Stream, values: &mut [f32], bound: f32) {
    values.iter_mut().for_each(|value| *value = stream.between(-bound, bound));
}

/// The random numbers of the parameter `name`.
fn stream(seed: u64, name: &str) -> Stream {
    let digest = Sha256::digest(name.as_bytes());
    let word = digest.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte));
    Stream::new(seed, Purpose::Initial, word, 0)
}
