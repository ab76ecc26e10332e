//! Growth of a net by layers that are initially the identity.

use super::learner::Learner;
use super::net::{Mode, Net, Tapped, TappedNorm};
use anyhow::{Result, ensure};
use fathom_arch::{AVERAGES, Layer, Network, Norm};
use fathom_record::{Values, Weights};
use fathom_spec::Precision;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Statistics of the values at the end of a stage.
struct StageEnd {
    /// Mean of each channel.
    mean: Vec<f64>,
    /// Biased variance of each channel.
    variance: Vec<f64>,
}

/// Statistics by the name of the stage.
type StageEnds = BTreeMap<String, StageEnd>;

/// Largest accepted difference between the logits at prediction before and after growth; rounding
/// gives a few per cent of it.
const TOLERANCE: f64 = 1e-4;

/// Initialises `grown`, a learner of a deeper network, with weights with which it computes
/// the same function as the shallower net of `trained`.
///
/// Returns the largest absolute difference between the logits of both at prediction on the
/// batches of images that `images` gives, which also give the statistics for the added normalisations.
///
/// # Errors
/// If, in f32, the logits differ by more than rounding.
pub fn grow<I: Iterator<Item = Tensor>>(
    trained: &Learner,
    grown: &mut Learner,
    images: impl Fn() -> I,
    precision: Precision,
) -> Result<f64> {
    let ends = stage_ends(&trained.net, images());
    grown.import(&weights(&grown.network, &trained.weights()?, &ends));
    let _guard = tch::no_grad_guard();
    let difference = |images: Tensor| {
        let logits = |learner: &Learner| learner.net.forward(&images, Mode::Predict);
        (logits(grown) - logits(trained)).abs().max().double_value(&[])
    };
    let difference = largest(images().map(difference));
    // The added identity layers round their input in other precisions.
    ensure!(
        precision != Precision::F32 || difference < TOLERANCE,
        "the logits of the grown net differ by {difference:.2e} from those before growth"
    );
    Ok(difference)
}

/// The largest of some differences; unlike [`f64::max`], NaN if one of them is, which is no agreement.
fn largest(differences: impl Iterator<Item = f64>) -> f64 {
    differences
        .fold(0.0, |largest, next| if next > largest || next.is_nan() { next } else { largest })
}

/// The stage of a layer: `layer1` of `layer1.0.conv2`.
fn stage(name: &str) -> Option<&str> {
    name.split_once('.').map(|(stage, _)| stage).filter(|stage| stage.starts_with("layer"))
}

/// Measures the ends of the stages of a net at prediction, over these batches of images.
fn stage_ends(net: &Net, batches: impl Iterator<Item = Tensor>) -> StageEnds {
    /// Sums per channel over images and positions.
    struct Sums {
        values: Tensor,
        squares: Tensor,
        count: f64,
    }
    let _guard = tch::no_grad_guard();
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for images in batches {
        let Tapped { layers, .. } = net.tapped(&images, TappedNorm::Running);
        // The last layer of each stage replaces those before it.
        let last: BTreeMap<&str, &Tensor> =
            layers.iter().filter_map(|tap| Some((stage(&tap.name)?, &tap.output))).collect();
        for (stage, output) in last {
            let values = output.to_kind(Kind::Double);
            let sum = |values: &Tensor| {
                values.sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Double)
            };
            let of_batch = (sum(&values), sum(&values.square()));
            let count = (values.numel() as i64 / values.size()[1]) as f64;
            let all = sums.entry(stage.to_owned()).or_insert_with(|| Sums {
                values: of_batch.0.zeros_like(),
                squares: of_batch.1.zeros_like(),
                count: 0.0,
            });
            all.values += of_batch.0;
            all.squares += of_batch.1;
            all.count += count;
        }
    }
    let list = |values: &Tensor| Vec::<f64>::try_from(values).unwrap_or_default();
    let end = |(stage, Sums { values, squares, count }): (String, Sums)| {
        let mean: Tensor = values / count;
        let variance = (squares / count - mean.square()).clamp_min(0.0);
        (stage, StageEnd { mean: list(&mean), variance: list(&variance) })
    };
    sums.into_iter().map(end).collect()
}

/// Weights with which the deeper net computes at prediction the same as the shallower one with its
/// `trained` weights.
///
/// The added layers are convolutions with Dirac kernels, which copy their input, and normalisations
/// that undo themselves: γ = √(σ² + ε) and β = μ. Since μ and σ² are those of the values there,
/// the batch statistics in training change the values little. The values are never negative, so
/// ReLU does not change them.
fn weights(deep: &Network, trained: &Weights, ends: &StageEnds) -> Weights {
    let eps = epsilon(&deep.layers);
    let added = |name: &str, shape: &[usize]| -> Values {
        let mut values = vec![0f32; shape.iter().product()];
        let StageEnd { mean, variance } = &ends[stage(name).unwrap_or_default()];
        let part = name.rsplit('.').next().unwrap_or_default();
        if let &[outputs, inputs, rows, columns] = shape {
            let size = rows * columns;
            for channel in 0..outputs {
                values[(channel * inputs + channel) * size + size / 2] = 1.0;
            }
        } else {
            let value = |channel: usize| match part {
                "weight" => (variance[channel] + eps).sqrt(),
                part if part == AVERAGES[1] => variance[channel],
                _ => mean[channel],
            };
            values.iter_mut().enumerate().for_each(|(channel, x)| *x = value(channel) as f32);
        }
        Values { shape: shape.to_vec(), values }
    };
    let tensors = deep.state().into_iter().map(|(name, shape)| {
        let values = trained.tensors.get(&name).cloned().unwrap_or_else(|| added(&name, &shape));
        (name, values)
    });
    Weights { tensors: tensors.collect() }
}

/// ε of the batch normalisations.
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
    use crate::parameters::Parameters;
    use crate::placement::Placement;
    use crate::weights;
    use fathom_arch::{defaults, family, network, shallower};
    use fathom_spec::Decay;
    use tch::Device;

    #[test]
    fn logits_that_are_not_numbers_agree_with_none() {
        assert_eq!(largest([1e-6, 2e-6, 0.0].into_iter()), 2e-6);
        assert!(largest([1e-6, f64::NAN, 2e-6].into_iter()).is_nan());
    }

    #[test]
    fn a_grown_net_computes_the_same_as_the_shallower_one() {
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
        let ends = stage_ends(&net, [images.shallow_clone()].into_iter());
        assert_eq!(ends.keys().collect::<Vec<_>>(), ["layer1", "layer2", "layer3"]);
        let copied = super::weights(&deep, &weights::export(&net, &parameters).unwrap(), &ends);
        let (grown, _) = weights::load(&copied, &deep, place);
        let distance = |mode: Mode| {
            let difference = grown.forward(&images, mode) - net.forward(&images, mode);
            difference.abs().max().double_value(&[])
        };
        assert!(distance(Mode::Predict) < 1e-5, "{}", distance(Mode::Predict));
        // In training the variances are not the unbiased ones, so the logits differ a little.
        let in_training = distance(Mode::Train { norm_batch: None });
        assert!(in_training < 0.05, "{in_training}");
    }
}
