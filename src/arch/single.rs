//! A single block, plain or residual, whose output is an image of the shape of its input. It shows
//! which functions such a block fits easily. 1512.03385 §3.1: "if the optimal function is
//! closer to an identity mapping than to a zero mapping, it should be easier for the solver to find
//! the perturbations with reference to an identity mapping, than to learn the function as a new
//! one."

use super::block::Weights;
use super::keys::{self, ALWAYS, InitName, NormKeys, NormName, joined};
use super::{Activation, Dims, Family, FamilyKeys, InvalidKey, Layer, Network, Shortcut};
use fathom_base::key::{Default, Key, Kind, key};
use serde::Deserialize;

/// A family of single blocks.
pub(super) struct SingleBlock {
    is_residual: bool,
}

/// The block without a shortcut.
pub(super) static PLAIN_BLOCK: SingleBlock = SingleBlock { is_residual: false };
/// The block with an identity shortcut.
pub(super) static RESIDUAL_BLOCK: SingleBlock = SingleBlock { is_residual: true };

#[rustfmt::skip]
const WIDTH: [Key; 1] = [
    key("network.width", Kind::Count(1, 4096), Default::Count(32), ALWAYS,
        "number of channels between the two convolutions of the block"),
];

static KEYS: [Key; 7] =
    joined(&[&WIDTH, &keys::norm(NormName::Batch), &keys::init(InitName::HeFanOut, false)]);

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "network.width")]
    width: usize,
    #[serde(flatten)]
    norm: NormKeys,
}

impl Family for SingleBlock {
    fn name(&self) -> &'static str {
        if self.is_residual { "residual-block" } else { "plain-block" }
    }

    fn help(&self) -> &'static str {
        if self.is_residual {
            "one block of two 3x3 convolutions with a shortcut, from image to image"
        } else {
            "one block of two 3x3 convolutions, from image to image"
        }
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    /// The outputs are the values of an image; the number of classes has no effect.
    fn build(&self, keys: &FamilyKeys, input: Dims, _: usize) -> Result<Network, InvalidKey> {
        let Values { width, norm } = keys::typed(keys)?;
        let (channels, init, gain) = (input[0], norm.init(), norm.gain());
        let mut branch = Vec::new();
        for (number, inputs, outputs) in [(1, channels, width), (2, width, channels)] {
            let name = format!("conv{number}");
            let conv = Weights::Conv { kernel: 3, outputs, stride: 1 };
            branch.push(norm.weights(name, inputs, conv));
            branch.extend(norm.layer(format!("bn{number}"), outputs));
            if number == 1 {
                branch.push(Layer::Activation(Activation::Relu));
            }
        }
        let mut layers = match self.is_residual {
            true => vec![Layer::Residual {
                branch,
                shortcut: Shortcut::Identity,
                scale: 1.0,
                survival: 1.0,
            }],
            false => branch,
        };
        layers.push(Layer::Flatten);
        Ok(Network { input, classes: input.iter().product(), init, gain, layers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::complete;
    use serde_json::json;

    #[test]
    fn both_blocks_have_the_same_parameters_and_give_images() {
        let keys = complete(&PLAIN_BLOCK, json!({ "width": 8 }));
        let [plain, residual] =
            [&PLAIN_BLOCK, &RESIDUAL_BLOCK].map(|family| family.build(&keys, [3, 16, 16], 10));
        let (plain, residual) = (plain.unwrap(), residual.unwrap());
        assert_eq!(plain.parameters(), residual.parameters());
        assert_eq!(plain.parameter_count(), 2 * 3 * 8 * 9 + 2 * (8 + 3));
        assert!(plain.check().is_ok() && residual.check().is_ok());
        assert_eq!(plain.classes, 3 * 16 * 16);
    }
}
