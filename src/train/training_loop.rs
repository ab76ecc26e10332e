//! The course of a run: updates, evaluations, checkpoints.

use super::data_loader::DataLoader;
use super::device_dataset::Source;
use super::evaluate::Evaluator;
use super::grow;
use super::interrupt::{Interrupt, Stopped};
use super::layer_stats::{self, Diagnosis};
use super::learner::Learner;
use super::placement::Placement;
use super::run::{Feedback, process_age};
use super::running_metrics::RunningMetrics;
use super::schedule::LrSchedule;
use anyhow::Result;
use fathom_arch::Network;
use fathom_data::{Dataset, Split};
use fathom_protocol::{Event, Interval, Job};
use fathom_record::{
    Checkpoint, CurveRow, CurveWriter, Lock, Position, RunDir, SCHEMA, Spent, State, Status,
};
use fathom_spec::{Every, Settings};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// Updates between two reads of the running sums on a GPU, where a read waits for the device.
/// A loss that is no longer finite is so noticed later, and told with the update at which it
/// happened.
const LOOK_EVERY: u64 = 50;

/// Time between two checkpoints is at least so many times that of writing one.
const TIMES_COST: u32 = 200;

/// Images of one pass through a net that is about to grow.
const GROWN_BATCH: usize = 100;

/// How a run ended for now.
pub enum Ending {
    /// All updates made, or diverged.
    Over(Status),
    /// Told to stop after so many updates.
    Stopped(u64),
}

/// A run on its way.
pub struct TrainingLoop<'a> {
    pub job: &'a Job,
    /// The net as it is now, which is not the job's where that one is still to grow.
    pub network: &'a Network,
    pub settings: &'a Settings,
    pub dataset: &'a Dataset,
    /// Training, validation and test images.
    pub sources: [Source<'a>; 3],
    pub evaluator: Evaluator<'a>,
    /// Whether steps are recorded and replayed.
    pub records: bool,
    pub feed: DataLoader,
    pub place: Placement,
    pub trainer: Learner,
    pub curve: CurveWriter,
    /// Looks into the layers, where that is asked for.
    pub diagnosis: Option<Diagnosis>,
    /// The training images that the curve's training error is measured on.
    pub subset: Vec<u32>,
    pub rate: LrSchedule,
    pub running: RunningMetrics,
    /// Batches that were given to `running` since the last row.
    pub batches: u64,
    /// Updates made.
    pub step: u64,
    /// Learning rate of the last update, of the first one before it.
    pub lr: f64,
    /// Whether the evaluation due at this step was made.
    pub evaluated: bool,
    pub started: Instant,
    /// Time before it was started, when it goes on.
    pub before: f64,
    pub stop: &'a Interrupt,
    /// Nothing is renamed into place once this is lost.
    pub lock: &'a Lock,
    pub saved: Instant,
    /// What writing the last checkpoint took.
    pub cost: Duration,
    /// Where the time goes.
    pub spent: Spent,
}

