//! The one builder of convolution blocks. Plain and residual nets differ by one value of
//! [`Block::shortcut`], BatchNorm on and off by another, so that they share every parameter.

use super::{Activation, Layer, Shortcut};

/// What all blocks of a net have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Normalisation after each convolution; none gives convolutions a bias.
    pub norm: Option<BatchNorm>,
    /// Non-linearity.
    pub activation: Activation,
    /// Whether there is a way around each block, and by what it is multiplied.
    pub shortcut: Option<f64>,
}

/// The constants of batch normalisation.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchNorm {
    pub eps: f64,
    pub momentum: f64,
}

impl Block {
    /// Convolution and normalisation, `conv` and `bn` being their names.
    pub fn conv(
        &self,
        [conv, bn]: [String; 2],
        [inputs, outputs]: [usize; 2],
        stride: usize,
    ) -> Vec<Layer> {
        let bias = self.norm.is_none();
        let mut layers = vec![Layer::Conv { name: conv, inputs, outputs, kernel: 3, stride, bias }];
        if let Some(BatchNorm { eps, momentum }) = self.norm {
            layers.push(Layer::BatchNorm { name: bn, channels: outputs, eps, momentum });
        }
        layers
    }

    /// Two 3×3 convolutions, non-linearity between them and after the addition
    /// (1512.03385 Fig. 2 and §4.2).
    pub fn basic(&self, name: &str, [inputs, outputs]: [usize; 2], stride: usize) -> Vec<Layer> {
        let names = |n: usize| [format!("{name}.conv{n}"), format!("{name}.bn{n}")];
        let mut layers = self.conv(names(1), [inputs, outputs], stride);
        layers.push(Layer::Activation(self.activation));
        layers.extend(self.conv(names(2), [outputs, outputs], 1));
        if let Some(scale) = self.shortcut {
            let shortcut = if stride == 1 && inputs == outputs {
                Shortcut::Identity
            } else {
                Shortcut::Pad { stride, inputs, outputs }
            };
            layers = vec![Layer::Residual { branch: layers, shortcut, scale }];
        }
        layers.push(Layer::Activation(self.activation));
        layers
    }
}
