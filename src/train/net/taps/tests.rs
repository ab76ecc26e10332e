use super::super::tests::{TRAIN, build_with, distance, images};
use super::*;
use crate::net::{Mode, Net};

fn named(net: &Net) -> Averages {
    net.named_statistics().into_iter().collect()
}

#[test]
fn the_pass_gives_what_the_net_gives_in_every_family_and_moves_no_averages() {
    let of = |family: &str| ("network.family", family.into());
    let nets: Vec<Vec<(&str, serde_json::Value)>> = vec![
        vec![of("plain")],
        vec![of("residual")],
        vec![of("residual"), ("network.shortcut", "b".into())],
        vec![of("preact")],
        vec![of("residual"), ("network.norm", "group".into())],
        vec![of("residual"), ("network.norm", "layer".into())],
        vec![of("residual"), ("network.norm", "none".into())],
        vec![of("residual"), ("network.norm", "none".into()), ("network.init", "fixup".into())],
        vec![of("dense"), ("network.depth", 10.into()), ("network.growth", 4.into())],
        vec![of("mlp"), ("network.depth", 5.into())],
    ];
    for set in nets {
        let (network, parameters, net) = build_with(&set);
        let batch = images(6);
        let averages = named(&net);
        let pass = observe(&network, &parameters, None, &batch);
        let unmoved = named(&net);
        assert!(averages.iter().all(|(name, old)| distance(old, &unmoved[name]) == 0.0), "{set:?}");
        let trained = net.forward(&batch, TRAIN);
        assert!(distance(&pass.logits, &trained) < 1e-5, "{set:?}");
        // Now the averages are no longer those of the beginning.
        let predicted = net.forward(&batch, Mode::Predict);
        let pass = observe(&network, &parameters, Some(&named(&net)), &batch);
        assert!(distance(&pass.logits, &predicted) < 1e-5, "{set:?}");
        let weights = network.layers.len();
        assert!(weights > 0 && pass.layers.iter().all(|seen| !seen.name.is_empty()));
    }
}

#[test]
fn a_response_is_behind_its_normalisation_and_before_addition_and_non_linearity() {
    let (network, parameters, _) = build_with(&[("network.family", "residual".into())]);
    let Pass { layers, .. } = observe(&network, &parameters, None, &images(6));
    let names: Vec<&str> = layers.iter().map(|seen| seen.name.as_str()).collect();
    assert_eq!(names[..3], ["conv1", "layer1.0.conv1", "layer1.0.conv2"]);
    assert_eq!(names.last(), Some(&"fc"));
    assert_eq!(names.len(), 8);
    let [stem, first, second] = [0, 1, 2].map(|place| &layers[place]);
    assert_eq!(first.norm.as_ref().map(|norm| norm.name.as_str()), Some("layer1.0.bn1"));
    // Normalised: mean 0 and variance 1 before training.
    for seen in [stem, first, second] {
        let response = seen.response.detach();
        assert!(response.mean(Kind::Float).double_value(&[]).abs() < 1e-4, "{}", seen.name);
        assert!((response.std(false).double_value(&[]) - 1.0).abs() < 1e-2, "{}", seen.name);
        assert!(seen.is_rectified);
    }
    assert!(distance(&stem.behind, &stem.response.relu()) == 0.0);
    let sum = (&stem.behind + &second.response).relu();
    assert!(distance(&second.behind, &sum) < 1e-6);
    let classes = layers.last().unwrap();
    assert!(classes.norm.is_none() && !classes.is_rectified);
}

#[test]
fn before_a_pre_activation_a_response_is_what_is_added() {
    let (network, parameters, _) = build_with(&[("network.family", "preact".into())]);
    let Pass { layers, .. } = observe(&network, &parameters, None, &images(6));
    let seen = |name: &str| layers.iter().find(|seen| seen.name == name).unwrap();
    // conv1, bn2, ReLU, conv2, addition.
    let first = seen("layer1.0.conv1");
    assert_eq!(first.norm.as_ref().map(|norm| norm.name.as_str()), Some("layer1.0.bn2"));
    assert!(seen("layer1.0.conv2").norm.is_none());
}
