//! The training loop: updates with evaluations, checkpoints, growth and layer statistics in between.

use super::checkpointer::Checkpointer;
use super::context::{RunContext, Sources};
use super::curve_evaluation::CurveEvaluation;
use super::data_loader::DataLoader;
use super::grow;
use super::interrupt::{Interrupt, Stopped};
use super::layer_stats::LayerProbe;
use super::learner::Learner;
use super::lesion::lesion_costs;
use super::pace::Pace;
use super::process::peak_memory;
use super::progress::{Progress, timed};
use super::train_state::TrainState;
use anyhow::Result;
use fathom_arch::Network;
use fathom_record::{CurveRow, LayerWriter, State, Status};
use fathom_spec::Training;
use std::time::Instant;
use tch::Device;

/// Images of one forward pass of a net that is about to grow.
const GROWTH_BATCH: usize = 100;

/// A run in progress.
pub struct TrainingLoop<'a> {
    context: &'a RunContext,
    /// The net that is trained to the end, in which a shallower net may have to grow.
    target: &'a Network,
    interrupt: &'a Interrupt,
    sources: Sources<'a>,
    data_loader: DataLoader,
    evaluation: CurveEvaluation<'a>,
    layer_stats: Option<LayerProbe>,
    checkpointer: Checkpointer<'a>,
    progress: Progress<'a>,
    state: TrainState,
    pace: Pace,
}

/// Loss after an update, as far as it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Finite,
    NotFinite,
}

impl<'a> TrainingLoop<'a> {
    /// Continues from `state` to the end of the recipe. `layers`: the file for layer statistics, if
    /// these are measured.
    pub fn new(
        context: &'a RunContext,
        target: &'a Network,
        mut state: TrainState,
        layers: Option<LayerWriter>,
        checkpointer: Checkpointer<'a>,
        progress: Progress<'a>,
        interrupt: &'a Interrupt,
    ) -> Self {
        let images = &context.data.dataset.train;
        let sources = context.data.sources();
        let count = context.settings.evaluate.layer_images;
        let layer_stats =
            layers.map(|layers| LayerProbe::new(images.labels(), &sources.train, count, layers));
        let evaluation = CurveEvaluation::new(context, interrupt);
        // A shorter run whose state this is had its last evaluation here.
        if state.step > 0 && !evaluation.is_due(state.step) {
            state.evaluated = true;
        }
        Self {
            context,
            target,
            interrupt,
            sources,
            data_loader: DataLoader::new(images.len(), &context.settings),
            evaluation,
            layer_stats,
            checkpointer,
            progress,
            pace: Pace::new(state.step),
            state,
        }
    }

    /// Trains until the last update, divergence, or a signal. The status says how the run ended and
    /// where the time went.
    ///
    /// # Errors
    /// If a file cannot be written, the lock of the run is lost, or a grown net differs from the
    /// shallower one.
    pub fn run(mut self) -> Result<Status> {
        let mut status = self.train()?;
        status.seconds = self.state.seconds();
        status.spent = self.progress.spent();
        status.peak_memory_bytes = peak_memory(self.context.device.placement.device);
        Ok(status)
    }

    fn train(&mut self) -> Result<Status> {
        loop {
            if !self.state.evaluated {
                if self.state.step == self.training().iterations {
                    self.keep_state()?;
                }
                match self.evaluate() {
                    Ok(row) => self.complete_evaluation(&row)?,
                    Err(Stopped) => return self.interrupted(),
                }
            }
            if self.state.step == self.training().iterations {
                return self.done(String::new());
            }
            if let Some(why) = self.state.stop_rule.reason() {
                let (step, last) = (self.state.step, self.training().iterations);
                return self.done(format!("stopped early, at step {step} of {last}: {why}"));
            }
            if self.interrupt.is_set() {
                return self.interrupted();
            }
            if self.checkpointer.is_due(self.state.step) {
                self.save()?;
            }
            if self.is_growth_due() {
                self.grow()?;
            }
            if self.update_with_layer_stats()? == Loss::NotFinite {
                return self.diverged();
            }
            if self.state.evaluated {
                self.progress.step(self.state.step);
            }
        }
    }

    fn training(&self) -> &Training {
        &self.context.settings.training
    }

    fn evaluate(&mut self) -> Result<CurveRow, Stopped> {
        let Self { evaluation, state, sources, .. } = self;
        timed(&mut self.progress.spent.evaluations, || evaluation.row(state, sources))
    }

    fn complete_evaluation(&mut self, row: &CurveRow) -> Result<()> {
        self.checkpointer.check_lock()?;
        if self.state.complete_evaluation(row)? {
            let Self { checkpointer, state, .. } = self;
            timed(&mut self.progress.spent.checkpoints, || checkpointer.keep_best(state))?;
        }
        self.progress.row(row);
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let Self { checkpointer, state, layer_stats, .. } = self;
        let layers = layer_stats.as_mut().map(LayerProbe::writer);
        timed(&mut self.progress.spent.checkpoints, || checkpointer.save(state, layers))
    }

    fn keep_state(&mut self) -> Result<()> {
        let Self { checkpointer, state, layer_stats, .. } = self;
        let layers = layer_stats.as_mut().map(LayerProbe::writer);
        timed(&mut self.progress.spent.checkpoints, || checkpointer.keep_state(state, layers))
    }

