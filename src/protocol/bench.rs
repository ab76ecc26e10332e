//! What is asked and answered about speed: of a net (`fathom-train bench`), and of the machine that
//! it is compared with (`fathom-train peaks`).

use fathom_arch::Network;
use fathom_record::{CudaUse, Layout};
use fathom_spec::{Config, Precision};
use serde::{Deserialize, Serialize};

/// A net whose updates are timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchJob {
    /// [`fathom_base::Program::build`] of the program that asks.
    pub build: String,
    /// The net.
    pub network: Network,
    /// Batch, precision, optimiser, augmentation. The data set that it names is not read: images
    /// are noise of the net's input shape.
    pub config: Config,
    /// `cpu`, `cuda:0`, …
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// Order of activations in memory.
    pub layout: Layout,
    /// How a GPU is used.
    pub cuda: CudaUse,
    /// For how long updates are timed, after those that warm up.
    pub seconds: f64,
    /// Process that asks: a worker that is left alone ends.
    pub supervisor: u32,
}

/// How fast a net trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Benched {
    /// From the start of the process, libtorch's loading included, to the end of its first update.
    pub startup_seconds: f64,
    /// One update with its batch, the median. On a GPU updates are timed in groups, and this is of
    /// the groups' means.
    pub step_seconds: f64,
    /// The tenth part of updates is faster than this.
    pub step_p10_seconds: f64,
    /// The tenth part of updates is slower than this.
    pub step_p90_seconds: f64,
    /// What of an update the processor spends on its batch, up to the copy on the device; the mean
    /// over all updates.
    pub data_seconds: f64,
    /// Most memory that the process held: on the GPU for tensors, where it trains on one.
    pub peak_memory_bytes: u64,
    /// Updates that were timed.
    pub steps: u64,
}

/// A machine whose peaks are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeaksJob {
    /// [`fathom_base::Program::build`] of the program that asks.
    pub build: String,
    /// `cpu`, `cuda:0`, …
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// Numbers of the second matrix product.
    pub precision: Precision,
    /// For how long each measurement is repeated.
    pub seconds: f64,
    /// Process that asks: a worker that is left alone ends.
    pub supervisor: u32,
}

/// What a machine can do at best, the best of several repetitions each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// Additions and multiplications per second of a large matrix product in f32.
    pub f32_flops: f64,
    /// The same in the precision asked for.
    pub flops: f64,
    /// Bytes per second of a large copy, those read and those written.
    pub copy_bytes_per_second: f64,
}
