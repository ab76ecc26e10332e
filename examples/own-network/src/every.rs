//! How often must there be a shortcut? A stack of 3×3 convolutions of one width on maps of full,
//! half and quarter size, with an identity shortcut around every `span` of them. `span` 1 is the
//! one-layer skip of 1603.05027's Table 3, 2 is the usual residual net, and a span as long as the
//! stage is nearly a plain one.

use fathom::arch::{
    Activation, Dims, Family, FamilyKeys, Init, InvalidKey, Layer, Network, Norm, Shortcut,
};
use fathom::base::key::{Default, Key, Kind, key};

/// The family.
pub struct Every;

/// The one that `main` registers.
pub static EVERY: Every = Every;

static KEYS: &[Key] = &[
    key(
        "network.depth",
        Kind::Count(5, 10_000),
        Default::Required,
        &[],
        "layers with weights: 3n+2, n convolutions on each size of maps",
    ),
    key("network.width", Kind::Count(1, 4096), Default::Count(16), &[], "channels"),
    key(
        "network.span",
        Kind::Count(1, 10_000),
        Default::Count(2),
        &[],
        "convolutions around which a shortcut goes",
    ),
];

impl Family for Every {
    fn name(&self) -> &'static str {
        "every"
    }

    fn help(&self) -> &'static str {
        "a shortcut around every so many convolutions"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn build(&self, keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey> {
        // The library has checked the kinds of all values and filled in the defaults.
        let count = |name: &str| keys[name].as_u64().unwrap_or_default() as usize;
        let (depth, width) = (count("network.depth"), count("network.width"));
        if depth % 3 != 2 {
            let below = (depth - 2) / 3 * 3 + 2;
            let message = format!("{depth} is not 3n+2; the nearest are {below} and {}", below + 3);
            return Err(InvalidKey::new("network.depth", message));
        }
        let per_stage = (depth - 2) / 3;
        let mut layers = unit("conv1", [input[0], width]);
        layers.push(Layer::Activation(Activation::Relu));
        for stage in 1..=3 {
            if stage > 1 {
                layers.push(Layer::AvgPool { kernel: 2 });
            }
            let names: Vec<String> =
                (0..per_stage).map(|number| format!("layer{stage}.{number}")).collect();
            for span in names.chunks(count("network.span")) {
                layers.push(block(span, width));
                layers.push(Layer::Activation(Activation::Relu));
            }
        }
        layers.push(Layer::GlobalAvgPool);
        let name = "fc".into();
        layers.push(Layer::Linear { name, inputs: width, outputs: classes, bias: true });
        Ok(Network { input, classes, init: Init::HeFanOut, gain: 1.0, layers })
    }
}

/// Convolution and normalisation.
fn unit(name: &str, [inputs, outputs]: [usize; 2]) -> Vec<Layer> {
    let (kernel, stride, padding, bias) = (3, 1, 1, false);
    vec![
        Layer::Conv {
            name: format!("{name}.conv"),
            inputs,
            outputs,
            kernel,
            stride,
            padding,
            bias,
            dirac: false,
        },
        Layer::Norm {
            name: format!("{name}.bn"),
            channels: outputs,
            norm: Norm::Batch { eps: 1e-5, momentum: 0.1, from_formula: false },
            gamma: 1.0,
        },
    ]
}

/// Some units with non-linearities between them and a shortcut around all.
fn block(names: &[String], width: usize) -> Layer {
    let mut branch = Vec::new();
    for name in names {
        if !branch.is_empty() {
            branch.push(Layer::Activation(Activation::Relu));
        }
        branch.extend(unit(name, [width, width]));
    }
    Layer::Residual { branch, shortcut: Shortcut::Identity, scale: 1.0, survival: 1.0 }
}
