//! Plain, residual and pre-activation nets: He et al. 2015 (1512.03385) and 2016 (1603.05027).
//!
//! With the CIFAR stem (§4.2): a 3×3 convolution, three stages of n blocks each with w, 2w and 4w
//! filters on feature maps of full, half and quarter size, global average pooling and a fully connected
//! layer. These are 6n+2 layers with weights in basic blocks of two, and 9n+2 in bottleneck blocks of
//! three. With the ImageNet stem (§4.1, Table 1): a 7×7 convolution of stride 2, a 3×3 max pool of
//! stride 2, and four stages; 18 or 34 layers in basic blocks, 50, 101 or 152 in bottleneck blocks.
//! `network.blocks` sets the number of stages and of blocks per stage directly.
//!
//! A plain and a residual net with identity shortcuts have the same parameters.

use super::block::{
    ActivationOrder, Block, BlockBuilder, BlockKind, ShortcutOption, ShortcutPad, ShortcutRule,
};
use super::branch::{BRANCH, BranchKeys};
use super::keys::{self, ALWAYS, InitName, NormKeys, NormName, STEM, Stem, joined};
use super::stages::{MOST_LAYERS, blocks_per_stage, stages};
use super::{Activation, Dims, Family, FamilyKeys, InvalidKey, Layer, Network};
use fathom_base::choice;
use fathom_base::key::{Condition, Default, Key, Kind, key};
use serde::Deserialize;

/// A family of plain or residual nets.
pub(super) struct ResNet {
    name: &'static str,
    help: &'static str,
    keys: &'static [Key],
    is_residual: bool,
    order: ActivationOrder,
}

/// Nets without shortcuts.
pub(super) static PLAIN: ResNet = ResNet {
    name: "plain",
    help: "stacked convolutions, depth 6n+2 (He et al. 2015, section 4.2)",
    keys: &WITHOUT_SHORTCUT,
    is_residual: false,
    order: ActivationOrder::Original,
};

/// Nets with shortcuts, and an activation after each addition.
pub(super) static RESIDUAL: ResNet = ResNet {
    name: "residual",
    help: "plain nets with a shortcut around every block of two or three convolutions (He et al. 2015)",
    keys: &WITH_SHORTCUT,
    is_residual: true,
    order: ActivationOrder::Original,
};

/// Nets with shortcuts, and no activation on the path of the shortcuts.
pub(super) static PREACT: ResNet = ResNet {
    name: "preact",
    help: "residual nets with normalisation and activation before each convolution (He et al. 2016)",
    keys: &WITH_SHORTCUT,
    is_residual: true,
    order: ActivationOrder::PreActivation,
};

/// Wide nets with shortcuts (Zagoruyko & Komodakis 2016, 1605.07146): as [`PREACT`], with few layers of many
/// filters behind a narrow stem.
pub(super) static WIDE: ResNet = ResNet {
    name: "wide",
    help: "wide residual nets: preact nets with few wide layers, depth 6n+4 (Zagoruyko & Komodakis 2016)",
    keys: &WIDE_KEYS,
    is_residual: true,
    order: ActivationOrder::PreActivation,
};

choice! {
    /// Words of `network.kernel`.
    #[derive(Default)]
    enum KernelName {
        /// Every value is a parameter.
        #[default]
        Free,
        /// The identity plus a filter of norm 1 (1706.00388).
        Dirac,
    }
}

choice! {
    /// Words of `network.block`.
    #[derive(Default)]
    enum BlockName {
        /// Two 3×3 convolutions.
        #[default]
        Basic,
        /// Convolutions of 1×1, 3×3 and 1×1.
        Bottleneck,
    }
}

fn option_a() -> ShortcutOption {
    ShortcutOption::A
}

fn behind() -> ShortcutPad {
    ShortcutPad::Behind
}

const BOTTLENECK: &[Condition] = &[("network.block", &[BlockName::Bottleneck.word()])];
const OPTION_A: &[Condition] = &[("network.shortcut", &[ShortcutOption::A.word()])];

