//! What a job computes with: device, settings and data, set up once.

use super::device;
use super::device_dataset::Source;
use super::fault::Fault;
use super::placement::Placement;
use anyhow::{Context, Result};
use fathom_arch::Network;
use fathom_data::{self as data, Augment, Dataset, Split, Standardise, Standardiser};
use fathom_protocol::{Event, Job};
use fathom_record::{CudaUse, Layout, Rename, Weights};
use fathom_spec::{Config, Precision, Settings};
use std::path::Path;
use tch::{Device, Kind};

/// Callback for events of a run.
pub type Feedback<'a> = &'a mut dyn FnMut(Event);

/// A configured device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceContext {
    /// Device, memory layout and number formats of the net.
    pub placement: Placement,
    /// How the device is used: on the CPU, without CUDA graphs and resident images.
    pub cuda: CudaUse,
}

impl DeviceContext {
    /// Configures a device.
    ///
    /// # Errors
    /// Those of [`device::configure`].
    pub fn new(
        device: Device,
        layout: Layout,
        precision: Precision,
        cuda: CudaUse,
    ) -> Result<Self> {
        let cuda = device::configure(device, cuda, precision)?;
        Ok(Self { placement: Placement::new(device, layout, precision), cuda })
    }

    /// Opens a device and configures it for evaluating given weights: deterministic, in f32 and
    /// NCHW, without CUDA graphs and resident images.
    ///
    /// # Errors
    /// Those of [`device::open`].
    pub fn for_evaluation(name: &str, threads: usize) -> Result<Self> {
        let device = device::open(name, threads)?;
        let cuda = CudaUse { graphs: false, resident: false, deterministic: true, fused: false };
        let cuda = device::configure(device, cuda, Precision::F32)?;
        Ok(Self { placement: Placement::plain(device, Kind::Float), cuda })
    }
}

/// A data set with its standardiser, and how its images become batches.
pub struct DataContext {
    /// The data set.
    pub dataset: Dataset,
    /// Standardiser measured on the training images.
    pub standardiser: Standardiser,
    placement: Placement,
    resident: bool,
    threads: usize,
}

/// Batches of the three splits of a data set.
pub struct Sources<'a> {
    /// Training images.
    pub train: Source<'a>,
    /// Validation images; there may be none.
    pub validation: Source<'a>,
    /// Test images.
    pub test: Source<'a>,
}

impl DataContext {
    /// A data set for nets on `device`. The processor assembles batches that are slow to assemble on
    /// `threads` threads.
    pub fn new(
        dataset: Dataset,
        standardise: &Standardise,
        device: DeviceContext,
        threads: usize,
    ) -> Self {
        let standardiser = Standardiser::measure(standardise, &dataset.train);
        let DeviceContext { placement, cuda } = device;
        Self { dataset, standardiser, placement, resident: cuda.resident, threads }
    }

    /// Batches of these images.
    pub fn source<'a>(&'a self, images: &'a Split) -> Source<'a> {
        Source::new(images, &self.standardiser, self.placement, self.resident, self.threads)
    }

    /// Batches of all three splits.
    pub fn sources(&self) -> Sources<'_> {
        let Dataset { train, validation, test, .. } = &self.dataset;
        Sources {
            train: self.source(train),
            validation: self.source(validation),
            test: self.source(test),
        }
    }
}

/// What a job with a configuration computes with.
pub struct RunContext {
    /// The typed configuration.
    pub settings: Settings,
    /// The device.
    pub device: DeviceContext,
    /// The data set.
    pub data: DataContext,
}

impl RunContext {
    /// Combines a device, settings and a data set; `threads` as in [`DataContext::new`].
    pub fn new(
        settings: Settings,
        mut device: DeviceContext,
        dataset: Dataset,
        threads: usize,
    ) -> Self {
        // The processor resizes crops.
        device.cuda.resident &= settings.augment != Augment::ResizedCrop;
        let data = DataContext::new(dataset, &settings.standardise, device, threads);
        Self { settings, device, data }
    }

    /// Sets up the device, the settings and the data set of a run.
    ///
    /// # Errors
    /// If the device, a key or the data set is not usable, in this order.
    pub fn of_run(job: &Job, feedback: Feedback) -> Result<Self, Fault> {
        let device = device::open(&job.device, job.threads)?;
        let settings = settings(&job.config)?;
        let dataset = load(job, &settings, feedback).map_err(|error| Fault::data(&error))?;
        let precision = settings.training.precision;
        let device = DeviceContext::new(device, job.layout, precision, job.cuda)?;
        Ok(Self::new(settings, device, dataset, device::spare_cores(job)))
    }
}

/// The typed form of a configuration.
///
/// # Errors
/// The first key with an invalid value.
pub fn settings(config: &Config) -> Result<Settings> {
    Ok(Settings::new(config)?)
}

/// Reads weights of a net from a safetensors file.
///
/// # Errors
/// If the file cannot be read, or does not fit the net.
pub fn read_weights(path: &Path, renames: &[Rename], network: &Network) -> Result<Weights> {
    let weights = Weights::read_renamed(path, renames)?;
    weights.fit(network).with_context(|| path.display().to_string())?;
    Ok(weights)
}

/// Loads the data set of a run; generated images replace a missing one if the job allows it.
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

#[cfg(test)]
pub mod testing {
    use super::*;
    use fathom_spec::Experiment;
    use std::path::Path;

    const EXPERIMENT: &str = r#"name = "tiny"
[data]
source = "shapes"
train = 50
test = 20
size = 8
[network]
family = "plain"
depth = 8
width = 2
[training]
iterations = 20
batch = 10
"#;

    /// Net and context of a tiny run with these further keys (`key=value`), on the CPU.
    pub fn tiny(keys: &[&str]) -> (Network, RunContext) {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let run =
            Experiment::parse(Path::new("tiny.toml"), EXPERIMENT, &keys).unwrap().runs.remove(0);
        let dataset = data::load(&run.settings.data, None).unwrap();
        let device = DeviceContext::for_evaluation("cpu", 1).unwrap();
        (run.network, RunContext::new(run.settings, device, dataset, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::tiny;
    use super::*;

    #[test]
    fn images_are_not_resident_if_the_processor_resizes_their_crops() {
        let (_, context) = tiny(&[]);
        for (augment, is_resident) in [(Augment::None, true), (Augment::ResizedCrop, false)] {
            let settings = Settings { augment, ..context.settings.clone() };
            let mut device = context.device;
            device.cuda.resident = true;
            let context = RunContext::new(settings, device, context.data.dataset.clone(), 1);
            let sources = context.data.sources();
            let found = [sources.train, sources.validation, sources.test];
            assert_eq!(found.map(|source| source.is_resident()), [is_resident; 3]);
        }
    }
}
