//! `execution.json`: device, threads and layouts that all runs of a results directory share.
//!
//! Each of them changes the last digits of results, so later invocations use what the first one
//! chose.

use super::manifest::{read_json, write_json};
use super::{SCHEMA, SweepDir};
use anyhow::Result;
use fathom_base::choice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

choice! {
    /// Memory layout of activations and of the weights of convolutions.
    #[derive(Default, PartialOrd, Ord)]
    pub enum Layout {
        /// Images, channels, rows, columns
        #[default]
        Nchw,
        /// Images, rows, columns, channels
        ChannelsLast,
        /// Channels, rows, columns, images; CPU and f32 only
        BatchLast,
    }
}

impl Layout {
    /// The layouts of nets on the CPU or on a GPU, with activations in f32 or in another format.
    pub fn available(on_cpu: bool, in_f32: bool) -> &'static [Layout] {
        if on_cpu && in_f32 { Self::ALL } else { &[Self::Nchw, Self::ChannelsLast] }
    }

    /// The layouts among which the faster one is chosen by measurement on the CPU. In f32,
    /// [`Layout::Nchw`] was the fastest for no net (`results/bench/README.md`).
    pub fn candidates(in_f32: bool) -> [Layout; 2] {
        [Self::ChannelsLast, if in_f32 { Self::BatchLast } else { Self::Nchw }]
    }
}

/// The properties of a net that decide which layout is faster. All nets with equal properties have the
/// same layout, as they are compared with each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetShape {
    /// Number of outputs (channels or units) of the first layer with weights.
    pub width: usize,
    /// Channels, rows and columns of the images.
    pub input: [usize; 3],
    /// Batch size.
    pub batch: usize,
}

/// The layout of all nets of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeLayout {
    /// The nets.
    #[serde(flatten)]
    pub shape: NetShape,
    /// Their layout.
    pub layout: Layout,
    /// Seconds of one update with each layout, if they were measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<LayoutSeconds>,
}

/// Measured seconds of one update, by layout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayoutSeconds(pub BTreeMap<Layout, f64>);

impl LayoutSeconds {
    /// The fastest layout, or the default if none was measured.
    pub fn best(&self) -> Layout {
        let fastest = self.0.iter().min_by(|one, other| one.1.total_cmp(other.1));
        fastest.map(|(layout, _)| *layout).unwrap_or_default()
    }
}

/// The layouts of a sweep's nets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layouts(pub Vec<ShapeLayout>);

impl Layouts {
    /// The layout of nets of this shape, if it was chosen.
    pub fn get(&self, shape: &NetShape) -> Option<Layout> {
        self.0.iter().find(|one| one.shape == *shape).map(|one| one.layout)
    }

    /// The layout of nets of this shape, or the default.
    pub fn of(&self, shape: &NetShape) -> Layout {
        self.get(shape).unwrap_or_default()
    }
}

/// Options for training on a GPU. They change results only in the last digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaUse {
    /// Whether an update is recorded as a CUDA graph and replayed, instead of launching each kernel.
    pub graphs: bool,
    /// Whether all images are stored on the GPU as bytes, and batches are assembled there.
    pub resident: bool,
    /// Whether only deterministic algorithms are used; otherwise the fastest ones are chosen at the
    /// start.
    pub deterministic: bool,
    /// Whether batch normalisation, the residual addition and ReLU are one operation with kernels of this
    /// program, instead of operations of libtorch.
    #[serde(default)]
    pub fused: bool,
}

impl Default for CudaUse {
    fn default() -> Self {
        Self { graphs: true, resident: true, deterministic: false, fused: true }
    }
}

/// The settings that all runs of a directory share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepExecution {
    /// Version of the format.
    pub schema: u32,
    /// Kind of device: `cpu` or `cuda`.
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// Layout of each shape of nets. For a shape that is missing here, the manifests of its runs have
    /// the layout.
    #[serde(default)]
    pub layouts: Layouts,
    /// Options for GPUs.
    #[serde(default)]
    pub cuda: CudaUse,
}

impl SweepExecution {
    /// Settings for the kind of a device such as `cuda:0`, without layouts.
    pub fn new(device: &str, threads: usize) -> Self {
        let kind = device.split(':').next().unwrap_or(device);
        let (layouts, cuda) = Default::default();
        Self { schema: SCHEMA, device: kind.into(), threads, layouts, cuda }
    }
}

impl SweepDir {
    /// The settings that further runs must share: the stored ones, or those of the first run. `None` as
    /// long as no run has begun or was submitted to Slurm.
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

    /// The stored settings, even if no run has begun.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn planned_execution(&self) -> Result<Option<SweepExecution>> {
        let path = self.execution_file();
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Stores the settings for later invocations.
    ///
    /// # Errors
    /// When the file cannot be written.
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
            config: [("seed".to_owned(), 0.into())].into(),
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
        assert_eq!(directory.execution().unwrap(), expected, "results of earlier versions");
    }
}
