//! The protocol between `fathom` and its worker `fathom-train`. To train, the worker reads [`Job`]s as lines
//! of JSON from its standard input, one after the other, and writes [`Event`]s as lines of JSON to its standard
//! output. For all else it reads one request as JSON, and writes one answer.

mod bench;
mod landscape;

pub use bench::{BenchJob, Benched, Operation, Peaks, PeaksJob, Place};
pub use landscape::{Correlation, Landscape, LandscapeJob, Slices};

use fathom_arch::Network;
use fathom_base::choice;
use fathom_data::{Request, Standardise};
use fathom_record::{CudaUse, Layout, Rename, State};
use fathom_spec::Config;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Request to train one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`fathom_base::Program::build`] of the calling program; a worker of another build refuses.
    pub build: String,
    /// Run id.
    pub id: String,
    /// Name of the run's arm.
    pub arm: Option<String>,
    /// Full names of the keys in which the sweep's runs differ.
    pub axes: Vec<String>,
    /// Complete configuration.
    pub config: Config,
    /// Network that the configuration describes. The worker builds these layers and does not need
    /// to know the family.
    pub network: Network,
    /// Directory for the run's files.
    pub directory: PathBuf,
    /// Folder of data sets, if the user gave one.
    pub data_dir: Option<PathBuf>,
    /// Whether generated images replace a missing data set.
    pub stand_in: bool,
    /// Whether the finished run keeps the state from which a longer run can begin.
    pub keep_state: bool,
    /// Device: `cpu`, `cuda:0`, …
    pub device: String,
    /// Number of threads of one operation.
    pub threads: usize,
    /// Number of runs that share the device, including this one.
    pub jobs: usize,
    /// Memory layout of activations.
    pub layout: Layout,
    /// Options for a GPU.
    pub cuda: CudaUse,
    /// Process id of the supervisor; the worker exits when that process is gone.
    pub supervisor: u32,
    /// Interval of checkpoints.
    pub checkpoint: CheckpointInterval,
}

/// Exit code of a worker that was stopped by a signal after it wrote a checkpoint, and of a sweep whose
/// workers were.
pub const STOPPED: u8 = 75;

/// Exit code of a worker that did not start because another process trains its run; its last line on
/// standard error names that process.
pub const HELD: u8 = 76;

/// Interval between two checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointInterval {
    /// Seconds; extended if checkpoints would take more than 0.5% of the time.
    Seconds(f64),
    /// Number of updates.
    Steps(u64),
}

impl Default for CheckpointInterval {
    fn default() -> Self {
        CheckpointInterval::Seconds(60.0)
    }
}

impl std::fmt::Display for CheckpointInterval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CheckpointInterval::Seconds(seconds) => write!(f, "{seconds}s"),
            CheckpointInterval::Steps(steps) => write!(f, "{steps}"),
        }
    }
}

impl std::str::FromStr for CheckpointInterval {
    type Err = String;

    /// Reads `90s`, `5m`, `1h`, or a number of updates.
    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = [("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
            .map(|(number, unit)| number.parse::<f64>().ok().map(|number| number * unit));
        let interval = match seconds {
            Some(seconds) => {
                seconds.filter(|seconds| *seconds > 0.0).map(CheckpointInterval::Seconds)
            }
            None => text.parse().ok().filter(|steps| *steps > 0).map(CheckpointInterval::Steps),
        };
        interval.ok_or_else(|| "expected a time such as 90s, 5m, 1h, or a number of updates".into())
    }
}

/// Message of a worker about its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The current position.
    Progress {
        /// Number of updates so far.
        step: u64,
    },
    /// An evaluation was written to `curve.csv`.
    Row {
        /// Number of updates so far.
        step: u64,
        /// Training error in per cent.
        train_err_pct: Option<f64>,
        /// Test error in per cent.
        test_err_pct: Option<f64>,
    },
    /// A note for the user.
    Remark {
        /// The note.
        text: String,
    },
    /// The run resumes from a checkpoint.
    Resumed {
        /// Number of updates at the checkpoint.
        step: u64,
    },
    /// The run has ended, and `status.json` is written.
    Ended,
    /// The run is done or diverged, and the worker waits for another job of the same device, number of
    /// threads and options for GPUs, or for the end of its standard input.
    Ready,
    /// The run failed. `status.json` has the same state unless it could not be written.
    Failed {
        /// Class of the failure.
        state: State,
        /// Description of the failure.
        message: String,
    },
}

