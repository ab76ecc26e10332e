//! Experiment files: from the text to a checked list of runs.
//!
//! | module | content |
//! |---|---|
//! | `file`, `leaves` | the text as flat dotted keys with their lines |
//! | `keys`, `key_rows` | the keys, and the same as rows of a table ([`key_rows()`]) |
//! | `resolve` | one combination of values as a complete configuration ([`Config`]), and its hash |
//! | `expand` | all combinations of arms and swept values as runs ([`Experiment`]) |
//! | `seeds` | the seeds of an experiment, and those that are added for later looks and for tuning |
//! | `choices`, `settings` | a configuration as typed settings for training ([`Settings`]) |
//! | `claim`, `claims`, `contrast`, `published` | claims, the runs that they compare, values of papers |
//! | `changes` | differences between an experiment and the runs of its results directory |
//! | `stages` | experiments that first choose the best value of a key ([`Stages`]) |
//! | `smoke` | shortened runs that test an experiment |

mod changes;
mod choices;
mod claim;
mod claims;
mod combinations;
mod contrast;
mod epochs;
mod expand;
mod file;
mod key_rows;
mod keys;
mod leaves;
mod measurable;
mod names;
mod published;
mod resolve;
mod seeds;
mod settings;
mod smoke;
mod stages;
mod stop_when;

pub use changes::{Changes, changes, changes_among};
pub use choices::{
    AugmentName, Decay, GrowName, Keep, OptimiserName, ScheduleName, StandardiseName, WarmupName,
};
pub use claim::{
    Claim, Deciding, Direction, Effect, LayerMetric, Layers, Limit, Measure, OverLayers, Pairing,
    Relation, Scale, Selector, Tune, When,
};
pub use claims::Claims;
pub use contrast::{Arm, Candidates, Contrast, TuneCandidate};
pub use expand::{Experiment, Run};
pub use key_rows::{KeyRow, key_rows, key_sections};
pub use keys::KEYS;
pub use leaves::check_note;
pub use names::full_name;
pub use published::{PUBLISHED_VALUES, PublishedValue};
pub use resolve::{Config, agree, completed, fingerprint};
pub use settings::{
    Evaluate, Every, Grow, Optimiser, Precision, Schedule, Settings, Training, Warmup,
};
pub use smoke::smoke;
pub use stages::Stages;
pub use stop_when::{StopWhen, Threshold};

/// An error in an experiment file; the program ends with exit code 2.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {message}")]
pub struct SpecError {
    /// `file:line`, the file alone, or `--set KEY=VALUE`.
    pub place: String,
    /// The key, what is wrong with it, and what would be valid.
    pub message: String,
}
