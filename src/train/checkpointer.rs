//! When and where checkpoints are written.

use super::train_state::TrainState;
use anyhow::Result;
use fathom_protocol::{CheckpointInterval, Job};
use fathom_record::{LayerWriter, Lock, RunDir};
use std::time::{Duration, Instant};

/// Minimum time between two checkpoints, as a multiple of the time to write one.
const COST_FACTOR: u32 = 200;

/// Writes checkpoints of a run while this process holds the lock of the run.
pub struct Checkpointer<'a> {
    interval: CheckpointInterval,
    directory: RunDir,
    /// Whether the state at the end is kept.
    keep_state: bool,
    /// No file is renamed into place once this lock is lost.
    lock: &'a Lock,
    /// Time of the last checkpoint.
    saved: Instant,
    /// Duration of writing the last checkpoint.
    cost: Duration,
}

impl<'a> Checkpointer<'a> {
    /// A checkpointer for the directory and the interval of a job.
    pub fn new(job: &Job, lock: &'a Lock) -> Self {
        Self {
            interval: job.checkpoint,
            directory: RunDir::new(&job.directory),
            keep_state: job.keep_state,
            lock,
            saved: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// Checks that this process may still write files of the run.
    ///
    /// # Errors
    /// If the lock is lost.
    pub fn check_lock(&self) -> Result<()> {
        Ok(self.lock.check()?)
    }

    /// Whether a checkpoint is due after `step` updates. Before the first update there is no state
    /// worth keeping.
    pub fn is_due(&self, step: u64) -> bool {
        step > 0
            && match self.interval {
                CheckpointInterval::Steps(steps) => step.is_multiple_of(steps),
                CheckpointInterval::Seconds(seconds) => {
                    let elapsed = self.saved.elapsed();
                    elapsed.as_secs_f64() >= seconds && elapsed >= self.cost * COST_FACTOR
                }
            }
    }

    /// Writes a checkpoint, unless the loss is not finite.
    ///
    /// # Errors
    /// If the lock is lost, or a file cannot be written.
    pub fn save(&mut self, state: &mut TrainState, layers: Option<&mut LayerWriter>) -> Result<()> {
        let begun = Instant::now();
        if let Some(checkpoint) = state.save(layers)? {
            let allowed = || self.check_lock();
            checkpoint.write(&self.directory, &state.learner.network, allowed)?;
        }
        self.saved = Instant::now();
        self.cost = begun.elapsed();
        Ok(())
    }

    /// Keeps the state after the last update, before its evaluation, if that is wanted.
    ///
    /// # Errors
    /// If the lock is lost, or a file cannot be written.
    pub fn keep_state(
        &self,
        state: &mut TrainState,
        layers: Option<&mut LayerWriter>,
    ) -> Result<()> {
        if !self.keep_state {
            return Ok(());
        }
        let Some(checkpoint) = state.save(layers)? else { return Ok(()) };
        checkpoint.write_state(&self.directory, &state.learner.network, || self.check_lock())
    }

    /// Writes the weights as the best ones so far by the validation error.
    ///
    /// # Errors
    /// If the lock is lost, or a file cannot be written.
    pub fn keep_best(&self, state: &TrainState) -> Result<()> {
        let weights = state.learner.weights()?;
        self.check_lock()?;
        weights.write(&self.directory.best_validation(), &state.learner.network, state.step)
    }

    /// Replaces the checkpoint by the weights after the last update.
    ///
    /// # Errors
    /// If the lock is lost, or a file cannot be written.
    pub fn finish(&self, state: &mut TrainState) -> Result<()> {
        state.flush_curve()?;
        let weights = state.learner.weights()?;
        self.check_lock()?;
        weights.write(&self.directory.checkpoint(), &state.learner.network, state.step)
    }
}
