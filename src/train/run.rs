//! A run from its job to its end, or to the point from which it goes on.

use super::data_loader::DataLoader;
use super::device;
use super::device_dataset::Source;
use super::evaluate::Evaluator;
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::layer_stats::Diagnosis;
use super::learner::Learner;
use super::placement::Placement;
use super::running_metrics::RunningMetrics;
use super::schedule::LrSchedule;
use super::shim;
use super::training_loop::{Ending, TrainingLoop};
use anyhow::{Context, Result, anyhow};
use fathom_arch::{self as arch, Audit, Network};
use fathom_data::{self as data, Augment, Dataset, Standardiser};
use fathom_protocol::{Event, Job};
use fathom_record::{
    Checkpoint, DataRecord, Lock, LockError, LockTiming, Manifest, Revision, RunDir, SCHEMA, Spent,
    State, Status,
};
use fathom_spec::{Grow, Settings};
use std::time::{Duration, Instant};
use tch::Device;

/// Told of what happens.
pub type Feedback<'a> = &'a mut dyn FnMut(Event);

/// Trains one run, or goes on with it, and writes its files; the status says how it ended.
///
/// # Errors
/// Whatever keeps it from training: another process that does, data, device, disk.
pub fn run(job: &Job, stop: &Interrupt, feedback: Feedback) -> Result<Status, Fault> {
    let directory = RunDir::new(&job.directory);
    directory.create()?;
    let lock = lock(&directory, feedback)?;
    directory.clear_status()?;
    let status = train(job, stop, &lock, feedback)?;
    lock.check().map_err(anyhow::Error::from)?;
    directory.write_status(&status)?;
    if status.state.is_final() {
        remove(&directory.previous_checkpoint())?;
    }
    Ok(status)
}

