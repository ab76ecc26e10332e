//! Plain, residual and pre-activation nets: He et al. 2015 (1512.03385) and 2016 (1603.05027).
//!
//! With the CIFAR stem (§4.2): a 3×3 convolution, then three stages of equally many blocks with w,
//! 2w and 4w filters on maps of full, half and quarter size, global average pooling and a fully
//! connected layer: 6n+2 layers with weights in basic blocks of two, 9n+2 in bottleneck blocks of
//! three. With the ImageNet stem (§4.1, Table 1): a 7×7 convolution of stride 2, a 3×3 max pool of
//! stride 2, and four stages; 18 or 34 layers in basic blocks, 50, 101 or 152 in bottleneck blocks.
//! `blocks` gives other numbers of blocks per stage, and of stages.
//!
//! A plain and a residual net with identity shortcuts have the same parameters.

use super::block::{Around, Block, BlockShape, Order, Place, ShortcutOption};
use super::family::explicit_blocks;
use super::{Activation, Dims, Family, FamilyKeys, Init, InvalidKey, Layer, Network, Norm};
use crate::key::{Condition, Default, Key, Kind, key};
use serde::Deserialize;

/// A family of this module.
pub(super) struct ResNet {
    name: &'static str,
    help: &'static str,
    keys: &'static [Key],
    is_residual: bool,
    order: Order,
}

/// Nets without shortcuts.
pub(super) static PLAIN: ResNet = ResNet {
    name: "plain",
    help: "stacked convolutions, depth 6n+2 (He et al. 2015, section 4.2)",
    keys: COMMON,
    is_residual: false,
    order: Order::Original,
};

/// Nets with shortcuts.
pub(super) static RESIDUAL: ResNet = ResNet {
    name: "residual",
    help: "the same with a shortcut around every block of two or three convolutions",
    keys: &WITH_SHORTCUT,
    is_residual: true,
    order: Order::Original,
};

/// Nets with shortcuts and nothing on them.
pub(super) static PREACT: ResNet = ResNet {
    name: "preact",
    help: "residual nets with normalisation and activation before each convolution (He et al. 2016)",
    keys: &WITH_SHORTCUT,
    is_residual: true,
    order: Order::PreActivation,
};

const ALWAYS: &[Condition] = &[];
const NORMALISED: &[Condition] = &[("network.norm", &["batch", "batch-formula", "group", "layer"])];
const BATCH: &[Condition] = &[("network.norm", &["batch", "batch-formula"])];

#[rustfmt::skip]
const COMMON: &[Key] = &[
    key("network.depth", Kind::Count(1, 100_000), Default::Absent, ALWAYS,
        "layers with weights: 6n+2 (8, 14, 20, ... 110), 9n+2 in bottleneck blocks; or give blocks"),
    key("network.blocks", Kind::Counts, Default::Absent, ALWAYS,
        "blocks of each stage, instead of depth"),
    key("network.width", Kind::Count(1, 4096), Default::Count(16), ALWAYS,
        "filters of the first stage; each next one has twice as many"),
    key("network.stem", Kind::Choice(&["cifar", "imagenet"]), Default::Word("cifar"), ALWAYS,
        "3x3 convolution, or 7x7 of stride 2 and a 3x3 max pool"),
    key("network.block", Kind::Choice(&["basic", "bottleneck"]), Default::Word("basic"), ALWAYS,
        "two 3x3 convolutions, or 1x1, 3x3 and 1x1"),
    key("network.stride_first", Kind::Flag, Default::Flag(false), &[("network.block", &["bottleneck"])],
        "the stride of a bottleneck block in its first convolution (the paper) or in its 3x3 one (torchvision)"),
    key("network.norm", Kind::Choice(&["batch", "batch-formula", "group", "layer", "none"]),
        Default::Word("batch"), ALWAYS, "normalisation beside each convolution"),
    key("network.norm_eps", Kind::Number(0.0, 1.0), Default::Number(1e-5), NORMALISED,
        "constant added to the variance"),
    key("network.norm_momentum", Kind::Number(0.0, 1.0), Default::Number(0.1), BATCH,
        "weight of the newest batch in the moving averages"),
    key("network.norm_groups", Kind::Count(1, 4096), Default::Count(4), &[("network.norm", &["group"])],
        "groups of channels"),
    key("network.activation", Kind::Choice(&["relu", "sigmoid"]), Default::Word("relu"), ALWAYS,
        "non-linearity"),
    key("network.init", Kind::Choice(&["he-fan-out", "he-fan-in"]), Default::Word("he-fan-out"), ALWAYS,
        "deviation of the initial weights: sqrt(2/fan), of the outputs or of the inputs"),
];

