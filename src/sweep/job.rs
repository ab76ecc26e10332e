//! Options of a sweep, and the job of one run that follows from them.

use super::layout::layout_of;
use fathom_arch::Layer;
use fathom_protocol::{CheckpointInterval, Job};
use fathom_record::{CudaUse, Layouts, NetShape};
use fathom_spec::Run;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the runs of a sweep are run; the same for all of them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Devices such as `cpu` or `cuda:0`; there is at least one.
    pub devices: Vec<String>,
    /// Number of concurrent runs on each device.
    pub jobs: usize,
    /// Number of threads of one run.
    pub threads: usize,
    /// Memory layout for each shape of net.
    pub layouts: Layouts,
    /// How GPUs are used.
    pub cuda: CudaUse,
    /// Most bytes that the concurrent runs of one device may need together, see
    /// [`reserved_memory`](super::reserved_memory); `None` is no limit.
    pub memory: Option<u64>,
    /// Interval between two checkpoints of a run.
    pub checkpoint: CheckpointInterval,
    /// Folder of the data sets, if the user named one.
    pub data_dir: Option<PathBuf>,
    /// Whether generated images may replace a data set that is absent.
    pub stand_in: bool,
    /// Whether finished runs keep the state from which a longer run can begin.
    pub keep_state: bool,
    /// Unit of the pauses before retries: a second, and less in tests.
    pub pause_unit: Duration,
}

impl Options {
    /// Options for `jobs` concurrent runs with `threads` threads each on every device; all else has
    /// its default.
    pub fn new(devices: Vec<String>, jobs: usize, threads: usize) -> Self {
        Self {
            devices,
            jobs,
            threads,
            layouts: Layouts::default(),
            cuda: CudaUse::default(),
            memory: None,
            checkpoint: CheckpointInterval::default(),
            data_dir: None,
            stand_in: false,
            keep_state: false,
            pause_unit: Duration::from_secs(1),
        }
    }

    /// Whether the runs train on the CPU.
    pub fn on_cpu(&self) -> bool {
        self.devices[0] == "cpu"
    }

    /// Number of runs that train at the same time.
    pub fn slots(&self) -> usize {
        self.jobs * self.devices.len()
    }

    /// The job by which a worker trains `run` on `device`, with the files of the run in `directory`.
    pub fn job(&self, run: &Run, device: &str, directory: &Path) -> Job {
        Job {
            build: fathom_base::program().build.into(),
            id: run.id.clone(),
            arm: run.arm.clone(),
            axes: run.axes.clone(),
            config: run.config.clone(),
            network: run.network.clone(),
            directory: directory.into(),
            data_dir: self.data_dir.clone(),
            stand_in: self.stand_in,
            keep_state: self.keep_state,
            device: device.into(),
            threads: self.threads,
            jobs: self.jobs,
            layout: layout_of(run, &self.layouts),
            cuda: self.cuda,
            supervisor: std::process::id(),
            checkpoint: self.checkpoint,
        }
    }

    /// The job by which a worker times `run` on the first device; it writes no files.
    pub(super) fn timing_job(&self, run: &Run) -> Job {
        self.job(run, &self.devices[0], Path::new(""))
    }
}

/// The shape that decides on the layout of a run's net: width of the first layer, size of the input,
/// and batch size.
pub fn net_shape(run: &Run) -> NetShape {
    let network = &run.network;
    let width = network.layers.iter().find_map(|layer| match layer {
        Layer::Conv { outputs, .. } | Layer::Linear { outputs, .. } => Some(*outputs),
        _ => None,
    });
    let (width, batch) = (width.unwrap_or_default(), run.settings.training.batch);
    NetShape { width, input: network.input, batch }
}
