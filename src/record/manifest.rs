//! `run.json`, written before training, and `status.json`, written when a run ends.

use super::{CudaUse, Layout, SCHEMA, check_schema};
use anyhow::{Context, Result};
use fathom_base::choice;
use fathom_base::write_atomically;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::path::Path;

/// What a run is and how it was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub schema: u32,
    /// The run's name, which is also that of its folder.
    pub id: String,
    /// The arm that it belongs to, when the experiment has arms.
    #[serde(default)]
    pub arm: Option<String>,
    /// The keys that distinguish the experiment's runs, seed last.
    pub axes: Vec<String>,
    /// The resolved configuration by dotted key; with the schema it decides the run's identity.
    pub config: BTreeMap<String, serde_json::Value>,
    /// How it was run, which does not change what it is.
    #[serde(default)]
    pub execution: Execution,
    /// The program that ran it.
    #[serde(default)]
    pub revision: Revision,
    /// The data that it saw.
    #[serde(default)]
    pub data: DataRecord,
    /// Number of trained parameters; 0 where nobody said.
    #[serde(default)]
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass in convolutions and fully connected layers; 0
    /// where nobody said.
    #[serde(default)]
    pub macs: u64,
}

/// Device, threads and libraries. Equal execution gives equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Execution {
    /// `cpu`, `cuda:0`, …
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// Runs that could share the device while it trained, itself among them: where there are
    /// several, its times are not those of a run alone. 0 where nobody said.
    #[serde(default)]
    pub jobs: usize,
    /// Order of activations in memory.
    pub layout: Layout,
    /// How the GPU is used, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda: Option<CudaUse>,
    /// The GPU, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// libtorch's version.
    pub libtorch: String,
    /// Instruction set of the processor that libtorch chose (`AVX2`, …).
    pub capability: String,
    /// Name of the machine.
    pub host: String,
}

/// The GPU that a run was trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// Model.
    pub name: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Identity, such as `GPU-…`, or `MIG-…` for a slice.
    pub uuid: String,
    /// Version of the driver.
    pub driver: String,
}

/// The sources that the program was built from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Revision {
    /// Version of fathom.
    pub version: String,
    /// Commit.
    pub git: String,
    /// Whether the sources differed from that commit.
    pub dirty: bool,
}

impl Revision {
    /// The revision of this very program.
    pub fn of_this_build() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            git: fathom_base::program().revision.into(),
            dirty: fathom_base::program().is_dirty,
        }
    }
}

/// The data that a run saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataRecord {
    /// SHA-256 over shapes, pixels and labels.
    pub sha256: String,
    /// Training images.
    pub train: usize,
    /// Images held out of the training set.
    pub validation: usize,
    /// Test images.
    pub test: usize,
    /// Number of classes.
    pub classes: usize,
    /// Channels, rows, columns.
    pub shape: [usize; 3],
    /// How pixels were standardised, with the figures where they are few.
    pub standardised: String,
    /// What a reader should know of the data.
    pub notes: Vec<String>,
}

choice! {
    /// How a run ended.
    #[derive(PartialOrd, Ord)]
    pub enum State {
        /// Not begun, or never heard of again.
        Pending,
        /// All steps were made.
        Done,
        /// The loss became NaN or infinite: an outcome, not a failure.
        Diverged,
        /// Stopped by a signal, at a checkpoint: the same command goes on.
        Interrupted,
        /// Memory of the machine or the device ran out.
        OutOfMemory,
        /// The data set is missing, damaged, or not the one that the run began with.
        BadData,
        /// The device is gone or broken.
        LostDevice,
        /// The worker was killed, by a person or by the system for want of memory.
        Killed,
        /// Files could not be written: a full or read-only disk.
        Disk,
        /// Anything else: a fault of this program.
        Failed,
    }
}

impl State {
    /// Whether there is nothing left to run.
    pub fn is_final(self) -> bool {
        matches!(self, State::Done | State::Diverged)
    }
}

/// `status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of this format.
    pub schema: u32,
    /// How the run ended.
    pub state: State,
    /// The last step made.
    pub step: u64,
    /// Why, where that needs saying.
    #[serde(default)]
    pub message: String,
    /// Wall-clock time of the run.
    #[serde(default)]
    pub seconds: f64,
    /// Most memory that the process held at once, in bytes.
    #[serde(default)]
    pub peak_memory_bytes: u64,
    /// Where the time of the process that ended it went.
    #[serde(default)]
    pub spent: Spent,
}

/// Wall-clock seconds of a process by what they were spent on. Work that a GPU still does when it was
/// given is counted where it is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Before the first update: the process, libtorch, data, the net, a checkpoint to go on from.
    pub start: f64,
    /// Batches of training images.
    pub batches: f64,
    /// Forward and backward passes, and updates.
    pub updates: f64,
    /// Errors on training, validation and test images.
    pub evaluations: f64,
    /// Looks into the layers, where these were asked for.
    #[serde(default)]
    pub diagnostics: f64,
    /// Checkpoints and final weights.
    pub checkpoints: f64,
    /// All the rest: rows of the curve, messages, looks at signals.
    pub rest: f64,
}

impl Status {
    /// A status of the present schema.
    pub fn new(state: State, step: u64, message: impl Into<String>) -> Self {
        let message = message.into();
        let spent = Spent::default();
        Self { schema: SCHEMA, state, step, message, seconds: 0.0, peak_memory_bytes: 0, spent }
    }
}

/// `resolved.json`: the runs that an experiment and its `--set` values came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Version of this format.
    pub schema: u32,
    /// Configurations by run id.
    pub runs: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// The arms of runs that belong to one, by run id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, String>,
}

/// Writes a value as indented JSON with a final line end.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    write_atomically(path, &bytes)
}

/// Reads JSON that carries a `schema`.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let context = || format!("{} is damaged", path.display());
    let version: Versioned = serde_json::from_slice(&bytes).with_context(context)?;
    check_schema(version.schema).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(context)
}