#[rustfmt::skip]
const SHORTCUT: [Key; 3] = [
    key("network.shortcut", Kind::Choice(&["a", "b", "c"]), Default::Word("a"), ALWAYS,
        "a: identity, new channels zero; b: 1x1 convolution where the shape changes; c: everywhere"),
    key("network.shortcut_pad", Kind::Choice(&["behind", "split"]), Default::Word("behind"),
        &[("network.shortcut", &["a"])], "where the new channels of option a are"),
    key("network.shortcut_scale", Kind::Number(-1e6, 1e6), Default::Number(1.0), ALWAYS,
        "constant that multiplies every shortcut; 0 is the plain net"),
];

const WITH_SHORTCUT: [Key; COMMON.len() + SHORTCUT.len()] = {
    let mut keys = [COMMON[0]; COMMON.len() + SHORTCUT.len()];
    let mut place = 0;
    while place < keys.len() {
        keys[place] =
            if place < COMMON.len() { COMMON[place] } else { SHORTCUT[place - COMMON.len()] };
        place += 1;
    }
    keys
};

/// The keys of this family, typed.
#[derive(Deserialize)]
struct Values {
    #[serde(rename = "network.depth")]
    depth: Option<usize>,
    #[serde(rename = "network.blocks")]
    blocks: Option<Vec<usize>>,
    #[serde(rename = "network.width")]
    width: usize,
    #[serde(rename = "network.stem")]
    stem: String,
    #[serde(rename = "network.block")]
    block: String,
    #[serde(rename = "network.stride_first", default)]
    stride_first: bool,
    #[serde(rename = "network.norm")]
    norm: String,
    #[serde(rename = "network.norm_eps", default)]
    norm_eps: f64,
    #[serde(rename = "network.norm_momentum", default)]
    norm_momentum: f64,
    #[serde(rename = "network.norm_groups", default)]
    norm_groups: usize,
    #[serde(rename = "network.activation")]
    activation: String,
    #[serde(rename = "network.init")]
    init: String,
    #[serde(rename = "network.shortcut", default)]
    shortcut: String,
    #[serde(rename = "network.shortcut_pad", default)]
    shortcut_pad: String,
    #[serde(rename = "network.shortcut_scale", default)]
    shortcut_scale: f64,
}

impl Values {
    fn norm(&self) -> Option<Norm> {
        let eps = self.norm_eps;
        let batch = |from_formula| Norm::Batch { eps, momentum: self.norm_momentum, from_formula };
        match self.norm.as_str() {
            "batch" => Some(batch(false)),
            "batch-formula" => Some(batch(true)),
            "group" => Some(Norm::Group { groups: self.norm_groups, eps }),
            "layer" => Some(Norm::Layer { eps }),
            _ => None,
        }
    }

    fn block(&self, family: &ResNet) -> Block {
        let option = match self.shortcut.as_str() {
            "b" => ShortcutOption::ProjectionWhereNeeded,
            "c" => ShortcutOption::ProjectionEverywhere,
            _ => ShortcutOption::Identity { split: self.shortcut_pad == "split" },
        };
        Block {
            norm: self.norm(),
            activation: match self.activation.as_str() {
                "sigmoid" => Activation::Sigmoid,
                _ => Activation::Relu,
            },
            around: family.is_residual.then_some(Around { option, scale: self.shortcut_scale }),
            shape: match self.block.as_str() {
                "bottleneck" => BlockShape::Bottleneck { stride_first: self.stride_first },
                _ => BlockShape::Basic,
            },
            order: family.order,
        }
    }

