//! Densely connected nets: Huang et al. 2016, 1608.06993.
//!
//! Every layer of a block sees the maps of all layers before it: BN-ReLU-3×3 convolution to k new
//! maps (the growth rate), put behind the old ones. Bottleneck layers (B) have a 1×1 convolution to
//! 4k maps before. Between blocks a transition, BN-ReLU-1×1 convolution and a 2×2 average pool, keeps
//! a share θ of the maps (compression, C). CIFAR nets of L layers have three blocks of (L−4)/3
//! layers, half as many where they have two convolutions.

use super::family::explicit_blocks;
use super::{Activation, Dims, Family, FamilyKeys, Init, InvalidKey, Layer, Network, Norm};
use crate::key::{Condition, Default, Key, Kind, key};
use serde::Deserialize;

/// Maps of a bottleneck, in growth rates.
const BOTTLENECK: usize = 4;

/// The family.
pub(super) struct DenseNet;

/// The one of this module.
pub(super) static DENSE: DenseNet = DenseNet;

const ALWAYS: &[Condition] = &[];
const BATCH: &[Condition] = &[("network.norm", &["batch", "batch-formula"])];
const NORMALISED: &[Condition] = &[("network.norm", &["batch", "batch-formula", "layer"])];

#[rustfmt::skip]
static KEYS: &[Key] = &[
    key("network.depth", Kind::Count(1, 100_000), Default::Absent, ALWAYS,
        "layers with weights: 3n+4 (40, 100), 6n+4 with bottleneck; or give blocks"),
    key("network.blocks", Kind::Counts, Default::Absent, ALWAYS,
        "dense layers of each block, instead of depth"),
    key("network.growth", Kind::Count(1, 4096), Default::Count(12), ALWAYS,
        "growth rate: maps that each dense layer adds"),
    key("network.bottleneck", Kind::Flag, Default::Flag(false), ALWAYS,
        "a 1x1 convolution before each 3x3 one"),
    key("network.compression", Kind::Number(0.01, 1.0), Default::Number(1.0), ALWAYS,
        "share of the maps that a transition keeps"),
    key("network.initial", Kind::Count(1, 4096), Default::Absent, ALWAYS,
        "maps of the first convolution; 16, or twice the growth rate with bottleneck and compression"),
    key("network.dropout", Kind::Number(0.0, 0.99), Default::Number(0.0), ALWAYS,
        "probability, after each convolution but the first"),
    key("network.stem", Kind::Choice(&["cifar", "imagenet"]), Default::Word("cifar"), ALWAYS,
        "3x3 convolution, or 7x7 of stride 2 and a 3x3 max pool"),
    key("network.norm", Kind::Choice(&["batch", "batch-formula", "layer", "none"]),
        Default::Word("batch"), ALWAYS, "normalisation before each convolution"),
    key("network.norm_eps", Kind::Number(0.0, 1.0), Default::Number(1e-5), NORMALISED,
        "constant added to the variance"),
    key("network.norm_momentum", Kind::Number(0.0, 1.0), Default::Number(0.1), BATCH,
        "weight of the newest batch in the moving averages"),
    key("network.init", Kind::Choice(&["he-fan-out", "he-fan-in"]), Default::Word("he-fan-out"), ALWAYS,
        "deviation of the initial weights: sqrt(2/fan), of the outputs or of the inputs"),
];

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
    #[serde(rename = "network.compression")]
    compression: f64,
    #[serde(rename = "network.initial")]
    initial: Option<usize>,
    #[serde(rename = "network.dropout")]
    dropout: f64,
    #[serde(rename = "network.stem")]
    stem: String,
    #[serde(rename = "network.norm")]
    norm: String,
    #[serde(rename = "network.norm_eps", default)]
    norm_eps: f64,
    #[serde(rename = "network.norm_momentum", default)]
    norm_momentum: f64,
    #[serde(rename = "network.init")]
    init: String,
}

