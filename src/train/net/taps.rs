//! What passes through a net, layer by layer.
//!
//! A pass of its own over the network's description, in which nothing is fused, done in place or
//! recorded, and which moves no averages: so everything can be looked at, and training goes on as
//! if nobody had looked. Dropout leaves nothing out here.

use super::norm::over_groups;
use crate::parameters::Parameters;
use fathom_arch::{Activation, Layer, Network, Norm, Shortcut};
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// A layer with weights, as images passed through it.
pub struct Seen {
    /// Its name, without `.weight`.
    pub name: String,
    /// Its output behind its normalisation, before addition and non-linearity (1512.03385,
    /// Fig. 7).
    pub response: Tensor,
    /// The same behind addition and non-linearity, where these follow.
    pub behind: Tensor,
    /// Whether a ReLU follows.
    pub is_rectified: bool,
    /// Its normalisation, where that is over the batch or of another kind.
    pub norm: Option<SeenNorm>,
}

/// The normalisation of a layer.
pub struct SeenNorm {
    /// Prefix of its parameters.
    pub name: String,
    /// Mean and unbiased variance of each channel over the batch; for batch normalisation.
    pub batch: Option<[Tensor; 2]>,
}

/// Moving averages of mean and variance by name (`bn1.running_mean`).
pub type Averages = HashMap<String, Tensor>;

/// A pass through a net.
pub struct Pass {
    /// Images × classes.
    pub logits: Tensor,
    /// Layers with weights, a branch before the way around it.
    pub layers: Vec<Seen>,
}

/// Passes images (n × channels × rows × columns) through a net: with the statistics of this batch,
/// or with these averages.
pub fn observe(
    network: &Network,
    parameters: &Parameters,
    averages: Option<&Averages>,
    images: &Tensor,
) -> Pass {
    let mut walk = Walk { parameters, averages, layers: Vec::new(), responding: None, ahead: None };
    let logits = walk.chain(&network.layers, images.shallow_clone());
    Pass { logits, layers: walk.layers }
}

struct Walk<'a> {
    parameters: &'a Parameters,
    averages: Option<&'a Averages>,
    layers: Vec<Seen>,
    /// The layer to whose response what comes next still belongs.
    responding: Option<usize>,
    /// The layer whose non-linearity may still come.
    ahead: Option<usize>,
}