    /// Blocks of each stage.
    fn stages(&self) -> Result<Vec<usize>, InvalidKey> {
        match (self.depth, &self.blocks) {
            (depth, Some(blocks)) => explicit_blocks(depth, blocks),
            (None, None) => {
                Err(InvalidKey::new("network.depth", "must be given, or network.blocks instead"))
            }
            (Some(depth), None) if self.stem == "imagenet" => self.imagenet_stages(depth),
            (Some(depth), None) => {
                let step = 3 * if self.block == "bottleneck" { 3 } else { 2 };
                if depth < step + 2 || !(depth - 2).is_multiple_of(step) {
                    let below = (depth.max(step + 2) - 2) / step * step + 2;
                    let above = below + step;
                    let message =
                        format!("{depth} is not {step}n+2; the nearest are {below} and {above}");
                    return Err(InvalidKey::new("network.depth", message));
                }
                Ok(vec![(depth - 2) / step; 3])
            }
        }
    }

    /// Table 1 of 1512.03385.
    fn imagenet_stages(&self, depth: usize) -> Result<Vec<usize>, InvalidKey> {
        match (self.block.as_str(), depth) {
            ("basic", 18) => Ok(vec![2, 2, 2, 2]),
            ("basic", 34) | ("bottleneck", 50) => Ok(vec![3, 4, 6, 3]),
            ("bottleneck", 101) => Ok(vec![3, 4, 23, 3]),
            ("bottleneck", 152) => Ok(vec![3, 8, 36, 3]),
            (block, _) => {
                let valid = if block == "basic" { "18 and 34" } else { "50, 101 and 152" };
                let message = format!(
                    "{depth} is not one of the paper's; with the imagenet stem and {block} blocks \
                     these are {valid}, or give network.blocks"
                );
                Err(InvalidKey::new("network.depth", message))
            }
        }
    }
}

impl Family for ResNet {
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
        let object = keys.clone().into_iter().collect();
        let values: Values = serde_json::from_value(serde_json::Value::Object(object))
            .map_err(|error| InvalidKey::new("network", error.to_string()))?;
        let stages = values.stages()?;
        if let Some(Norm::Group { groups, .. }) = values.norm()
            && !values.width.is_multiple_of(groups)
        {
            let nearest = (1..=groups).rev().find(|n| values.width.is_multiple_of(*n)).unwrap_or(1);
            let message = format!(
                "{groups} does not divide the {} channels; the nearest below is {nearest}",
                values.width
            );
            return Err(InvalidKey::new("network.norm_groups", message));
        }
        let shrink = if values.stem == "imagenet" { 4 } else { 1 } << (stages.len() - 1);
        if input[1].min(input[2]) < shrink {
            let message = format!(
                "this net shrinks its input {shrink} times, but images are {}×{}",
                input[1], input[2]
            );
            return Err(InvalidKey::new("data.size", message));
        }
        let init = if values.init == "he-fan-in" { Init::HeFanIn } else { Init::HeFanOut };
        let layers = layers(&values, &values.block(self), &stages, input, classes);
        Ok(Network { input, classes, init, layers })
    }
}

/// Stem, stages and classifier.
fn layers(
    values: &Values,
    block: &Block,
    stages: &[usize],
    input: Dims,
    classes: usize,
) -> Vec<Layer> {
    let (mut channels, activation) = (values.width, Layer::Activation(block.activation));
    let is_imagenet = values.stem == "imagenet";
    let stem = if is_imagenet { (7, channels, 2) } else { (3, channels, 1) };
    let mut layers = vec![block.conv("conv1".into(), input[0], stem)];
    // Pre-activation nets have these in their first block, but for the pool's sake on ImageNet.
    let is_original = block.order == Order::Original;
    if is_original || is_imagenet {
        layers.extend(block.norm("bn1".into(), channels));
        layers.push(activation.clone());
    }
    if is_imagenet {
        layers.push(Layer::MaxPool { kernel: 3, stride: 2, padding: 1 });
    }
    for (stage, blocks) in stages.iter().enumerate() {
        for number in 0..*blocks {
            let place = Place {
                name: &format!("layer{}.{number}", stage + 1),
                inputs: channels,
                channels: values.width << stage,
                stride: if stage > 0 && number == 0 { 2 } else { 1 },
                is_first: stage == 0 && number == 0,
            };
            layers.extend(block.layers(place));
            channels = block.shape.outputs(place.channels);
        }
    }
    if !is_original {
        // 1603.05027's appendix: an extra one after the last addition.
        layers.extend(block.norm("bn_last".into(), channels));
        layers.push(activation);
    }
    layers.push(Layer::GlobalAvgPool);
    layers.push(Layer::Linear { name: "fc".into(), inputs: channels, outputs: classes });
    layers
}

#[cfg(test)]
mod tests;
