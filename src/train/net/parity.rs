//! Comparison with torchvision: the same weights give the same logits and gradients. The fixtures
//! are written by `scripts/parity_fixtures.py`, which documents how weights and images are computed
//! from integers.

use super::{Mode, Net};
use crate::parameters::Parameters;
use crate::placement::Placement;
use crate::weights;
use fathom_arch::{Network, Published, network};
use fathom_record::{Values, Weights};
use serde_json::Value;
use std::path::Path;
use tch::{Device, Kind, Tensor};

const TRAIN: Mode = Mode::Train { norm_batch: None };

/// Random word number `place` of a name: FNV-1a of the name, then splitmix64.
fn word(name: &str, place: u64) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut z = hash.wrapping_add((place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Values between two bounds, computed in f64 and rounded to f32.
fn values(name: &str, n: usize, [low, high]: [f64; 2]) -> Vec<f32> {
    let fraction = |place| (word(name, place) >> 40) as f64 / f64::from(1 << 24);
    (0..n as u64).map(|place| (low + (high - low) * fraction(place)) as f32).collect()
}

/// Whether this normalisation is the last layer of a residual branch.
fn ends_branch(module: &str, network: &Network) -> bool {
    let (block, norm) = module.rsplit_once('.').unwrap_or_default();
    let last = if network.state().iter().any(|(name, _)| name == &format!("{block}.conv3.weight")) {
        "bn3"
    } else {
        "bn2"
    };
    block.starts_with("layer") && norm == last
}

/// Values of the net's tensor with this name.
fn tensor(name: &str, shape: &[usize], network: &Network) -> Values {
    let (module, part) = name.rsplit_once('.').unwrap_or_default();
    let is_fc = ["fc", "classifier"].contains(&module);
    let is_last = ends_branch(module, network);
    let symmetric = |bound: f64| [-bound, bound];
    let (bounds, alternates) = match (part, shape) {
        ("weight", [_, inputs, k, _]) => (symmetric((6.0 / (inputs * k * k) as f64).sqrt()), false),
        ("weight", [_, inputs]) => (symmetric(1.0 / (*inputs as f64).sqrt()), false),
        ("bias", _) if is_fc => (symmetric(0.1), false),
        ("weight", _) => (if is_last { [0.05, 0.1] } else { [0.8, 1.2] }, false),
        ("bias", _) => (if is_last { [0.1, 0.3] } else { [1.0, 3.0] }, true),
        ("running_mean", _) => (symmetric(0.1), false),
        _ => ([0.8, 1.2], false),
    };
    let mut values = values(name, shape.iter().product(), bounds);
    if alternates {
        values.iter_mut().skip(1).step_by(2).for_each(|value| *value = -*value);
    }
    Values { shape: shape.into(), values }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A fixture, and the net that it describes.
struct Case {
    fixture: Value,
    network: Network,
    kind: Kind,
    net: Net,
    parameters: Parameters,
    images: Tensor,
    labels: Tensor,
}

impl Case {
    fn new(name: &str, published: &str, set: &[(&str, Value)], kind: Kind) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity");
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let fixture: Value = serde_json::from_str(&text).unwrap();
        let shape: Vec<usize> = numbers(&fixture["input"]).iter().map(|n| *n as usize).collect();
        let classes = fixture["classes"].as_u64().unwrap() as usize;
        let mut keys = Published::find(published).unwrap().keys();
        keys.extend(set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let network = network(&keys, [shape[1], shape[2], shape[3]], classes).unwrap();
        assert_eq!(fixture["parameters"], network.parameter_count());
        let state = network.state().into_iter();
        let tensors = state.map(|(name, shape)| {
            let values = tensor(&name, &shape, &network);
            (name, values)
        });
        let given = Weights { tensors: tensors.collect() };
        let drawn = fixture["images"].as_str().unwrap();
        let pixels = values(drawn, shape.iter().product(), [-1.0, 1.0]);
        for (name, first) in fixture["first_values"].as_object().unwrap() {
            let ours = given.tensors.get(name).map_or(&pixels, |tensor| &tensor.values);
            for (ours, theirs) in ours.iter().zip(numbers(first)) {
                assert!((f64::from(*ours) - theirs).abs() < 1e-8, "{name}: {ours} and {theirs}");
            }
        }
        let (net, parameters) =
            weights::load(&given, &network, Placement::plain(Device::Cpu, kind));
        let dims: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
        let images = Tensor::from_slice(&pixels).view(dims.as_slice()).to_kind(kind);
        let labels: Vec<i64> = (0..dims[0]).map(|j| (37 * j + 11) % classes as i64).collect();
        let labels = Tensor::from_slice(&labels);
        Self { fixture, network, kind, net, parameters, images, labels }
    }

    /// Largest difference from the fixture's logits, relative to the largest of them.
    fn logits_apart(&self, logits: &Tensor, expected: &Value) -> f64 {
        let step = expected["class_step"].as_i64().unwrap();
        let logits = logits.to_kind(Kind::Double);
        let rows: Vec<f64> =
            expected["rows"].as_array().unwrap().iter().flat_map(numbers).collect();
        let sampled = logits.slice(1, None, None, step).reshape([-1]);
        let apart = (&sampled - Tensor::from_slice(&rows)).abs().max();
        let over = [1i64].as_slice();
        let means = logits.mean_dim(over, false, Kind::Double);
        let deviations = logits.std_dim(over, false, false);
        let of_means = (means - Tensor::from_slice(&numbers(&expected["mean"]))).abs().max();
        let of_deviations =
            (deviations - Tensor::from_slice(&numbers(&expected["deviation"]))).abs().max();
        let worst = [apart, of_means, of_deviations].map(|x| x.double_value(&[]));
        worst.into_iter().fold(0.0, f64::max) / sampled.abs().max().double_value(&[])
    }

    fn check(&self, [logits, gradients]: [f64; 2]) {
        let name = &self.fixture["net"];
        let predicted = tch::no_grad(|| self.net.forward(&self.images, Mode::Predict));
        let apart = self.logits_apart(&predicted, &self.fixture["logits_eval"]);
        println!("{name} {:?}: logits at prediction {apart:.1e}", self.kind);
        assert!(apart < logits, "{name}: logits at prediction are {apart:.1e} apart");
        let expected = &self.fixture["train"];
        let in_training = self.net.forward(&self.images, TRAIN);
        let apart = self.logits_apart(&in_training, &expected["logits_train"]);
        println!("{name} {:?}: logits in training {apart:.1e}", self.kind);
        assert!(apart < logits, "{name}: logits in training are {apart:.1e} apart");
        let loss = in_training.cross_entropy_for_logits(&self.labels);
        let theirs = expected["loss"].as_f64().unwrap();
        let apart = (loss.double_value(&[]) - theirs).abs() / theirs;
        assert!(apart < gradients, "{name}: losses are {apart:.1e} apart");
        self.check_gradients(&loss, &expected["gradients"], gradients);
        self.check_averages(&expected["running"]);
    }

    /// Estimates the norm of a gradient's difference from its products with four random vectors of
    /// signs: the expected square of a product is the square of the norm.
    fn check_gradients(&self, loss: &Tensor, expected: &Value, tolerance: f64) {
        let flat = self.parameters.gradients(loss).to_kind(Kind::Double);
        let mut place = 0;
        let mut worst = (0.0, String::new());
        let expected = expected.as_array().unwrap();
        assert_eq!(expected.len(), self.network.parameters().len());
        for (parameter, shape) in self.network.parameters() {
            let n: usize = shape.iter().product();
            let ours = Vec::<f64>::try_from(flat.narrow(0, place, n as i64)).unwrap();
            place += n as i64;
            let theirs =
                expected.iter().find(|theirs| theirs["name"] == parameter.as_str()).unwrap();
            let norm = theirs["norm"].as_f64().unwrap();
            let our_norm = ours.iter().map(|x| x * x).sum::<f64>().sqrt();
            let mut square = 0.0;
            for (number, sketch) in numbers(&theirs["sketches"]).into_iter().enumerate() {
                let name = format!("sketch{number}:{parameter}");
                let signed = |(place, x): (usize, &f64)| {
                    if word(&name, place as u64) >> 63 == 1 { *x } else { -x }
                };
                let product: f64 = ours.iter().enumerate().map(signed).sum();
                square += (product - sketch).powi(2) / 4.0;
            }
            let apart = square.sqrt().max((our_norm - norm).abs()) / norm;
            if apart > worst.0 {
                worst = (apart, parameter);
            }
        }
        let (apart, parameter) = worst;
        let name = &self.fixture["net"];
        println!("{name} {:?}: gradients {apart:.1e} ({parameter})", self.kind);
        assert!(apart < tolerance, "{name}: the gradient of {parameter} is {apart:.1e} apart");
    }

    fn check_averages(&self, expected: &Value) {
        let ours = self.net.named_statistics();
        for (norm, parts) in expected.as_object().unwrap() {
            for (part, values) in parts.as_object().unwrap() {
                let name = format!("{norm}.{part}");
                let (_, tensor) = ours.iter().find(|(ours, _)| *ours == name).unwrap();
                for (place, theirs) in numbers(values).into_iter().enumerate() {
                    let ours = tensor.double_value(&[place as i64]);
                    assert!((ours - theirs).abs() < 1e-5, "{name}: {ours} and {theirs}");
                }
            }
        }
    }
}

/// Compares in f32 with the tolerance of f32, and in f64 to the precision of the fixtures, which
/// reveals any difference between the nets.
fn check(name: &str, published: &str, set: &[(&str, Value)]) {
    Case::new(name, published, set, Kind::Float).check([1e-5, 1e-3]);
    Case::new(name, published, set, Kind::Double).check([1e-7, 1e-5]);
}

#[test]
fn resnet18_is_torchvision_s() {
    check("resnet18", "resnet18", &[]);
}

#[test]
fn resnet50_is_torchvision_s() {
    check("resnet50", "resnet50", &[]);
}

#[test]
fn resnet152_is_torchvision_s() {
    check("resnet152", "resnet152", &[]);
}

#[test]
fn densenet121_is_torchvision_s() {
    check("densenet121", "densenet121", &[]);
}

#[test]
fn cifar_resnet20_is_pytorch_s_with_either_padding() {
    check("resnet20-behind", "resnet20", &[]);
    check("resnet20-split", "resnet20", &[("network.shortcut_pad", "split".into())]);
}
