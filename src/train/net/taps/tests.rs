use super::super::tests::{TRAIN, build_as, build_with, distance, images, images_of};
use super::*;
use crate::net::{Mode, Net, TappedNorm};
use crate::parameters::Parameters;
use fathom_arch::Network;
use serde_json::Value;
use tch::Kind;

/// Sets of keys that cover every kind of layer.
fn nets() -> Vec<Vec<(&'static str, Value)>> {
    let of = |family: &str| ("network.family", family.into());
    let without_norm =
        |init: &str| [("network.norm", "none".into()), ("network.init", init.into())];
    vec![
        vec![of("plain")],
        vec![of("residual")],
        vec![of("residual"), ("network.shortcut", "b".into())],
        vec![of("residual"), ("network.shortcut_scale", 0.5.into())],
        vec![of("preact")],
        vec![of("residual"), ("network.norm", "batch-formula".into())],
        vec![of("residual"), ("network.norm", "group".into())],
        vec![of("residual"), ("network.norm", "layer".into())],
        vec![of("residual"), ("network.norm", "none".into())],
        [vec![of("residual")], without_norm("fixup").into()].concat(),
        [vec![of("preact")], without_norm("skipinit").into()].concat(),
        vec![of("dense"), ("network.depth", 10.into()), ("network.growth", 4.into())],
        vec![of("mlp"), ("network.depth", 5.into())],
        vec![of("residual-mlp"), ("network.depth", 5.into())],
        vec![of("lenet"), ("network.norm", "batch".into())],
    ]
}

/// Largest difference, relative to the largest expected value.
fn apart(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    distance(found, expected) / expected.abs().max().double_value(&[]).max(1e-30)
}

#[test]
fn taps_change_neither_logits_nor_running_averages() {
    for set in nets() {
        let (network, _, net) = build_for(&set);
        let batch = images_of(6, 12).to_kind(Kind::Double);
        let initial = net.statistics();
        let is_unmoved = || {
            let averages = net.statistics();
            averages.iter().zip(&initial).all(|(new, old)| distance(new, old) == 0.0)
        };
        let tapped = net.tapped(&batch, TappedNorm::Batch);
        assert!(is_unmoved(), "{set:?}");
        let trained = net.forward(&batch, TRAIN);
        assert!(is_unmoved() == initial.is_empty(), "training moves the averages of {set:?}");
        let difference = apart(&tapped.logits, &trained);
        assert!(difference < 1e-9, "in training: {difference} with {set:?}");
        // The running averages are no longer the initial ones.
        let tapped = net.tapped(&batch, TappedNorm::Running);
        let predicted = net.forward(&batch, Mode::Predict);
        let difference = apart(&tapped.logits, &predicted);
        assert!(difference < 1e-9, "at prediction: {difference} with {set:?}");
        // The experiment file is checked by what the description of the network says of its layers.
        let described = network.weight_layers();
        assert_eq!(tapped.layers.len(), described.len(), "{set:?}");
        for (tap, layer) in tapped.layers.iter().zip(described) {
            let is_rectified = layer.activation == Some(Activation::Relu);
            assert_eq!((&tap.name, tap.is_rectified), (&layer.name, is_rectified), "{set:?}");
            assert_eq!(tap.norm.is_some(), layer.norm.is_some(), "{} of {set:?}", tap.name);
            let has_moving = tap.norm.as_ref().is_some_and(|norm| norm.batch.is_some());
            let expected = layer.norm.is_some_and(|norm| norm.has_moving_averages());
            assert_eq!(has_moving, expected, "{} of {set:?}", tap.name);
        }
    }
}

#[test]
fn taps_have_gradients_of_the_net() {
    let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5]);
    for set in nets() {
        let (_, parameters, net) = build_for(&set);
        let batch = images_of(6, 12).to_kind(Kind::Double);
        let loss = |logits: &Tensor| logits.cross_entropy_for_logits(&labels);
        let tapped = net.tapped(&batch, TappedNorm::Batch);
        let found = parameters.gradients(&loss(&tapped.logits));
        let expected = parameters.gradients(&loss(&net.forward(&batch, TRAIN)));
        let difference = apart(&found, &expected);
        assert!(difference < 1e-9, "{difference} with {set:?}");
        for norm in [TappedNorm::Batch, TappedNorm::Running] {
            let tapped = net.tapped(&batch, norm);
            let responses: Vec<&Tensor> = tapped.layers.iter().map(|tap| &tap.response).collect();
            let gradients = Tensor::run_backward(&[loss(&tapped.logits)], &responses, false, false);
            for (tap, gradient) in tapped.layers.iter().zip(gradients) {
                assert_eq!(gradient.size(), tap.response.size(), "{} of {set:?}", tap.name);
                // The branches of SkipInit and Fixup are multiplied by 0 or end in zero weights.
                let is_initial_zero = set.iter().any(|(key, _)| *key == "network.init");
                let size = gradient.abs().max().double_value(&[]);
                assert!(size.is_finite() && (size > 0.0 || is_initial_zero), "{}", tap.name);
            }
        }
    }
}

