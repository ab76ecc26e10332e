//! The one owner of every file in a results directory: which files there are, which columns they
//! have, and how they are written so that none is ever half there under its final name.
//!
//! ```text
//! results/<name>/
//!   experiment.toml  resolved.json  execution.json
//!   runs/<run id>/run.json curve.csv layers.csv status.json log.txt
//!   curves.csv  figures/
//!   slurm/                                  what was handed to Slurm
//!   sweep.lock  runs/<run id>/run.lock      only while somebody writes there
//! ```
//!
//! `runs/` is primary, and `execution.json` holds what later invocations must do likewise; all else
//! can be made again from it. Who writes holds a lock (`lock`), which works on file systems shared
//! between machines.

mod arrays;
mod checkpoint;
mod curve;
mod curves;
mod data_table;
mod events;
mod execution;
mod grouping;
mod landscape;
mod layers;
mod lock;
mod manifest;
mod metrics;
mod provenance;
mod sweep_dir;
mod table;
mod weights;

pub use arrays::{TaskArray, TaskId};
pub use checkpoint::{Checkpoint, Position};
pub use curve::{CURVE_COLUMNS, CurveMark, CurveReader, CurveRow, CurveWriter};
pub use curves::{RunCurve, SweepCurves};
pub use data_table::{Table, cell_text, wide_table};
pub use events::write as write_events;
pub use execution::{
    CudaUse, Layout, LayoutSeconds, Layouts, NetShape, ShapeLayout, SweepExecution,
};
pub use grouping::{RunGroup, group, natural_order};
pub use landscape::{CorrelationRow, SliceRow};
pub use layers::{LAYER_COLUMNS, LayerRow, LayerWriter};
pub use lock::{Acquired, Holder, Lock, LockError, LockTiming, LockToken, LostLock, Owner};
pub use manifest::{
    DataRecord, Execution, Gpu, Manifest, Resolved, Revision, Spent, State, Status,
};
pub use metrics::{METRICS, Metric, Part, Unit, metric_columns};
pub use provenance::{Made, Provenance};
pub use sweep_dir::{RunDir, SweepDir};
pub use weights::{Values, Weights};

/// Version of every file format here; a file of a later version is refused.
pub const SCHEMA: u32 = 1;
