//! Multilayer perceptrons: fully connected layers of equal width, plain or with a shortcut around every
//! few of them. Normalisation comes between the affine map and the non-linearity (1502.03167 §3.2), or in plain ones
//! after the non-linearity.

use super::block::{
    ActivationOrder, Block, BlockBuilder, BlockKind, Scalars, ShortcutOption, ShortcutPad,
    ShortcutRule,
};
use super::branch::{BRANCH, BranchEnd, BranchKeys};
use super::keys::{self, ALWAYS, InitName, NORMALISED, NormKeys, NormName, joined};
use super::stages::MOST_LAYERS;
use super::{Activation, Dims, Family, FamilyKeys, InvalidKey, Layer, Network};
use fathom_base::choice;
use fathom_base::key::{Default, Key, Kind, key};
use serde::Deserialize;

/// A family of multilayer perceptrons.
pub(super) struct Mlp {
    name: &'static str,
    help: &'static str,
    keys: &'static [Key],
    is_residual: bool,
}

/// Perceptrons without shortcuts.
pub(super) static MLP: Mlp = Mlp {
    name: "mlp",
    help: "multilayer perceptrons: fully connected layers, any depth",
    keys: &WITHOUT_SHORTCUT,
    is_residual: false,
};

/// Perceptrons with shortcuts.
pub(super) static RESIDUAL_MLP: Mlp = Mlp {
    name: "residual-mlp",
    help: "multilayer perceptrons with an identity shortcut around every two layers (or `skip` of them)",
    keys: &WITH_SHORTCUT,
    is_residual: true,
};

#[rustfmt::skip]
const SHAPE: [Key; 2] = [
    key("network.depth", Kind::Count(1, MOST_LAYERS as u64), Default::Required, ALWAYS,
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

choice! {
    /// Words of `network.norm_place`.
    #[derive(Default)]
    enum NormPlace {
        /// Between the affine map and the non-linearity (1502.03167 §3.2).
        #[default]
        BeforeActivation,
        /// After the non-linearity.
        AfterActivation,
    }
}

#[rustfmt::skip]
const NORM_PLACE: [Key; 1] = [
    key("network.norm_place", Kind::Choice(NormPlace::WORDS), Default::Word(NormPlace::BeforeActivation.word()), NORMALISED,
        "place of the normalisation; before-activation: between the affine map and the activation (1502.03167); \
         after-activation: after both, and the affine map has a bias"),
];

static WITHOUT_SHORTCUT: [Key; 10] = joined(&[
    &SHAPE,
    &keys::norm(NormName::Batch),
    &NORM_PLACE,
    &[keys::activation(Activation::Relu)],
    &keys::init(InitName::HeFanOut, false),
]);

static WITH_SHORTCUT: [Key; 14] = joined(&[
    &SHAPE,
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu)],
    &keys::init(InitName::HeFanOut, true),
    &SHORTCUT,
    &BRANCH,
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
    #[serde(rename = "network.norm_place", default)]
    norm_place: NormPlace,
    /// Plain perceptrons do not have this key; they have the layout of the default.
    #[serde(rename = "network.skip", default = "two")]
    skip: usize,
    #[serde(rename = "network.shortcut_scale", default)]
    scale: f64,
    #[serde(flatten)]
    branch: BranchKeys,
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
        let (option, pad) = (ShortcutOption::A, ShortcutPad::Behind);
        let single = BlockBuilder {
            norm: values.norm.norm(),
            scalars: Scalars::None,
            branch_end: BranchEnd::Plain,
            dropout: 0.0,
            dirac: false,
            activation: values.activation,
            shortcut: None,
            kind: BlockKind::Linear(1),
            order: ActivationOrder::Original,
        };
        let scalars = values.norm.scalars()?;
        let spanned = BlockBuilder {
            scalars,
            branch_end: values.branch.end(scalars, single.norm.is_some())?,
            shortcut: self.is_residual.then_some(ShortcutRule { option, pad, scale: values.scale }),
            kind: BlockKind::Linear(values.skip),
            ..single
        };
        let mut layers = layers(&values, &single, &spanned, input, classes);
        values.branch.set_survival(&mut layers);
        match values.norm_place {
            NormPlace::BeforeActivation => {}
            NormPlace::AfterActivation => normalise_after_activation(&mut layers),
        }
        Ok(Network { input, classes, init: values.norm.init(), gain: values.norm.gain(), layers })
    }
}

/// Exchanges each normalisation with the activation after it. β no longer acts as a bias of the affine map, which
/// therefore gets one of its own.
fn normalise_after_activation(layers: &mut [Layer]) {
    for at in 2..layers.len() {
        if let [Layer::Linear { bias, .. }, Layer::Norm { .. }, Layer::Activation(_)] =
            &mut layers[at - 2..=at]
        {
            *bias = true;
            layers.swap(at - 1, at);
        }
    }
}

/// Layers without a shortcut, blocks of `skip` layers, and the classifier.
fn layers(
    values: &Values,
    single: &BlockBuilder,
    spanned: &BlockBuilder,
    input: Dims,
    classes: usize,
) -> Vec<Layer> {
    let mut layers = vec![Layer::Flatten];
    let mut inputs = input.iter().product();
    // The first layer changes the width, so it has no shortcut; the last is the classifier.
    let hidden = values.depth.saturating_sub(2);
    let singles = if values.depth > 1 { 1 + hidden % values.skip } else { 0 };
    for number in 0..singles + hidden / values.skip {
        let builder = if number < singles { single } else { spanned };
        layers.extend(builder.layers(Block {
            name: &format!("layer{}", number + 1),
            inputs,
            channels: values.width,
            stride: 1,
            is_first: number == 0,
        }));
        inputs = values.width;
    }
    layers.extend(spanned.shift("bias".into()));
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
    fn normalisation_comes_before_or_after_the_activation() {
        let kinds = |set| {
            let layers = net(&MLP, set).layers;
            let kind = |layer: &Layer| {
                let is = [
                    ("affine", matches!(layer, Layer::Linear { bias: true, .. })),
                    ("linear", matches!(layer, Layer::Linear { bias: false, .. })),
                    ("norm", matches!(layer, Layer::Norm { .. })),
                    ("activation", matches!(layer, Layer::Activation(_))),
                ];
                is.into_iter().find(|(_, holds)| *holds).map_or("other", |(name, _)| name)
            };
            layers.iter().map(kind).collect::<Vec<_>>()
        };
        let before = kinds(json!({ "depth": 3 }));
        assert_eq!(before[1..4], ["linear", "norm", "activation"]);
        let after = kinds(json!({ "depth": 3, "norm_place": "after-activation" }));
        let block = ["affine", "activation", "norm"];
        assert_eq!(after[1..], [&block[..], &block[..], &["affine"]].concat());
        // A bias of 128 units in each of two layers.
        let count = |set| net(&MLP, set).parameter_count();
        let more = count(json!({ "depth": 3, "norm_place": "after-activation" }));
        assert_eq!(more - count(json!({ "depth": 3 })), 2 * 128);
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