impl Values {
    fn blocks(&self) -> Result<Vec<usize>, InvalidKey> {
        match (self.depth, &self.blocks) {
            (depth, Some(blocks)) => explicit_blocks(depth, blocks),
            (None, None) => {
                Err(InvalidKey::new("network.depth", "must be given, or network.blocks instead"))
            }
            (Some(depth), None) => {
                let step = if self.bottleneck { 6 } else { 3 };
                if depth < step + 4 || !(depth - 4).is_multiple_of(step) {
                    let below = (depth.max(step + 4) - 4) / step * step + 4;
                    let above = below + step;
                    let message =
                        format!("{depth} is not {step}n+4; the nearest are {below} and {above}");
                    return Err(InvalidKey::new("network.depth", message));
                }
                Ok(vec![(depth - 4) / step; 3])
            }
        }
    }

    fn norm_act(&self, name: String, channels: usize) -> Vec<Layer> {
        let (eps, momentum) = (self.norm_eps, self.norm_momentum);
        let norm = match self.norm.as_str() {
            "batch" => Some(Norm::Batch { eps, momentum, from_formula: false }),
            "batch-formula" => Some(Norm::Batch { eps, momentum, from_formula: true }),
            "layer" => Some(Norm::Layer { eps }),
            _ => None,
        };
        let norm = norm.map(|norm| Layer::Norm { name, channels, norm });
        norm.into_iter().chain([Layer::Activation(Activation::Relu)]).collect()
    }

    fn conv(&self, name: String, [inputs, outputs]: [usize; 2], kernel: usize) -> Layer {
        let bias = self.norm == "none";
        Layer::Conv { name, inputs, outputs, kernel, stride: 1, padding: kernel / 2, bias }
    }

    fn dropout(&self) -> Option<Layer> {
        (self.dropout > 0.0).then_some(Layer::Dropout { p: self.dropout })
    }

    /// BN-ReLU-(1×1-BN-ReLU-)3×3, behind its input.
    fn dense_layer(&self, name: &str, channels: usize) -> Layer {
        let mut branch = self.norm_act(format!("{name}.norm1"), channels);
        let mut inputs = channels;
        let mut number = 1;
        if self.bottleneck {
            let inner = BOTTLENECK * self.growth;
            branch.push(self.conv(format!("{name}.conv1"), [channels, inner], 1));
            branch.extend(self.dropout());
            branch.extend(self.norm_act(format!("{name}.norm2"), inner));
            (inputs, number) = (inner, 2);
        }
        branch.push(self.conv(format!("{name}.conv{number}"), [inputs, self.growth], 3));
        branch.extend(self.dropout());
        Layer::Concat { branch }
    }

    fn layers(&self, blocks: &[usize], input: Dims, classes: usize) -> Vec<Layer> {
        let is_bc = self.bottleneck && self.compression < 1.0;
        let default = if is_bc { 2 * self.growth } else { 16 };
        let mut channels = self.initial.unwrap_or(default);
        let mut layers = Vec::new();
        if self.stem == "imagenet" {
            let mut stem = self.conv("features.conv0".into(), [input[0], channels], 7);
            if let Layer::Conv { stride, .. } = &mut stem {
                *stride = 2;
            }
            layers.push(stem);
            layers.extend(self.norm_act("features.norm0".into(), channels));
            layers.push(Layer::MaxPool { kernel: 3, stride: 2, padding: 1 });
        } else {
            layers.push(self.conv("features.conv0".into(), [input[0], channels], 3));
        }
        for (block, count) in (1..).zip(blocks) {
            for number in 1..=*count {
                let name = format!("features.denseblock{block}.denselayer{number}");
                layers.push(self.dense_layer(&name, channels));
                channels += self.growth;
            }
            if block < blocks.len() {
                let name = format!("features.transition{block}");
                let kept = ((channels as f64 * self.compression) as usize).max(1);
                layers.extend(self.norm_act(format!("{name}.norm"), channels));
                layers.push(self.conv(format!("{name}.conv"), [channels, kept], 1));
                layers.extend(self.dropout());
                layers.push(Layer::AvgPool { kernel: 2 });
                channels = kept;
            }
        }
        layers.extend(self.norm_act(format!("features.norm{}", blocks.len() + 1), channels));
        layers.push(Layer::GlobalAvgPool);
        layers.push(Layer::Linear {
            name: "classifier".into(),
            inputs: channels,
            outputs: classes,
        });
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
        KEYS
    }

