//! Multi-layer perceptrons: fully connected layers of equal width, plain and with a shortcut around
//! every few of them. Normalisation stands between the affine map and the non-linearity
//! (1502.03167 §3.2).

use super::block::{Around, Block, BlockShape, Order, Place, Scalars, ShortcutOption};
use super::keys::{self, ALWAYS, InitName, NormKeys, NormName, joined};
use super::{Activation, Dims, Family, FamilyKeys, InvalidKey, Layer, Network};
use fathom_base::key::{Default, Key, Kind, key};
use serde::Deserialize;

/// A family of this module.
pub(super) struct Mlp {
    name: &'static str,
    help: &'static str,
    keys: &'static [Key],
    is_residual: bool,
}

/// Perceptrons without shortcuts.
pub(super) static MLP: Mlp = Mlp {
    name: "mlp",
    help: "fully connected layers, any depth",
    keys: &WITHOUT_SHORTCUT,
    is_residual: false,
};

/// Perceptrons with shortcuts.
pub(super) static RESIDUAL_MLP: Mlp = Mlp {
    name: "residual-mlp",
    help: "the same with an identity shortcut around every two layers (or `skip` of them)",
    keys: &WITH_SHORTCUT,
    is_residual: true,
};

#[rustfmt::skip]
const SHAPE: [Key; 2] = [
    key("network.depth", Kind::Count(1, 100_000), Default::Required, ALWAYS,
        "number of fully connected layers, including the output layer"),
    key("network.width", Kind::Count(1, 65_536), Default::Count(128), ALWAYS,
        "number of units in every layer except the output layer"),
];

#[rustfmt::skip]
const SHORTCUT: [Key; 2] = [
    key("network.skip", Kind::Count(1, 1000), Default::Count(2), ALWAYS,
        "number of layers that each shortcut spans; a remainder of layers comes first, without a shortcut"),
    key("network.shortcut_scale", Kind::Number(-1e6, 1e6), Default::Number(1.0), ALWAYS,
        "constant factor of every shortcut; 0 gives the plain net"),
];

static WITHOUT_SHORTCUT: [Key; 8] = joined(&[
    &SHAPE,
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu), keys::init(InitName::HeFanOut, false)],
]);

static WITH_SHORTCUT: [Key; 10] = joined(&[
    &SHAPE,
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu), keys::init(InitName::HeFanOut, true)],
    &SHORTCUT,
]);

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "network.depth")]
    depth: usize,
    #[serde(rename = "network.width")]
    width: usize,
    #[serde(rename = "network.activation")]
    activation: Activation,
    #[serde(flatten)]
    norm: NormKeys,
    /// Perceptrons without shortcuts are laid out as those with the default.
    #[serde(rename = "network.skip", default = "two")]
    skip: usize,
    #[serde(rename = "network.shortcut_scale", default)]
    scale: f64,
}

fn two() -> usize {
    2
}

impl Family for Mlp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn keys(&self) -> &'static [Key] {
        self.keys
    }

    fn build(&self, keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey> {
        let values: Values = keys::typed(keys)?;
        let option = ShortcutOption::Identity { split: false };
        let single = Block {
            norm: values.norm.norm(),
            scalars: Scalars::None,
            activation: values.activation,
            around: None,
            shape: BlockShape::Linear(1),
            order: Order::Original,
        };
        let block = Block {
            scalars: values.norm.scalars()?,
            around: self.is_residual.then_some(Around { option, scale: values.scale }),
            shape: BlockShape::Linear(values.skip),
            ..single
        };
        let layers = layers(&values, &single, &block, input, classes);
        Ok(Network { input, classes, init: values.norm.init(), layers })
    }
}

/// Layers without shortcut, blocks, classifier.
fn layers(
    values: &Values,
    single: &Block,
    block: &Block,
    input: Dims,
    classes: usize,
) -> Vec<Layer> {
    let mut layers = vec![Layer::Flatten];
    let mut inputs = input.iter().product();
    // The first layer changes the width; the layers between it and the last are the blocks'.
    let between = values.depth.saturating_sub(2);
    let alone = if values.depth > 1 { 1 + between % values.skip } else { 0 };
    for number in 0..alone + between / values.skip {
        let builder = if number < alone { single } else { block };
        layers.extend(builder.layers(Place {
            name: &format!("layer{}", number + 1),
            inputs,
            channels: values.width,
            stride: 1,
            is_first: number == 0,
        }));
        inputs = values.width;
    }
    layers.extend(block.shift("bias".into()));
    layers.push(Layer::Linear { name: "fc".into(), inputs, outputs: classes, bias: true });
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::complete;
    use serde_json::json;

    fn net(family: &Mlp, set: serde_json::Value) -> Network {
        let keys = complete(family, set);
        let net = family.build(&keys, [1, 28, 28], 10).unwrap();
        net.check().unwrap();
        net
    }

    /// Layers with weights.
    fn depth(net: &Network) -> usize {
        let audit = net.audit();
        audit.layers.iter().filter(|row| row.kind == "fully connected").count()
    }

    #[test]
    fn every_depth_is_there_and_counts_as_by_hand() {
        for family in [&MLP, &RESIDUAL_MLP] {
            for layers in 1..12 {
                let net = net(family, json!({ "depth": layers, "width": 7 }));
                assert_eq!(depth(&net), layers);
                let between = layers.saturating_sub(2) as u64;
                // 784 → 7 with γ and β in place of a bias, 7 → 7, and 7 → 10 with a bias.
                let by_hand = 784 * 7 + 14 + between * (49 + 14) + 80;
                let expected = if layers == 1 { 7850 } else { by_hand };
                assert_eq!(net.parameter_count(), expected, "{}-{layers}", family.name);
                let macs = if layers == 1 { 7840 } else { 784 * 7 + between * 49 + 70 };
                assert_eq!(net.audit().macs, macs);
            }
        }
    }

    #[test]
    fn shortcuts_go_around_so_many_layers() {
        let shortcuts = |set| {
            let audit = net(&RESIDUAL_MLP, set).audit();
            audit.layers.iter().filter(|row| row.name == "shortcut").count()
        };
        assert_eq!(shortcuts(json!({ "depth": 10 })), 4);
        assert_eq!(shortcuts(json!({ "depth": 11 })), 4);
        assert_eq!(shortcuts(json!({ "depth": 11, "skip": 1 })), 9);
        assert_eq!(shortcuts(json!({ "depth": 2 })), 0);
    }

    #[test]
    fn plain_and_residual_share_their_initial_weights() {
        let set = || json!({ "depth": 9, "width": 5 });
        let (plain, residual) = (net(&MLP, set()).initial(1), net(&RESIDUAL_MLP, set()).initial(1));
        assert_eq!(plain, residual);
    }
}
