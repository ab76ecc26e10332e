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
mod atomic;
mod checkpoint;
mod columns;
mod curves;
mod events;
mod execution;
mod facts;
mod grouping;
mod layers;
mod lock;
mod looks;
mod manifest;
mod metrics;
mod sweep_dir;
mod table;
mod weights;

pub use arrays::{TaskArray, TaskId};
pub use atomic::{write_after, write_atomically};
pub use checkpoint::{Checkpoint, Position};
pub use columns::{CURVE_COLUMNS, CurveMark, CurveReader, CurveRow, CurveWriter};
pub use curves::{RunCurve, SweepCurves};
pub use events::write as write_events;
pub use execution::{
    CudaUse, Layout, LayoutSeconds, Layouts, NetShape, ShapeLayout, SweepExecution,
};
pub use facts::{Facts, Made};
pub use grouping::{RunGroup, group, natural_order};
pub use layers::{LAYER_COLUMNS, LayerRow, LayerWriter};
pub use lock::{Holder, Lock, LockError, LockToken, LostLock, Owner, Patience, Taken};
pub use looks::{CorrelationRow, SliceRow};
pub use manifest::{
    DataRecord, Execution, Gpu, Manifest, Resolved, Revision, Spent, State, Status,
};
pub use metrics::{METRICS, Metric, Part, Unit, metric_columns};
pub use sweep_dir::{RunDir, SweepDir};
pub use weights::{Values, Weights};

/// Version of every file format here; a file of a later version is refused.
pub const SCHEMA: u32 = 1;
