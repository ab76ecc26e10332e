//! What `fathom` and its worker say to each other: one [`Job`] as JSON on the worker's standard
//! input, [`Event`]s as lines of JSON on its standard output.

mod bench;
mod landscape;

pub use bench::{BenchJob, Benched, Peaks, PeaksJob};
pub use landscape::{Correlation, Landscape, LandscapeJob, Slices};

use fathom_arch::Network;
use fathom_base::choice;
use fathom_data::{Request, Standardise};
use fathom_record::{CudaUse, Layout, State};
use fathom_spec::Config;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Fingerprint of the sources: a worker of another build is refused.

/// One run for the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`fathom_base::Program::build`] of the program that asks.
    pub build: String,
    /// The run's id.
    pub id: String,
    /// Its arm.
    pub arm: Option<String>,
    /// Keys that tell the sweep's runs apart.
    pub axes: Vec<String>,
    /// Its complete configuration.
    pub config: Config,
    /// The net that the configuration describes. The worker builds what stands here, so it needs
    /// to know layers, not families.
    pub network: Network,
    /// Where its files go.
    pub directory: PathBuf,
    /// Where data sets lie, when the user said so.
    pub data_dir: Option<PathBuf>,
    /// Whether generated images may stand in for a data set that is absent.
    pub stand_in: bool,
    /// `cpu`, `cuda:0`, …
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// Runs that share the device, this one among them.
    pub jobs: usize,
    /// Order of activations in memory.
    pub layout: Layout,
    /// How a GPU is used.
    pub cuda: CudaUse,
    /// Process that supervises: a worker that is left alone ends.
    pub supervisor: u32,
    /// When checkpoints are written.
    pub checkpoint: Interval,
}

/// Exit code of a worker that was told to stop and did, at a checkpoint; and of a sweep whose
/// workers did.
pub const STOPPED: u8 = 75;

/// Exit code of a worker that did not begin because another process trains its run; its last words
/// say which.
pub const HELD: u8 = 76;

/// Time between two checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interval {
    /// So many seconds; longer where checkpoints would take more than half a per cent of the time.
    Seconds(f64),
    /// So many updates.
    Steps(u64),
}

impl Default for Interval {
    fn default() -> Self {
        Interval::Seconds(60.0)
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Interval::Seconds(seconds) => write!(f, "{seconds}s"),
            Interval::Steps(steps) => write!(f, "{steps}"),
        }
    }
}

impl std::str::FromStr for Interval {
    type Err = String;

    /// `90s`, `5m`, `1h`, or a number of updates.
    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = [("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
            .map(|(number, unit)| number.parse::<f64>().ok().map(|number| number * unit));
        let interval = match seconds {
            Some(seconds) => seconds.filter(|seconds| *seconds > 0.0).map(Interval::Seconds),
            None => text.parse().ok().filter(|steps| *steps > 0).map(Interval::Steps),
        };
        interval.ok_or_else(|| "expected a time such as 90s, 5m, 1h, or a number of updates".into())
    }
}

/// What a worker tells of its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Updates made so far.
    Progress {
        /// Updates.
        step: u64,
    },
    /// An evaluation was written to the curve.
    Row {
        /// Updates.
        step: u64,
        /// Training error.
        train_err_pct: Option<f64>,
        /// Test error.
        test_err_pct: Option<f64>,
    },
    /// Something that the user should know.
    Remark {
        /// What.
        text: String,
    },
    /// The run goes on from a checkpoint.
    Resumed {
        /// Updates made before.
        step: u64,
    },
    /// The run is over, and its status is written.
    Ended,
    /// The run failed. Its status may say so too, unless the disk did not let it.
    Failed {
        /// Of which class.
        state: State,
        /// Why.
        message: String,
    },
}

