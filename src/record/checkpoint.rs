//! Checkpoints, from which a run resumes as if it had never stopped: `checkpoint.safetensors`, and the
//! previous one.
//!
//! A checkpoint is a file of weights that also holds the optimiser's state and, in its metadata, the
//! position in the training loop. The state of random numbers is not stored, as every draw is keyed
//! by the seed and the number of updates.

use super::weights::{OWN, floats, is_counter};
use super::{CurveMark, RunDir, SCHEMA, Values, Weights};
use anyhow::{Context, Result, ensure};
use fathom_arch::Network;
use fathom_base::write_after;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The position of a run in its training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Version of the format.
    pub schema: u32,
    /// Number of updates so far.
    pub step: u64,
    /// Learning rate of the last update.
    pub lr: f64,
    /// Whether the evaluation that is due at this step is done.
    pub evaluated: bool,
    /// Content of `curve.csv`.
    pub curve: CurveMark,
    /// Content of `layers.csv`, where the run writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<CurveMark>,
    /// Bits of the sum of batch losses (f32) since the last row of the curve.
    pub running_loss: u32,
    /// Number of misclassified images since the last row.
    pub running_wrong: i64,
    /// Number of batches since the last row.
    pub running_batches: u64,
    /// Numbers of misclassified images in the last batches, during a warm-up that lasts until the error
    /// falls; absent otherwise.
    pub warming: Option<Vec<u64>>,
    /// Wall-clock seconds of training so far.
    pub seconds: f64,
    /// SHA-256 of the data set, in hexadecimal.
    pub data: String,
}

impl Position {
    /// The first CSV file that does not begin with the content of this position.
    fn misfit(&self, directory: &RunDir) -> Option<PathBuf> {
        let layers = self.layers.as_ref().map(|mark| (mark, directory.layers_path()));
        let files = [Some((&self.curve, directory.curve_path())), layers];
        files.into_iter().flatten().find(|(mark, path)| !mark.matches(path)).map(|(_, path)| path)
    }
}

/// The state of a run from which it can resume.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Parameters and moving averages of the net.
    pub weights: Weights,
    /// State of the optimiser: parts such as momentum, each with one value for each parameter.
    pub optimiser: Vec<Vec<f32>>,
    /// Position in the training loop.
    pub position: Position,
}

/// Names of entries in the metadata.
const POSITION: &str = "fathom.position";
const DIGEST: &str = "fathom.sha256";

impl Checkpoint {
    /// Writes the checkpoint and keeps the last one as the previous one. `allowed` is called before any
    /// file is renamed.
    ///
    /// # Errors
    /// When a file cannot be written, and the error of `allowed`. Existing checkpoints stay valid.
    pub fn write(
        &self,
        directory: &RunDir,
        network: &Network,
        allowed: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let bytes = self.encode(network)?;
        let (last, before) = (directory.checkpoint(), directory.previous_checkpoint());
        write_after(&last, &bytes, || {
            allowed()?;
            match std::fs::rename(&last, &before) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("cannot write {}", before.display()))
                }
                _ => Ok(()),
            }
        })
    }

    /// Writes the state from which a longer run can begin; `allowed` as for [`Checkpoint::write`].
    ///
    /// # Errors
    /// Those of [`Checkpoint::write`].
    pub fn write_state(
        &self,
        directory: &RunDir,
        network: &Network,
        allowed: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        write_after(&directory.state(), &self.encode(network)?, allowed)
    }

    /// The bytes of the file.
    fn encode(&self, network: &Network) -> Result<Vec<u8>> {
        let mut tensors = self.weights.tensors.clone();
        for (part, values) in self.optimiser.iter().enumerate() {
            let shape = vec![values.len()];
            let values = values.clone();
            tensors.insert(format!("{OWN}optimiser.{part}"), Values { shape, values });
        }
        let position = serde_json::to_string(&self.position)?;
        let digest = digest(&position, &tensors);
        let metadata = HashMap::from([(POSITION.into(), position), (DIGEST.into(), digest)]);
        Weights { tensors }.encode(network, self.position.step, metadata)
    }

    /// The latest checkpoint that is intact and matches the run's CSV files, and the faults of the others.
    pub fn find(directory: &RunDir) -> (Option<Self>, Vec<String>) {
        let mut faults = Vec::new();
        for path in [directory.checkpoint(), directory.previous_checkpoint()] {
            if !path.exists() {
                continue;
            }
            match Self::read(&path) {
                Ok(Some(found)) => match found.position.misfit(directory) {
                    None => return (Some(found), faults),
                    Some(other) => faults.push(format!(
                        "{} does not match {}, which was changed or is damaged",
                        path.display(),
                        other.display()
                    )),
                },
                // The weights of a finished run.
                Ok(None) => {}
                Err(error) => faults.push(format!("{error:#}")),
            }
        }
        (None, faults)
    }

    /// Reads a checkpoint; `None` if the file holds the weights of a finished run.
    fn read(path: &Path) -> Result<Option<Self>> {
        let damaged = || format!("{} is damaged", path.display());
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).with_context(damaged)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let Some(text) = metadata.get(POSITION) else { return Ok(None) };
        let file = SafeTensors::deserialize(&bytes).with_context(damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter().filter(|(name, _)| !is_counter(name)) {
            let values = floats(&view).with_context(damaged)?;
            tensors.insert(name.to_owned(), Values { shape: view.shape().into(), values });
        }
        ensure!(metadata.get(DIGEST) == Some(&digest(text, &tensors)), damaged());
        let position: Position = serde_json::from_str(text).with_context(damaged)?;
        ensure!(position.schema <= SCHEMA, "{} is of a later version", path.display());
        let mut optimiser = Vec::new();
        while let Some(part) = tensors.remove(&format!("{OWN}optimiser.{}", optimiser.len())) {
            optimiser.push(part.values);
        }
        Ok(Some(Self { weights: Weights { tensors }, optimiser, position }))
    }
}

