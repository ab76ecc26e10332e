//! fathom answers, with evidence, whether adding layers to a net helps, and what makes it help.
//!
//! The map of the house, in the order of who may know whom:
//!
//! - [`random`], [`key`]: counter-based randomness; the keys of experiments as data
//! - [`arch`]: networks as plain data
//! - [`data`]: data sets as bytes, batches, augmentation
//! - [`spec`]: an experiment file becomes a checked, resolved list of runs
//! - [`record`]: the one owner of every file in a results directory
//! - [`gpu`]: GPUs as their driver knows them
//! - [`protocol`]: what the supervisor and its worker say to each other
//! - [`sweep`]: which run goes where and when; starts the worker, knows nothing of its inside
//! - [`stats`]: summaries over seeds and verdicts on claims; [`plot`], [`report`]: figures and pages,
//!   which know `stats`; all from the files alone
//! - [`cli`]: the command line, which knows everybody and is known by nobody
//!
//! The worker `fathom-train` has a room of its own, `src/train`: the only code that knows libtorch.
//! It belongs to that program and not to this library, so that nothing that links the library can
//! reach libtorch.

pub mod arch;
pub mod cli;
pub mod data;
pub mod gpu;
pub mod key;
pub mod plot;
pub mod protocol;
pub mod random;
pub mod record;
pub mod report;
pub mod spec;
pub mod stats;
pub mod sweep;