/// Weights to be evaluated, for `fathom-train eval`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalJob {
    /// [`fathom_base::Program::build`] of the program that asks.
    pub build: String,
    /// The net that the weights are for.
    pub network: Network,
    /// A safetensors file.
    pub weights: PathBuf,
    /// The data set.
    pub data: Request,
    /// Which part of it.
    pub part: Part,
    /// How pixels are standardised.
    pub standardise: Standardise,
    /// Where data sets lie, when the user said so.
    pub data_dir: Option<PathBuf>,
    /// `cpu`, `cuda:0`, …
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
}

choice! {
    /// A part of a data set.
    #[derive(Default)]
    pub enum Part {
        /// Training images
        Train,
        /// Test images
        #[default]
        Test,
    }
}

/// What `fathom-train eval` found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Images.
    pub images: usize,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of images whose class does not have the largest logit, in per cent.
    pub top1_err_pct: f64,
    /// Share of images whose class is not among the five largest, in per cent.
    pub top5_err_pct: f64,
}

/// A run to be timed, for `fathom-train measure`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureJob {
    /// The run; nothing is written to its directory.
    pub job: Job,
    /// How long updates are timed.
    pub seconds: f64,
}

/// What `fathom-train measure` found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// From the start of the process to the first update, data set and all.
    pub startup_seconds: f64,
    /// One update, its batch included.
    pub step_seconds: f64,
    /// One image at prediction.
    pub evaluated_image_seconds: f64,
    /// Most memory that the process held.
    pub peak_memory_bytes: u64,
    /// Training, validation and test images.
    pub images: [usize; 3],
}

/// What `fathom-train probe` says of itself and of its libtorch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// [`fathom_base::Program::build`] of the worker.
    pub build: String,
    /// Version that it is written for.
    pub libtorch: String,
    /// The library that is loaded.
    pub library: String,
    /// Instruction set that libtorch chose.
    pub capability: String,
    /// Threads that libtorch would use.
    pub threads: usize,
    /// Whether `libtorch_cuda.so` could be loaded, else why not.
    pub cuda_library: Result<(), String>,
    /// Number of CUDA devices that can be used.
    pub cuda_devices: i64,
    /// Whether work on them can be recorded as CUDA graphs.
    pub cuda_graphs: bool,
    /// The CUDA version that libtorch was built with; `None` for a build without CUDA.
    #[serde(default)]
    pub cuda_version: Option<String>,
    /// Devices that the CUDA driver lets this process see, in libtorch's order, or why it does not.
    #[serde(default = "no_driver")]
    pub cuda_driver: Result<Vec<CudaDevice>, String>,
    /// What fathom's own loops on the processor were compiled for: an instruction set, and whether
    /// they have several threads.
    pub kernels: String,
}

fn no_driver() -> Result<Vec<CudaDevice>, String> {
    Err("not asked".into())
}

/// A CUDA device as the driver describes it to a process: a GPU, or a slice of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaDevice {
    /// Model, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Identity, such as `GPU-…` or `MIG-…`.
    pub uuid: String,
}

/// A device to be tried out, for `fathom-train check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckJob {
    /// [`fathom_base::Program::build`] of the program that asks.
    pub build: String,
    /// `cuda:0`, …
    pub device: String,
    /// Process that asks: a worker that is left alone ends.
    pub supervisor: u32,
}

/// What `fathom-train check` found on a device that works.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// From the start of the process to the end of the check.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_times_or_updates() {
        assert_eq!("90s".parse(), Ok(Interval::Seconds(90.0)));
        assert_eq!("1.5m".parse(), Ok(Interval::Seconds(90.0)));
        assert_eq!("1h".parse(), Ok(Interval::Seconds(3600.0)));
        assert_eq!("500".parse(), Ok(Interval::Steps(500)));
        for interval in [Interval::Seconds(90.0), Interval::Seconds(0.5), Interval::Steps(500)] {
            assert_eq!(interval.to_string().parse(), Ok(interval));
        }
        for wrong in ["", "0", "0s", "-1s", "soon", "m"] {
            assert!(wrong.parse::<Interval>().is_err(), "{wrong}");
        }
    }
}
