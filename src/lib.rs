//! fathom answers, with evidence, whether adding layers to a net helps, and what makes it help.
//!
//! The map of the house, in the order of who may know whom; each is a crate of its own in the folder
//! of its name, so the compiler holds the order:
//!
//! - [`base`]: counter-based randomness; the keys of experiments as data
//! - [`arch`]: networks as plain data
//! - [`data`]: data sets as bytes, batches, augmentation
//! - [`record`]: the one owner of every file in a results directory
//! - [`spec`]: an experiment file becomes a checked, resolved list of runs
//! - [`gpu`]: GPUs as their driver knows them
//! - [`protocol`]: what the supervisor and its worker say to each other
//! - [`stats`]: summaries over seeds, verdicts on claims, comparisons of results
//! - [`sweep`]: scheduling: which run trains where and when; starts the worker, knows nothing of its inside
//! - [`plot`], [`report`]: figures and pages, from the files alone
//! - [`cli`]: the command line, which knows everybody and is known by nobody
//! - `fathom-train`: the worker, the only crate that knows libtorch; none of the others depends on it
//!
//! A program with families of its own calls [`main`]; see `examples/own-network`.

pub use fathom_arch as arch;
pub use fathom_base as base;
pub use fathom_cli as cli;
pub use fathom_data as data;
pub use fathom_gpu as gpu;
pub use fathom_plot as plot;
pub use fathom_protocol as protocol;
pub use fathom_record as record;
pub use fathom_report as report;
pub use fathom_spec as spec;
pub use fathom_stats as stats;
pub use fathom_sweep as sweep;

use std::process::ExitCode;

/// The identity of this build; the crates below it are handed it by the programs.
pub const PROGRAM: base::Program = base::Program {
    revision: env!("FATHOM_GIT_REVISION"),
    is_dirty: matches!(env!("FATHOM_GIT_DIRTY").as_bytes(), b"true"),
    build: env!("FATHOM_SOURCES"),
};

/// The program `fathom`: the command line of this process, with families of the calling crate beside
/// those of [`arch`].
pub fn main(own: &[&'static dyn arch::Family]) -> ExitCode {
    base::identify(PROGRAM);
    cli::main(own)
}
