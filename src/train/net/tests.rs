use super::*;
use crate::train::parameters::Parameters;
use fathom::arch::{FamilyKeys, network};
use fathom::spec::Decay;
use tch::Kind;

const TRAIN: Mode = Mode::Train { norm_batch: None };

fn residual_8() -> (Network, Parameters, Net) {
    let text = r#"{"network.family": "residual", "network.depth": 8, "network.width": 4,
        "network.norm": "batch", "network.norm_eps": 1e-5, "network.norm_momentum": 0.1,
        "network.activation": "relu", "network.init": "he-fan-out", "network.shortcut_scale": 1.0}"#;
    let keys: FamilyKeys = serde_json::from_str(text).unwrap();
    let network = network(&keys, [3, 8, 8], 10).unwrap();
    let parameters = Parameters::new(&network.initial(0), Decay::All, Device::Cpu);
    let net = Net::new(&network, &parameters, Device::Cpu);
    (network, parameters, net)
}

fn images(n: i64) -> Tensor {
    let count = n * 3 * 8 * 8;
    let waves = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7).sin();
    (waves + Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1e-3).view([n, 3, 8, 8])
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn the_net_has_as_many_parameters_as_its_audit() {
    let (network, parameters, _) = residual_8();
    assert_eq!(network.parameter_count(), parameters.len() as u64);
}

#[test]
fn at_prediction_an_image_does_not_see_its_batch() {
    let _guard = tch::no_grad_guard();
    let (_, _, net) = residual_8();
    let batch = images(6);
    let _ = net.forward(&batch, TRAIN);
    let together = net.forward(&batch, Mode::Predict);
    let alone = net.forward(&batch.narrow(0, 2, 1), Mode::Predict);
    assert!(distance(&together.narrow(0, 2, 1), &alone) < 1e-5);
    let in_training = net.forward(&batch.narrow(0, 2, 1), TRAIN);
    assert!(distance(&together.narrow(0, 2, 1), &in_training) > 1e-3);
}

#[test]
fn sub_batches_have_statistics_of_their_own_and_the_first_ones_move_the_averages() {
    let _guard = tch::no_grad_guard();
    let batch = images(8);
    let (_, _, net) = residual_8();
    let parts = net.forward(&batch, Mode::Train { norm_batch: Some(4) });
    let averages = net.statistics();
    let (_, _, other) = residual_8();
    let first = other.forward(&batch.narrow(0, 0, 4), TRAIN);
    assert!(distance(&parts.narrow(0, 0, 4), &first) < 1e-5);
    for (a, b) in averages.iter().zip(other.statistics()) {
        assert!(distance(a, &b) < 1e-5);
    }
    let second = other.forward(&batch.narrow(0, 4, 4), TRAIN);
    assert!(distance(&parts.narrow(0, 4, 4), &second) < 1e-5);
}

#[test]
fn refreshed_averages_are_the_mean_over_batches_and_can_be_put_back() {
    let _guard = tch::no_grad_guard();
    let (_, _, net) = residual_8();
    let before = net.statistics();
    let stem_mean = |batch: &Tensor| {
        let (_, parameters, _) = residual_8();
        let weight = parameters.leaf("conv1.weight");
        let out = batch.conv2d(&weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
        out.mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float)
    };
    let (a, b) = (images(4), images(8).narrow(0, 4, 4));
    let _ = net.forward(&a, Mode::Refresh { batches: 0 });
    let _ = net.forward(&b, Mode::Refresh { batches: 1 });
    let expected = (stem_mean(&a) + stem_mean(&b)) / 2.0;
    assert!(distance(&net.statistics()[0], &expected) < 1e-5);
    net.restore_statistics(&before);
    assert!(net.statistics().iter().zip(&before).all(|(a, b)| distance(a, b) == 0.0));
}
