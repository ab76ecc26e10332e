//! `execution.json`: how all runs of a results directory are run.
//!
//! Kind of device, number of threads and layout change the last digits of results, so what the first
//! invocation chose holds for later ones too, whatever they have side by side.

use super::manifest::{read_json, write_json};
use super::{SCHEMA, SweepDir};
use anyhow::Result;
use fathom_base::choice;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

choice! {
    /// Order in memory of the values of activations and of the weights of convolutions.
    #[derive(Default)]
    pub enum Layout {
        /// Images, channels, rows, columns
        #[default]
        Nchw,
        /// Images, rows, columns, channels
        ChannelsLast,
    }
}

/// What decides which layout is the faster one. Nets that are alike in it are compared with each
/// other, and have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetShape {
    /// Outputs of the first layer with weights.
    pub width: usize,
    /// Channels, rows, columns of the images.
    pub input: [usize; 3],
    /// Images of one update.
    pub batch: usize,
}

/// The layout of all nets of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeLayout {
    /// Which nets.
    #[serde(flatten)]
    pub shape: NetShape,
    /// Theirs.
    pub layout: Layout,
    /// Seconds of one update with each layout, where they were measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<LayoutSeconds>,
}

/// Seconds of one update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayoutSeconds {
    /// With [`Layout::Nchw`].
    pub nchw: f64,
    /// With [`Layout::ChannelsLast`].
    pub channels_last: f64,
}

impl LayoutSeconds {
    /// The faster one.
    pub fn best(&self) -> Layout {
        if self.channels_last < self.nchw { Layout::ChannelsLast } else { Layout::Nchw }
    }
}

/// The layouts of a sweep's nets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layouts(pub Vec<ShapeLayout>);

impl Layouts {
    /// That of nets of this shape, where it was decided.
    pub fn get(&self, shape: &NetShape) -> Option<Layout> {
        self.0.iter().find(|one| one.shape == *shape).map(|one| one.layout)
    }

    /// That of nets of this shape.
    pub fn of(&self, shape: &NetShape) -> Layout {
        self.get(shape).unwrap_or_default()
    }
}

/// How a GPU is used. None of it changes what is computed, but for its last digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaUse {
    /// An update is recorded once and replayed, instead of being started operation by operation.
    pub graphs: bool,
    /// Images lie on the GPU as bytes, and batches are assembled there.
    pub resident: bool,
    /// Only algorithms that give the same bits every time; else the fastest ones found at the
    /// start.
    pub deterministic: bool,
}

impl Default for CudaUse {
    fn default() -> Self {
        Self { graphs: true, resident: true, deterministic: false }
    }
}

/// What is the same for every run of a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepExecution {
    /// Version of this format.
    pub schema: u32,
    /// Kind of device: `cpu` or `cuda`.
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// Of each shape of nets; those of which runs have begun and that are missing here are as the
    /// runs' manifests say.
    #[serde(default)]
    pub layouts: Layouts,
    /// On GPUs.
    #[serde(default)]
    pub cuda: CudaUse,
}

impl SweepExecution {
    /// For a device such as `cuda:0`, whose kind is kept.
    pub fn new(device: &str, threads: usize) -> Self {
        let kind = device.split(':').next().unwrap_or(device);
        let (layouts, cuda) = Default::default();
        Self { schema: SCHEMA, device: kind.into(), threads, layouts, cuda }
    }
}

impl SweepDir {
    /// What binds further runs here: what was stored, else what the first run says of itself;
    /// nothing as long as no run has begun or was handed to Slurm.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn execution(&self) -> Result<Option<SweepExecution>> {
        if !self.has_begun() {
            return Ok(None);
        }
        let first = self.runs()?.into_iter().next();
        let is_given = self.arrays()?.values().any(|array| array.job.is_some());
        if (first.is_some() || is_given)
            && let Some(stored) = self.planned_execution()?
        {
            return Ok(Some(stored));
        }
        let Some(first) = first else { return Ok(None) };
        let execution = first.manifest()?.execution;
        Ok(Some(SweepExecution::new(&execution.device, execution.threads)))
    }

    /// What was stored, also before any run has begun.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn planned_execution(&self) -> Result<Option<SweepExecution>> {
        let path = self.execution_file();
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Stores it for later invocations.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_execution(&self, execution: &SweepExecution) -> Result<()> {
        write_json(&self.execution_file(), execution)
    }

    fn execution_file(&self) -> PathBuf {
        self.root().join("execution.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataRecord, Execution, Manifest, Revision};

    #[test]
    fn execution_binds_as_soon_as_a_run_has_begun() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SweepDir::new(folder.path());
        directory.create().unwrap();
        let stored = SweepExecution::new("cuda:1", 3);
        assert_eq!((stored.device.as_str(), stored.threads), ("cuda", 3));
        directory.write_execution(&stored).unwrap();
        assert_eq!(directory.execution().unwrap(), None, "planned only");
        assert_eq!(directory.planned_execution().unwrap().as_ref(), Some(&stored));
        let run = directory.run("a");
        run.create().unwrap();
        let execution = Execution { device: "cpu".into(), threads: 2, ..Execution::default() };
        let manifest = Manifest {
            schema: SCHEMA,
            id: "a".into(),
            arm: None,
            axes: Vec::new(),
            config: Default::default(),
            execution,
            revision: Revision::default(),
            data: DataRecord::default(),
            parameters: 0,
            macs: 0,
        };
        run.write_manifest(&manifest).unwrap();
        assert_eq!(directory.execution().unwrap(), Some(stored));
        std::fs::remove_file(folder.path().join("execution.json")).unwrap();
        let expected = Some(SweepExecution::new("cpu", 2));
        assert_eq!(directory.execution().unwrap(), expected, "results of before");
    }
}
