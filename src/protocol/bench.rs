//! Requests and answers of speed measurements: of a net (`fathom-train bench`) and of a machine
//! (`fathom-train peaks`).

use fathom_arch::Network;
use fathom_base::choice;
use fathom_record::{CudaUse, Layout};
use fathom_spec::{Config, Precision};
use serde::{Deserialize, Serialize};

/// Request to time the updates of a net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchJob {
    /// [`fathom_base::Program::build`] of the calling program; a worker of another build refuses.
    pub build: String,
    /// Network.
    pub network: Network,
    /// Batch size, precision, optimiser and augmentation. Its data set is not read: images are noise
    /// of the net's input shape.
    pub config: Config,
    /// Device: `cpu`, `cuda:0`, …
    pub device: String,
    /// Number of threads of one operation.
    pub threads: usize,
    /// Memory layout of activations.
    pub layout: Layout,
    /// Options for a GPU.
    pub cuda: CudaUse,
    /// Duration of the measurement in seconds, after warm-up updates.
    pub seconds: f64,
    /// Number of updates that are profiled after the measurement; 0: none.
    pub profiled: u64,
    /// Process id of the caller; the worker exits when that process is gone.
    pub supervisor: u32,
}

/// Speed of a net's training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Benched {
    /// Time from the start of the process, before libtorch is loaded, to the end of the first update.
    pub startup_seconds: f64,
    /// Median time of an update, including its batch. On a GPU updates are timed in groups, and the
    /// median and percentiles are those of the group means.
    pub step_seconds: f64,
    /// 10th percentile of the time of an update.
    pub step_p10_seconds: f64,
    /// 90th percentile of the time of an update.
    pub step_p90_seconds: f64,
    /// Mean CPU time per update for preparing the batch and copying it to the device.
    pub data_seconds: f64,
    /// Peak memory: of the process on the CPU, of libtorch's tensors on a GPU.
    pub peak_memory_bytes: u64,
    /// Number of timed updates.
    pub steps: u64,
    /// Operations of the profiled updates, those that take longest first.
    pub profile: Vec<Operation>,
}

/// An operation of the host, or a kernel of a GPU, in an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Where it is executed.
    pub place: Place,
    /// Name of libtorch's operation, or of the kernel.
    pub name: String,
    /// Mean number of calls of one update.
    pub calls: f64,
    /// Mean time of one update in seconds, without that of operations which are called by it.
    pub seconds: f64,
}

choice! {
    /// Where an operation is executed.
    pub enum Place {
        /// A GPU
        Device,
        /// The processor
        Host,
    }
}

/// Request to measure the peak performance of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeaksJob {
    /// [`fathom_base::Program::build`] of the calling program; a worker of another build refuses.
    pub build: String,
    /// Device: `cpu`, `cuda:0`, …
    pub device: String,
    /// Number of threads of one operation.
    pub threads: usize,
    /// Number format of the second matrix product.
    pub precision: Precision,
    /// Duration of each measurement in seconds.
    pub seconds: f64,
    /// Process id of the caller; the worker exits when that process is gone.
    pub supervisor: u32,
}

/// Peak performance of a machine, each the best of several repetitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// Additions and multiplications per second of a large matrix product in f32.
    pub f32_flops: f64,
    /// Additions and multiplications per second in [`PeaksJob::precision`].
    pub flops: f64,
    /// Bytes read plus bytes written per second by a large copy.
    pub copy_bytes_per_second: f64,
}
