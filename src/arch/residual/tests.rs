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
fn a_wide_net_of_widening_factor_one_is_a_pre_activation_net() {
    let thin = with(&WIDE, json!({ "depth": 16, "width": 16 }), 32, 10);
    assert_eq!(thin, with(&PREACT, json!({ "depth": 14, "shortcut": "b" }), 32, 10));
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

/// The values of a parameter.
fn values(net: &Network, name: &str) -> Vec<f32> {
    let found = net.initial(0).into_iter().find(|parameter| parameter.name == name);
    found.unwrap_or_else(|| panic!("{name}")).values
}

#[test]
fn branches_end_with_what_the_key_says() {
    let set = |scale: &str, norm: &str| json!({ "depth": 8, "branch_scale": scale, "norm": norm });
    let plain = with(&RESIDUAL, json!({ "depth": 8 }), 32, 10);
    let count = |net: &Network| net.parameter_count() - plain.parameter_count();
    let zero = with(&RESIDUAL, set("zero-gamma", "batch"), 32, 10);
    assert_eq!(count(&zero), 0);
    assert_eq!(values(&zero, "layer2.0.bn2.weight"), [0.0; 32]);
    assert_eq!(values(&zero, "layer2.0.bn1.weight"), [1.0; 32]);
    let rezero = with(&RESIDUAL, set("rezero", "batch"), 32, 10);
    assert_eq!(count(&rezero), 3);
    assert_eq!(values(&rezero, "layer3.0.scale"), [0.0]);
    let layer_scale = with(&PREACT, set("layer-scale", "batch"), 32, 10);
    assert_eq!(values(&layer_scale, "layer3.0.scale"), [0.1; 64]);
    // Without normalisation, ReZero is SkipInit.
    let skipinit = json!({ "depth": 8, "norm": "none", "init": "skipinit" });
    assert_eq!(with(&RESIDUAL, set("rezero", "none"), 32, 10), with(&RESIDUAL, skipinit, 32, 10));
    for (family, set) in
        [(&PREACT, set("zero-gamma", "batch")), (&RESIDUAL, set("zero-gamma", "none"))]
    {
        let said = fault(family, set, 32);
        assert!(said.contains("of nets without normalisation, do not: use rezero"), "{said}");
    }
    let twice = json!({ "depth": 8, "branch_scale": "rezero", "norm": "none", "init": "fixup" });
    let said = fault(&RESIDUAL, twice, 32);
    assert!(said.contains("fixup and skipinit have factors of their own"), "{said}");
}

#[test]
fn branches_survive_with_a_probability_that_falls_linearly() {
    let net = with(&RESIDUAL, json!({ "depth": 14, "survival": 0.4 }), 32, 10);
    let mut found = Vec::new();
    for layer in &net.layers {
        if let Layer::Residual { survival, .. } = layer {
            found.push(*survival);
        }
    }
    // 1 − l/6 · 0.6 for the block l of 6.
    for (found, expected) in found.iter().zip([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]) {
        assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
    }
    assert_eq!(found.len(), 6);
    assert!(net.is_random() && !with(&RESIDUAL, json!({ "depth": 14 }), 32, 10).is_random());
}

#[test]
fn wide_nets_have_a_narrow_stem_and_dropout_between_convolutions() {
    let net = with(&WIDE, json!({ "depth": 10, "width": 64, "dropout": 0.3 }), 32, 10);
    assert!(matches!(&net.layers[0], Layer::Conv { outputs: 16, .. }));
    let Some(Layer::Residual { branch, .. }) =
        net.layers.iter().find(|layer| matches!(layer, Layer::Residual { .. }))
    else {
        panic!("no block")
    };
    let at = branch.iter().position(|layer| matches!(layer, Layer::Dropout { .. })).unwrap();
    assert!(matches!(&branch[at + 1], Layer::Conv { name, .. } if name == "layer1.0.conv2"));
    assert!(matches!(&branch[at - 1], Layer::Activation(_)));
    let said = fault(&WIDE, json!({ "depth": 20 }), 32);
    assert!(said.contains("20 is not 6n+4; the nearest are 16 and 22"), "{said}");
    // Zeros cannot take channels away.
    let said = fault(&WIDE, json!({ "depth": 10, "width": 8, "shortcut": "a" }), 32);
    let expected = "network.shortcut: a adds zeros for new channels, but a block has 16 channels before and 8 after it";
    assert!(said.starts_with(expected), "{said}");
    with(&WIDE, json!({ "depth": 10, "width": 16, "shortcut": "a" }), 32, 10);
}

#[test]
fn delta_orthogonal_kernels_keep_the_norm_of_every_vector() {
    for (name, outputs, inputs) in [("layer2.0.conv1", 32, 16), ("layer2.0.conv2", 32, 32)] {
        let set = json!({ "depth": 8, "init": "delta-orthogonal", "gain": 1.5 });
        let kernel = values(&with(&PLAIN, set, 32, 10), &format!("{name}.weight"));
        let middle = |output: usize, input: usize| kernel[(output * inputs + input) * 9 + 4];
        let sum: f32 = kernel.iter().map(|value| value.abs()).sum();
        let of_middle: f32 =
            (0..outputs * inputs).map(|at| middle(at / inputs, at % inputs).abs()).sum();
        assert!(sum > 0.0 && (sum - of_middle).abs() < 1e-3, "{name}: others are 0");
        for a in 0..inputs {
            for b in 0..inputs {
                let product: f32 = (0..outputs).map(|out| middle(out, a) * middle(out, b)).sum();
                let expected = if a == b { 1.5 * 1.5 } else { 0.0 };
                assert!((product - expected).abs() < 1e-5, "{name} {a} {b}: {product}");
            }
        }
    }
}

#[test]
fn the_gain_multiplies_all_initial_weights_but_the_last() {
    let one = with(&PLAIN, json!({ "depth": 8 }), 32, 10).initial(0);
    let two = with(&PLAIN, json!({ "depth": 8, "gain": 2.0 }), 32, 10).initial(0);
    for (one, two) in one.iter().zip(&two) {
        let is_scaled = one.role == crate::Role::Weight && one.name != "fc.weight";
        let factor = if is_scaled { 2.0 } else { 1.0 };
        let scaled: Vec<f32> = one.values.iter().map(|value| value * factor).collect();
        assert_eq!(scaled, two.values, "{}", one.name);
    }
}

#[test]
fn dirac_nets_have_two_factors_for_each_output_of_a_block() {
    let dirac = with(&PLAIN, json!({ "depth": 8, "kernel": "dirac" }), 32, 10);
    let free = with(&PLAIN, json!({ "depth": 8 }), 32, 10);
    let outputs = 2 * (16 + 32 + 64);
    assert_eq!(dirac.parameter_count() - free.parameter_count(), 2 * outputs);
    assert_eq!(values(&dirac, "layer2.0.conv1.alpha"), [1.0; 32]);
    assert_eq!(values(&dirac, "layer2.0.conv1.beta"), [0.1; 32]);
}
