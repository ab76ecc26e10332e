//! Plain and residual nets for small images: He et al. 2015, 1512.03385 §4.2.
//!
//! A 3×3 convolution, then three stages of 2n 3×3 convolutions each with w, 2w and 4w filters on
//! maps of full, half and quarter size, global average pooling and a fully connected layer:
//! 6n+2 layers with weights. Residual nets have a shortcut around every pair of convolutions, the
//! identity in all cases (option A), so that a plain and a residual net of one depth have the same
//! parameters.

use super::block::{BatchNorm, Block};
use super::{Activation, Dims, Family, FamilyKeys, Init, InvalidKey, Layer, Network};
use crate::key::{Default, Key, Kind};
use serde::Deserialize;

/// Stages, each on maps of half the side of the one before.
const STAGES: usize = 3;

/// A family of this module.
pub(super) struct CifarNet {
    name: &'static str,
    help: &'static str,
    keys: &'static [Key],
    is_residual: bool,
}

/// Nets without shortcuts.
pub(super) static PLAIN: CifarNet = CifarNet {
    name: "plain",
    help: "stacked 3x3 convolutions, depth 6n+2 (He et al. 2015, section 4.2)",
    keys: &COMMON,
    is_residual: false,
};

/// Nets with identity shortcuts.
pub(super) static RESIDUAL: CifarNet = CifarNet {
    name: "residual",
    help: "the same with an identity shortcut around every two convolutions",
    keys: &WITH_SHORTCUT,
    is_residual: true,
};

const WITH_BATCH_NORM: &[crate::key::Condition] = &[("network.norm", &["batch"])];

const COMMON: [Key; 7] = [
    Key {
        name: "network.depth",
        kind: Kind::Count(8, 100_000),
        default: Default::Required,
        only_if: &[],
        help: "layers with weights, 6n+2: 8, 14, 20, 26, 32, 38, 44, 50, 56, ..., 110",
    },
    Key {
        name: "network.width",
        kind: Kind::Count(1, 4096),
        default: Default::Count(16),
        only_if: &[],
        help: "filters of the first stage; the next ones have twice and four times as many",
    },
    Key {
        name: "network.norm",
        kind: Kind::Choice(&["batch", "none"]),
        default: Default::Word("batch"),
        only_if: &[],
        help: "normalisation after each convolution",
    },
    Key {
        name: "network.norm_eps",
        kind: Kind::Number(0.0, 1.0),
        default: Default::Number(1e-5),
        only_if: WITH_BATCH_NORM,
        help: "constant added to the variance",
    },
    Key {
        name: "network.norm_momentum",
        kind: Kind::Number(0.0, 1.0),
        default: Default::Number(0.1),
        only_if: WITH_BATCH_NORM,
        help: "weight of the newest batch in the moving averages",
    },
    Key {
        name: "network.activation",
        kind: Kind::Choice(&["relu", "sigmoid"]),
        default: Default::Word("relu"),
        only_if: &[],
        help: "non-linearity",
    },
    Key {
        name: "network.init",
        kind: Kind::Choice(&["he-fan-out", "he-fan-in"]),
        default: Default::Word("he-fan-out"),
        only_if: &[],
        help: "deviation of the initial weights: sqrt(2/fan), of the outputs or of the inputs",
    },
];

const WITH_SHORTCUT: [Key; 8] = [
    COMMON[0],
    COMMON[1],
    COMMON[2],
    COMMON[3],
    COMMON[4],
    COMMON[5],
    COMMON[6],
    Key {
        name: "network.shortcut_scale",
        kind: Kind::Number(-1e6, 1e6),
        default: Default::Number(1.0),
        only_if: &[],
        help: "constant that multiplies every shortcut; 0 is the plain net",
    },
];

/// The keys of this family, typed.
#[derive(Deserialize)]
struct Values {
    #[serde(rename = "network.depth")]
    depth: usize,
    #[serde(rename = "network.width")]
    width: usize,
    #[serde(rename = "network.norm")]
    norm: String,
    #[serde(rename = "network.norm_eps", default)]
    norm_eps: f64,
    #[serde(rename = "network.norm_momentum", default)]
    norm_momentum: f64,
    #[serde(rename = "network.activation")]
    activation: String,
    #[serde(rename = "network.init")]
    init: String,
    #[serde(rename = "network.shortcut_scale", default)]
    shortcut_scale: f64,
}

impl Family for CifarNet {
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
        let invalid = |key: &str, message: String| InvalidKey { key: key.into(), message };
        let object = keys.clone().into_iter().collect();
        let values: Values = serde_json::from_value(serde_json::Value::Object(object))
            .map_err(|error| invalid("network", error.to_string()))?;
        let depth = values.depth;
        if depth < 8 || !(depth - 2).is_multiple_of(6) {
            let below = (depth.max(8) - 2) / 6 * 6 + 2;
            return Err(invalid(
                "network.depth",
                format!("{depth} is not 6n+2; the nearest are {below} and {}", below + 6),
            ));
        }
        let block = Block {
            norm: (values.norm == "batch")
                .then_some(BatchNorm { eps: values.norm_eps, momentum: values.norm_momentum }),
            activation: match values.activation.as_str() {
                "sigmoid" => Activation::Sigmoid,
                _ => Activation::Relu,
            },
            shortcut: self.is_residual.then_some(values.shortcut_scale),
        };
        let init = if values.init == "he-fan-in" { Init::HeFanIn } else { Init::HeFanOut };
        let layers = layers(&block, (depth - 2) / 6, values.width, input, classes);
        Ok(Network { input, classes, init, layers })
    }
}

/// Stem, stages and classifier.
fn layers(block: &Block, pairs: usize, width: usize, input: Dims, classes: usize) -> Vec<Layer> {
    let mut layers = block.conv(["conv1".into(), "bn1".into()], [input[0], width], 1);
    layers.push(Layer::Activation(block.activation));
    let mut channels = width;
    for stage in 0..STAGES {
        let outputs = width << stage;
        for pair in 0..pairs {
            let stride = if stage > 0 && pair == 0 { 2 } else { 1 };
            let name = format!("layer{}.{pair}", stage + 1);
            layers.extend(block.basic(&name, [channels, outputs], stride));
            channels = outputs;
        }
    }
    layers.push(Layer::GlobalAvgPool);
    layers.push(Layer::Linear { name: "fc".into(), inputs: channels, outputs: classes });
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn net(family: &CifarNet, depth: usize) -> Network {
        let mut keys: FamilyKeys = family
            .keys
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), key.default.value()?)))
            .collect();
        keys.insert("network.depth".into(), json!(depth));
        family.build(&keys, [3, 32, 32], 10).unwrap()
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
        for key in &COMMON {
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