#[test]
fn dropout_is_off_with_taps() {
    let (_, _, net) = build_with(&[
        ("network.family", "dense".into()),
        ("network.depth", 10.into()),
        ("network.growth", 4.into()),
        ("network.dropout", 0.5.into()),
    ]);
    for norm in [TappedNorm::Batch, TappedNorm::Running] {
        let logits = || net.tapped(&images(6), norm).logits;
        assert_eq!(distance(&logits(), &logits()), 0.0, "{norm:?}");
    }
}

fn build_for(set: &[(&str, Value)]) -> (Network, Parameters, Net) {
    build_as(set, 12, Kind::Double)
}

/// A forward pass from the formulas, layer by layer.
struct ByHand<'a> {
    parameters: &'a Parameters,
    expected: Vec<Expected>,
}

/// Expected values of a layer.
struct Expected {
    name: &'static str,
    response: Tensor,
    output: Tensor,
    is_rectified: bool,
    /// Name of the normalisation, and moments of its batch.
    norm: Option<(&'static str, Moments)>,
}

impl ByHand<'_> {
    fn leaf(&self, name: &str, part: &str) -> Tensor {
        self.parameters.leaf(&format!("{name}.{part}")).detach()
    }

    fn conv(&self, x: &Tensor, name: &str, stride: i64) -> Tensor {
        let weight = self.leaf(name, "weight");
        let padding = weight.size()[2] / 2;
        x.conv2d(&weight, None::<&Tensor>, [stride; 2], [padding; 2], [1, 1], 1)
    }

