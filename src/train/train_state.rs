//! The state of a run: exactly what a checkpoint holds.

use super::best_weights::LowestValidation;
use super::context::RunContext;
use super::data_loader::Batch;
use super::learner::Learner;
use super::running_metrics::RunningMetrics;
use super::schedule::LrSchedule;
use super::stop_rule::StopRule;
use anyhow::Result;
use fathom_record::{Checkpoint, CurveRow, CurveWriter, LayerWriter, Position, RunDir, SCHEMA};
use fathom_spec::{Grow, Settings};
use std::time::Instant;

/// Net, optimiser and position in the recipe after some updates.
pub struct TrainState {
    /// The net with its weights and the state of its optimiser.
    pub learner: Learner,
    /// Learning-rate schedule with the state of its warm-up.
    pub schedule: LrSchedule,
    /// Loss and error of the training batches since the last row of the curve.
    pub running: RunningMetrics,
    /// Number of batches since the last row. `running` holds fewer once training has diverged.
    batches: u64,
    /// Number of updates.
    pub step: u64,
    /// Learning rate of the last update; before the first update, its learning rate.
    pub lr: f64,
    /// Whether the evaluation that is due at this step has been made.
    pub evaluated: bool,
    /// Whether the run ends at the last row of the curve.
    pub stop_rule: StopRule,
    /// Lowest validation error so far.
    lowest: LowestValidation,
    /// The curve up to this step.
    curve: CurveWriter,
    /// SHA-256 of the data set.
    data: String,
    /// Training time of the processes before this one, in seconds.
    seconds_before: f64,
    /// Start of this process's work on the run.
    started: Instant,
}

impl TrainState {
    /// The state before the first update.
    pub fn new(
        learner: Learner,
        context: &RunContext,
        curve: CurveWriter,
        started: Instant,
    ) -> Self {
        let training = &context.settings.training;
        let schedule = LrSchedule::new(training);
        let classes = context.data.dataset.classes.len();
        Self {
            learner,
            lr: schedule.at(0),
            schedule,
            running: RunningMetrics::new(context.device.placement.device),
            batches: 0,
            step: 0,
            evaluated: false,
            stop_rule: StopRule::new(&training.stop_when, classes),
            lowest: LowestValidation::new(context.settings.evaluate.keep),
            curve,
            data: context.data.dataset.sha256.clone(),
            seconds_before: 0.0,
            started,
        }
    }

    /// Restores the state that a checkpoint holds; `learner` has the checkpoint's net. Rows after the
    /// checkpoint are removed from the curve in `directory`.
    ///
    /// # Errors
    /// If the checkpoint is that of another net or another optimiser, or the curve cannot be written.
    pub fn restore(
        checkpoint: &Checkpoint,
        mut learner: Learner,
        context: &RunContext,
        directory: &RunDir,
        started: Instant,
    ) -> Result<Self> {
        let position = &checkpoint.position;
        learner.restore(checkpoint, optimiser_updates(&context.settings, position.step))?;
        let curve = directory.resume_curve(&position.curve)?;
        let mut state = Self::new(learner, context, curve, started);
        for row in directory.curve()? {
            state.stop_rule.observe(&row);
            state.lowest.observe(&row);
        }
        state.schedule.restore(position.warming.as_ref());
        state.running = RunningMetrics::restore(position, context.device.placement.device);
        state.batches = position.running_batches;
        state.step = position.step;
        state.lr = position.lr;
        state.evaluated = position.evaluated;
        state.seconds_before = position.seconds;
        Ok(state)
    }

    /// Saves the state, and flushes the curve and the rows of `layers` to the disk. Returns `None` if
    /// the loss is not finite: a run that resumes from the checkpoint before diverges again at the
    /// same step.
    ///
    /// # Errors
    /// If a file cannot be written, or values cannot be copied from the device.
    pub fn save(&mut self, layers: Option<&mut LayerWriter>) -> Result<Option<Checkpoint>> {
        let sums = self.running.sums();
        if !sums.is_finite() {
            return Ok(None);
        }
        Ok(Some(Checkpoint {
            weights: self.learner.weights()?,
            optimiser: self.learner.optimiser()?,
            position: Position {
                schema: SCHEMA,
                step: self.step,
                lr: self.lr,
                evaluated: self.evaluated,
                curve: self.curve.mark()?,
                layers: layers.map(LayerWriter::mark).transpose()?,
                running_loss: sums.loss.to_bits(),
                running_wrong: sums.wrong,
                running_batches: sums.batches,
                warming: self.schedule.warming(),
                seconds: self.seconds(),
                data: self.data.clone(),
            },
        }))
    }

