//! One update: forward, backward, step.

use super::cuda_graph::CudaGraphs;
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

/// A net in training.
pub struct Learner {
    /// The net.
    pub net: Net,
    /// What it is to do.
    pub task: Objective,
    parameters: Parameters,
    optimiser: Optimiser,
    mode: Mode,
    /// The seed, where the net leaves out values at random.
    dropout: Option<u64>,
    recorder: CudaGraphs<StepOutput>,
}

/// What a batch gave before its update. Both stay on the device, where the next update may
/// overwrite them.
pub struct StepOutput {
    /// Mean cross-entropy.
    pub loss: Tensor,
    /// Number of wrong answers.
    pub wrong: Tensor,
}

impl Clone for StepOutput {
    fn clone(&self) -> Self {
        Self { loss: self.loss.shallow_clone(), wrong: self.wrong.shallow_clone() }
    }
}

impl Learner {
    /// A net with its initial weights. `records`: whether updates are recorded and replayed.
    pub fn new(network: &Network, settings: &Settings, place: Placement, records: bool) -> Self {
        let Training { decay, optimiser, weight_decay, norm_batch, .. } = settings.training;
        let parameters = Parameters::new(&network.initial(settings.seed), decay, place);
        let net = Net::new(network, &parameters);
        let optimiser = Optimiser::new(optimiser, weight_decay, &parameters);
        let dropout = network.has_dropout().then_some(settings.seed);
        let (mode, recorder) = (Mode::Train { norm_batch }, CudaGraphs::new(records));
        let task = Objective::new(network, settings, place);
        Self { net, task, parameters, optimiser, mode, dropout, recorder }
    }

    /// Whether further updates cost what they will cost from now on: a recording is replayed, or
    /// none is wanted.
    pub fn is_settled(&self) -> bool {
        self.recorder.is_settled()
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
    /// When the device does not give them.
    pub fn weights(&self) -> Result<Weights> {
        weights::export(&self.net, &self.parameters)
    }

    /// The optimiser's state, as [`Optimiser::state`] gives it.
    ///
    /// # Errors
    /// When the device does not give it.
    pub fn optimiser(&self) -> Result<Vec<Vec<f32>>> {
        self.optimiser.state(&self.parameters)
    }

    /// Takes weights that [`Weights::fit`] the net.
    pub fn import(&mut self, weights: &Weights) {
        weights::import(weights, &self.net, &mut self.parameters);
    }

    /// Restores the state of a checkpoint; `updates` is the number of updates that its optimiser
    /// had made.
    ///
    /// # Errors
    /// If the checkpoint is that of another net or another recipe.
    pub fn restore(
        &mut self,
        network: &Network,
        checkpoint: &Checkpoint,
        updates: u64,
    ) -> Result<()> {
        checkpoint.weights.fit(network)?;
        self.import(&checkpoint.weights);
        self.optimiser.restore(&self.parameters, &checkpoint.optimiser, updates)
    }

    /// The update that follows `done` others, on a batch (images × channels × rows × columns) and
    /// its labels; what the batch gave is added to `running`, which must be the same object at
    /// every call.
    pub fn step(
        &mut self,
        done: u64,
        images: &Tensor,
        labels: &Tensor,
        lr: f64,
        running: &mut RunningMetrics,
    ) -> StepOutput {
        if let Some(seed) = self.dropout {
            // libtorch's generator starts anew at every update, so that its state is known from
            // the number of updates alone.
            let mut stream = Stream::new(seed, Purpose::Dropout, done, 0);
            tch::manual_seed(i64::from(stream.word()));
        }
        self.optimiser.prepare(lr);
        let Self { net, task, parameters, optimiser, mode, recorder, .. } = self;
        recorder.run([images, labels], |[images, labels]| {
            let outputs = net.forward(images, *mode).to_kind(Kind::Float);
            let loss = task.loss(&outputs, images, labels);
            let gradients = parameters.gradients(&loss);
            optimiser.step(parameters, gradients);
            let wrong = task.wrong(&outputs.detach(), labels);
            let outcome = StepOutput { loss: loss.detach(), wrong };
            running.add(&outcome);
            outcome
        })
    }
}

/// How many answers are wrong; one that is not finite is wrong whatever it says.
pub fn wrong(logits: &Tensor, labels: &Tensor) -> Tensor {
    let right = logits.argmax(1, false).eq_tensor(labels);
    let finite = logits.isfinite().all_dim(1, false);
    right.logical_and(&finite).logical_not().sum(Kind::Int64)
}