#[rustfmt::skip]
const SHAPE: [Key; 5] = [
    key("network.depth", Kind::Count(1, MOST_LAYERS as u64), Default::Absent, ALWAYS,
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
const KERNEL: [Key; 1] = [
    key("network.kernel", Kind::Choice(KernelName::WORDS), Default::Word(KernelName::Free.word()), ALWAYS,
        "kernels of the convolutions of blocks; free: every value is a parameter; dirac (1706.00388): a copy of the \
         input plus a filter of norm 1, with a learned factor of each for every output, initially 1 and 0.1; the \
         factors have no weight decay"),
];

const SHORTCUT: [Key; 3] = shortcut(ShortcutOption::A);

/// `network.shortcut` with this default, and its details.
#[rustfmt::skip]
const fn shortcut(default: ShortcutOption) -> [Key; 3] { [
    key("network.shortcut", Kind::Choice(ShortcutOption::WORDS), Default::Word(default.word()), ALWAYS,
        "shortcut (1512.03385, section 4.1); a: identity, with zeros for new channels; b: 1x1 convolution where the \
         shape changes, else identity; c: 1x1 convolution everywhere"),
    key("network.shortcut_pad", Kind::Choice(ShortcutPad::WORDS), Default::Word(ShortcutPad::Behind.word()),
        OPTION_A,
        "position of the zero channels of shortcut a; behind: after the existing ones; split: half before, half after"),
    key("network.shortcut_scale", Kind::Number(-1e6, 1e6), Default::Number(1.0), ALWAYS,
        "constant factor of every shortcut; 0 gives the plain net"),
] }

static WITHOUT_SHORTCUT: [Key; 14] = joined(&[
    &SHAPE,
    &[STEM],
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu)],
    &keys::init(InitName::HeFanOut, false),
    &KERNEL,
]);

static WITH_SHORTCUT: [Key; 19] = joined(&[
    &SHAPE,
    &[STEM],
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu)],
    &keys::init(InitName::HeFanOut, true),
    &SHORTCUT,
    &BRANCH,
]);

#[rustfmt::skip]
const WIDE_SHAPE: [Key; 5] = [
    key("network.depth", Kind::Count(1, MOST_LAYERS as u64), Default::Absent, ALWAYS,
        "depth as the paper counts it, with three projections: 6n+4, such as 16, 22, 28 or 40; give this or network.blocks"),
    key("network.blocks", Kind::Counts, Default::Absent, ALWAYS,
        "number of blocks in each stage, instead of network.depth"),
    key("network.width", Kind::Count(1, 4096), Default::Count(32), ALWAYS,
        "number of filters of the first stage: 16k for the widening factor k; each later stage has twice as many"),
    key("network.stem_width", Kind::Count(1, 4096), Default::Count(16), ALWAYS,
        "number of filters of the first convolution"),
    key("network.dropout", Kind::Number(0.0, 0.99), Default::Number(0.0), ALWAYS,
        "dropout probability between the two convolutions of each block; 0 for none"),
];

static WIDE_KEYS: [Key; 18] = joined(&[
    &WIDE_SHAPE,
    &keys::norm(NormName::Batch),
    &[keys::activation(Activation::Relu)],
    &keys::init(InitName::HeFanOut, true),
    &shortcut(ShortcutOption::B),
    &BRANCH,
]);

/// Typed values of the keys.
#[derive(Deserialize)]
struct Values {
    #[serde(rename = "network.depth")]
    depth: Option<usize>,
    #[serde(rename = "network.blocks")]
    blocks: Option<Vec<usize>>,
    #[serde(rename = "network.width")]
    width: usize,
    /// Only wide nets have this key; the stem of the others is as wide as the first stage.
    #[serde(rename = "network.stem_width")]
    stem_width: Option<usize>,
    #[serde(rename = "network.dropout", default)]
    dropout: f64,
    /// Wide nets have the default of this key and of the next.
    #[serde(rename = "network.stem", default)]
    stem: Stem,
    #[serde(rename = "network.block", default)]
    block: BlockName,
    #[serde(rename = "network.stride_first", default)]
    stride_first: bool,
    #[serde(rename = "network.activation")]
    activation: Activation,
    #[serde(flatten)]
    norm: NormKeys,
    /// Plain nets have none of the three keys of shortcuts.
    #[serde(rename = "network.shortcut", default = "option_a")]
    shortcut: ShortcutOption,
    #[serde(rename = "network.shortcut_pad", default = "behind")]
    shortcut_pad: ShortcutPad,
    #[serde(rename = "network.shortcut_scale", default)]
    shortcut_scale: f64,
    #[serde(flatten)]
    branch: BranchKeys,
    /// Only plain nets have this key.
    #[serde(rename = "network.kernel", default)]
    kernel: KernelName,
}

