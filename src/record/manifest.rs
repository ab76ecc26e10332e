//! `run.json`, written before training, and `status.json`, written when a run ends.

use super::{CudaUse, Layout, SCHEMA, Seed, check_schema};
use anyhow::{Context, Result};
use fathom_base::choice;
use fathom_base::write_atomically;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// Configuration of a run, and the circumstances under which it is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub schema: u32,
    /// Id of the run, which is also the name of its folder.
    pub id: String,
    /// Arm of the run, if the experiment has arms.
    #[serde(default)]
    pub arm: Option<String>,
    /// Full names of the keys in which the experiment's runs differ, seed last.
    pub axes: Vec<String>,
    /// Resolved configuration by dotted key. With the schema it determines the run's id.
    pub config: BTreeMap<String, serde_json::Value>,
    /// Device, threads and libraries, which are not part of the identity.
    #[serde(default)]
    pub execution: Execution,
    /// Version of the program.
    #[serde(default)]
    pub revision: Revision,
    /// The data set.
    #[serde(default)]
    pub data: DataRecord,
    /// Number of trained parameters; 0 if unknown.
    #[serde(default)]
    pub parameters: u64,
    /// Multiply-adds of the forward pass of one image in convolutions and fully connected layers; 0 if
    /// unknown.
    #[serde(default)]
    pub macs: u64,
}

/// Device, threads and libraries of a run. With equal values, results are equal to the last bit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Execution {
    /// Device, such as `cpu` or `cuda:0`.
    pub device: String,
    /// Number of threads of one operation.
    pub threads: usize,
    /// Largest number of runs that shared the device, including this one; 0 if unknown. With several,
    /// its times are longer than those of a single run.
    #[serde(default)]
    pub jobs: usize,
    /// Memory layout of activations.
    pub layout: Layout,
    /// Options for the GPU, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda: Option<CudaUse>,
    /// The GPU, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Whether processes on the GPU were served by NVIDIA's Multi-Process Service, so that their
    /// kernels ran at the same time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mps: bool,
    /// Version of libtorch.
    pub libtorch: String,
    /// Instruction set of the processor that libtorch uses, such as `AVX2`.
    pub capability: String,
    /// Host name of the machine.
    pub host: String,
}

/// The GPU that a run was trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// Name of the model.
    pub name: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Unique identifier, such as `GPU-…`, or `MIG-…` for a slice.
    pub uuid: String,
    /// Version of the driver.
    pub driver: String,
}

/// Version of the sources that the program was built from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Revision {
    /// Version of fathom.
    pub version: String,
    /// Git commit.
    pub git: String,
    /// Whether the sources differed from that commit.
    pub dirty: bool,
}

impl Revision {
    /// The revision of the running program.
    pub fn of_this_build() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            git: fathom_base::program().revision.into(),
            dirty: fathom_base::program().is_dirty,
        }
    }
}

/// The data set of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataRecord {
    /// SHA-256 over shapes, pixels and labels, in hexadecimal.
    pub sha256: String,
    /// Number of training images.
    pub train: usize,
    /// Number of images held out of the training set.
    pub validation: usize,
    /// Number of test images.
    pub test: usize,
    /// Number of classes.
    pub classes: usize,
    /// Channels, rows and columns of an image.
    pub shape: [usize; 3],
    /// Standardisation of pixels, with means and deviations if they are few.
    pub standardised: String,
    /// Remarks on the data for the reader.
    pub notes: Vec<String>,
}

choice! {
    /// State of a run.
    #[derive(PartialOrd, Ord)]
    pub enum State {
        /// The run has not ended: it was not started, or was lost without a trace.
        Pending,
        /// The run made all steps.
        Done,
        /// The loss became NaN or infinite: an outcome, not a failure.
        Diverged,
        /// A signal stopped the run at a checkpoint; the same command resumes it.
        Interrupted,
        /// The machine or the device ran out of memory.
        OutOfMemory,
        /// The data set is missing, damaged, or differs from the one at the start of the run.
        BadData,
        /// The device is lost or broken.
        LostDevice,
        /// The worker was killed, by a person or by the system when memory ran out.
        Killed,
        /// A file could not be written: the disk is full or read-only.
        Disk,
        /// Any other failure: a defect of the program.
        Failed,
    }
}

impl State {
    /// Whether the run has ended for good.
    pub fn is_final(self) -> bool {
        matches!(self, State::Done | State::Diverged)
    }
}

/// `status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the format.
    pub schema: u32,
    /// State of the run.
    pub state: State,
    /// Number of updates made.
    pub step: u64,
    /// Explanation of the state; may be empty.
    #[serde(default)]
    pub message: String,
    /// Wall-clock seconds of the run.
    #[serde(default)]
    pub seconds: f64,
    /// Peak memory of the process while it trained the run, in bytes.
    #[serde(default)]
    pub peak_memory_bytes: u64,
    /// Wall-clock seconds of the last process by activity.
    #[serde(default)]
    pub spent: Spent,
}

