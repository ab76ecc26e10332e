//! The layers with weights and what follows them, on which their statistics depend.

use super::{Activation, Layer, Network, Norm, Shortcut};

/// A convolution or a fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightLayer {
    /// Name of the layer: prefix of its parameters.
    pub name: String,
    /// The normalisation of its response.
    pub norm: Option<Norm>,
    /// The activation of its response, after a residual addition if the layer ends a branch.
    pub activation: Option<Activation>,
}

/// The layers so far, and which of them what follows belongs to.
#[derive(Default)]
struct Walk {
    found: Vec<WeightLayer>,
    /// Index of the layer that a normalisation would belong to.
    responding: Option<usize>,
    /// Index of the layer that an activation would belong to.
    unactivated: Option<usize>,
}

impl Network {
    /// The layers with weights in the order of application, those of a branch before those of its projection.
    /// Statistics of layers count them from 1.
    pub fn weight_layers(&self) -> Vec<WeightLayer> {
        let mut walk = Walk::default();
        walk.chain(&self.layers);
        walk.found
    }
}

impl Walk {
    fn chain(&mut self, layers: &[Layer]) {
        self.close();
        layers.iter().for_each(|layer| self.layer(layer));
    }

    fn layer(&mut self, layer: &Layer) {
        match layer {
            Layer::Conv { name, .. } | Layer::Linear { name, .. } => {
                let name = name.clone();
                self.found.push(WeightLayer { name, norm: None, activation: None });
                self.responding = Some(self.found.len() - 1);
                self.unactivated = self.responding;
            }
            Layer::Norm { norm, .. } => {
                if let Some(index) = self.responding {
                    self.found[index].norm = Some(*norm);
                }
            }
            Layer::Activation(activation) => {
                if let Some(index) = self.unactivated {
                    self.found[index].activation = Some(*activation);
                }
                self.close();
            }
            Layer::Residual { branch, shortcut, .. } => {
                self.chain(branch);
                let last = self.unactivated;
                if let Shortcut::Project(layers) = shortcut {
                    self.chain(layers);
                }
                self.close();
                self.unactivated = last;
            }
            Layer::Concat { branch, .. } => {
                self.chain(branch);
                self.close();
            }
            Layer::MaxPool { .. }
            | Layer::AvgPool { .. }
            | Layer::Flatten
            | Layer::GlobalAvgPool => self.close(),
            Layer::Dropout { .. } | Layer::Scale { .. } | Layer::Shift { .. } => {}
        }
    }

    /// What follows belongs to no layer before it.
    fn close(&mut self) {
        (self.responding, self.unactivated) = (None, None);
    }
}