    fn is_growth_due(&self) -> bool {
        let at = self.training().grow.map(|grow| grow.at);
        at == Some(self.state.step) && self.state.learner.network != *self.target
    }

    /// Replaces the net by a deeper one that computes the same function. The optimiser starts without
    /// state.
    fn grow(&mut self) -> Result<()> {
        let RunContext { settings, device, .. } = self.context;
        let mut grown = Learner::new(self.target, settings, device.placement, device.cuda.graphs);
        let images = || {
            let parts = self.evaluation.train_subset.chunks(GROWTH_BATCH);
            parts.map(|part| self.sources.train.plain(part).0)
        };
        let precision = settings.training.precision;
        let difference = grow::grow(&self.state.learner, &mut grown, images, precision)?;
        self.progress.remark(format!(
            "grown after {} updates: logits at prediction within {difference:.1e}",
            self.state.step
        ));
        self.state.learner = grown;
        self.evaluation.reset();
        Ok(())
    }

    fn are_layer_stats_due(&self) -> bool {
        let last = self.training().iterations;
        self.context.settings.evaluate.are_layers_due(self.state.step, last)
    }

    /// Makes one update, with layer statistics before and after it if they are due.
    fn update_with_layer_stats(&mut self) -> Result<Loss> {
        let is_due = self.are_layer_stats_due();
        let Some(layer_stats) = self.layer_stats.as_ref().filter(|_| is_due) else {
            return Ok(self.update());
        };
        let state = &self.state;
        let before = timed(&mut self.progress.spent.diagnostics, || {
            layer_stats.measure(&state.learner, state.step)
        });
        let loss = self.update();
        self.checkpointer.check_lock()?;
        let Self { layer_stats, state, .. } = self;
        timed(&mut self.progress.spent.diagnostics, || {
            layer_stats.as_mut().map(|stats| stats.compare(&state.learner, before)).transpose()
        })?;
        Ok(loss)
    }

    /// Makes one update, and checks the running loss if it is read after this update.
    fn update(&mut self) -> Loss {
        let Self { data_loader, sources, state, .. } = self;
        let batch = timed(&mut self.progress.spent.batches, || {
            data_loader.batch(&sources.train, state.step)
        });
        let begun = Instant::now();
        self.state.update(&batch);
        self.state.evaluated = !self.evaluation.is_due(self.state.step);
        let is_finite = !self.is_loss_read() || {
            let sums = self.state.running.sums();
            self.pace.waited(self.state.step);
            sums.is_finite()
        };
        self.progress.spent.updates += begun.elapsed().as_secs_f64();
        if is_finite { Loss::Finite } else { Loss::NotFinite }
    }

    /// Whether the running sums are read after this update: always on the CPU; on a GPU, for which a read waits, from
    /// time to time, and before the net is evaluated, measured or grown. The sums stop at the update at which training
    /// diverged, so a late read finds the same step.
    fn is_loss_read(&self) -> bool {
        self.context.device.placement.device == Device::Cpu
            || !self.state.evaluated
            || self.state.schedule.is_watching()
            || self.are_layer_stats_due()
            || self.is_growth_due()
            || self.pace.is_due(self.state.step)
    }

    /// Ends the process's work at a checkpoint, from which the run can resume.
    fn interrupted(&mut self) -> Result<Status> {
        // Before the first update there is no state worth keeping.
        if self.state.step > 0 {
            self.save()?;
        }
        Ok(Status::new(State::Interrupted, self.state.step, "stopped by a signal"))
    }

    /// Ends the run after its last update, or before it with a message that says why.
    fn done(&mut self, message: String) -> Result<Status> {
        let lesions = self.context.settings.evaluate.lesions.then(|| {
            let images = self.context.data.dataset.test.len();
            timed(&mut self.progress.spent.diagnostics, || {
                lesion_costs(&self.state.learner, &self.sources.test, images, self.interrupt)
            })
        });
        let lesions = match lesions.transpose() {
            Ok(costs) => costs.unwrap_or_default(),
            Err(Stopped) => return self.interrupted(),
        };
        self.checkpointer.check_lock()?;
        let Self { layer_stats, checkpointer, state, .. } = self;
        if let Some(stats) = layer_stats {
            timed(&mut self.progress.spent.diagnostics, || {
                let mut rows = stats.measure(&state.learner, state.step);
                rows.set_lesions(&lesions);
                stats.write(&rows)?;
                stats.writer().mark()
            })?;
        }
        timed(&mut self.progress.spent.checkpoints, || checkpointer.finish(state))?;
        Ok(Status::new(State::Done, state.step, message))
    }

    /// Ends a run whose loss is not finite, which is an outcome and not a failure. Updates after the
    /// divergence do not count.
    fn diverged(&mut self) -> Result<Status> {
        self.state.rewind_to_divergence();
        let row = self.evaluation.running_row(&self.state);
        let loss = row.train_loss_running;
        self.checkpointer.check_lock()?;
        self.state.append(&CurveRow { train_loss: loss, ..row })?;
        self.state.flush_curve()?;
        let (step, loss) = (self.state.step, loss.unwrap_or(f64::NAN));
        let message = format!("the training loss is {loss} at step {step}");
        Ok(Status::new(State::Diverged, step, message))
    }
}
