//! Tests of branches that end with a factor, that survive by chance, and of Dirac kernels, against formulas.

use super::tests::{TRAIN, build_with, distance, images};
use super::*;
use serde_json::{Value, json};
use tch::Kind;

/// Logits of a net in prediction.
fn logits(set: &[(&str, Value)]) -> Tensor {
    let _guard = tch::no_grad_guard();
    build_with(set).2.forward(&images(5), Mode::Predict)
}

/// Logits of a net of which only stem, shortcuts and classifier do something.
fn identity() -> Tensor {
    let _guard = tch::no_grad_guard();
    let (_, parameters, net) = build_with(&[]);
    for (name, mut value) in parameters.named() {
        if name.ends_with("bn2.weight") {
            let _ = value.zero_();
        }
    }
    net.forward(&images(5), Mode::Predict)
}

#[test]
fn blocks_that_begin_at_zero_are_the_identity() {
    for scale in ["zero-gamma", "rezero"] {
        let found = logits(&[("network.branch_scale", json!(scale))]);
        assert!(distance(&found, &identity()) < 1e-6, "{scale}");
    }
    assert!(distance(&logits(&[]), &identity()) > 1e-3);
}

#[test]
fn factors_of_channels_multiply_the_branch() {
    let of = |initial: f64| {
        let scale = ("network.branch_scale", json!("layer-scale"));
        logits(&[scale, ("network.branch_scale_init", json!(initial))])
    };
    assert!(distance(&of(1.0), &logits(&[])) < 1e-5);
    assert!(distance(&of(0.0), &identity()) < 1e-6);
    assert!(distance(&of(0.5), &identity()) > 1e-3);
    // Factors of fully connected layers stand along the last dimension.
    let mlp = |scale: &str| {
        let keys = [
            ("family", json!("residual-mlp")),
            ("branch_scale", json!(scale)),
            ("branch_scale_init", json!(1.0)),
        ];
        let keys: Vec<(String, Value)> =
            keys.into_iter().map(|(key, value)| (format!("network.{key}"), value)).collect();
        logits(&keys.iter().map(|(key, value)| (key.as_str(), value.clone())).collect::<Vec<_>>())
    };
    assert!(distance(&mlp("layer-scale"), &mlp("none")) < 1e-5);
}

#[test]
fn a_branch_takes_part_as_often_as_its_probability_says_and_counts_with_it_in_prediction() {
    let _guard = tch::no_grad_guard();
    tch::manual_seed(5);
    let response = Tensor::ones([2, 3], (Kind::Float, tch::Device::Cpu));
    let mut count = 0.0;
    for _ in 0..2000 {
        let survived = residual::surviving(&response, 0.3, TRAIN);
        // All images or none.
        let sum = survived.sum(Kind::Float).double_value(&[]);
        assert!(sum == 0.0 || sum == 6.0, "{sum}");
        count += sum / 6.0;
    }
    // Four standard deviations of a binomial share.
    assert!((count / 2000.0 - 0.3).abs() < 4.0 * (0.3f64 * 0.7 / 2000.0).sqrt(), "{count}");
    let predicted = residual::surviving(&response, 0.3, Mode::Predict);
    assert!(distance(&predicted, &(response * 0.3)) == 0.0);
}

#[test]
fn in_prediction_a_net_of_stochastic_depth_has_branches_of_their_expected_size() {
    // Three blocks survive with 2/3, 1/3 and almost 0, so factors of that size do the same.
    let survival = logits(&[("network.survival", json!(0.01))]);
    let _guard = tch::no_grad_guard();
    let (_, parameters, net) = build_with(&[("network.branch_scale", json!("rezero"))]);
    let factors = [1.0 - 0.99 / 3.0, 1.0 - 2.0 * 0.99 / 3.0, 0.01];
    let named = parameters.named().filter(|(name, _)| name.ends_with(".scale"));
    for ((_, mut value), factor) in named.zip(factors) {
        let _ = value.fill_(factor);
    }
    assert!(distance(&survival, &net.forward(&images(5), Mode::Predict)) < 1e-5);
}

#[test]
fn a_dirac_kernel_copies_channels_and_adds_a_filter_of_norm_one() {
    let _guard = tch::no_grad_guard();
    let keys = [("network.family", json!("plain")), ("network.kernel", json!("dirac"))];
    let (_, parameters, _) = build_with(&keys);
    let name = "layer2.0.conv1";
    let kernel = Dirac::new(name, &parameters).kernel(&parameters.leaf(&format!("{name}.weight")));
    // Four channels become eight, of which the first four are copies.
    let identity = Tensor::zeros_like(&kernel);
    for channel in 0..4 {
        let _ = identity.get(channel).get(channel).get(1).get(1).fill_(1.0);
    }
    let filter = &kernel - &identity;
    let norms = filter.square().sum_dim_intlist([1, 2, 3].as_slice(), false, Kind::Float).sqrt();
    assert!(distance(&norms, &(Tensor::ones_like(&norms) * 0.1)) < 1e-6, "{norms}");
    assert_eq!(kernel.size(), [8, 4, 3, 3]);
}

#[test]
fn factors_of_dirac_kernels_have_no_weight_decay() {
    let keys = [("network.family", json!("plain")), ("network.kernel", json!("dirac"))];
    let (_, parameters, _) = build_with(&keys);
    let mut decay = parameters.zeros();
    parameters.add_decay_of_ones(&mut decay, 1.0);
    for (name, values) in parameters.named_in(&decay) {
        let is_factor = name.ends_with(".alpha") || name.ends_with(".beta");
        let expected = Tensor::full_like(&values, if is_factor { 0.0 } else { 1.0 });
        assert!(values.equal(&expected), "{name}");
    }
}