    /// Makes one update on a batch.
    pub fn update(&mut self, batch: &Batch) {
        self.lr = self.schedule.at(self.step);
        let Self { learner, running, step, lr, .. } = self;
        let output = learner.step(*step, batch, *lr, running);
        self.batches += 1;
        if self.schedule.is_watching() {
            self.schedule.observe(output.wrong.int64_value(&[]).max(0) as u64);
        }
        self.step += 1;
    }

    /// Discards the updates after the one at which the loss became infinite or NaN.
    pub fn rewind_to_divergence(&mut self) {
        self.step -= self.batches - self.running.sums().batches;
        self.lr = self.schedule.at(self.step - 1);
    }

    /// Appends a row to the curve.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, row: &CurveRow) -> Result<()> {
        self.curve.append(row)
    }

    /// Appends the row of the evaluation at this step to the curve, and starts new running sums. Returns whether the
    /// weights are to be kept as the best so far.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn complete_evaluation(&mut self, row: &CurveRow) -> Result<bool> {
        self.curve.append(row)?;
        self.stop_rule.observe(row);
        self.running.reset();
        self.batches = 0;
        self.evaluated = true;
        Ok(self.lowest.observe(row))
    }

    /// Flushes the curve to the disk.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush_curve(&mut self) -> Result<()> {
        self.curve.mark().map(drop)
    }

    /// Wall-clock time of training in seconds, over all processes of the run.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }
}

/// Number of updates of the optimiser after `step` updates of the run: growth starts a new one.
fn optimiser_updates(settings: &Settings, step: u64) -> u64 {
    match settings.training.grow {
        Some(Grow { at, .. }) if step > at => step - at,
        Some(_) | None => step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::testing::tiny;
    use crate::data_loader::DataLoader;

    #[test]
    fn a_restored_state_is_the_saved_one_and_continues_alike() {
        let (network, context) = tiny(&[
            "training.optimiser=adam",
            "training.warmup.kind=until-error",
            "training.warmup.lr=0.001",
            "training.warmup.error_pct=1",
        ]);
        let learner = || Learner::new(&network, &context.settings, context.device.placement, false);
        let images = &context.data.dataset.train;
        let source = context.data.source(images);
        let train = |state: &mut TrainState, updates: u64| {
            let mut data_loader = DataLoader::new(images.len(), &context.settings);
            for _ in 0..updates {
                state.update(&data_loader.batch(&source, state.step));
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let directory = RunDir::new(folder.path());
        let curve = directory.curve_writer().unwrap();
        let mut state = TrainState::new(learner(), &context, curve, Instant::now());
        train(&mut state, 3);
        state.complete_evaluation(&CurveRow::default()).unwrap();
        train(&mut state, 4);
        let saved = state.save(None).unwrap().expect("a finite loss");
        assert_eq!((saved.position.step, saved.position.running_batches), (7, 4));
        assert_eq!(saved.position.warming.as_ref().map(Vec::len), Some(7));

        let restored = TrainState::restore(&saved, learner(), &context, &directory, Instant::now());
        let mut restored = restored.unwrap();
        let without_clock = |state: &mut TrainState| {
            let mut checkpoint = state.save(None).unwrap().unwrap();
            checkpoint.position.seconds = 0.0;
            checkpoint
        };
        assert!(restored.seconds() >= saved.position.seconds);
        assert_eq!(without_clock(&mut restored), without_clock(&mut state));
        train(&mut restored, 5);
        train(&mut state, 5);
        assert_eq!(without_clock(&mut restored), without_clock(&mut state));
    }
}