fn lock(directory: &RunDir, feedback: Feedback) -> Result<Lock, Fault> {
    match Lock::acquire(&directory.lock(), "fathom-train", &LockTiming::default()) {
        Ok(taken) => {
            if let Some(owner) = taken.taken_over {
                let text = format!("took over from {owner}, which is gone");
                feedback(Event::Remark { text });
            }
            Ok(taken.lock)
        }
        Err(held @ LockError::Held { .. }) => Err(Fault::Held(held.to_string())),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

fn remove(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn train(job: &Job, stop: &Interrupt, lock: &Lock, feedback: Feedback) -> Result<Status, Fault> {
    let started = Instant::now();
    tch::set_num_threads(job.threads as i32);
    let device = device::open(&job.device)?;
    let settings = Settings::new(&job.config).map_err(anyhow::Error::from)?;
    let dataset = load(job, &settings, feedback).map_err(|error| Fault::data(&error))?;
    check(job, &settings, &dataset)?;
    let standardiser = Standardiser::measure(&settings.standardise, &dataset.train);
    let place = Placement::new(device, job.layout, settings.training.precision);
    let fast = device::fast(device, job.cuda, settings.training.precision)?;
    let directory = RunDir::new(&job.directory);
    let found = find(&directory, &dataset, feedback)?;
    let step = found.as_ref().map_or(0, |checkpoint| checkpoint.position.step);
    let shallower = shallower(job, &settings, step)?;
    let network = shallower.as_ref().unwrap_or(&job.network);
    let mut trainer = Learner::new(network, &settings, place, fast.graphs);
    let mut rate = LrSchedule::new(&settings.training);
    let first_lr = rate.at(0);
    let (curve, running, position) = match found {
        Some(checkpoint) => {
            trainer.restore(network, &checkpoint)?;
            let position = checkpoint.position;
            rate.restore(position.warming.as_ref());
            feedback(Event::Resumed { step: position.step });
            let curve = directory.resume_curve(&position.curve)?;
            (curve, RunningMetrics::at(&position, device), Some(position))
        }
        None => {
            let audit = job.network.audit();
            let built = trainer.parameter_count() as u64;
            let planned = network.parameter_count();
            if planned != built {
                let error = anyhow!("the plan has {planned} parameters and the net {built}");
                return Err(error.into());
            }
            let manifest = manifest(job, &audit, &dataset, &standardiser, device);
            directory.write_manifest(&manifest)?;
            (directory.curve_writer()?, RunningMetrics::new(device), None)
        }
    };
    let resident = fast.resident && settings.augment != Augment::ResizedCrop;
    let spare = device::spare_cores(job);
    let sources = [&dataset.train, &dataset.validation, &dataset.test]
        .map(|images| Source::new((images, &standardiser), place, resident, spare));
    let diagnosis = match settings.evaluate.layers {
        true => {
            let mark = position.as_ref().and_then(|position| position.layers.as_ref());
            let writer = directory.layer_writer(mark)?;
            Some(Diagnosis::new(dataset.train.labels(), &sources[0], place, writer))
        }
        false => None,
    };
    let mut course = TrainingLoop {
        job,
        network,
        settings: &settings,
        dataset: &dataset,
        sources,
        evaluator: Evaluator::new(place, stop, fast.graphs),
        records: fast.graphs,
        feed: DataLoader::new(dataset.train.len(), &settings, place),
        place,
        trainer,
        curve,
        diagnosis,
        subset: data::balanced(dataset.train.labels(), settings.evaluate.train_images),
        rate,
        running,
        batches: position.as_ref().map_or(0, |position| position.running_batches),
        step,
        lr: position.as_ref().map_or(first_lr, |position| position.lr),
        evaluated: position.as_ref().is_some_and(|position| position.evaluated),
        started,
        before: position.as_ref().map_or(0.0, |position| position.seconds),
        stop,
        lock,
        saved: Instant::now(),
        cost: Duration::ZERO,
        spent: Spent::default(),
    };
    let mut status = match course.run(feedback)? {
        Ending::Over(status) => status,
        Ending::Stopped(step) => Status::new(State::Interrupted, step, "stopped by a signal"),
    };
    status.seconds = course.seconds();
    status.spent = course.spent();
    status.peak_memory_bytes = peak_memory(device);
    Ok(status)
}

/// The data set, or where that may be a generated stand-in.
pub(super) fn load(job: &Job, settings: &Settings, feedback: Feedback) -> Result<Dataset> {
    match data::load(&settings.data, job.data_dir.as_deref()) {
        Err(error) if job.stand_in && error.is::<data::Missing>() => {
            let text = format!("generated images stand in for the data set ({error:#})");
            feedback(Event::Remark { text });
            data::stand_in(&settings.data)
        }
        result => result,
    }
}

/// The net after so many updates, where it is not the job's yet.
fn shallower(job: &Job, settings: &Settings, step: u64) -> Result<Option<Network>> {
    match settings.training.grow {
        // It grows just before the next update.
        Some(Grow { from, at }) if step <= at => {
            let Network { input, classes, .. } = job.network;
            Ok(Some(arch::shallower(&job.config, from, input, classes)?))
        }
        _ => Ok(None),
    }
}

/// Whether net, recipe and data go together.
fn check(job: &Job, settings: &Settings, dataset: &Dataset) -> Result<(), Fault> {
    let (batch, images) = (settings.training.batch, dataset.train.len());
    if images < batch {
        let error = anyhow!("training.batch = {batch} is more than the {images} training images");
        return Err(Fault::data(&error));
    }
    let shape = dataset.train.shape();
    let dims = [shape.channels, shape.height, shape.width];
    // A net that gives images has as many outputs as these have values.
    let network = &job.network;
    let classes = match settings.training.delta {
        None => dataset.classes.len(),
        Some(_) => dims.iter().product(),
    };
    if network.input != dims || network.classes != classes {
        let error = anyhow!(
            "the net is for {:?} and {} classes, the data set has {dims:?} and {classes}",
            network.input,
            network.classes,
        );
        return Err(Fault::data(&error));
    }
    Ok(())
}

/// The checkpoint from which the run goes on.
fn find(
    directory: &RunDir,
    dataset: &Dataset,
    feedback: Feedback,
) -> Result<Option<Checkpoint>, Fault> {
    let (found, faults) = Checkpoint::find(directory);
    let instead = if found.is_some() { "the one before serves" } else { "the run starts anew" };
    for fault in faults {
        feedback(Event::Remark { text: format!("{fault}: {instead}") });
    }
    let is_same = |found: &Checkpoint| found.position.data == dataset.sha256;
    if found.as_ref().is_some_and(|found| !is_same(found)) {
        let error = anyhow!(
            "the data set is not the one that this run began with: put that one back, or remove {}",
            directory.root().display()
        );
        return Err(Fault::data(&error));
    }
    Ok(found)
}

fn manifest(
    job: &Job,
    audit: &Audit,
    dataset: &Dataset,
    standardiser: &Standardiser,
    device: Device,
) -> Manifest {
    Manifest {
        schema: SCHEMA,
        id: job.id.clone(),
        arm: job.arm.clone(),
        axes: job.axes.clone(),
        config: job.config.clone(),
        execution: device::execution(device, job),
        revision: Revision::of_this_build(),
        data: DataRecord {
            sha256: dataset.sha256.clone(),
            train: dataset.train.len(),
            validation: dataset.validation.len(),
            test: dataset.test.len(),
            // Of which nothing is known to whom images are the answers.
            classes: if job.config.contains_key("training.delta") {
                0
            } else {
                dataset.classes.len()
            },
            shape: job.network.input,
            standardised: standardiser.description().into(),
            notes: dataset.notes.clone(),
        },
        parameters: audit.parameters,
        macs: audit.macs,
    }
}

/// The most memory that this process has held, in bytes: what libtorch reserved on the GPU, where
/// it trains on one; 0 where the system does not tell.
pub(super) fn peak_memory(device: Device) -> u64 {
    if let Device::Cuda(index) = device {
        return shim::device::device_memory(index)[1];
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Seconds since this process was started, to a hundredth: what was before `main` counts too, as
/// libtorch was loaded then. Where the system does not tell, since a moment in its beginning.
pub(super) fn process_age(beginning: Instant) -> f64 {
    since_start().unwrap_or_default().max(beginning.elapsed().as_secs_f64())
}

fn since_start() -> Option<f64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split(' ').next()?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The 22nd word, in hundredths of a second; the second one is a name and ends with a bracket.
    let started: f64 = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    Some(now - started / 100.0)
}
