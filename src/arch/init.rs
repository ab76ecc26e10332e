//! Initial weights, drawn by (seed, parameter name) so that arms share them.

use super::{Layer, Network, Shortcut};
use crate::random::{Purpose, Stream};
use sha2::{Digest, Sha256};

/// How the weights of convolutions are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Init {
    /// Normal with deviation √(2 / (k² · outputs)): He et al. 1502.01852, backward case; the
    /// choice of fb.resnet.torch.
    HeFanOut,
    /// Normal with deviation √(2 / (k² · inputs)): the forward case of the same paper.
    HeFanIn,
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
    /// Whether it multiplies inputs (convolution and fully connected weights), as opposed to
    /// biases and normalisation's γ and β.
    pub is_weight: bool,
}

impl Network {
    /// All parameters in the order of the layers. BatchNorm's γ is 1 and β is 0; biases are 0; the
    /// fully connected layer is uniform within ±1/√inputs, as in fb.resnet.torch.
    pub fn initial(&self, seed: u64) -> Vec<Initial> {
        let mut all = Vec::new();
        collect(&self.layers, self.init, seed, &mut all);
        all
    }
}

fn collect(layers: &[Layer], init: Init, seed: u64, all: &mut Vec<Initial>) {
    for layer in layers {
        if let Layer::Concat { branch } = layer {
            collect(branch, init, seed, all);
        }
        if let Layer::Residual { branch, shortcut, .. } = layer {
            collect(branch, init, seed, all);
            if let Shortcut::Project(layers) = shortcut {
                collect(layers, init, seed, all);
            }
        }
        for (name, shape) in layer.parameters() {
            let mut values = vec![0.0; shape.iter().product()];
            let is_kernel = name.ends_with(".weight");
            match layer {
                Layer::Norm { .. } if is_kernel => values.fill(1.0),
                Layer::Conv { inputs, outputs, kernel, .. } if is_kernel => {
                    let fan = match init {
                        Init::HeFanOut => outputs * kernel * kernel,
                        Init::HeFanIn => inputs * kernel * kernel,
                    };
                    let deviation = libm::sqrtf(2.0 / fan as f32);
                    stream(seed, &name).fill_normal(&mut values);
                    values.iter_mut().for_each(|value| *value *= deviation);
                }
                Layer::Linear { inputs, .. } if is_kernel => {
                    let bound = 1.0 / libm::sqrtf(*inputs as f32);
                    let mut stream = stream(seed, &name);
                    values.iter_mut().for_each(|value| *value = stream.between(-bound, bound));
                }
                _ => {}
            }
            let is_weight = is_kernel && !matches!(layer, Layer::Norm { .. });
            all.push(Initial { name, shape, values, is_weight });
        }
    }
}

fn stream(seed: u64, name: &str) -> Stream {
    let digest = Sha256::digest(name.as_bytes());
    let word = digest.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte));
    Stream::new(seed, Purpose::Initial, word, 0)
}