impl TrainingLoop<'_> {
    /// Trains to the end, or until told to stop.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn run(&mut self, feedback: Feedback) -> Result<Ending> {
        let training = &self.settings.training;
        let iterations = training.iterations;
        let mut told = Instant::now();
        self.spent.start = process_age(self.started);
        loop {
            if !self.evaluated {
                match self.evaluate(feedback)? {
                    Ok(()) => self.evaluated = true,
                    Err(Stopped) => return self.leave(),
                }
            }
            if self.step == iterations {
                return self.finish();
            }
            if self.stop.is_asked() {
                return self.leave();
            }
            if self.step > 0 && self.is_checkpoint_due() {
                self.save()?;
            }
            if self.is_to_grow() {
                self.grow(feedback)?;
            }
            if !self.watched_update()? {
                return self.diverged().map(Ending::Over);
            }
            let step = self.step;
            if self.evaluated && told.elapsed() > Duration::from_millis(200) {
                feedback(Event::Progress { step });
                told = Instant::now();
            }
        }
    }

    fn is_to_grow(&self) -> bool {
        let at = self.settings.training.grow.map(|grow| grow.at);
        at == Some(self.step) && *self.network != self.job.network
    }

    /// Adds layers that are the identity. The optimiser begins anew.
    fn grow(&mut self, feedback: Feedback) -> Result<()> {
        let (place, source) = (self.place, &self.sources[0]);
        let mut grown = Learner::new(&self.job.network, self.settings, place, self.records);
        let images: Vec<Tensor> =
            self.subset.chunks(GROWN_BATCH).map(|part| source.plain(part, place).0).collect();
        let shallower = (self.network, &self.trainer);
        let difference = grow::grow(shallower, (&self.job.network, &mut grown), &images)?;
        let step = self.step;
        let text =
            format!("grown after {step} updates: logits at prediction within {difference:.1e}");
        feedback(Event::Remark { text });
        self.network = &self.job.network;
        self.trainer = grown;
        self.evaluator = Evaluator::new(place, self.stop, self.records);
        Ok(())
    }

    /// One update, with a look into the layers before and after it where one is due.
    fn watched_update(&mut self) -> Result<bool> {
        let is_due = self.is_diagnosis_due();
        let Some(diagnosis) = self.diagnosis.as_ref().filter(|_| is_due) else {
            return Ok(self.update());
        };
        let begun = Instant::now();
        let before = diagnosis.look(self.network, &self.trainer, self.step);
        self.spent.diagnostics += begun.elapsed().as_secs_f64();
        let is_sound = self.update();
        let begun = Instant::now();
        if let Some(diagnosis) = &mut self.diagnosis {
            diagnosis.compare(self.network, &self.trainer, before)?;
        }
        self.spent.diagnostics += begun.elapsed().as_secs_f64();
        Ok(is_sound)
    }

    fn is_diagnosis_due(&self) -> bool {
        self.diagnosis.is_some()
            && layer_stats::is_due(self.step, self.settings.training.iterations)
    }

    /// One update; whether the loss is still finite, as far as the sums were read.
    fn update(&mut self) -> bool {
        let begun = Instant::now();
        let (images, labels) = self.feed.batch(&self.sources[0], self.step);
        self.spent.batches += begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        self.lr = self.rate.at(self.step);
        let running = &mut self.running;
        let outcome = self.trainer.step(self.step, &images, &labels, self.lr, running);
        self.batches += 1;
        if self.rate.is_watching() {
            self.rate.observe(outcome.wrong.int64_value(&[]).max(0) as u64);
        }
        self.step += 1;
        self.evaluated = !self.is_due();
        let looks = self.place.device == Device::Cpu
            || !self.evaluated
            || self.rate.is_watching()
            || self.is_diagnosis_due()
            || self.is_to_grow()
            || self.step.is_multiple_of(LOOK_EVERY);
        let is_sound = !looks || self.running.sums().is_finite();
        self.spent.updates += begun.elapsed().as_secs_f64();
        is_sound
    }

    fn directory(&self) -> RunDir {
        RunDir::new(&self.job.directory)
    }

    fn is_due(&self) -> bool {
        let step = self.step;
        step == self.settings.training.iterations
            || match self.settings.evaluate.every {
                Every::Steps(every) => step.is_multiple_of(every),
                Every::Epoch => {
                    let epoch = |step: u64| {
                        step * self.settings.training.batch as u64 / self.dataset.train.len() as u64
                    };
                    epoch(step) > epoch(step - 1)
                }
            }
    }

    fn is_checkpoint_due(&self) -> bool {
        match self.job.checkpoint {
            Interval::Steps(steps) => self.step.is_multiple_of(steps),
            Interval::Seconds(seconds) => {
                let elapsed = self.saved.elapsed();
                elapsed.as_secs_f64() >= seconds && elapsed >= self.cost * TIMES_COST
            }
        }
    }

    /// Writes a checkpoint. A loss that is no number any more is not kept: from the checkpoint
    /// before, the run diverges again at the same step.
    fn save(&mut self) -> Result<()> {
        let begun = Instant::now();
        let sums = self.running.sums();
        if sums.is_finite() {
            let checkpoint = Checkpoint {
                weights: self.trainer.weights()?,
                optimiser: self.trainer.optimiser()?,
                position: Position {
                    schema: SCHEMA,
                    step: self.step,
                    lr: self.lr,
                    evaluated: self.evaluated,
                    curve: self.curve.mark()?,
                    layers: match &mut self.diagnosis {
                        Some(diagnosis) => Some(diagnosis.writer().mark()?),
                        None => None,
                    },
                    running_loss: sums.loss.to_bits(),
                    running_wrong: sums.wrong,
                    running_batches: sums.batches,
                    warming: self.rate.warming(),
                    seconds: self.seconds(),
                    data: self.dataset.sha256.clone(),
                },
            };
            let allowed = || Ok(self.lock.check()?);
            checkpoint.write(&self.directory(), self.network, allowed)?;
        }
        self.saved = Instant::now();
        self.cost = begun.elapsed();
        self.spent.checkpoints += self.cost.as_secs_f64();
        Ok(())
    }

    fn leave(&mut self) -> Result<Ending> {
        // Before the first update there is nothing to keep.
        if self.step > 0 {
            self.save()?;
        }
        Ok(Ending::Stopped(self.step))
    }

    fn finish(&mut self) -> Result<Ending> {
        let begun = Instant::now();
        if let Some(diagnosis) = &mut self.diagnosis {
            let seen = diagnosis.look(self.network, &self.trainer, self.step);
            diagnosis.write(&seen)?;
            diagnosis.writer().mark()?;
        }
        self.spent.diagnostics += begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let (network, directory) = (self.network, self.directory());
        self.curve.mark()?;
        let weights = self.trainer.weights()?;
        self.lock.check()?;
        weights.write(&directory.checkpoint(), network, self.step)?;
        self.spent.checkpoints += begun.elapsed().as_secs_f64();
        Ok(Ending::Over(Status::new(State::Done, self.step, "")))
    }

    /// Where the time of this process went, until now.
    pub fn spent(&self) -> Spent {
        let Spent { start, batches, updates, evaluations, diagnostics, checkpoints, .. } =
            self.spent;
        let known = [start, batches, updates, evaluations, diagnostics, checkpoints];
        let rest = process_age(self.started) - known.iter().sum::<f64>();
        let [start, batches, updates, evaluations, diagnostics, checkpoints] = known.map(rounded);
        let rest = rounded(rest.max(0.0));
        Spent { start, batches, updates, evaluations, diagnostics, checkpoints, rest }
    }

    /// Wall-clock time of training.
    pub fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    /// Columns that need no evaluation.
    fn row(&self) -> CurveRow {
        let batch = self.settings.training.batch;
        let seen = self.step * batch as u64;
        let (loss, error) = self.running.sums().means(batch).unzip();
        // Of images there are no wrong answers.
        let error = error.filter(|_| self.settings.training.delta.is_none());
        CurveRow {
            schema: SCHEMA,
            step: self.step,
            epoch: Some(rounded(seen as f64 / self.dataset.train.len() as f64)),
            lr: Some(self.lr),
            train_loss_running: loss.map(rounded),
            train_err_running_pct: error.map(rounded),
            seconds: Some(rounded(self.seconds())),
            ..CurveRow::default()
        }
    }

    fn evaluate(&mut self, feedback: Feedback) -> Result<Result<(), Stopped>> {
        let begun = Instant::now();
        let measured = self.measured();
        self.spent.evaluations += begun.elapsed().as_secs_f64();
        let row = match measured {
            Ok(row) => row,
            Err(Stopped) => return Ok(Err(Stopped)),
        };
        self.curve.append(&row)?;
        self.running.reset();
        self.batches = 0;
        let CurveRow { step, train_err_pct, test_err_pct, .. } = row;
        feedback(Event::Row { step, train_err_pct, test_err_pct });
        Ok(Ok(()))
    }

    fn measured(&self) -> Result<CurveRow, Stopped> {
        let Self { evaluator, dataset, sources: [train, validation, test], .. } = self;
        let net = (&self.trainer.net, &self.trainer.task);
        let all = |images: &Split| (0..images.len() as u32).collect::<Vec<u32>>();
        let is_last = self.step == self.settings.training.iterations;
        let indices = if is_last { all(&dataset.train) } else { self.subset.clone() };
        let on_train = evaluator.errors(net, train, &indices)?;
        let on_test = evaluator.errors(net, test, &all(&dataset.test))?;
        let mut row = self.row();
        if self.step == 0 || is_last {
            let batch = self.settings.training.norm_batch.unwrap_or(self.settings.training.batch);
            let fresh = evaluator.fresh_error(net, train, &indices, batch)?;
            row.train_err_fresh_pct = Some(rounded(fresh));
        }
        row.train_loss = Some(rounded(on_train.loss));
        row.train_err_pct = Some(rounded(on_train.err_pct));
        row.train_images = on_train.images as u64;
        row.test_loss = Some(rounded(on_test.loss));
        row.test_err_pct = Some(rounded(on_test.err_pct));
        row.test_images = on_test.images as u64;
        if !dataset.validation.is_empty() {
            let held_out = evaluator.errors(net, validation, &all(&dataset.validation))?;
            row.validation_loss = Some(rounded(held_out.loss));
            row.validation_err_pct = Some(rounded(held_out.err_pct));
        }
        row.seconds = Some(rounded(self.seconds()));
        Ok(row)
    }

    /// The last row of a run whose loss is no longer finite: an outcome, not a failure. Updates that
    /// were made before that was noticed are not counted.
    fn diverged(&mut self) -> Result<Status> {
        self.step -= self.batches - self.running.sums().batches;
        self.lr = self.rate.at(self.step - 1);
        let row = self.row();
        let loss = row.train_loss_running;
        self.curve.append(&CurveRow { train_loss: loss, ..row })?;
        self.curve.mark()?;
        let (step, loss) = (self.step, loss.unwrap_or(f64::NAN));
        let message = format!("the training loss is {loss} at step {step}");
        Ok(Status::new(State::Diverged, step, message))
    }
}

/// Six decimals are more than any of these figures means.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1e9 { (value * 1e6).round() / 1e6 } else { value }
}
