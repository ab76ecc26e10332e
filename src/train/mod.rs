//! The only code that knows libtorch: networks as modules, the optimiser, training, evaluation.
//!
//! One process trains one run: libtorch's default generator, thread counts and flags belong to the
//! process.

mod device;
mod eval;
mod evaluate;
mod net;
mod optim;
mod parameters;
mod run;
mod schedule;
mod step;
mod weights;

pub use device::{load_cuda, probe};
pub use eval::eval;
pub use run::run;
