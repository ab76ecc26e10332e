//! LeNet as in textbooks: two 5×5 convolutions, each followed by a pool, and three fully connected
//! layers, with sigmoids. Normalisation comes after the convolution or the affine map and before the
//! non-linearity; the layers before it keep their biases.

use super::check::output;
use super::keys::{self, ALWAYS, InitName, NormKeys, NormName, joined};
use super::{Activation, Dims, Family, FamilyKeys, InvalidKey, Layer, Network};
use fathom_base::choice;
use fathom_base::key::{Default, Key, Kind, key};
use serde::Deserialize;

/// The family of LeNet.
pub(super) struct LeNet;

/// The only instance.
pub(super) static LENET: LeNet = LeNet;

choice! {
    /// Words of `network.pool`.
    enum Pool {
        /// Mean.
        Average,
        /// Maximum.
        Max,
    }
}

#[rustfmt::skip]
const SHAPE: [Key; 2] = [
    key("network.padding", Kind::Count(0, 2), Default::Count(2), ALWAYS,
        "zero padding of the first convolution in pixels; 2 makes 28x28 images as large as the original's 32x32"),
    key("network.pool", Kind::Choice(Pool::WORDS), Default::Word(Pool::Average.word()), ALWAYS,
        "kind of the 2x2 pooling"),
];

static KEYS: [Key; 9] = joined(&[
    &SHAPE,
    &keys::norm(NormName::None),
    &[keys::activation(Activation::Sigmoid)],
    &keys::init(InitName::Xavier, false),
]);

/// Side of the kernels.
const KERNEL: usize = 5;
/// Channels of the convolutions.
const CHANNELS: [usize; 2] = [6, 16];
/// Units of the fully connected layers except the last.
const UNITS: [usize; 2] = [120, 84];

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "network.padding")]
    padding: usize,
    #[serde(rename = "network.pool")]
    pool: Pool,
    #[serde(rename = "network.activation")]
    activation: Activation,
    #[serde(flatten)]
    norm: NormKeys,
}

impl Family for LeNet {
    fn name(&self) -> &'static str {
        "lenet"
    }

    fn help(&self) -> &'static str {
        "LeNet: two convolutions and three fully connected layers, with or without normalisation"
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    fn build(&self, keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey> {
        let values: Values = keys::typed(keys)?;
        let activation = Layer::Activation(values.activation);
        let (mut layers, mut inputs, mut padding) = (Vec::new(), input[0], values.padding);
        for (number, outputs) in (1..).zip(CHANNELS) {
            let name = format!("conv{number}");
            let (kernel, stride) = (KERNEL, 1);
            layers.push(Layer::Conv {
                name,
                inputs,
                outputs,
                kernel,
                stride,
                padding,
                bias: true,
                dirac: false,
            });
            layers.extend(values.norm.layer(format!("bn{number}"), outputs));
            layers.push(activation.clone());
            layers.push(match values.pool {
                Pool::Average => Layer::AvgPool { kernel: 2 },
                Pool::Max => Layer::MaxPool { kernel: 2, stride: 2, padding: 0 },
            });
            (inputs, padding) = (outputs, 0);
        }
        layers.push(Layer::Flatten);
        // The check of the whole net reports images that are too small.
        let mut inputs = output(&layers, input).map_or(1, |dims| dims.iter().product());
        for (number, outputs) in (1..).zip(UNITS) {
            let name = format!("fc{number}");
            layers.push(Layer::Linear { name, inputs, outputs, bias: true });
            layers.extend(values.norm.layer(format!("bn{}", CHANNELS.len() + number), outputs));
            layers.push(activation.clone());
            inputs = outputs;
        }
        layers.push(Layer::Linear { name: "fc3".into(), inputs, outputs: classes, bias: true });
        Ok(Network { input, classes, init: values.norm.init(), gain: values.norm.gain(), layers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::complete;
    use serde_json::json;

    fn net(set: serde_json::Value, side: usize) -> Result<Network, InvalidKey> {
        let net = LENET.build(&complete(&LENET, set), [1, side, side], 10)?;
        net.check().map(|()| net)
    }

    #[test]
    fn parameters_are_the_textbooks() {
        let count = |set| net(set, 28).unwrap().parameter_count();
        assert_eq!(count(json!({})), 61_706);
        assert_eq!(count(json!({ "norm": "batch" })), 62_158);
        assert_eq!(count(json!({ "padding": 0 })), 44_426);
        assert_eq!(count(json!({ "padding": 0, "norm": "batch" })), 44_878);
        // 6 maps of 28×28 from 5×5, 16 of 10×10 from 6×5×5, and the affine maps.
        let by_hand = 6 * 784 * 25 + 16 * 100 * 150 + 400 * 120 + 120 * 84 + 840;
        assert_eq!(net(json!({}), 28).unwrap().audit().macs, by_hand);
    }

    #[test]
    fn images_that_are_too_small_are_refused_with_the_smallest_that_fit() {
        let error = net(json!({}), 10).unwrap_err().to_string();
        assert!(error.contains("too small") && error.contains("valid size is 12×12"), "{error}");
        net(json!({}), 12).unwrap();
    }
}
