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
use super::{Activation, Dims, Family, FamilyKeys, Init, InvalidKey, Layer, Network, Norm};
use crate::key::{Default, Key, Kind};
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

const fn key(
    name: &'static str,
    kind: Kind,
    default: Default,
    only_if: &'static [crate::key::Condition],
    help: &'static str,
) -> Key {
    Key { name, kind, default, only_if, help }
}

const ALWAYS: &[crate::key::Condition] = &[];
const NORMALISED: &[crate::key::Condition] =
    &[("network.norm", &["batch", "batch-formula", "group", "layer"])];
const BATCH: &[crate::key::Condition] = &[("network.norm", &["batch", "batch-formula"])];

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

fn invalid(key: &str, message: String) -> InvalidKey {
    InvalidKey { key: key.into(), message }
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
            (Some(_), Some(_)) => {
                Err(invalid("network.blocks", "give either depth or blocks, not both".into()))
            }
            (None, None) => {
                Err(invalid("network.depth", "must be given, or network.blocks instead".into()))
            }
            (None, Some(blocks)) => {
                if blocks.is_empty() || blocks.len() > 6 || blocks.contains(&0) {
                    let message = "expected one to six stages of at least one block each";
                    return Err(invalid("network.blocks", message.into()));
                }
                Ok(blocks.clone())
            }
            (Some(depth), None) if self.stem == "imagenet" => self.imagenet_stages(depth),
            (Some(depth), None) => {
                let step = 3 * if self.block == "bottleneck" { 3 } else { 2 };
                if depth < step + 2 || !(depth - 2).is_multiple_of(step) {
                    let below = (depth.max(step + 2) - 2) / step * step + 2;
                    let above = below + step;
                    let message =
                        format!("{depth} is not {step}n+2; the nearest are {below} and {above}");
                    return Err(invalid("network.depth", message));
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
                Err(invalid("network.depth", message))
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
            .map_err(|error| invalid("network", error.to_string()))?;
        let stages = values.stages()?;
        if let Some(Norm::Group { groups, .. }) = values.norm()
            && !values.width.is_multiple_of(groups)
        {
            let nearest = (1..=groups).rev().find(|n| values.width.is_multiple_of(*n)).unwrap_or(1);
            let message = format!(
                "{groups} does not divide the {} channels; the nearest below is {nearest}",
                values.width
            );
            return Err(invalid("network.norm_groups", message));
        }
        let shrink = if values.stem == "imagenet" { 4 } else { 1 } << (stages.len() - 1);
        if input[1].min(input[2]) < shrink {
            let message = format!(
                "this net shrinks its input {shrink} times, but images are {}×{}",
                input[1], input[2]
            );
            return Err(invalid("data.size", message));
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
mod tests {
    use super::*;
    use serde_json::json;

    fn net(family: &ResNet, depth: usize) -> Network {
        with(family, json!({ "network.depth": depth }), 32, 10)
    }

    fn with(family: &ResNet, set: serde_json::Value, size: usize, classes: usize) -> Network {
        let mut keys: FamilyKeys = family
            .keys
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), key.default.value()?)))
            .collect();
        for (key, value) in set.as_object().unwrap() {
            keys.insert(key.clone(), value.clone());
        }
        family.build(&keys, [3, size, size], classes).unwrap()
    }

    #[test]
    fn options_b_and_pre_activation_have_the_published_sizes() {
        let b = |depth: usize| json!({ "network.depth": depth, "network.shortcut": "b" });
        for (depth, parameters) in [(20, 272_474), (32, 466_906), (56, 855_770), (110, 1_730_714)] {
            assert_eq!(with(&RESIDUAL, b(depth), 32, 10).parameter_count(), parameters);
        }
        assert_eq!(with(&RESIDUAL, b(20), 32, 10).audit().macs, 40_551_040 + 262_144);
        assert_eq!(with(&PREACT, b(20), 32, 10).parameter_count(), 272_282);
        // 1603.05027 rounds them to 1.7M and 10.2M.
        let bottleneck = |depth: usize| {
            let keys = json!({ "network.depth": depth, "network.block": "bottleneck",
                "network.shortcut": "b" });
            with(&PREACT, keys, 32, 10).parameter_count()
        };
        assert_eq!((bottleneck(164) / 100_000, bottleneck(1001) / 100_000), (17, 103));
    }

    #[test]
    fn imagenet_nets_have_torchvision_s_parameters() {
        for (depth, block, parameters) in [
            (18, "basic", 11_689_512),
            (34, "basic", 21_797_672),
            (50, "bottleneck", 25_557_032),
            (101, "bottleneck", 44_549_160),
            (152, "bottleneck", 60_192_808),
        ] {
            let keys = json!({ "network.depth": depth, "network.block": block,
                "network.stem": "imagenet", "network.width": 64, "network.shortcut": "b" });
            assert_eq!(with(&RESIDUAL, keys, 224, 1000).parameter_count(), parameters, "{depth}");
        }
    }

    #[test]
    fn parameters_and_macs_are_those_of_the_paper() {
        let published = [
            (20, 269_722, 40_551_040),
            (32, 464_154, 68_862_592),
            (44, 658_586, 97_174_144),
            (56, 853_018, 125_485_696),
            (110, 1_727_962, 252_887_680),
        ];
        for (depth, parameters, macs) in published {
            for family in [&PLAIN, &RESIDUAL] {
                let audit = net(family, depth).audit();
                assert_eq!(audit.parameters, parameters, "{}-{depth}", family.name);
                assert_eq!(audit.macs, macs, "{}-{depth}", family.name);
            }
        }
        assert_eq!(net(&RESIDUAL, 1202).audit().parameters, 19_421_274);
        assert_eq!(net(&RESIDUAL, 1202).audit().macs, 2_829_238_912);
    }

    #[test]
    fn arms_share_their_initial_weights_by_name() {
        let (plain, residual) = (net(&PLAIN, 20).initial(3), net(&RESIDUAL, 20).initial(3));
        assert_eq!(plain, residual);
        assert_ne!(plain[0].values, net(&PLAIN, 20).initial(4)[0].values);
        let deeper = net(&PLAIN, 32).initial(3);
        assert!(plain.iter().all(|parameter| deeper.contains(parameter)));
    }

    #[test]
    fn he_initialisation_has_the_deviation_of_its_fan() {
        let weights = net(&PLAIN, 20).initial(0);
        let last = weights.iter().find(|p| p.name == "layer3.2.conv2.weight").unwrap();
        let n = last.values.len() as f64;
        let variance = last.values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n;
        let expected = 2.0 / (9.0 * 64.0);
        assert!((variance / expected - 1.0).abs() < 0.03, "{variance} against {expected}");
    }

    #[test]
    fn a_depth_outside_the_family_is_refused_with_the_nearest() {
        let mut keys = FamilyKeys::new();
        for key in COMMON {
            if let Some(value) = key.default.value() {
                keys.insert(key.name.into(), value);
            }
        }
        keys.insert("network.depth".into(), json!(45));
        let error = PLAIN.build(&keys, [3, 32, 32], 10).unwrap_err();
        assert_eq!(error.to_string(), "network.depth: 45 is not 6n+2; the nearest are 44 and 50");
    }

    #[test]
    fn without_normalisation_convolutions_have_a_bias() {
        let mut keys: FamilyKeys = COMMON
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), key.default.value()?)))
            .collect();
        keys.insert("network.depth".into(), json!(8));
        keys.insert("network.norm".into(), json!("none"));
        let net = PLAIN.build(&keys, [1, 14, 14], 10).unwrap();
        let names: Vec<String> = net.initial(0).into_iter().map(|p| p.name).collect();
        assert!(names.contains(&"conv1.bias".to_owned()));
        assert!(!names.iter().any(|name| name.contains("bn")), "{names:?}");
    }
}
