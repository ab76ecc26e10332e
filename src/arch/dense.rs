//! Densely connected nets: Huang et al. 2016, 1608.06993.
//!
//! Every layer of a dense block receives the feature maps of all layers before it: BN-ReLU-3×3
//! convolution to k new maps (the growth rate), which are concatenated to its input. Bottleneck layers
//! (B) have a 1×1 convolution to 4k maps first. Between blocks a transition, BN-ReLU-1×1 convolution
//! and a 2×2 average pool, keeps a share θ of the maps (compression, C). CIFAR nets of L layers have
//! three blocks of (L−4)/3 layers, or of (L−4)/6 with bottleneck.

use super::block::Weights;
use super::keys::{self, ALWAYS, InitName, NormKeys, NormName, STEM, Stem, joined};
use super::stages::{MOST_LAYERS, blocks_per_stage, stages};
use super::{Activation, Dims, Family, FamilyKeys, InvalidKey, Layer, Network};
use fathom_base::choice;
use fathom_base::key::{Default, Key, Kind, key};
use serde::Deserialize;

/// Maps of a bottleneck, in multiples of the growth rate.
const BOTTLENECK: usize = 4;

/// The family of densely connected nets.
pub(super) struct DenseNet;

/// The only instance.
pub(super) static DENSE: DenseNet = DenseNet;

choice! {
    /// Words of `network.dropout_after`: the convolutions that dropout follows.
    enum DropoutAfter {
        /// Every convolution except the first (1608.06993, section 4.2).
        All,
        /// The 3×3 convolution of each dense layer only: neither bottlenecks nor transitions.
        Conv3x3,
    }
}

#[rustfmt::skip]
const SHAPE: [Key; 10] = [
    key("network.depth", Kind::Count(1, MOST_LAYERS as u64), Default::Absent, ALWAYS,
        "depth in layers with weights: 3n+4 such as 40 or 100, 6n+4 with network.bottleneck; give this or network.blocks"),
    key("network.blocks", Kind::Counts, Default::Absent, ALWAYS,
        "number of dense layers in each block, instead of network.depth"),
    key("network.growth", Kind::Count(1, 4096), Default::Count(12), ALWAYS,
        "growth rate k: number of channels that each dense layer adds"),
    key("network.bottleneck", Kind::Flag, Default::Flag(false), ALWAYS,
        "whether each 3x3 convolution has a 1x1 convolution to 4k channels before it (DenseNet-B)"),
    key("network.compression", Kind::Number(0.01, 1.0), Default::Number(1.0), ALWAYS,
        "fraction of the channels that a transition keeps (DenseNet-C below 1)"),
    key("network.transitions", Kind::Flag, Default::Flag(true), ALWAYS,
        "whether a 1x1 convolution and a 2x2 average pool stand between blocks; false: all blocks have one resolution"),
    key("network.initial", Kind::Count(1, 4096), Default::Absent, ALWAYS,
        "number of channels of the first convolution; when not set, 16, or 2k with bottleneck and compression"),
    key("network.dropout", Kind::Number(0.0, 0.99), Default::Number(0.0), ALWAYS,
        "dropout probability after the convolutions of network.dropout_after; 0 for none"),
    key("network.dropout_after", Kind::Choice(DropoutAfter::WORDS), Default::Word(DropoutAfter::All.word()), ALWAYS,
        "convolutions that dropout follows; all: every one except the first, as in the paper; conv3x3: only the 3x3 \
         convolution of each dense layer, not the 1x1 ones of bottlenecks and transitions"),
    key("network.recompute", Kind::Flag, Default::Flag(false), ALWAYS,
        "whether the backward pass computes concatenations and normalisations anew (1707.06990): memory grows far \
         more slowly with depth, an update takes longer, and results are the same"),
];

