//! The evaluation that gives a row of the curve.

use super::context::{RunContext, Sources};
use super::evaluate::Evaluator;
use super::interrupt::{Interrupt, Stopped};
use super::learner::Learner;
use super::train_state::TrainState;
use fathom_base::rounded;
use fathom_data::{self as data, Split};
use fathom_record::{CurveRow, SCHEMA};
use fathom_spec::Settings;

/// Evaluates a net on training, validation and test images.
pub struct CurveEvaluation<'a> {
    context: &'a RunContext,
    interrupt: &'a Interrupt,
    evaluator: Evaluator,
    /// Indices of the training images for the training error before the last update: equally many
    /// of each class.
    pub train_subset: Vec<u32>,
}

impl<'a> CurveEvaluation<'a> {
    /// An evaluation of one net, which the stop flag can end early.
    pub fn new(context: &'a RunContext, interrupt: &'a Interrupt) -> Self {
        let labels = context.data.dataset.train.labels();
        let train_subset = data::balanced(labels, context.settings.evaluate.train_images);
        Self { context, interrupt, evaluator: evaluator(context, interrupt), train_subset }
    }

    /// Prepares for another net.
    pub fn reset(&mut self) {
        self.evaluator = evaluator(self.context, self.interrupt);
    }

    /// Whether an evaluation is due after `step` updates, at least one.
    pub fn is_due(&self, step: u64) -> bool {
        let Settings { training, evaluate, .. } = &self.context.settings;
        evaluate.is_row_due(step, self.context.data.dataset.train.len() as u64, training)
    }

    /// Evaluates the net of `state`: on a subset of the training images, after the last update on all
    /// of them, and on all test and validation images.
    ///
    /// # Errors
    /// [`Stopped`] if the stop flag was set.
    pub fn row(&self, state: &TrainState, sources: &Sources) -> Result<CurveRow, Stopped> {
        let Self { context, evaluator, .. } = self;
        let Learner { net, objective, .. } = &state.learner;
        let training = &context.settings.training;
        let dataset = &context.data.dataset;
        let all = |images: &Split| (0..images.len() as u32).collect::<Vec<u32>>();
        let is_last = state.step == training.iterations;
        let indices = if is_last { all(&dataset.train) } else { self.train_subset.clone() };
        let on_train = evaluator.errors(net, objective, &sources.train, &indices)?;
        let on_test = evaluator.errors(net, objective, &sources.test, &all(&dataset.test))?;
        let mut row = self.running_row(state);
        if state.step == 0 || is_last {
            let batch = training.norm_batch.unwrap_or(training.batch);
            let fresh = evaluator.fresh_error(net, objective, &sources.train, &indices, batch)?;
            row.train_err_fresh_pct = Some(rounded(fresh));
        }
        row.train_loss = Some(rounded(on_train.loss));
        row.train_err_pct = Some(rounded(on_train.err_pct));
        row.train_images = on_train.images as u64;
        row.test_loss = Some(rounded(on_test.loss));
        row.test_err_pct = Some(rounded(on_test.err_pct));
        row.test_images = on_test.images as u64;
        if !dataset.validation.is_empty() {
            let indices = all(&dataset.validation);
            let held_out = evaluator.errors(net, objective, &sources.validation, &indices)?;
            row.validation_loss = Some(rounded(held_out.loss));
            row.validation_err_pct = Some(rounded(held_out.err_pct));
        }
        row.seconds = Some(rounded(state.seconds()));
        Ok(row)
    }

    /// The columns of a row that need no evaluation.
    pub fn running_row(&self, state: &TrainState) -> CurveRow {
        let training = &self.context.settings.training;
        let images_seen = state.step * training.batch as u64;
        let (loss, error) = state.running.sums().means(training.batch).unzip();
        // Regression has no wrong answers.
        let error = error.filter(|_| training.delta.is_none());
        CurveRow {
            schema: SCHEMA,
            step: state.step,
            epoch: Some(rounded(images_seen as f64 / self.context.data.dataset.train.len() as f64)),
            lr: Some(state.lr),
            train_loss_running: loss.map(rounded),
            train_err_running_pct: error.map(rounded),
            seconds: Some(rounded(state.seconds())),
            ..CurveRow::default()
        }
    }
}

fn evaluator(context: &RunContext, interrupt: &Interrupt) -> Evaluator {
    let device = &context.device;
    Evaluator::new(device.placement.device, device.cuda.graphs, interrupt)
}
