//! A run from its job to its last row.

use super::evaluate::{Evaluator, to_device};
use super::schedule::Rate;
use super::step::Trainer;
use super::{device, net};
use anyhow::{Result, anyhow, ensure};
use fathom::data::{self, Dataset, Order, Standardiser};
use fathom::protocol::{Event, Job};
use fathom::record::{
    CurveRow, CurveWriter, DataRecord, Manifest, Revision, RunDir, SCHEMA, State, Status,
};
use fathom::spec::{Every, Settings};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// Told of what happens.
pub type Feedback<'a> = &'a mut dyn FnMut(Event);

/// Updates between two looks at whether the loss is still finite, on devices where a look makes
/// the processor wait.
const LOOK_EVERY: u64 = 50;

/// Trains one run and writes its files; its status says how it ended.
///
/// # Errors
/// Whatever keeps it from training: data, device, disk.
pub fn run(job: &Job, feedback: Feedback) -> Result<Status> {
    let started = Instant::now();
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let settings =
        Settings::new(&job.config).map_err(|(key, message)| anyhow!("{key}: {message}"))?;
    let dataset = load(job, &settings, feedback)?;
    ensure!(
        dataset.train.len() >= settings.training.batch,
        "training.batch = {} is more than the {} training images",
        settings.training.batch,
        dataset.train.len()
    );
    let standardiser = Standardiser::measure(&settings.standardise, &dataset.train);
    let shape = dataset.train.shape;
    let dims = [shape.channels, shape.height, shape.width];
    let network = &job.network;
    ensure!(
        network.input == dims && network.classes == dataset.classes.len(),
        "the net is for {:?} and {} classes, the data set has {dims:?} and {}",
        network.input,
        network.classes,
        dataset.classes.len()
    );
    tch::manual_seed(settings.seed as i64);
    let trainer = Trainer::new(network, &settings, device);

    let directory = RunDir::new(&job.directory);
    directory.create()?;
    directory.clear_status()?;
    let audit = network.audit();
    ensure!(
        audit.parameters == trainer.parameter_count() as u64,
        "the plan has {} parameters and the net {}",
        audit.parameters,
        trainer.parameter_count()
    );
    directory.write_manifest(&Manifest {
        schema: SCHEMA,
        id: job.id.clone(),
        arm: job.arm.clone(),
        axes: job.axes.clone(),
        config: job.config.clone(),
        execution: device::execution(device, job.threads),
        revision: Revision::of_this_build(),
        data: DataRecord {
            sha256: dataset.sha256.clone(),
            train: dataset.train.len(),
            validation: dataset.validation.len(),
            test: dataset.test.len(),
            classes: dataset.classes.len(),
            shape: dims,
            standardised: standardiser.description().into(),
            notes: dataset.notes.clone(),
        },
        parameters: audit.parameters,
        macs: audit.macs,
    })?;
    let mut status = Loop {
        job,
        settings: &settings,
        dataset: &dataset,
        standardiser: &standardiser,
        device,
        trainer,
        curve: directory.curve_writer()?,
        subset: data::balanced(&dataset.train.labels, settings.evaluate.train_images),
        started,
        running: Running::new(device),
    }
    .run(feedback)?;
    status.seconds = started.elapsed().as_secs_f64();
    status.peak_memory_bytes = peak_memory();
    directory.write_status(&status)?;
    Ok(status)
}

fn load(job: &Job, settings: &Settings, feedback: Feedback) -> Result<Dataset> {
    match data::load(&settings.data, job.data_dir.as_deref()) {
        Err(error) if job.stand_in && error.is::<data::Missing>() => {
            let text = format!("generated images stand in for the data set ({error:#})");
            feedback(Event::Remark { text });
            data::stand_in(&settings.data)
        }
        result => result,
    }
}

/// Sums over the batches since the last row, on the device.
struct Running {
    loss: Tensor,
    wrong: Tensor,
    images: u64,
    batches: u64,
}

impl Running {
    fn new(device: Device) -> Self {
        Self {
            loss: Tensor::zeros([], (Kind::Float, device)),
            wrong: Tensor::zeros([], (Kind::Int64, device)),
            images: 0,
            batches: 0,
        }
    }

    /// Mean loss and error in per cent; nothing before the first batch.
    fn means(&self) -> (Option<f64>, Option<f64>) {
        if self.batches == 0 {
            return (None, None);
        }
        let loss = self.loss.double_value(&[]) / self.batches as f64;
        let wrong = 100.0 * self.wrong.int64_value(&[]) as f64 / self.images as f64;
        (Some(loss), Some(wrong))
    }
}

struct Loop<'a> {
    job: &'a Job,
    settings: &'a Settings,
    dataset: &'a Dataset,
    standardiser: &'a Standardiser,
    device: Device,
    trainer: Trainer,
    curve: CurveWriter,
    /// The training images that the curve's training error is measured on.
    subset: Vec<u32>,
    started: Instant,
    running: Running,
}