static KEYS: [Key; 17] = joined(&[
    &SHAPE,
    &[STEM],
    &keys::norm(NormName::Batch),
    &keys::init(InitName::HeFanOut, false),
]);

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "network.depth")]
    depth: Option<usize>,
    #[serde(rename = "network.blocks")]
    blocks: Option<Vec<usize>>,
    #[serde(rename = "network.growth")]
    growth: usize,
    #[serde(rename = "network.bottleneck")]
    bottleneck: bool,
    #[serde(rename = "network.recompute")]
    recompute: bool,
    #[serde(rename = "network.compression")]
    compression: f64,
    #[serde(rename = "network.transitions")]
    transitions: bool,
    #[serde(rename = "network.initial")]
    initial: Option<usize>,
    #[serde(rename = "network.dropout")]
    dropout: f64,
    #[serde(rename = "network.dropout_after")]
    dropout_after: DropoutAfter,
    #[serde(rename = "network.stem")]
    stem: Stem,
    #[serde(flatten)]
    norm: NormKeys,
}

impl Values {
    /// Numbers of dense layers of each block.
    fn blocks(&self) -> Result<Vec<usize>, InvalidKey> {
        stages(self.depth, self.blocks.as_deref(), |depth| {
            let weights_per_layer = if self.bottleneck { 2 } else { 1 };
            Ok(vec![blocks_per_stage(depth, 3 * weights_per_layer, 4)?; 3])
        })
    }

    fn norm_act(&self, name: String, channels: usize) -> Vec<Layer> {
        let norm = self.norm.layer(name, channels);
        norm.into_iter().chain([Layer::Activation(Activation::Relu)]).collect()
    }

    /// A convolution of stride 1.
    fn conv(&self, name: String, kernel: usize, inputs: usize, outputs: usize) -> Layer {
        self.norm.weights(name, inputs, Weights::Conv { kernel, outputs, stride: 1 })
    }

    fn dropout(&self) -> Option<Layer> {
        (self.dropout > 0.0).then_some(Layer::Dropout { p: self.dropout })
    }

    /// Dropout after a 1×1 convolution.
    fn dropout_after_1x1(&self) -> Option<Layer> {
        match self.dropout_after {
            DropoutAfter::All => self.dropout(),
            DropoutAfter::Conv3x3 => None,
        }
    }

    /// BN-ReLU-(1×1-BN-ReLU-)3×3, concatenated to its input.
    fn dense_layer(&self, name: &str, channels: usize) -> Layer {
        let mut branch = self.norm_act(format!("{name}.norm1"), channels);
        let mut inputs = channels;
        let mut number = 1;
        if self.bottleneck {
            let inner = BOTTLENECK * self.growth;
            branch.push(self.conv(format!("{name}.conv1"), 1, channels, inner));
            branch.extend(self.dropout_after_1x1());
            branch.extend(self.norm_act(format!("{name}.norm2"), inner));
            (inputs, number) = (inner, 2);
        }
        branch.push(self.conv(format!("{name}.conv{number}"), 3, inputs, self.growth));
        branch.extend(self.dropout());
        Layer::Concat { branch, recompute: self.recompute }
    }

    fn layers(&self, blocks: &[usize], input: Dims, classes: usize) -> Vec<Layer> {
        let is_bc = self.bottleneck && self.compression < 1.0;
        let default = if is_bc { 2 * self.growth } else { 16 };
        let mut channels = self.initial.unwrap_or(default);
        let mut layers =
            vec![self.norm.weights("features.conv0".into(), input[0], self.stem.conv(channels))];
        if let Some(max_pool) = self.stem.max_pool() {
            layers.extend(self.norm_act("features.norm0".into(), channels));
            layers.push(max_pool);
        }
        for (block, count) in (1..).zip(blocks) {
            for number in 1..=*count {
                let name = format!("features.denseblock{block}.denselayer{number}");
                layers.push(self.dense_layer(&name, channels));
                channels += self.growth;
            }
            if self.transitions && block < blocks.len() {
                let name = format!("features.transition{block}");
                let kept = ((channels as f64 * self.compression) as usize).max(1);
                layers.extend(self.norm_act(format!("{name}.norm"), channels));
                layers.push(self.conv(format!("{name}.conv"), 1, channels, kept));
                layers.extend(self.dropout_after_1x1());
                layers.push(Layer::AvgPool { kernel: 2 });
                channels = kept;
            }
        }
        layers.extend(self.norm_act(format!("features.norm{}", blocks.len() + 1), channels));
        layers.push(Layer::GlobalAvgPool);
        let name = "classifier".into();
        layers.push(Layer::Linear { name, inputs: channels, outputs: classes, bias: true });
        layers
    }
}

