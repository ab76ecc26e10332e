//! A net in training: forward pass, backward pass and optimiser step.

use super::batch_feed::BatchFeed;
use super::cuda_graph::CudaGraphs;
use super::data_loader::Batch;
use super::net::{Mode, Net};
use super::objective::Objective;
use super::optim::Optimiser;
use super::parameters::Parameters;
use super::placement::Placement;
use super::running_metrics::RunningMetrics;
use super::weights;
use anyhow::Result;
use fathom_arch::Network;
use fathom_base::random::{Purpose, Stream};
use fathom_record::{Checkpoint, Weights};
use fathom_spec::{Settings, Training};
use tch::{Kind, Tensor};

/// A net with its objective, parameters and optimiser.
pub struct Learner {
    /// Description of the net.
    pub network: Network,
    /// The net.
    pub net: Net,
    /// The function that it learns.
    pub objective: Objective,
    parameters: Parameters,
    optimiser: Optimiser,
    mode: Mode,
    /// Seed of what is random in training, if the net has dropout or stochastic depth.
    random_seed: Option<u64>,
    cuda_graphs: CudaGraphs<StepOutput, 0>,
    /// Where graphs take their batches from, if there are graphs.
    feed: Option<BatchFeed>,
}

/// Loss and error of a batch before its update. Both are on the device, where the next update may
/// overwrite them.
pub struct StepOutput {
    /// Mean loss (f32 scalar).
    pub loss: Tensor,
    /// Number of wrong answers (i64 scalar).
    pub wrong: Tensor,
}

impl Clone for StepOutput {
    fn clone(&self) -> Self {
        Self { loss: self.loss.shallow_clone(), wrong: self.wrong.shallow_clone() }
    }
}

impl Learner {
    /// A net with its initial weights. `graphs`: whether updates are captured and replayed as CUDA
    /// graphs.
    pub fn new(network: &Network, settings: &Settings, placement: Placement, graphs: bool) -> Self {
        let Training { decay, optimiser, weight_decay, clip_norm, norm_batch, .. } =
            settings.training;
        let parameters = Parameters::new(&network.initial(settings.seed), decay, placement);
        let net = Net::new(network, &parameters);
        let optimiser = Optimiser::new(optimiser, weight_decay, clip_norm, &parameters);
        Self {
            network: network.clone(),
            net,
            objective: Objective::new(network, settings, placement),
            parameters,
            optimiser,
            mode: Mode::Train { norm_batch },
            random_seed: network.is_random().then_some(settings.seed),
            cuda_graphs: CudaGraphs::new(graphs),
            feed: graphs.then(BatchFeed::default),
        }
    }

    /// Whether warm-up is over: further updates take as long as all later ones.
    pub fn is_settled(&self) -> bool {
        self.cuda_graphs.is_settled()
    }

    /// Number of trained parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Parameters and moving averages by name.
    ///
    /// # Errors
    /// If they cannot be copied from the device.
    pub fn weights(&self) -> Result<Weights> {
        weights::export(&self.net, &self.parameters)
    }

    /// The optimiser's state, in the form of [`Optimiser::state`].
    ///
    /// # Errors
    /// If it cannot be copied from the device.
    pub fn optimiser(&self) -> Result<Vec<Vec<f32>>> {
        self.optimiser.state(&self.parameters)
    }

    /// Replaces the weights by others that [`Weights::fit`] the net.
    pub fn import(&mut self, weights: &Weights) {
        weights::import(weights, &self.net, &mut self.parameters);
    }

    /// Restores weights and optimiser state from a checkpoint. `updates` is the number of updates
    /// that its optimiser had made.
    ///
    /// # Errors
    /// If the checkpoint is that of another net or another optimiser.
    pub fn restore(&mut self, checkpoint: &Checkpoint, updates: u64) -> Result<()> {
        checkpoint.weights.fit(&self.network)?;
        self.import(&checkpoint.weights);
        self.optimiser.restore(&self.parameters, &checkpoint.optimiser, updates)
    }

    /// Makes the update after `done` others on a batch. Adds loss and error of the batch, before the update, to `running`, which must
    /// be the same object at every call.
    pub fn step(
        &mut self,
        done: u64,
        batch: &Batch,
        lr: f64,
        running: &mut RunningMetrics,
    ) -> StepOutput {
        if let Some(seed) = self.random_seed {
            // libtorch's generator is seeded again at every update, so that its state is a function
            // of the number of updates.
            let mut stream = Stream::new(seed, Purpose::Dropout, done, 0);
            tch::manual_seed(i64::from(stream.word()));
        }
        self.optimiser.prepare(lr);
        let Self { net, objective, parameters, optimiser, mode, cuda_graphs, feed, .. } = self;
        if let Some(feed) = feed {
            feed.load(batch);
        }
        cuda_graphs.run([], |[]| {
            let (images, labels) = match feed {
                Some(feed) => feed.next(),
                None => (batch.images(), batch.labels()),
            };
            let outputs = net.forward(&images, *mode).to_kind(Kind::Float);
            let loss = objective.loss(&outputs, &images, &labels);
            let gradients = parameters.gradients(&loss);
            optimiser.step(parameters, gradients);
            let wrong = objective.wrong(&outputs.detach(), &labels);
            let output = StepOutput { loss: loss.detach(), wrong };
            running.add(&output);
            output
        })
    }
}