impl Values {
    fn builder(&self, family: &ResNet) -> Result<BlockBuilder, InvalidKey> {
        let (option, pad, scale) = (self.shortcut, self.shortcut_pad, self.shortcut_scale);
        let (norm, scalars) = (self.norm.norm(), self.norm.scalars()?);
        let ends_with_norm = norm.is_some() && family.order == ActivationOrder::Original;
        Ok(BlockBuilder {
            norm,
            scalars,
            branch_end: self.branch.end(scalars, ends_with_norm)?,
            dropout: self.dropout,
            dirac: self.kernel == KernelName::Dirac,
            activation: self.activation,
            shortcut: family.is_residual.then_some(ShortcutRule { option, pad, scale }),
            kind: match self.block {
                BlockName::Basic => BlockKind::Basic,
                BlockName::Bottleneck => BlockKind::Bottleneck { stride_first: self.stride_first },
            },
            order: family.order,
        })
    }

    /// Numbers of blocks of each stage.
    fn stages(&self) -> Result<Vec<usize>, InvalidKey> {
        stages(self.depth, self.blocks.as_deref(), |depth| match self.stem {
            Stem::Imagenet => self.imagenet_stages(depth),
            Stem::Cifar => {
                let weights_per_block = match self.block {
                    BlockName::Basic => 2,
                    BlockName::Bottleneck => 3,
                };
                // 1605.07146 counts the projections of the three stages, and not the classifier.
                let others = if self.stem_width.is_some() { 4 } else { 2 };
                Ok(vec![blocks_per_stage(depth, 3 * weights_per_block, others)?; 3])
            }
        })
    }

    /// Numbers of blocks in Table 1 of 1512.03385.
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
                    "{depth} is not a depth of the paper; with the imagenet stem and {block} blocks \
                     these are {valid}; or give network.blocks"
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
        let mut layers = layers(&values, &values.builder(self)?, &values.stages()?, input, classes);
        values.branch.set_survival(&mut layers);
        Ok(Network { input, classes, init: values.norm.init(), gain: values.norm.gain(), layers })
    }
}

/// Stem, stages and classifier.
fn layers(
    values: &Values,
    builder: &BlockBuilder,
    stages: &[usize],
    input: Dims,
    classes: usize,
) -> Vec<Layer> {
    let mut inputs = values.stem_width.unwrap_or(values.width);
    let activation = Layer::Activation(builder.activation);
    let max_pool = values.stem.max_pool();
    let mut layers = vec![builder.weights("conv1".into(), input[0], values.stem.conv(inputs))];
    // The stem's normalisation and activation; without a pool in between, they are those with which
    // the first pre-activation block begins.
    let is_activated = match builder.order {
        ActivationOrder::Original => true,
        ActivationOrder::PreActivation => max_pool.is_some(),
    };
    if is_activated {
        layers.extend(builder.norm("bn1".into(), inputs));
        layers.extend(builder.shift("bias1".into()));
        layers.push(activation.clone());
    }
    layers.extend(max_pool);
    for (stage, blocks) in stages.iter().enumerate() {
        for number in 0..*blocks {
            let channels = values.width << stage;
            layers.extend(builder.layers(Block {
                name: &format!("layer{}.{number}", stage + 1),
                inputs,
                channels,
                stride: if stage > 0 && number == 0 { 2 } else { 1 },
                is_first: stage == 0 && number == 0,
            }));
            inputs = builder.kind.outputs(channels);
        }
    }
    match builder.order {
        ActivationOrder::Original => {}
        ActivationOrder::PreActivation => {
            // 1603.05027, appendix: one more activation after the last addition.
            layers.extend(builder.norm("bn_last".into(), inputs));
            layers.extend(builder.shift("bias_last".into()));
            layers.push(activation);
        }
    }
    layers.push(Layer::GlobalAvgPool);
    layers.extend(builder.shift("bias2".into()));
    layers.push(Layer::Linear { name: "fc".into(), inputs, outputs: classes, bias: true });
    layers
}

#[cfg(test)]
mod tests;
