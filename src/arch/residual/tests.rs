use super::*;
use crate::keys::complete;
use crate::{Activation, Init};
use serde_json::json;

fn net(family: &ResNet, depth: usize) -> Network {
    with(family, json!({ "depth": depth }), 32, 10)
}

fn with(family: &ResNet, set: serde_json::Value, size: usize, classes: usize) -> Network {
    family.build(&complete(family, set), [3, size, size], classes).unwrap()
}

fn fault(family: &ResNet, set: serde_json::Value, size: usize) -> String {
    let net = family.build(&complete(family, set), [3, size, size], 10);
    net.and_then(|net| net.check().map(|()| net)).unwrap_err().to_string()
}

#[test]
fn options_b_and_pre_activation_have_the_published_sizes() {
    let b = |depth: usize| json!({ "depth": depth, "shortcut": "b" });
    for (depth, parameters) in [(20, 272_474), (32, 466_906), (56, 855_770), (110, 1_730_714)] {
        assert_eq!(with(&RESIDUAL, b(depth), 32, 10).parameter_count(), parameters);
    }
    assert_eq!(with(&RESIDUAL, b(20), 32, 10).audit().macs, 40_551_040 + 262_144);
    assert_eq!(with(&PREACT, b(20), 32, 10).parameter_count(), 272_282);
    // 1603.05027 has 1.7M and 10.2M: what the convolutions and the fully connected layer have;
    // with γ and β the second is 10.3M.
    let millions = |depth: usize| {
        let keys = json!({ "depth": depth, "block": "bottleneck", "shortcut": "b" });
        let audit = with(&PREACT, keys, 32, 10).audit();
        let has_macs = audit.layers.iter().filter(|row| row.macs > 0);
        let weights: u64 = has_macs.map(|row| row.parameters).sum();
        [weights, audit.parameters].map(|count| format!("{:.1}", count as f64 / 1e6))
    };
    assert_eq!(millions(164), ["1.7", "1.7"]);
    assert_eq!(millions(1001), ["10.2", "10.3"]);
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
fn impossible_combinations_are_refused_with_the_nearest() {
    assert_eq!(
        fault(&PLAIN, json!({ "depth": 45 }), 32),
        "network.depth: 45 is not 6n+2; the nearest are 44 and 50"
    );
    let groups = fault(&PLAIN, json!({ "depth": 8, "norm": "group", "norm_groups": 5 }), 32);
    assert!(groups.starts_with("network.norm_groups: 5 does not divide the 16"), "{groups}");
    assert!(groups.ends_with("every layer is 4"), "{groups}");
    let small = fault(&RESIDUAL, json!({ "depth": 18, "stem": "imagenet" }), 16);
    assert!(small.contains("layer4.0.conv1 is 1×1; the smallest valid size is 17×17"), "{small}");
    let fixup = fault(&RESIDUAL, json!({ "depth": 8, "init": "fixup" }), 32);
    assert!(fixup.contains("norm = \"none\""), "{fixup}");
}

#[test]
fn without_normalisation_convolutions_have_a_bias() {
    let net = with(&PLAIN, json!({ "depth": 8, "norm": "none" }), 14, 10);
    let names: Vec<String> = net.initial(0).into_iter().map(|p| p.name).collect();
    assert!(names.contains(&"conv1.bias".to_owned()));
    assert!(!names.iter().any(|name| name.contains("bn")), "{names:?}");
}

fn without_norm(family: &ResNet, init: &str) -> Network {
    let net = with(family, json!({ "depth": 14, "norm": "none", "init": init }), 32, 10);
    net.check().unwrap();
    net
}

fn deviation(values: &[f32]) -> f32 {
    (values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32).sqrt()
}

#[test]
fn fixup_begins_as_its_paper_says() {
    for family in [&RESIDUAL, &PREACT] {
        let (fixup, he) = (without_norm(family, "fixup"), without_norm(family, "he-fan-out"));
        let (fixup, he) = (fixup.initial(0), he.initial(0));
        let of = |all: &[super::super::Initial], name: &str| {
            all.iter().find(|p| p.name == name).map(|p| p.values.clone()).unwrap()
        };
        // Six blocks of two layers: L^(−1/2).
        for (ours, theirs) in
            of(&fixup, "layer2.0.conv1.weight").iter().zip(of(&he, "layer2.0.conv1.weight"))
        {
            assert!((ours - theirs / 6f32.sqrt()).abs() < 1e-6);
        }
        assert!(of(&fixup, "layer2.1.conv2.weight").iter().all(|x| *x == 0.0));
        assert!(of(&fixup, "fc.weight").iter().all(|x| *x == 0.0));
        assert_eq!(of(&fixup, "layer3.1.scale"), [1.0]);
        assert_eq!(of(&fixup, "layer3.1.bias2a"), [0.0]);
        assert_eq!(of(&fixup, "conv1.weight"), of(&he, "conv1.weight"));
        assert!(!fixup.iter().any(|p| p.name.ends_with("conv1.bias")), "scalars replace biases");
    }
    // One number before each layer with weights and each non-linearity: bias1, and in each of six
    // blocks four; bias2; and one multiplied in each block.
    let scalars = without_norm(&RESIDUAL, "fixup");
    let numbers = scalars.initial(0).iter().filter(|p| p.shape == [1]).count();
    assert_eq!(numbers, 1 + 6 * 4 + 1 + 6);
    let bottleneck = json!({ "depth": 29, "block": "bottleneck", "norm": "none", "init": "fixup" });
    let three = with(&RESIDUAL, bottleneck, 32, 10).initial(0);
    let middle = three.iter().find(|p| p.name == "layer3.1.conv2.weight").unwrap();
    // Nine blocks of three layers: L^(−1/4).
    let expected = (2.0 / (9.0 * 64.0) as f32).sqrt() * 9f32.powf(-0.25);
    assert!((deviation(&middle.values) / expected - 1.0).abs() < 0.03);
}

#[test]
fn skipinit_is_he_s_with_a_zero_at_the_end_of_each_branch() {
    let (skipinit, he) = (without_norm(&PREACT, "skipinit"), without_norm(&PREACT, "he-fan-out"));
    assert_eq!(skipinit.init, Init::HeFanOut);
    let (skipinit, he) = (skipinit.initial(0), he.initial(0));
    let (scales, others): (Vec<_>, Vec<_>) =
        skipinit.into_iter().partition(|p| p.name.ends_with(".scale"));
    assert!(
        scales.len() == 6
            && scales.iter().all(|p| p.values == [0.0] && p.role == crate::Role::Bias)
    );
    assert_eq!(others, he);
}

#[test]
fn pre_activation_s_first_and_last_units_are_those_of_the_appendix() {
    let net = with(&PREACT, json!({ "depth": 14 }), 32, 10);
    let relu = Layer::Activation(Activation::Relu);
    let Layer::Residual { branch, .. } = &net.layers[3] else { panic!("{:?}", net.layers[3]) };
    assert!(matches!(&net.layers[1], Layer::Norm { name, .. } if name == "layer1.0.bn1"));
    assert_eq!(net.layers[2], relu, "before the split");
    assert!(matches!(branch[0], Layer::Conv { .. }));
    let Layer::Residual { branch, .. } = &net.layers[4] else { panic!("{:?}", net.layers[4]) };
    assert!(matches!(branch[0], Layer::Norm { .. }), "later units begin inside the branch");
    let end = &net.layers[net.layers.len() - 4..];
    assert!(matches!(&end[0], Layer::Norm { name, .. } if name == "bn_last"));
    assert_eq!((&end[1], &end[2]), (&relu, &Layer::GlobalAvgPool));
}