    fn build(&self, keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey> {
        let object = keys.clone().into_iter().collect();
        let values: Values = serde_json::from_value(serde_json::Value::Object(object))
            .map_err(|error| InvalidKey::new("network", error.to_string()))?;
        let blocks = values.blocks()?;
        let shrink = if values.stem == "imagenet" { 4 } else { 1 } << (blocks.len() - 1);
        if input[1].min(input[2]) < shrink {
            let message = format!(
                "this net shrinks its input {shrink} times, but images are {}×{}",
                input[1], input[2]
            );
            return Err(InvalidKey::new("data.size", message));
        }
        let init = if values.init == "he-fan-in" { Init::HeFanIn } else { Init::HeFanOut };
        let layers = values.layers(&blocks, input, classes);
        Ok(Network { input, classes, init, layers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn net(set: serde_json::Value, size: usize, classes: usize) -> Network {
        let mut keys: FamilyKeys = KEYS
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), key.default.value()?)))
            .collect();
        for (key, value) in set.as_object().unwrap() {
            keys.insert(format!("network.{key}"), value.clone());
        }
        DENSE.build(&keys, [3, size, size], classes).unwrap()
    }

    #[test]
    fn cifar_nets_have_the_paper_s_parameters() {
        let plain = |depth: usize, growth: usize, classes| {
            net(json!({ "depth": depth, "growth": growth }), 32, classes).parameter_count()
        };
        assert_eq!(plain(40, 12, 10), 1_019_722);
        assert_eq!(plain(100, 12, 10), 6_979_642);
        assert_eq!(plain(100, 24, 10), 27_249_082);
        assert_eq!(plain(40, 12, 100), 1_060_132);
        let bc = |depth: usize, growth: usize| {
            let keys = json!({ "depth": depth, "growth": growth, "bottleneck": true,
                "compression": 0.5 });
            net(keys, 32, 10).audit()
        };
        assert_eq!(bc(100, 12).parameters, 769_162);
        assert_eq!(bc(250, 24).parameters, 15_324_406);
        assert_eq!(bc(190, 40).parameters, 25_624_430);
        assert_eq!(bc(100, 12).macs / 100_000, 2879);
    }

    #[test]
    fn imagenet_nets_have_torchvision_s_parameters() {
        for (growth, initial, blocks, parameters) in [
            (32, 64, [6, 12, 24, 16], 7_978_856),
            (48, 96, [6, 12, 36, 24], 28_681_000),
            (32, 64, [6, 12, 32, 32], 14_149_480),
            (32, 64, [6, 12, 48, 32], 20_013_928),
        ] {
            let keys = json!({ "growth": growth, "initial": initial, "blocks": blocks,
                "bottleneck": true, "compression": 0.5, "stem": "imagenet" });
            assert_eq!(net(keys, 224, 1000).parameter_count(), parameters);
        }
    }

    #[test]
    fn the_textbook_s_blocks_add_128_channels_and_transitions_halve_them() {
        let keys = json!({ "growth": 32, "initial": 64, "blocks": [4, 4, 4, 4],
            "compression": 0.5, "stem": "imagenet" });
        let audit = net(keys, 96, 10).audit();
        let at = |kind: &str| -> Vec<usize> {
            let rows = audit.layers.iter().filter(|row| row.kind.starts_with(kind));
            rows.map(|row| row.output[0]).collect()
        };
        assert_eq!(at("average pool 2"), [96, 112, 120]);
        assert_eq!(at("global average pool"), [248]);
    }

    #[test]
    fn a_depth_outside_the_family_is_refused_with_the_nearest() {
        let mut keys: FamilyKeys = KEYS
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), key.default.value()?)))
            .collect();
        keys.insert("network.depth".into(), json!(41));
        let error = DENSE.build(&keys, [3, 32, 32], 10).unwrap_err().to_string();
        assert_eq!(error, "network.depth: 41 is not 3n+4; the nearest are 40 and 43");
    }
}