impl Walk<'_> {
    fn chain(&mut self, layers: &[Layer], x: Tensor) -> Tensor {
        layers.iter().fold(x, |x, layer| self.layer(layer, &x))
    }

    fn layer(&mut self, layer: &Layer, x: &Tensor) -> Tensor {
        let leaf = |name: String| self.parameters.leaf(&name);
        match layer {
            Layer::Conv { name, stride, padding, bias, .. } => {
                let [stride, padding] = [stride, padding].map(|n| [*n as i64; 2]);
                let weight = leaf(format!("{name}.weight"));
                let bias = bias.then(|| leaf(format!("{name}.bias")));
                let y = x.conv2d(&weight, bias.as_ref(), stride, padding, [1, 1], 1);
                self.begin(name, y)
            }
            Layer::Linear { name, bias, .. } => {
                let weight = leaf(format!("{name}.weight"));
                let bias = bias.then(|| leaf(format!("{name}.bias")));
                self.begin(name, x.linear(&weight, bias.as_ref()))
            }
            Layer::Norm { name, norm, .. } => {
                let y = self.normalise(name, *norm, x);
                if let Some(place) = self.responding {
                    let is_batch = matches!(norm, Norm::Batch { .. });
                    let batch = is_batch.then(|| statistics(x));
                    self.layers[place].norm = Some(SeenNorm { name: name.clone(), batch });
                }
                self.respond(y)
            }
            Layer::Scale { name, .. } => self.respond(x * leaf(name.clone())),
            Layer::Shift { name } => self.respond(x + leaf(name.clone())),
            Layer::Activation(activation) => {
                let y = match activation {
                    Activation::Relu => x.relu(),
                    Activation::Sigmoid => x.sigmoid(),
                };
                if let Some(place) = self.ahead {
                    self.layers[place].behind = y.shallow_clone();
                    self.layers[place].is_rectified = *activation == Activation::Relu;
                }
                self.close();
                y
            }
            Layer::Residual { branch, shortcut, scale } => {
                self.close();
                let through = self.chain(branch, x.shallow_clone());
                let last = self.ahead;
                self.close();
                let y = through + self.around(shortcut, x) * *scale;
                self.close();
                if let Some(place) = last {
                    self.layers[place].behind = y.shallow_clone();
                }
                self.ahead = last;
                y
            }
            Layer::Concat { branch } => {
                self.close();
                let y = Tensor::cat(&[x, &self.chain(branch, x.shallow_clone())], 1);
                self.close();
                y
            }
            Layer::Dropout { .. } => x.shallow_clone(),
            Layer::MaxPool { kernel, stride, padding } => {
                self.close();
                let [kernel, stride, padding] = [kernel, stride, padding].map(|n| [*n as i64; 2]);
                x.max_pool2d(kernel, stride, padding, [1, 1], false)
            }
            Layer::AvgPool { kernel } => {
                self.close();
                let side = [*kernel as i64; 2];
                x.avg_pool2d(side, side, [0, 0], false, true, None::<i64>)
            }
            Layer::Flatten => {
                self.close();
                x.flatten(1, -1)
            }
            Layer::GlobalAvgPool => {
                self.close();
                x.mean_dim([2i64, 3].as_slice(), false, x.kind())
            }
        }
    }

    fn around(&mut self, shortcut: &Shortcut, x: &Tensor) -> Tensor {
        match shortcut {
            Shortcut::Identity => x.shallow_clone(),
            Shortcut::Pad { stride, inputs, outputs, split } => {
                let new = (outputs - inputs) as i64;
                let front = if *split { new / 2 } else { 0 };
                let stride = *stride as i64;
                let kept = x.slice(2, None, None, stride).slice(3, None, None, stride);
                kept.constant_pad_nd([0, 0, 0, 0, front, new - front])
            }
            Shortcut::Project(layers) => self.chain(layers, x.shallow_clone()),
        }
    }

    fn normalise(&self, name: &str, norm: Norm, x: &Tensor) -> Tensor {
        let leaf = |part: &str| self.parameters.leaf(&format!("{name}.{part}"));
        let [gamma, beta] = [leaf("weight"), leaf("bias")];
        match norm {
            Norm::Batch { eps, .. } => {
                let average =
                    |part: &str| self.averages.map(|averages| &averages[&format!("{name}.{part}")]);
                let (mean, variance) = (average("running_mean"), average("running_var"));
                let is_training = self.averages.is_none();
                let scale = (Some(&gamma), Some(&beta));
                x.batch_norm(scale.0, scale.1, mean, variance, is_training, 0.0, eps, true)
            }
            Norm::Group { groups, eps } => over_groups(x, groups as i64, [&gamma, &beta], eps),
            Norm::Layer { eps } => over_groups(x, 1, [&gamma, &beta], eps),
        }
    }

    /// The output of a layer with weights.
    fn begin(&mut self, name: &str, y: Tensor) -> Tensor {
        self.responding = Some(self.layers.len());
        self.ahead = self.responding;
        self.layers.push(Seen {
            name: name.to_owned(),
            response: y.shallow_clone(),
            behind: y.shallow_clone(),
            is_rectified: false,
            norm: None,
        });
        y
    }

    /// What follows a layer with weights and belongs to its response.
    fn respond(&mut self, y: Tensor) -> Tensor {
        if let Some(place) = self.responding {
            self.layers[place].response = y.shallow_clone();
            self.layers[place].behind = y.shallow_clone();
        }
        y
    }

    /// What comes next belongs to no layer before.
    fn close(&mut self) {
        self.responding = None;
        self.ahead = None;
    }
}

/// Mean and unbiased variance of each channel, over images, rows and columns.
fn statistics(x: &Tensor) -> [Tensor; 2] {
    let x = x.detach().to_kind(Kind::Float);
    let over: Vec<i64> = (0..x.dim() as i64).filter(|axis| *axis != 1).collect();
    let mean = x.mean_dim(over.as_slice(), false, Kind::Float);
    [mean, x.var_dim(over.as_slice(), true, false)]
}

#[cfg(test)]
mod tests;
