//! An experiment file becomes a checked, resolved list of runs.
//!
//! The file is read into flat dotted keys with their lines (`file`), every combination of arms
//! and swept values is resolved against the table of keys (`keys`, `resolve`, `expand`), and a resolved
//! configuration becomes typed settings for the worker ([`Settings`]). What became of an experiment
//! since its results were begun is told key by key ([`changes()`]).

mod changes;
mod choices;
mod claim;
mod contrast;
mod expand;
mod file;
mod keys;
mod leaves;
mod published;
mod resolve;
mod settings;
mod smoke;

pub use changes::{Changes, changes, changes_among};
pub use choices::{
    AugmentName, Decay, GrowName, OptimiserName, ScheduleName, StandardiseName, WarmupName,
};
pub use claim::{Claim, Deciding, LAYER_METRICS, Relation, Selector, Tune};
pub use contrast::{Arm, Candidates, Choice, Contrast};
pub use expand::{Claims, Experiment, Run};
pub use keys::KEYS;
pub use published::{PUBLISHED, Published};
pub use resolve::{Config, completed, fingerprint};
pub use settings::{
    Evaluate, Every, Grow, Optimiser, Precision, Schedule, Settings, Training, Warmup,
};
pub use smoke::smoke;

/// A fault in an experiment file, with its place; the program ends with exit code 2.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {message}")]
pub struct SpecError {
    /// `file:line`, the file alone, or `--set`.
    pub place: String,
    /// What is wrong, and what would be valid.
    pub message: String,
}
