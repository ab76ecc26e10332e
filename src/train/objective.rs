//! What a net is to do: give classes, or images that are nearly its input.

use super::learner::wrong;
use super::net::{Mode, Net};
use super::parameters::Parameters;
use super::placement::Placement;
use fathom_arch::{self as arch, Network};
use fathom_base::random::{Purpose, Stream};
use fathom_spec::{Decay, Settings};
use tch::{Kind, Reduction, Tensor};

/// Seeds of teachers begin here, where no run's seed is.
const TEACHERS: u64 = 1 << 41;

/// Images of white noise over which a teacher's statistics are taken.
const NOISE: usize = 256;

/// What a net is to do.
pub enum Objective {
    /// The class of an image.
    Classify,
    /// x + δ·g(x) of an image x.
    Imitate(Teacher),
}

/// A fixed function that is added to the identity.
pub struct Teacher {
    /// A plain block with random weights, whose output has mean 0 and variance 1 in each channel
    /// where the input is white noise.
    net: Net,
    delta: f64,
}

/// Losses and errors of a batch, summed over its images.
pub struct Judged {
    /// Cross-entropy in nats, or the mean square of the difference, of each image.
    pub loss: Tensor,
    /// Wrong answers, or the square of the difference.
    pub errors: Tensor,
    /// What errors are a share of: the square of what was to be given; absent where that is the
    /// number of images.
    pub of: Option<Tensor>,
}

impl Objective {
    /// That of a net in this recipe.
    pub fn new(network: &Network, settings: &Settings, place: Placement) -> Self {
        let Some(delta) = settings.training.delta else { return Objective::Classify };
        Objective::Imitate(Teacher::new(network, settings.seed, delta, place))
    }

    /// Mean loss of a batch in f32, with its gradient.
    pub fn loss(&self, outputs: &Tensor, images: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Objective::Classify => outputs.cross_entropy_for_logits(labels),
            Objective::Imitate(teacher) => {
                outputs.mse_loss(&teacher.target(images), Reduction::Mean)
            }
        }
    }

    /// How many answers of a training batch are wrong; 0 where there is no wrong and right.
    pub fn wrong(&self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Objective::Classify => wrong(outputs, labels),
            Objective::Imitate(_) => Tensor::zeros([], (Kind::Int64, outputs.device())),
        }
    }

    /// Losses and errors of outputs in f32, without gradients.
    pub fn judge(&self, outputs: &Tensor, images: &Tensor, labels: &Tensor) -> Judged {
        match self {
            Objective::Classify => {
                let loss = outputs.log_softmax(-1, Kind::Float);
                let loss = loss.nll_loss_nd::<Tensor>(labels, None, Reduction::Sum, -100);
                Judged {
                    loss: loss.to_kind(Kind::Double),
                    errors: wrong(outputs, labels).to_kind(Kind::Double),
                    of: None,
                }
            }
            Objective::Imitate(teacher) => {
                let target = teacher.target(images).to_kind(Kind::Double);
                let squares = |values: &Tensor| values.square().sum(Kind::Double);
                let errors = squares(&(outputs - &target));
                let values = outputs.size()[1] as f64;
                Judged { loss: &errors / values, errors, of: Some(squares(&target)) }
            }
        }
    }
}

impl Teacher {
    fn new(network: &Network, seed: u64, delta: f64, place: Placement) -> Self {
        let [channels, rows, columns] = network.input;
        let layers = plain(&network.layers);
        let network = Network { layers, ..network.clone() };
        let place = Placement { compute: Kind::Float, kind: Kind::Float, ..place };
        let parameters = Parameters::new(&network.initial(TEACHERS + seed), Decay::All, place);
        let net = Net::new(&network, &parameters);
        let mut noise = vec![0f32; NOISE * channels * rows * columns];
        Stream::new(TEACHERS + seed, Purpose::Noise, 0, 0).fill_normal(&mut noise);
        let sides = [NOISE, channels, rows, columns].map(|side| side as i64);
        let noise = place.images(&Tensor::from_slice(&noise).view(sides).to_device(place.device));
        let _guard = tch::no_grad_guard();
        let _ = net.forward(&noise, Mode::Refresh { batches: 0 });
        Self { net, delta }
    }

    /// x + δ·g(x), as one list of values for each image.
    fn target(&self, images: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let images = images.to_kind(Kind::Float);
        let added = self.net.forward(&images, Mode::Predict);
        images.flatten(1, -1) + added * self.delta
    }
}

/// The layers without a shortcut around them.
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
    fn the_target_is_the_same_for_both_blocks_and_nears_the_input_with_delta() {
        let place = Placement::plain(Device::Cpu, Kind::Float);
        let teacher = |name: &str, seed: u64, delta: f64| {
            Teacher::new(&block(name), seed, delta, place).target(&images())
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
    fn errors_are_a_share_of_what_was_to_be_given() {
        let place = Placement::plain(Device::Cpu, Kind::Float);
        let task = Objective::Imitate(Teacher::new(&block("plain-block"), 0, 0.0, place));
        let labels = Tensor::zeros([16], (Kind::Int64, Device::Cpu));
        let nothing = images().flatten(1, -1).zeros_like();
        let judged = task.judge(&nothing, &images(), &labels);
        let [errors, of] =
            [&judged.errors, judged.of.as_ref().unwrap()].map(|sum| sum.double_value(&[]));
        assert!((errors / of - 1.0).abs() < 1e-9);
        let loss = task.loss(&nothing, &images(), &labels).double_value(&[]);
        assert!((judged.loss.double_value(&[]) / 16.0 - loss).abs() < 1e-6);
        assert_eq!(task.wrong(&nothing, &labels).int64_value(&[]), 0);
    }
}
