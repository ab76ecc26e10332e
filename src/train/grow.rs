//! Growing a net by layers that are the identity.

use super::learner::Learner;
use super::net::{Averages, Mode, Pass, observe};
use super::parameters::Parameters;
use anyhow::{Result, ensure};
use fathom_arch::{AVERAGES, Layer, Network, Norm};
use fathom_record::{Values, Weights};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Mean and variance of each channel at the end of each stage, by the stage's name.
type Ends = BTreeMap<String, [Vec<f64>; 2]>;

/// How far logits at prediction may be apart before and after; rounding gives a few per cent of it.
const WITHIN: f64 = 1e-4;

/// Gives a deeper net in training the weights with which it computes what a shallower one does, and
/// sees whether it does: how far logits at prediction are apart, at most, on these batches of
/// images, over which the statistics of what passes are taken too.
///
/// # Errors
/// When they are apart by more than rounding.
pub fn grow(trained: &Learner, grown: &mut Learner, images: &[Tensor]) -> Result<f64> {
    let averages = trained.net.named_statistics().into_iter().collect();
    let ends = ends(&trained.network, trained.parameters(), &averages, images);
    grown.import(&weights(&grown.network, &trained.weights()?, &ends));
    let _guard = tch::no_grad_guard();
    let difference = |images: &Tensor| {
        let logits = |learner: &Learner| learner.net.forward(images, Mode::Predict);
        (logits(grown) - logits(trained)).abs().max().double_value(&[])
    };
    let difference = images.iter().map(difference).fold(0.0, f64::max);
    let is_exact = grown.parameters().place().compute == Kind::Float;
    ensure!(
        !is_exact || difference < WITHIN,
        "the grown net gives other logits: {difference:.2e} apart"
    );
    Ok(difference)
}

/// The stage of a layer: `layer1` of `layer1.0.conv2`.
fn stage(name: &str) -> Option<&str> {
    name.split_once('.').map(|(stage, _)| stage).filter(|stage| stage.starts_with("layer"))
}

/// What leaves the stages of a net at prediction, over these batches of images.
fn ends(
    network: &Network,
    parameters: &Parameters,
    averages: &Averages,
    batches: &[Tensor],
) -> Ends {
    let _guard = tch::no_grad_guard();
    let mut sums: BTreeMap<String, (Tensor, Tensor, f64)> = BTreeMap::new();
    for images in batches {
        let Pass { layers, .. } = observe(network, parameters, Some(averages), images);
        // The last layer of each stage replaces those before it.
        let last: BTreeMap<&str, &Tensor> =
            layers.iter().filter_map(|seen| Some((stage(&seen.name)?, &seen.behind))).collect();
        for (stage, behind) in last {
            let values = behind.to_kind(Kind::Double);
            let sum = |values: &Tensor| {
                values.sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Double)
            };
            let (sum, squares) = (sum(&values), sum(&values.square()));
            let count = (values.numel() as i64 / values.size()[1]) as f64;
            let entry = sums.entry(stage.to_owned());
            let all = entry.or_insert_with(|| (sum.zeros_like(), sum.zeros_like(), 0.0));
            *all = (&all.0 + sum, &all.1 + squares, all.2 + count);
        }
    }
    let figures = |(stage, (sum, squares, count)): (String, (Tensor, Tensor, f64))| {
        let (mean, mean_square): (Tensor, Tensor) = (sum / count, squares / count);
        let variance = (mean_square - mean.square()).clamp_min(0.0);
        let list = |values: &Tensor| Vec::<f64>::try_from(values).unwrap_or_default();
        (stage, [list(&mean), list(&variance)])
    };
    sums.into_iter().map(figures).collect()
}

/// Weights with which the deeper net computes at prediction what the shallower one does with
/// those that were trained: the layers that it has more are convolutions that copy their input (Dirac kernels),
/// with normalisations that undo themselves, γ = √(σ² + ε) and β = μ. With μ and σ² those of what
/// passes there, batches in training pass nearly unchanged too; what passes is never negative, so
/// that ReLU lets it through.
fn weights(deep: &Network, trained: &Weights, ends: &Ends) -> Weights {
    let eps = epsilon(&deep.layers);
    let value = |name: &str, shape: &[usize]| -> Values {
        if let Some(there) = trained.tensors.get(name) {
            return there.clone();
        }
        let len = shape.iter().product();
        let mut values = vec![0f32; len];
        let [mean, variance] = &ends[stage(name).unwrap_or_default()];
        let part = name.rsplit('.').next().unwrap_or_default();
        if let &[outputs, inputs, rows, columns] = shape {
            let size = rows * columns;
            for channel in 0..outputs {
                values[(channel * inputs + channel) * size + size / 2] = 1.0;
            }
        } else {
            let figure = |channel: usize| match part {
                "weight" => (variance[channel] + eps).sqrt(),
                part if part == AVERAGES[1] => variance[channel],
                _ => mean[channel],
            };
            values.iter_mut().enumerate().for_each(|(at, value)| *value = figure(at) as f32);
        }
        Values { shape: shape.to_vec(), values }
    };
    let tensors = deep.state().into_iter().map(|(name, shape)| {
        let values = value(&name, &shape);
        (name, values)
    });
    Weights { tensors: tensors.collect() }
}

/// What the normalisations add to variances.
fn epsilon(layers: &[Layer]) -> f64 {
    let eps = |layer: &Layer| match layer {
        Layer::Norm { norm: Norm::Batch { eps, .. }, .. } => Some(*eps),
        _ => None,
    };
    layers.iter().find_map(eps).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;
    use crate::placement::Placement;
    use crate::weights;
    use fathom_arch::{defaults, family, network, shallower};
    use fathom_spec::Decay;
    use tch::Device;

    #[test]
    fn a_grown_net_computes_what_the_shallower_one_did() {
        let mut keys = defaults(family("plain").unwrap());
        keys.insert("network.family".into(), "plain".into());
        keys.insert("network.depth".into(), 20.into());
        keys.insert("network.width".into(), 4.into());
        let input = [3, 16, 16];
        let deep = network(&keys, input, 10).unwrap();
        let shallow = shallower(&keys, 8, input, 10).unwrap();
        let place = Placement::plain(Device::Cpu, Kind::Float);
        let parameters = Parameters::new(&shallow.initial(3), Decay::All, place);
        let net = Net::new(&shallow, &parameters);
        let _guard = tch::no_grad_guard();
        tch::manual_seed(1);
        let images = Tensor::randn([32, 3, 16, 16], (Kind::Float, Device::Cpu));
        let _ = net.forward(&images, Mode::Refresh { batches: 0 });
        let averages: Averages = net.named_statistics().into_iter().collect();
        let ends = ends(&shallow, &parameters, &averages, &[images.shallow_clone()]);
        assert_eq!(ends.keys().collect::<Vec<_>>(), ["layer1", "layer2", "layer3"]);
        let copied = super::weights(&deep, &weights::export(&net, &parameters).unwrap(), &ends);
        let (grown, _) = weights::load(&copied, &deep, place);
        let distance = |mode: Mode| {
            let difference = grown.forward(&images, mode) - net.forward(&images, mode);
            difference.abs().max().double_value(&[])
        };
        assert!(distance(Mode::Predict) < 1e-5, "{}", distance(Mode::Predict));
        // With the statistics of these images nearly so: there variances are not the unbiased ones.
        let in_training = distance(Mode::Train { norm_batch: None });
        assert!(in_training < 0.05, "{in_training}");
    }
}
