//! The files of a results directory: names, formats, and how they are written so that none is ever
//! incomplete under its final name.
//!
//! ```text
//! results/<name>/
//!   experiment.toml  resolved.json  execution.json
//!   runs/<run id>/run.json curve.csv layers.csv status.json log.txt
//!   curves.csv  figures/
//!   slurm/                                  array jobs that were submitted to Slurm
//!   sweep.lock  runs/<run id>/run.lock      only while a process writes there
//! ```
//!
//! `runs/` is primary, and `execution.json` holds settings that later invocations must share; all
//! other files can be derived from these. A process that writes holds a lock (`lock`), which works on
//! file systems shared between machines.
//!
//! Files live longer than programs: tables are read by the names of their columns (`table`), unknown
//! keys of JSON files are ignored, and [`SCHEMA`] rises only when something changes its meaning.

mod arrays;
mod checkpoint;
mod curve;
mod curves;
mod data_table;
mod doubts;
mod events;
mod execution;
mod foreign;
mod grouping;
mod import;
mod landscape;
mod layers;
mod lock;
mod manifest;
mod metrics;
mod provenance;
mod run_dir;
mod seed;
mod sweep_dir;
mod table;
mod weight_names;
mod weights;

pub use arrays::{TaskArray, TaskId};
pub use checkpoint::{Checkpoint, Position};
pub use curve::{CURVE_COLUMNS, CurveMark, CurveReader, CurveWriter};
pub use curves::{RunCurve, SweepCurves, check_column};
pub use data_table::{Table, cell_text, wide_table};
pub use doubts::doubts;
pub use events::write as write_events;
pub use execution::{
    CudaUse, Layout, LayoutSeconds, Layouts, NetShape, ShapeLayout, SweepExecution,
};
pub use foreign::{ForeignRow, ForeignTable};
pub use grouping::{
    RunGroup, UpdatesUntil, group, is_same_value, natural_order, natural_order_of_parts,
};
pub use import::{Expression, Log, Mapping};
pub use landscape::{CorrelationRow, SliceRow};
pub use layers::{LAYER_COLUMNS, LESION_COST, LayerRow, LayerWriter, layer_metrics};
pub use lock::{Acquired, Holder, Lock, LockError, LockTiming, LockToken, LostLock, Owner};
pub use manifest::{
    DataRecord, Execution, Gpu, Manifest, Resolved, Revision, Spent, State, Status,
};
pub use metrics::{CurveRow, METRIC_COLUMNS, METRICS, MeasuredOn, Metric, Unit, metric_columns};
pub use provenance::{Made, Provenance};
pub use run_dir::RunDir;
pub use seed::{Seed, seed};
pub use sweep_dir::SweepDir;
pub use weight_names::Rename;
pub use weights::{Values, Weights};

/// Version of every file format here; a file of a later version is refused.
pub const SCHEMA: u32 = 1;

/// Refuses the schema of a later version.
fn check_schema(schema: u32) -> anyhow::Result<()> {
    anyhow::ensure!(
        schema <= SCHEMA,
        "schema {schema} is of a later version of fathom; this one reads schemas up to {SCHEMA}"
    );
    Ok(())
}
