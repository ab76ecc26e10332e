//! Recorder of the values of layers with weights in a forward pass.

use super::{Affine, Module, Moments, Normalisation};
use fathom_arch::Activation;
use tch::Tensor;

/// Result of a tapped forward pass.
pub struct Tapped {
    /// Logits (images × classes).
    pub logits: Tensor,
    /// Layers with weights in the order of the forward pass, a branch before its shortcut.
    pub layers: Vec<LayerTap>,
}

/// Values of one convolution or fully connected layer in a forward pass (images × channels × …).
pub struct LayerTap {
    /// Name of the layer: prefix of its parameters.
    pub name: String,
    /// Response: the output after normalisation, before the residual addition and the activation
    /// (1512.03385, Fig. 7).
    pub response: Tensor,
    /// The response after the residual addition and the activation, where these follow.
    pub output: Tensor,
    /// Whether the activation that follows is ReLU.
    pub is_rectified: bool,
    /// The normalisation that follows.
    pub norm: Option<NormTap>,
}

/// The normalisation of a layer in a forward pass.
pub struct NormTap {
    /// Scale of each channel.
    pub gamma: Tensor,
    /// Shift of each channel.
    pub beta: Tensor,
    /// Statistics of batch normalisation.
    pub batch: Option<BatchTap>,
}

/// Statistics of a batch normalisation in a forward pass.
pub struct BatchTap {
    /// Moments of the batch that was normalised.
    pub batch: Moments,
    /// Running averages, sharing memory with the net.
    pub running: Moments,
}

/// The recorder.
#[derive(Default)]
pub struct Taps {
    pub layers: Vec<LayerTap>,
    /// Index of the layer whose response the next module may still change.
    responding: Option<usize>,
    /// Index of the layer whose activation may still follow.
    unactivated: Option<usize>,
}

impl Taps {
    /// Values at the start of a branch belong to no layer yet.
    pub fn begin_chain(&mut self) {
        self.close();
    }

    /// Records the module that turned `x` into `y`.
    pub fn record(&mut self, module: &Module, x: &Tensor, y: &Tensor) {
        match module {
            Module::Conv { affine: Affine { name, .. }, .. }
            | Module::Linear(Affine { name, .. }) => self.begin_layer(name, y),
            Module::Norm(norm) => {
                if let Some(layer) = self.respond(y) {
                    layer.norm = Some(NormTap::new(norm, x));
                }
            }
            Module::Scale(_) | Module::Shift(_) => {
                self.respond(y);
            }
            Module::Activation(activation) => {
                if let Some(index) = self.unactivated {
                    self.layers[index].output = y.shallow_clone();
                    self.layers[index].is_rectified = *activation == Activation::Relu;
                }
                self.close();
            }
            // Dropout is off, and `add` has recorded the residual addition.
            Module::Dropout { .. } | Module::Residual { .. } => {}
            Module::MaxPool { .. }
            | Module::AvgPool { .. }
            | Module::Concat { .. }
            | Module::Flatten
            | Module::GlobalAvgPool => self.close(),
        }
    }

    /// Index of the layer whose response leaves a residual branch, if the last one does so without
    /// activation.
    pub fn end_branch(&mut self) -> Option<usize> {
        self.unactivated
    }

    /// Records a residual addition as what follows the layer with the index `last`.
    pub fn add(&mut self, last: Option<usize>, sum: &Tensor) {
        self.close();
        if let Some(index) = last {
            self.layers[index].output = sum.shallow_clone();
        }
        self.unactivated = last;
    }

    fn begin_layer(&mut self, name: &str, y: &Tensor) {
        self.responding = Some(self.layers.len());
        self.unactivated = self.responding;
        self.layers.push(LayerTap {
            name: name.to_owned(),
            response: y.shallow_clone(),
            output: y.shallow_clone(),
            is_rectified: false,
            norm: None,
        });
    }

    /// Replaces the response of the current layer, if there is one.
    fn respond(&mut self, y: &Tensor) -> Option<&mut LayerTap> {
        let layer = &mut self.layers[self.responding?];
        layer.response = y.shallow_clone();
        layer.output = y.shallow_clone();
        Some(layer)
    }

    /// Following values belong to no layer before them.
    fn close(&mut self) {
        self.responding = None;
        self.unactivated = None;
    }
}

impl NormTap {
    fn new(norm: &Normalisation, x: &Tensor) -> Self {
        let batch = norm.running().map(|running| BatchTap {
            batch: Moments::of(x),
            running: Moments {
                mean: running.mean.shallow_clone(),
                variance: running.variance.shallow_clone(),
            },
        });
        Self { gamma: norm.gamma.shallow_clone(), beta: norm.beta.shallow_clone(), batch }
    }
}

#[cfg(test)]
mod tests;
