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

#![deny(clippy::wildcard_enum_match_arm)]

use super::block::{Around, Block, BlockShape, Order, Place, ShortcutOption, Step};
use super::family::explicit_blocks;
use super::keys::{self, ALWAYS, InitName, NormKeys, NormName, STEM, Stem, joined};
use super::{Activation, Dims, Family, FamilyKeys, InvalidKey, Layer, Network};
use fathom_base::choice;
use fathom_base::key::{Condition, Default, Key, Kind, key};
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
    keys: &WITHOUT_SHORTCUT,
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

choice! {
    /// Words of `network.block`.
    enum BlockName { Basic, Bottleneck }
}

choice! {
    /// Words of `network.shortcut`: the options of 1512.03385, section 3.3.
    enum ShortcutName { A, B, C }
}

choice! {
    /// Words of `network.shortcut_pad`: where the new channels of option A are.
    enum Padding { Behind, Split }
}

fn option_a() -> ShortcutName {
    ShortcutName::A
}

fn behind() -> Padding {
    Padding::Behind
}

const BOTTLENECK: &[Condition] = &[("network.block", &[BlockName::Bottleneck.word()])];
const OPTION_A: &[Condition] = &[("network.shortcut", &[ShortcutName::A.word()])];

#[rustfmt::skip]
const SHAPE: [Key; 5] = [
    key("network.depth", Kind::Count(1, 100_000), Default::Absent, ALWAYS,
        "depth in layers with weights: 6n+2 (basic) or 9n+2 (bottleneck) with the CIFAR stem, 18, 34, 50, 101 or 152 \
         with the ImageNet stem; give this or network.blocks"),
    key("network.blocks", Kind::Counts, Default::Absent, ALWAYS,
        "number of blocks in each stage, instead of network.depth"),
    key("network.width", Kind::Count(1, 4096), Default::Count(16), ALWAYS,
        "number of filters of the first stage; each later stage has twice as many as the one before"),
    key("network.block", Kind::Choice(BlockName::WORDS), Default::Word(BlockName::Basic.word()), ALWAYS,
        "convolutions of a block; basic: two 3x3; bottleneck: 1x1, 3x3, and 1x1 with four times the channels"),
    key("network.stride_first", Kind::Flag, Default::Flag(false), BOTTLENECK,
        "whether the first convolution of a bottleneck block has its stride (1512.03385), instead of the 3x3 one \
         (torchvision)"),
];

#[rustfmt::skip]
const SHORTCUT: [Key; 3] = [
    key("network.shortcut", Kind::Choice(ShortcutName::WORDS), Default::Word(ShortcutName::A.word()), ALWAYS,
        "shortcut (1512.03385, section 4.1); a: identity, with zeros for new channels; b: 1x1 convolution where the \
         shape changes, else identity; c: 1x1 convolution everywhere"),
    key("network.shortcut_pad", Kind::Choice(Padding::WORDS), Default::Word(Padding::Behind.word()),
        OPTION_A,
        "position of the zero channels of shortcut a; behind: after the existing ones; split: half before, half after"),
    key("network.shortcut_scale", Kind::Number(-1e6, 1e6), Default::Number(1.0), ALWAYS,
        "constant factor of every shortcut; 0 gives the plain net"),
];

static WITHOUT_SHORTCUT: [Key; 12] = joined(&[
    &SHAPE,
    &[STEM],
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu), keys::init(InitName::HeFanOut, false)],
]);

static WITH_SHORTCUT: [Key; 15] = joined(&[
    &SHAPE,
    &[STEM],
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu), keys::init(InitName::HeFanOut, true)],
    &SHORTCUT,
]);

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
    stem: Stem,
    #[serde(rename = "network.block")]
    block: BlockName,
    #[serde(rename = "network.stride_first", default)]
    stride_first: bool,
    #[serde(rename = "network.activation")]
    activation: Activation,
    #[serde(flatten)]
    norm: NormKeys,
    /// Nets without shortcuts do not have these keys.
    #[serde(rename = "network.shortcut", default = "option_a")]
    shortcut: ShortcutName,
    #[serde(rename = "network.shortcut_pad", default = "behind")]
    shortcut_pad: Padding,
    #[serde(rename = "network.shortcut_scale", default)]
    shortcut_scale: f64,
}

impl Values {
    fn block(&self, family: &ResNet) -> Result<Block, InvalidKey> {
        let option = match self.shortcut {
            ShortcutName::A => {
                ShortcutOption::Identity { split: self.shortcut_pad == Padding::Split }
            }
            ShortcutName::B => ShortcutOption::ProjectionWhereNeeded,
            ShortcutName::C => ShortcutOption::ProjectionEverywhere,
        };
        Ok(Block {
            norm: self.norm.norm(),
            scalars: self.norm.scalars()?,
            activation: self.activation,
            around: family.is_residual.then_some(Around { option, scale: self.shortcut_scale }),
            shape: match self.block {
                BlockName::Basic => BlockShape::Basic,
                BlockName::Bottleneck => BlockShape::Bottleneck { stride_first: self.stride_first },
            },
            order: family.order,
        })
    }

    /// Blocks of each stage.
    fn stages(&self) -> Result<Vec<usize>, InvalidKey> {
        match (self.depth, &self.blocks) {
            (depth, Some(blocks)) => explicit_blocks(depth, blocks),
            (None, None) => {
                Err(InvalidKey::new("network.depth", "must be given, or network.blocks instead"))
            }
            (Some(depth), None) if self.stem == Stem::Imagenet => self.imagenet_stages(depth),
            (Some(depth), None) => {
                let step = match self.block {
                    BlockName::Basic => 3 * 2,
                    BlockName::Bottleneck => 3 * 3,
                };
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
        match (self.block, depth) {
            (BlockName::Basic, 18) => Ok(vec![2, 2, 2, 2]),
            (BlockName::Basic, 34) | (BlockName::Bottleneck, 50) => Ok(vec![3, 4, 6, 3]),
            (BlockName::Bottleneck, 101) => Ok(vec![3, 4, 23, 3]),
            (BlockName::Bottleneck, 152) => Ok(vec![3, 8, 36, 3]),
            (block, _) => {
                let valid = match block {
                    BlockName::Basic => "18 and 34",
                    BlockName::Bottleneck => "50, 101 and 152",
                };
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
        let values: Values = keys::typed(keys)?;
        let layers = layers(&values, &values.block(self)?, &values.stages()?, input, classes);
        Ok(Network { input, classes, init: values.norm.init(), layers })
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
    let is_imagenet = values.stem == Stem::Imagenet;
    let stem = if is_imagenet { Step::conv(7, channels, 2) } else { Step::conv(3, channels, 1) };
    let mut layers = vec![block.weights("conv1".into(), input[0], stem)];
    // Pre-activation nets have these in their first block, but for the pool's sake on ImageNet.
    let is_original = block.order == Order::Original;
    if is_original || is_imagenet {
        layers.extend(block.norm("bn1".into(), channels));
        layers.extend(block.shift("bias1".into()));
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
        layers.extend(block.shift("bias_last".into()));
        layers.push(activation);
    }
    layers.push(Layer::GlobalAvgPool);
    layers.extend(block.shift("bias2".into()));
    let (name, outputs) = ("fc".into(), classes);
    layers.push(Layer::Linear { name, inputs: channels, outputs, bias: true });
    layers
}

#[cfg(test)]
mod tests;