/// Request of `fathom-train eval`: weights to be evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalJob {
    /// [`fathom_base::Program::build`] of the calling program; a worker of another build refuses.
    pub build: String,
    /// Network of the weights.
    pub network: Network,
    /// Safetensors file with the weights.
    pub weights: PathBuf,
    /// Replacements in the names of its tensors.
    pub renames: Vec<Rename>,
    /// Data set.
    pub data: Request,
    /// Part of the data set.
    pub part: Part,
    /// Number of images of that part, a fixed class-balanced choice; `None` for all.
    pub images: Option<usize>,
    /// Standardisation of pixels.
    pub standardise: Standardise,
    /// Images of one forward pass; `None` for as many as suit the device.
    pub batch: Option<usize>,
    /// Statistics of batch normalisations.
    pub statistics: NormStatistics,
    /// Folder of data sets, if the user gave one.
    pub data_dir: Option<PathBuf>,
    /// Device: `cpu`, `cuda:0`, …
    pub device: String,
    /// Number of threads of one operation.
    pub threads: usize,
}

choice! {
    /// The mean and variance by which batch normalisations normalise at prediction.
    #[derive(Default)]
    pub enum NormStatistics {
        /// The moving averages from training: the output for an image does not depend on the others
        #[default]
        Moving,
        /// Those of each batch, as in training: the output for an image depends on the others of its batch
        Batch,
    }
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
        /// Held-out images of a run
        Validation,
    }
}

/// Answer of `fathom-train eval`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Number of images.
    pub images: usize,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Percentage of images whose class does not have the largest logit.
    pub top1_err_pct: f64,
    /// Percentage of images whose class is not among those of the five largest logits.
    pub top5_err_pct: f64,
}

/// Request of `fathom-train measure`: a run to be timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureJob {
    /// The run; nothing is written to its directory.
    pub job: Job,
    /// Duration of the timing of updates, in seconds.
    pub seconds: f64,
}

/// Answer of `fathom-train measure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Time from the start of the process to the first update, including loading the data set.
    pub startup_seconds: f64,
    /// Time of one update, including its batch.
    pub step_seconds: f64,
    /// Time of the evaluation of one image.
    pub evaluated_image_seconds: f64,
    /// Peak memory of the process.
    pub peak_memory_bytes: u64,
    /// Numbers of training, validation and test images.
    pub images: [usize; 3],
}

/// Answer of `fathom-train probe`: the worker and its libtorch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// [`fathom_base::Program::build`] of the worker.
    pub build: String,
    /// Version of libtorch that the worker is written for.
    pub libtorch: String,
    /// Path of the loaded libtorch.
    pub library: String,
    /// CPU instruction set that libtorch selected.
    pub capability: String,
    /// Default number of threads of libtorch.
    pub threads: usize,
    /// Whether `libtorch_cuda.so` could be loaded, or the error.
    pub cuda_library: Result<(), String>,
    /// Number of CUDA devices that libtorch can use.
    pub cuda_devices: i64,
    /// Whether updates can be recorded as CUDA graphs.
    pub cuda_graphs: bool,
    /// The CUDA version that libtorch was built with; `None` for a build without CUDA.
    #[serde(default)]
    pub cuda_version: Option<String>,
    /// Devices that the CUDA driver shows to the process, in libtorch's order, or the driver's error.
    #[serde(default = "no_driver")]
    pub cuda_driver: Result<Vec<CudaDevice>, String>,
    /// Instruction set that fathom's own CPU loops were compiled for, and whether they are
    /// multi-threaded.
    pub kernels: String,
}

fn no_driver() -> Result<Vec<CudaDevice>, String> {
    Err("unknown".into())
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

/// Request of `fathom-train check`: a device to be tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckJob {
    /// [`fathom_base::Program::build`] of the calling program; a worker of another build refuses.
    pub build: String,
    /// `cuda:0`, …
    pub device: String,
    /// Process id of the caller; the worker exits when that process is gone.
    pub supervisor: u32,
}

/// Answer of `fathom-train check` for a device that works.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Time from the start of the process to the end of the check.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_times_or_updates() {
        assert_eq!("90s".parse(), Ok(CheckpointInterval::Seconds(90.0)));
        assert_eq!("1.5m".parse(), Ok(CheckpointInterval::Seconds(90.0)));
        assert_eq!("1h".parse(), Ok(CheckpointInterval::Seconds(3600.0)));
        assert_eq!("500".parse(), Ok(CheckpointInterval::Steps(500)));
        for interval in [
            CheckpointInterval::Seconds(90.0),
            CheckpointInterval::Seconds(0.5),
            CheckpointInterval::Steps(500),
        ] {
            assert_eq!(interval.to_string().parse(), Ok(interval));
        }
        for wrong in ["", "0", "0s", "-1s", "soon", "m"] {
            assert!(wrong.parse::<CheckpointInterval>().is_err(), "{wrong}");
        }
    }
}