impl Loop<'_> {
    fn run(mut self, feedback: Feedback) -> Result<Status> {
        let training = &self.settings.training;
        let (batch, iterations) = (training.batch, training.iterations);
        let mut rate = Rate::new(training);
        let mut order = Order::new(self.settings.seed, self.dataset.train.len());
        let mut pixels = Vec::new();
        let mut told = Instant::now();
        self.evaluate(0, rate.at(0), iterations, feedback)?;
        for step in 1..=iterations {
            let samples = order.samples((step - 1) * batch as u64, batch);
            let (train, augment) = (&self.dataset.train, self.settings.augment);
            let keyed = (augment, self.settings.seed);
            self.standardiser.fill_augmented(train, &samples, keyed, &mut pixels);
            let indices = samples.iter().map(|sample| sample.index);
            let (images, labels) = to_device(train, &pixels, indices, self.device);
            let lr = rate.at(step - 1);
            let outcome = self.trainer.step(&images, &labels, lr);
            if rate.is_watching() {
                rate.observe(outcome.wrong.int64_value(&[]).max(0) as u64);
            }
            self.running.loss += outcome.loss;
            self.running.wrong += outcome.wrong;
            self.running.images += batch as u64;
            self.running.batches += 1;
            let is_due = self.is_due(step, iterations);
            let looks = self.device == Device::Cpu || is_due || step % LOOK_EVERY == 0;
            if looks && !self.running.loss.double_value(&[]).is_finite() {
                return self.diverged(step, lr);
            }
            if is_due {
                self.evaluate(step, lr, iterations, feedback)?;
            } else if told.elapsed() > Duration::from_millis(200) {
                feedback(Event::Progress { step });
                told = Instant::now();
            }
        }
        let network = &self.job.network;
        let path = RunDir::new(&self.job.directory).checkpoint();
        self.trainer.weights()?.write(&path, network, iterations)?;
        Ok(Status::new(State::Done, iterations, ""))
    }

    fn is_due(&self, step: u64, iterations: u64) -> bool {
        step == iterations
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

    /// Columns that need no evaluation.
    fn row(&self, step: u64, lr: f64) -> CurveRow {
        let seen = step * self.settings.training.batch as u64;
        let (loss, error) = self.running.means();
        CurveRow {
            schema: SCHEMA,
            step,
            epoch: rounded(seen as f64 / self.dataset.train.len() as f64),
            lr,
            train_loss_running: loss.map(rounded),
            train_err_running_pct: error.map(rounded),
            seconds: rounded(self.started.elapsed().as_secs_f64()),
            ..CurveRow::default()
        }
    }

    fn evaluate(&mut self, step: u64, lr: f64, last: u64, feedback: Feedback) -> Result<()> {
        let evaluator = Evaluator::new(self.standardiser, self.device);
        let Dataset { train, validation, test, .. } = self.dataset;
        let net: &net::Net = &self.trainer.net;
        let all = |images: &data::Images| (0..images.len() as u32).collect::<Vec<u32>>();
        let indices = if step == last { all(train) } else { self.subset.clone() };
        let on_train = evaluator.errors(net, train, &indices);
        let on_test = evaluator.errors(net, test, &all(test));
        let mut row = self.row(step, lr);
        if step == 0 || step == last {
            let batch = self.settings.training.norm_batch.unwrap_or(self.settings.training.batch);
            let fresh = evaluator.fresh_error(net, train, &indices, batch);
            row.train_err_fresh_pct = Some(rounded(fresh));
        }
        row.train_loss = Some(rounded(on_train.loss));
        row.train_err_pct = Some(rounded(on_train.err_pct));
        row.train_images = on_train.images as u64;
        row.test_loss = Some(rounded(on_test.loss));
        row.test_err_pct = Some(rounded(on_test.err_pct));
        row.test_images = on_test.images as u64;
        if !validation.is_empty() {
            let held_out = evaluator.errors(net, validation, &all(validation));
            row.validation_loss = Some(rounded(held_out.loss));
            row.validation_err_pct = Some(rounded(held_out.err_pct));
        }
        row.seconds = rounded(self.started.elapsed().as_secs_f64());
        self.curve.append(&row)?;
        self.running = Running::new(self.device);
        let (train_err_pct, test_err_pct) = (row.train_err_pct, row.test_err_pct);
        feedback(Event::Row { step, train_err_pct, test_err_pct });
        Ok(())
    }

    /// The last row of a run whose loss is no longer a number: an outcome, not a failure.
    fn diverged(&mut self, step: u64, lr: f64) -> Result<Status> {
        let row = self.row(step, lr);
        let loss = row.train_loss_running;
        self.curve.append(&CurveRow { train_loss: loss, ..row })?;
        let message = format!("the training loss is {} at step {step}", loss.unwrap_or(f64::NAN));
        Ok(Status::new(State::Diverged, step, message))
    }
}

/// Six decimals are more than any of these figures means.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1e9 { (value * 1e6).round() / 1e6 } else { value }
}

/// The most memory that this process has held, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
