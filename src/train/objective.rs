//! Training objectives: classification, or regression of a function close to the identity.

use super::net::{Mode, Net};
use super::parameters::Parameters;
use super::placement::Placement;
use fathom_arch::{self as arch, Network};
use fathom_base::random::{Purpose, Stream};
use fathom_spec::{Decay, Settings};
use tch::{Kind, Reduction, Tensor};

/// Offset of the seeds of teachers, above the seeds of all runs.
const TEACHERS: u64 = 1 << 41;

/// Number of images of white noise over which a teacher's normalisation statistics are computed.
const NOISE: usize = 256;

/// The function that a net learns.
pub enum Objective {
    /// Classification of images with cross-entropy.
    Classify,
    /// Regression of x + δ·g(x), where x is an image, with the mean squared error.
    Imitate(Teacher),
}

/// A fixed function x + δ·g(x).
pub struct Teacher {
    /// The function g: a plain block with random weights. For white noise as input, each channel of
    /// its output has mean 0 and variance 1.
    net: Net,
    delta: f64,
}

/// Loss and error of a batch, summed over its images (f64 scalars on the device).
pub struct BatchError {
    /// Cross-entropy in nats; for regression, the mean squared error of each image.
    pub loss: Tensor,
    /// Number of wrong answers; for regression, ‖ŷ − y‖².
    pub error: Tensor,
    /// For regression, ‖y‖², of which the error is a share; for classification `None`, and the error
    /// is a share of the number of images.
    pub target_norm: Option<Tensor>,
}

impl Objective {
    /// The objective of a net with these settings.
    pub fn new(network: &Network, settings: &Settings, placement: Placement) -> Self {
        let Some(delta) = settings.training.delta else { return Objective::Classify };
        Objective::Imitate(Teacher::new(network, settings.seed, delta, placement))
    }

    /// Mean loss of a batch (f32 scalar with gradient) for the net's outputs in f32.
    pub fn loss(&self, outputs: &Tensor, images: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Objective::Classify => outputs.cross_entropy_for_logits(labels),
            Objective::Imitate(teacher) => {
                outputs.mse_loss(&teacher.target(images), Reduction::Mean)
            }
        }
    }

    /// Number of wrong answers in a batch (i64 scalar); 0 for regression. An answer with a logit that
    /// is not finite is wrong.
    pub fn wrong(&self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Objective::Classify => {
                let right = outputs.argmax(1, false).eq_tensor(labels);
                let finite = outputs.isfinite().all_dim(1, false);
                right.logical_and(&finite).logical_not().sum(Kind::Int64)
            }
            Objective::Imitate(_) => Tensor::zeros([], (Kind::Int64, outputs.device())),
        }
    }

    /// Loss and error of a batch for the net's outputs in f32, for evaluation without gradients.
    pub fn error(&self, outputs: &Tensor, images: &Tensor, labels: &Tensor) -> BatchError {
        match self {
            Objective::Classify => {
                let loss = outputs.log_softmax(-1, Kind::Float);
                let loss = loss.nll_loss_nd::<Tensor>(labels, None, Reduction::Sum, -100);
                BatchError {
                    loss: loss.to_kind(Kind::Double),
                    error: self.wrong(outputs, labels).to_kind(Kind::Double),
                    target_norm: None,
                }
            }
            Objective::Imitate(teacher) => {
                let target = teacher.target(images).to_kind(Kind::Double);
                let squares = |values: &Tensor| values.square().sum(Kind::Double);
                let error = squares(&(outputs - &target));
                let values = outputs.size()[1] as f64;
                BatchError { loss: &error / values, error, target_norm: Some(squares(&target)) }
            }
        }
    }
}

impl Teacher {
    fn new(network: &Network, seed: u64, delta: f64, placement: Placement) -> Self {
        let [channels, rows, columns] = network.input;
        let layers = plain(&network.layers);
        let network = Network { layers, ..network.clone() };
        let placement = Placement { compute: Kind::Float, kind: Kind::Float, ..placement };
        let parameters = Parameters::new(&network.initial(TEACHERS + seed), Decay::All, placement);
        let net = Net::new(&network, &parameters);
        let mut noise = vec![0f32; NOISE * channels * rows * columns];
        Stream::new(TEACHERS + seed, Purpose::Noise, 0, 0).fill_normal(&mut noise);
        let sides = [NOISE, channels, rows, columns].map(|side| side as i64);
        let noise = placement.images(&Tensor::from_slice(&noise).view(sides));
        let _guard = tch::no_grad_guard();
        let _ = net.forward(&noise, Mode::Refresh { batches: 0 });
        Self { net, delta }
    }

    /// The targets x + δ·g(x) of images x, as images × values.
    fn target(&self, images: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let images = images.to_kind(Kind::Float);
        let added = self.net.forward(&images, Mode::Predict);
        images.flatten(1, -1) + added * self.delta
    }
}

/// These layers with each residual block replaced by its branch.
fn plain(layers: &[arch::Layer]) -> Vec<arch::Layer> {
    let without = |layer: &arch::Layer| match layer {
        arch::Layer::Residual { branch, .. } => branch.clone(),
        layer => vec![layer.clone()],
    };
    layers.iter().flat_map(without).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_arch::{defaults, family, network};
    use tch::Device;

    fn block(name: &str) -> Network {
        let mut keys = defaults(family(name).unwrap());
        keys.insert("network.family".into(), name.into());
        network(&keys, [3, 8, 8], 10).unwrap()
    }

    fn images() -> Tensor {
        let count = 16 * 3 * 8 * 8;
        let waves = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7).sin();
        waves.view([16, 3, 8, 8])
    }

    #[test]
    fn the_target_is_the_same_for_both_blocks_and_approaches_the_input_with_delta() {
        let placement = Placement::plain(Device::Cpu, Kind::Float);
        let teacher = |name: &str, seed: u64, delta: f64| {
            Teacher::new(&block(name), seed, delta, placement).target(&images())
        };
        let flat = images().flatten(1, -1);
        let distance = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert_eq!(distance(&teacher("plain-block", 0, 0.0), &flat), 0.0);
        let (plain, residual) = (teacher("plain-block", 0, 0.1), teacher("residual-block", 0, 0.1));
        assert_eq!(distance(&plain, &residual), 0.0);
        assert!(distance(&plain, &flat) > 0.01);
        assert!(distance(&plain, &teacher("plain-block", 1, 0.1)) > 0.01, "seeds differ");
    }

    #[test]
    fn the_relative_error_of_zero_outputs_is_one() {
        let placement = Placement::plain(Device::Cpu, Kind::Float);
        let teacher = Teacher::new(&block("plain-block"), 0, 0.0, placement);
        let objective = Objective::Imitate(teacher);
        let labels = Tensor::zeros([16], (Kind::Int64, Device::Cpu));
        let zeros = images().flatten(1, -1).zeros_like();
        let evaluated = objective.error(&zeros, &images(), &labels);
        let [error, norm] = [&evaluated.error, evaluated.target_norm.as_ref().unwrap()]
            .map(|sum| sum.double_value(&[]));
        assert!((error / norm - 1.0).abs() < 1e-9);
        let loss = objective.loss(&zeros, &images(), &labels).double_value(&[]);
        assert!((evaluated.loss.double_value(&[]) / 16.0 - loss).abs() < 1e-6);
        assert_eq!(objective.wrong(&zeros, &labels).int64_value(&[]), 0);
    }
}
