//! One update: forward, backward, step.

use super::net::{Mode, Net};
use super::optim::Update;
use super::parameters::Parameters;
use super::weights;
use anyhow::Result;
use fathom::arch::Network;
use fathom::record::Weights;
use fathom::spec::{Settings, Training};
use tch::{Device, Kind, Tensor};

/// A net in training.
pub struct Trainer {
    /// The net.
    pub net: Net,
    parameters: Parameters,
    update: Update,
    mode: Mode,
}

/// What a batch gave before its update. Both stay on the device.
pub struct Outcome {
    /// Mean cross-entropy.
    pub loss: Tensor,
    /// Number of wrong answers.
    pub wrong: Tensor,
}

impl Trainer {
    /// A net with its initial weights.
    pub fn new(network: &Network, settings: &Settings, device: Device) -> Self {
        let Training { decay, optimiser, weight_decay, norm_batch, .. } = settings.training;
        let parameters =
            Parameters::new(&network.initial(settings.seed), decay, (Kind::Float, device));
        let net = Net::new(network, &parameters);
        let update = Update::new(optimiser, weight_decay, &parameters);
        Self { net, parameters, update, mode: Mode::Train { norm_batch } }
    }

    /// Number of trained parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    /// Parameters and moving averages by name.
    ///
    /// # Errors
    /// When the device does not give them.
    pub fn weights(&self) -> Result<Weights> {
        weights::export(&self.net, &self.parameters)
    }

    /// One update on a batch.
    pub fn step(&mut self, images: &Tensor, labels: &Tensor, lr: f64) -> Outcome {
        let logits = self.net.forward(images, self.mode);
        let loss = logits.cross_entropy_for_logits(labels);
        let gradients = self.parameters.gradients(&loss);
        self.update.step(&mut self.parameters, gradients, lr);
        Outcome { loss: loss.detach(), wrong: wrong(&logits.detach(), labels) }
    }
}

/// How many answers are wrong; one that is not finite is wrong whatever it says.
pub fn wrong(logits: &Tensor, labels: &Tensor) -> Tensor {
    let right = logits.argmax(1, false).eq_tensor(labels);
    let finite = logits.isfinite().all_dim(1, false);
    right.logical_and(&finite).logical_not().sum(Kind::Int64)
}