impl Family for DenseNet {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn help(&self) -> &'static str {
        "densely connected blocks (Huang et al. 2016)"
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    fn build(&self, keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey> {
        let values: Values = keys::typed(keys)?;
        let layers = values.layers(&values.blocks()?, input, classes);
        Ok(Network { input, classes, init: values.norm.init(), gain: values.norm.gain(), layers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::complete;
    use serde_json::json;

    fn net(set: serde_json::Value, size: usize) -> Result<Network, InvalidKey> {
        let net = DENSE.build(&complete(&DENSE, set), [3, size, size], 10)?;
        net.check().map(|()| net)
    }

    #[test]
    fn the_textbook_s_blocks_add_128_channels_and_transitions_halve_them() {
        let keys = json!({ "growth": 32, "initial": 64, "blocks": [4, 4, 4, 4],
            "compression": 0.5, "stem": "imagenet" });
        let audit = net(keys, 96).unwrap().audit();
        let at = |kind: &str| -> Vec<usize> {
            let rows = audit.layers.iter().filter(|row| row.kind.starts_with(kind));
            rows.map(|row| row.output[0]).collect()
        };
        assert_eq!(at("average pool 2"), [96, 112, 120]);
        assert_eq!(at("global average pool"), [248]);
    }

    #[test]
    fn dropout_follows_all_convolutions_but_the_first_or_those_of_3x3_only() {
        let places = |dropout: f64, after: &str, bottleneck: bool| {
            let keys = json!({ "growth": 32, "initial": 64, "blocks": [4, 4, 4, 4],
                "compression": 0.5, "stem": "imagenet", "bottleneck": bottleneck,
                "dropout": dropout, "dropout_after": after });
            let audit = net(keys, 32).unwrap().audit();
            let count = audit.layers.iter().filter(|row| row.kind.starts_with("dropout")).count();
            (count, audit.parameters)
        };
        let (none, parameters) = places(0.0, "all", true);
        assert_eq!(none, 0);
        // Two convolutions in each of 16 dense layers and three transitions.
        assert_eq!(places(0.5, "all", true), (35, parameters));
        assert_eq!(places(0.5, "conv3x3", true), (16, parameters));
        assert_eq!(places(0.0, "conv3x3", true), (0, parameters));
        assert_eq!(places(0.5, "all", false).0, 19);
        assert_eq!(places(0.5, "conv3x3", false).0, 16);
    }

    #[test]
    fn without_transitions_channels_only_grow() {
        let keys = json!({ "growth": 32, "initial": 64, "blocks": [4, 4, 4, 4],
            "compression": 0.5, "stem": "imagenet", "transitions": false });
        let audit = net(keys, 96).unwrap().audit();
        let last = audit.layers.iter().rev().find(|row| row.kind == "global average pool");
        assert_eq!(last.unwrap().output[0], 64 + 4 * 128);
    }

    #[test]
    fn impossible_combinations_are_refused_with_the_nearest() {
        let fault = |keys, size| net(keys, size).unwrap_err().to_string();
        let depth = fault(json!({ "depth": 41 }), 32);
        assert_eq!(depth, "network.depth: 41 is not 3n+4; the nearest are 40 and 43");
        // torchvision's models need 29×29 as well.
        let keys = json!({ "growth": 32, "initial": 64, "blocks": [6, 12, 24, 16],
            "bottleneck": true, "compression": 0.5, "stem": "imagenet" });
        let small = fault(keys, 28);
        assert!(small.ends_with("the smallest valid size is 29×29"), "{small}");
        let keys = json!({ "depth": 10, "growth": 6, "norm": "group", "norm_groups": 4 });
        let groups = fault(keys, 32);
        assert!(groups.ends_with("every layer is 2"), "{groups}");
    }
}
