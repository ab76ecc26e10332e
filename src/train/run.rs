//! One run: its files, its lock, and its start or resumption.

use super::checkpointer::Checkpointer;
use super::context::{Feedback, RunContext};
use super::device;
use super::fault::Fault;
use super::interrupt::Interrupt;
use super::learner::Learner;
use super::progress::Progress;
use super::train_state::TrainState;
use super::training_loop::TrainingLoop;
use anyhow::{Context, Result, anyhow, ensure};
use fathom_arch::{self as arch, Network};
use fathom_data::Dataset;
use fathom_protocol::{Event, Job};
use fathom_record::{
    Checkpoint, DataRecord, Lock, LockError, LockTiming, Manifest, Revision, RunDir, SCHEMA, Status,
};
use fathom_spec::{Grow, Settings};
use std::time::Instant;

/// Trains one run from the start or from its last checkpoint, and writes its files. The status says
/// how the run ended. `age`: seconds that the process spent on the run before.
///
/// # Errors
/// [`Fault::Held`] if another process trains the run, otherwise the failure of device, data set or
/// disk.
pub fn run(
    job: &Job,
    age: f64,
    interrupt: &Interrupt,
    feedback: Feedback,
) -> Result<Status, Fault> {
    let directory = RunDir::new(&job.directory);
    directory.create()?;
    let lock = lock(&directory, feedback)?;
    directory.clear_status()?;
    let status = train(job, &directory, age, interrupt, &lock, feedback)?;
    lock.check().map_err(anyhow::Error::from)?;
    directory.write_status(&status)?;
    if status.state.is_final() {
        remove(&directory.previous_checkpoint())?;
    }
    Ok(status)
}

/// Acquires the lock of the run.
fn lock(directory: &RunDir, feedback: Feedback) -> Result<Lock, Fault> {
    match Lock::acquire(&directory.lock(), "fathom-train", &LockTiming::default()) {
        Ok(taken) => {
            if let Some(owner) = taken.taken_over {
                let text = format!("took over from {owner}, which no longer runs");
                feedback(Event::Remark { text });
            }
            Ok(taken.lock)
        }
        Err(held @ LockError::Held { .. }) => Err(Fault::Held(held.to_string())),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

/// Removes a file if it exists.
fn remove(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn train(
    job: &Job,
    directory: &RunDir,
    age: f64,
    interrupt: &Interrupt,
    lock: &Lock,
    feedback: Feedback,
) -> Result<Status, Fault> {
    let started = Instant::now();
    let context = RunContext::of_run(job, feedback)?;
    check(&job.network, &context.settings, &context.data.dataset)?;
    let checkpoint = find(directory, &context.data.dataset, feedback)?;
    let step = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.position.step);
    let shallower = shallower(job, &context.settings, step)?;
    let network = shallower.as_ref().unwrap_or(&job.network);
    let RunContext { settings, device, .. } = &context;
    let learner = Learner::new(network, settings, device.placement, device.cuda.graphs);
    let state = match &checkpoint {
        Some(checkpoint) => {
            // A run that begins where a shorter one ends has none yet.
            if !directory.has_manifest() {
                directory.write_manifest(&manifest(job, &context))?;
            }
            let state = TrainState::restore(checkpoint, learner, &context, directory, started)?;
            feedback(Event::Resumed { step });
            state
        }
        None => {
            check_parameters(network, &learner)?;
            directory.write_manifest(&manifest(job, &context))?;
            TrainState::new(learner, &context, directory.curve_writer()?, started)
        }
    };
    let mark = checkpoint.as_ref().and_then(|checkpoint| checkpoint.position.layers.as_ref());
    let layers = settings.evaluate.layers.then(|| directory.layer_writer(mark)).transpose()?;
    let checkpointer = Checkpointer::new(job, lock);
    let progress = Progress::new(feedback, started, age);
    let training_loop =
        TrainingLoop::new(&context, &job.network, state, layers, checkpointer, progress, interrupt);
    Ok(training_loop.run()?)
}

/// The net after `step` updates, if it still has to grow into the job's net.
fn shallower(job: &Job, settings: &Settings, step: u64) -> Result<Option<Network>> {
    match settings.training.grow {
        // The net grows immediately before the next update.
        Some(Grow { from, at }) if step <= at => {
            let Network { input, classes, .. } = job.network;
            Ok(Some(arch::shallower(&job.config, from, input, classes)?))
        }
        Some(_) | None => Ok(None),
    }
}

/// Checks that the net and the batch size fit the data set.
fn check(network: &Network, settings: &Settings, dataset: &Dataset) -> Result<(), Fault> {
    let (batch, images) = (settings.training.batch, dataset.train.len());
    if images < batch {
        let error = anyhow!("training.batch = {batch} exceeds the {images} training images");
        return Err(Fault::data(&error));
    }
    let shape = dataset.train.shape();
    let dims = [shape.channels, shape.height, shape.width];
    // A net for regression has one output for each value of an image.
    let classes = match settings.training.delta {
        None => dataset.classes.len(),
        Some(_) => dims.iter().product(),
    };
    if network.input != dims || network.classes != classes {
        let error = anyhow!(
            "the net expects images of shape {:?} and {} classes, the data set has shape {dims:?} \
             and {classes} classes",
            network.input,
            network.classes,
        );
        return Err(Fault::data(&error));
    }
    Ok(())
}

/// Checks that the net has as many parameters as its description.
fn check_parameters(network: &Network, learner: &Learner) -> Result<()> {
    let (planned, built) = (network.parameter_count(), learner.parameter_count() as u64);
    ensure!(
        planned == built,
        "the description of the net has {planned} parameters, the net {built}"
    );
    Ok(())
}

/// Finds the checkpoint from which the run resumes.
fn find(
    directory: &RunDir,
    dataset: &Dataset,
    feedback: Feedback,
) -> Result<Option<Checkpoint>, Fault> {
    let (found, faults) = Checkpoint::find(directory);
    let instead = match found {
        Some(_) => "the run resumes from the checkpoint before",
        None => "the run starts from the beginning",
    };
    for fault in faults {
        feedback(Event::Remark { text: format!("{fault}: {instead}") });
    }
    let is_same = |found: &Checkpoint| found.position.data == dataset.sha256;
    if found.as_ref().is_some_and(|found| !is_same(found)) {
        let error = anyhow!(
            "the data set is not the one that this run began with: restore that one, or remove {}",
            directory.root().display()
        );
        return Err(Fault::data(&error));
    }
    Ok(found)
}

fn manifest(job: &Job, context: &RunContext) -> Manifest {
    let audit = job.network.audit();
    let dataset = &context.data.dataset;
    Manifest {
        schema: SCHEMA,
        id: job.id.clone(),
        arm: job.arm.clone(),
        axes: job.axes.clone(),
        config: job.config.clone(),
        execution: device::execution(context.device.placement.device, job),
        revision: Revision::of_this_build(),
        data: DataRecord {
            sha256: dataset.sha256.clone(),
            train: dataset.train.len(),
            validation: dataset.validation.len(),
            test: dataset.test.len(),
            // For regression 0, as there is no error by chance.
            classes: match context.settings.training.delta {
                None => dataset.classes.len(),
                Some(_) => 0,
            },
            shape: job.network.input,
            standardised: context.data.standardiser.description().into(),
            notes: dataset.notes.clone(),
        },
        parameters: audit.parameters,
        macs: audit.macs,
    }
}