    /// Batch normalisation with the batch's statistics, and its moments.
    fn norm(&self, x: &Tensor, name: &'static str) -> (Tensor, Option<(&'static str, Moments)>) {
        let n = x.numel() as f64 / x.size()[1] as f64;
        let by_channel = x.transpose(0, 1).flatten(1, -1);
        let mean = by_channel.sum_dim_intlist([1i64].as_slice(), false, Kind::Double) / n;
        let squares = (&by_channel - mean.unsqueeze(1)).square();
        let variance = squares.sum_dim_intlist([1i64].as_slice(), false, Kind::Double) / n;
        let scale = self.leaf(name, "weight") / (&variance + 1e-5).sqrt();
        let shift = self.leaf(name, "bias") - &mean * &scale;
        let shape: &[i64] = if x.dim() == 4 { &[1, -1, 1, 1] } else { &[1, -1] };
        let y = x * scale.view(shape) + shift.view(shape);
        (y, Some((name, Moments { mean, variance: variance * (n / (n - 1.0)) })))
    }

    fn expect(
        &mut self,
        name: &'static str,
        (response, norm): (Tensor, Option<(&'static str, Moments)>),
        output: &Tensor,
        is_rectified: bool,
    ) {
        let output = output.shallow_clone();
        self.expected.push(Expected { name, response, output, is_rectified, norm });
    }

    /// A convolution or fully connected layer that neither normalisation nor activation follows.
    fn expect_bare(&mut self, name: &'static str, y: &Tensor) {
        self.expect(name, (y.shallow_clone(), None), y, false);
    }

    /// The classifier on the means over the positions.
    fn classifier(&mut self, x: &Tensor, name: &'static str) {
        let pooled = x.mean_dim([2i64, 3].as_slice(), false, Kind::Double);
        self.linear(&pooled, name);
    }

    fn linear(&mut self, x: &Tensor, name: &'static str) {
        let y = x.matmul(&self.leaf(name, "weight").transpose(0, 1)) + self.leaf(name, "bias");
        self.expect_bare(name, &y);
    }

    fn check(self, net: &Net, batch: &Tensor) {
        let Tapped { logits, layers } = net.tapped(batch, TappedNorm::Batch);
        assert_eq!(layers.len(), self.expected.len());
        for (tap, expected) in layers.iter().zip(&self.expected) {
            let name = expected.name;
            assert_eq!(tap.name, name);
            assert!(apart(&tap.response, &expected.response) < 1e-9, "response of {name}");
            assert!(apart(&tap.output, &expected.output) < 1e-9, "output of {name}");
            assert_eq!(tap.is_rectified, expected.is_rectified, "{name}");
            assert_eq!(tap.norm.is_some(), expected.norm.is_some(), "normalisation of {name}");
            let (Some(tap), Some((norm, moments))) = (&tap.norm, &expected.norm) else { continue };
            assert_eq!(distance(&tap.gamma, &self.leaf(norm, "weight")), 0.0, "γ of {norm}");
            assert_eq!(distance(&tap.beta, &self.leaf(norm, "bias")), 0.0, "β of {norm}");
            let BatchTap { batch, running } = tap.batch.as_ref().unwrap();
            // The moments of the batch are taken in f32.
            assert!(apart(&batch.mean, &moments.mean) < 1e-5, "mean of {norm}");
            assert!(apart(&batch.variance, &moments.variance) < 1e-5, "variance of {norm}");
            let named = net.named_statistics();
            for (part, average) in [("mean", &running.mean), ("var", &running.variance)] {
                let name = format!("{norm}.running_{part}");
                let (_, own) = named.iter().find(|(own, _)| *own == name).unwrap();
                assert_eq!(own.data_ptr(), average.data_ptr(), "{name}");
            }
        }
        assert!(apart(&logits, &self.expected.last().unwrap().output) < 1e-9);
    }
}

/// A net in double precision whose γ and β are neither 1 nor 0, and a batch.
fn build_scaled(set: &[(&str, Value)]) -> (Parameters, Net, Tensor) {
    let (_, parameters, net) = build_as(set, 8, Kind::Double);
    tch::manual_seed(1);
    let _guard = tch::no_grad_guard();
    for (name, mut values) in parameters.named() {
        if values.dim() == 1 && name != "fc.bias" {
            let noise = Tensor::rand_like(&values) * 0.5;
            values += noise;
        }
    }
    (parameters, net, images(6).to_kind(Kind::Double))
}

/// Shortcut of option A: every second pixel, and as many channels of zeros after the input's.
fn padded(x: &Tensor) -> Tensor {
    let kept = x.slice(2, 0, None, 2).slice(3, 0, None, 2);
    Tensor::cat(&[&kept, &kept.zeros_like()], 1)
}

#[test]
fn taps_of_a_residual_net_are_those_by_hand() {
    let (parameters, net, batch) = build_scaled(&[("network.family", "residual".into())]);
    let mut hand = ByHand { parameters: &parameters, expected: Vec::new() };
    let stem = hand.norm(&hand.conv(&batch, "conv1", 1), "bn1");
    let mut x = stem.0.relu();
    hand.expect("conv1", stem, &x, true);
    for (stride, [conv1, bn1, conv2, bn2]) in [
        (1, ["layer1.0.conv1", "layer1.0.bn1", "layer1.0.conv2", "layer1.0.bn2"]),
        (2, ["layer2.0.conv1", "layer2.0.bn1", "layer2.0.conv2", "layer2.0.bn2"]),
        (2, ["layer3.0.conv1", "layer3.0.bn1", "layer3.0.conv2", "layer3.0.bn2"]),
    ] {
        let first = hand.norm(&hand.conv(&x, conv1, stride), bn1);
        let inner = first.0.relu();
        hand.expect(conv1, first, &inner, true);
        let second = hand.norm(&hand.conv(&inner, conv2, 1), bn2);
        let shortcut = match stride {
            1 => x,
            _ => padded(&x),
        };
        x = (&second.0 + shortcut).relu();
        hand.expect(conv2, second, &x, true);
    }
    hand.classifier(&x, "fc");
    hand.check(&net, &batch);
}

#[test]
fn taps_of_a_pre_activation_net_are_those_by_hand() {
    let (parameters, net, batch) = build_scaled(&[
        ("network.family", "preact".into()),
        ("network.depth", Value::Null),
        ("network.blocks", [1, 1].as_slice().into()),
    ]);
    let mut hand = ByHand { parameters: &parameters, expected: Vec::new() };
    // Branch and shortcut of the first block share its first normalisation and activation.
    let stem = hand.norm(&hand.conv(&batch, "conv1", 1), "layer1.0.bn1");
    let mut x = stem.0.relu();
    hand.expect("conv1", stem, &x, true);
    let first = hand.norm(&hand.conv(&x, "layer1.0.conv1", 1), "layer1.0.bn2");
    let inner = first.0.relu();
    hand.expect("layer1.0.conv1", first, &inner, true);
    let response = hand.conv(&inner, "layer1.0.conv2", 1);
    x = &response + x;
    hand.expect("layer1.0.conv2", (response, None), &x, false);
    let activated = hand.norm(&x, "layer2.0.bn1").0.relu();
    let first = hand.norm(&hand.conv(&activated, "layer2.0.conv1", 2), "layer2.0.bn2");
    let inner = first.0.relu();
    hand.expect("layer2.0.conv1", first, &inner, true);
    let response = hand.conv(&inner, "layer2.0.conv2", 1);
    x = &response + padded(&x);
    hand.expect("layer2.0.conv2", (response, None), &x, false);
    // Normalisation and activation after the last block belong to the sum, not to the response.
    x = hand.norm(&x, "bn_last").0.relu();
    let last = hand.expected.last_mut().unwrap();
    (last.output, last.is_rectified) = (x.shallow_clone(), true);
    hand.classifier(&x, "fc");
    hand.check(&net, &batch);
}

#[test]
fn taps_of_a_mlp_are_those_by_hand() {
    let set = [("network.family", "mlp".into()), ("network.depth", 3.into())];
    let (parameters, net, batch) = build_scaled(&set);
    let mut hand = ByHand { parameters: &parameters, expected: Vec::new() };
    let mut x = batch.flatten(1, -1);
    for [linear, bn] in [["layer1.fc1", "layer1.bn1"], ["layer2.fc1", "layer2.bn1"]] {
        let product = x.matmul(&hand.leaf(linear, "weight").transpose(0, 1));
        let normalised = hand.norm(&product, bn);
        x = normalised.0.relu();
        hand.expect(linear, normalised, &x, true);
    }
    hand.linear(&x, "fc");
    hand.check(&net, &batch);
}

#[test]
fn taps_of_a_dense_net_are_those_by_hand() {
    let (parameters, net, batch) = build_scaled(&[
        ("network.family", "dense".into()),
        ("network.depth", Value::Null),
        ("network.blocks", [1, 1].as_slice().into()),
        ("network.growth", 4.into()),
        ("network.bottleneck", true.into()),
        ("network.dropout", 0.5.into()),
    ]);
    let mut hand = ByHand { parameters: &parameters, expected: Vec::new() };
    let mut x = hand.conv(&batch, "features.conv0", 1);
    hand.expect_bare("features.conv0", &x);
    let dense_layer = |hand: &mut ByHand, x: &mut Tensor, names: [&'static str; 4]| {
        let [norm1, conv1, norm2, conv2] = names;
        let first = hand.norm(&hand.conv(&hand.norm(x, norm1).0.relu(), conv1, 1), norm2);
        let inner = first.0.relu();
        hand.expect(conv1, first, &inner, true);
        let grown = hand.conv(&inner, conv2, 1);
        hand.expect_bare(conv2, &grown);
        *x = Tensor::cat(&[&*x, &grown], 1);
    };
    let names = [
        "features.denseblock1.denselayer1.norm1",
        "features.denseblock1.denselayer1.conv1",
        "features.denseblock1.denselayer1.norm2",
        "features.denseblock1.denselayer1.conv2",
    ];
    dense_layer(&mut hand, &mut x, names);
    x = hand.conv(
        &hand.norm(&x, "features.transition1.norm").0.relu(),
        "features.transition1.conv",
        1,
    );
    hand.expect_bare("features.transition1.conv", &x);
    x = x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
    let names = [
        "features.denseblock2.denselayer1.norm1",
        "features.denseblock2.denselayer1.conv1",
        "features.denseblock2.denselayer1.norm2",
        "features.denseblock2.denselayer1.conv2",
    ];
    dense_layer(&mut hand, &mut x, names);
    x = hand.norm(&x, "features.norm3").0.relu();
    hand.classifier(&x, "classifier");
    hand.check(&net, &batch);
}