/// Wall-clock seconds of a process by activity. Asynchronous work of a GPU counts for the activity that
/// waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Everything before the first update: data, net, reading a checkpoint, and the start of the process and of
    /// libtorch if the run is the first one of its process.
    pub start: f64,
    /// Assembling batches of training images.
    pub batches: f64,
    /// Forward and backward passes, and updates of the weights.
    pub updates: f64,
    /// Evaluations on training, validation and test images.
    pub evaluations: f64,
    /// Statistics of the layers, if the run measures them.
    #[serde(default)]
    pub diagnostics: f64,
    /// Writing checkpoints and final weights.
    pub checkpoints: f64,
    /// Everything else, such as rows of the curve and messages.
    pub rest: f64,
}

impl Status {
    /// A status of the current schema, without times and memory.
    pub fn new(state: State, step: u64, message: impl Into<String>) -> Self {
        let message = message.into();
        let spent = Spent::default();
        Self { schema: SCHEMA, state, step, message, seconds: 0.0, peak_memory_bytes: 0, spent }
    }
}

/// `resolved.json`: the runs of an experiment with its `--set` values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Version of the format.
    pub schema: u32,
    /// Configurations by run id.
    pub runs: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// Names of arms by run id, if the experiment has arms.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, String>,
    /// Seeds that joined the experiment when two others were complete, so that claims could have been
    /// looked at.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub added_seeds: BTreeSet<Seed>,
    /// Names of claims of the experiment that values of `--set` left without runs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub set_aside: BTreeSet<String>,
    /// The values of `--set`, as they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
}

/// Writes a value as indented JSON with a newline at its end.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    write_atomically(path, &bytes)
}

/// Reads JSON with a `schema`. Unknown keys are ignored.
///
/// # Errors
/// When the file cannot be read, is of a later schema, or is damaged: with line, column and text.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let damaged =
        |error| Damaged(format!("{} is damaged: {}", path.display(), json_fault(&text, &error)));
    let version: Versioned = serde_json::from_str(&text).map_err(damaged)?;
    check_schema(version.schema).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text).map_err(damaged)?)
}

/// A file that is no JSON, or lacks what it should have: with line, column and text.
#[derive(Debug)]
pub(super) struct Damaged(String);

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Damaged {}

/// Words for numbers that are none, which some programs write into JSON.
const NOT_JSON: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// What is wrong in a text that should be JSON, with line, column and what stands there.
fn json_fault(text: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let content = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let is_near = |place: usize, word: &str| place < column && column <= place + word.len();
    let places = NOT_JSON.iter().flat_map(|word| content.match_indices(word));
    if let Some((place, word)) = places.filter(|(place, word)| is_near(*place, word)).last() {
        let key = content[..place].trim_end().strip_suffix("\":");
        let key = key.and_then(|before| before.rsplit('"').next()).unwrap_or("a value");
        return format!("line {line}, column {}: {key} is {word}, which JSON lacks", place + 1);
    }
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default();
    // Long lines are shown around the place.
    let begin = content.char_indices().map(|(at, _)| at).take_while(|at| at + 40 < column).last();
    let shown: String = content[begin.unwrap_or_default()..].chars().take(60).collect();
    match shown.trim() {
        "" => format!("line {line}, column {column}: {reason}"),
        shown => format!("line {line}, column {column}: {reason}, at `{shown}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_told_with_the_text_at_the_place() {
        let fault = |text: &str| {
            let read: Result<Status, _> = serde_json::from_str(text);
            json_fault(text, &read.unwrap_err())
        };
        let good = "{\n  \"schema\": 1,\n  \"state\": \"done\",\n  \"step\": 3\n}\n";
        for (from, to, expected) in [
            ("3\n", "3,\n", "line 5, column 1: trailing comma, at `}`"),
            (" 3", " NaN", "line 4, column 11: step is NaN, which JSON lacks"),
            (" 3", " Infinity", "line 4, column 11: step is Infinity, which JSON lacks"),
            (" 3", " -Infinity", "line 4, column 11: step is -Infinity, which JSON lacks"),
            (" 3", " [1, NaN]", "line 4, column 10: invalid type: sequence"),
            (" 3", " 3x", "line 4, column 12: expected `,` or `}`, at `\"step\": 3x`"),
            ("\"done\"", "\"over\"", "line 3, column 17: unknown variant `over`"),
            (&good[20..], "", "line 3, column 3: EOF while parsing a string"),
        ] {
            let found = fault(&good.replace(from, to));
            assert!(found.starts_with(expected), "{expected}: {found}");
        }
        let long = good.replace('\n', "").replace("step", &"é".repeat(100));
        assert!(fault(&long).contains("missing field `step`"), "{}", fault(&long));
    }
}