/// SHA-256 over the position and every tensor with its name, in hexadecimal.
fn digest(position: &str, tensors: &BTreeMap<String, Values>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(position);
    for (name, tensor) in tensors {
        hasher.update(name);
        hasher.update([0]);
        hasher.update(tensor.bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_arch::{Published, network};

    struct Run {
        _folder: tempfile::TempDir,
        directory: RunDir,
        network: Network,
    }

    impl Run {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let lenet = Published::find("lenet-bn").unwrap();
            let network = network(&lenet.keys(), lenet.input, lenet.classes).unwrap();
            let directory = RunDir::new(folder.path());
            std::fs::write(directory.curve_path(), "header\nrow 0\nrow 4\n").unwrap();
            Self { _folder: folder, directory, network }
        }

        fn at(&self, step: u64, curve: &str) -> Checkpoint {
            let state = self.network.state().into_iter();
            let tensor = |(name, shape): (String, Vec<usize>)| {
                let values = vec![step as f32 + 0.1; shape.iter().product()];
                (name, Values { shape, values })
            };
            let sha256 = hex::encode(Sha256::digest(curve));
            Checkpoint {
                weights: Weights { tensors: state.map(tensor).collect() },
                optimiser: vec![vec![0.25; 7], vec![f32::MIN_POSITIVE; 3]],
                position: Position {
                    schema: SCHEMA,
                    step,
                    lr: 0.1,
                    evaluated: true,
                    curve: CurveMark { bytes: curve.len() as u64, sha256 },
                    layers: None,
                    running_loss: 0.1f32.to_bits(),
                    running_wrong: 3,
                    running_batches: 2,
                    warming: Some(vec![1, 2]),
                    seconds: 0.1 + 0.2,
                    data: "d".into(),
                },
            }
        }

        fn write(&self, step: u64, curve: &str) {
            self.at(step, curve).write(&self.directory, &self.network, || Ok(())).unwrap();
        }

        fn found(&self) -> (Option<u64>, usize) {
            let (found, faults) = Checkpoint::find(&self.directory);
            (found.map(|found| found.position.step), faults.len())
        }
    }

    const FIRST: &str = "header\nrow 0\n";
    const BOTH: &str = "header\nrow 0\nrow 4\n";

    #[test]
    fn what_is_written_is_found_again_and_two_are_kept() {
        let run = Run::new();
        assert_eq!(run.found(), (None, 0));
        run.write(2, FIRST);
        assert_eq!(Checkpoint::find(&run.directory).0.unwrap(), run.at(2, FIRST));
        run.write(4, BOTH);
        assert_eq!(run.found(), (Some(4), 0));
        run.write(6, BOTH);
        assert_eq!(run.found(), (Some(6), 0));
        assert_eq!(
            Checkpoint::read(&run.directory.previous_checkpoint()).unwrap().unwrap(),
            run.at(4, BOTH)
        );
        // Weights of a checkpoint are weights like any other.
        Weights::read(&run.directory.checkpoint()).unwrap().fit(&run.network).unwrap();
    }

    #[test]
    fn every_damaged_byte_is_detected_and_the_previous_checkpoint_is_used() {
        let run = Run::new();
        run.write(2, FIRST);
        run.write(4, BOTH);
        let path = run.directory.checkpoint();
        let whole = std::fs::read(&path).unwrap();
        let counters = SafeTensors::deserialize(&whole).unwrap();
        let start = whole.len() - counters.iter().map(|(_, v)| v.data().len()).sum::<usize>();
        let floats: usize = counters
            .iter()
            .filter(|(name, _)| !is_counter(name))
            .map(|(_, view)| view.data().len())
            .sum();
        // Counters are stored first or last by type; PyTorch's counters are not needed to resume.
        for place in (0..start).step_by(97).chain((whole.len() - floats..whole.len()).step_by(9973))
        {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            std::fs::write(&path, damaged).unwrap();
            let (found, _) = run.found();
            assert!(found == Some(2) || found == Some(4) && place < start, "byte {place}");
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(run.found(), (Some(2), 1));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(run.found(), (Some(2), 1));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(run.found(), (Some(2), 0), "as after a loss of power between two renames");
    }

    #[test]
    fn a_curve_that_was_changed_makes_its_checkpoints_useless() {
        let run = Run::new();
        run.write(2, FIRST);
        run.write(4, BOTH);
        std::fs::write(run.directory.curve_path(), "header\nrow 0\nrow X\n").unwrap();
        assert_eq!(run.found(), (Some(2), 1));
        std::fs::write(run.directory.curve_path(), "header\n").unwrap();
        assert_eq!(run.found(), (None, 2));
    }

    #[test]
    fn nothing_is_renamed_when_it_is_not_allowed() {
        let run = Run::new();
        run.write(2, FIRST);
        let refused = || anyhow::bail!("the lock is lost");
        let error = run.at(4, BOTH).write(&run.directory, &run.network, refused).unwrap_err();
        assert_eq!(error.to_string(), "the lock is lost");
        assert_eq!(run.found(), (Some(2), 0));
        let files = std::fs::read_dir(run.directory.root()).unwrap().count();
        assert_eq!(files, 2, "no temporary file is left");
    }
}
