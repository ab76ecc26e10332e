//! The only code that knows libtorch: networks as modules, the optimiser, training, evaluation.
//!
//! One process trains one run: libtorch's default generator, thread counts and flags belong to the
//! process.

mod ahead;
mod bench;
mod check;
mod course;
mod cuda_driver;
mod device;
mod diagnose;
mod eval;
mod evaluate;
mod fault;
mod feed;
mod grow;
mod look;
mod measure;
mod net;
mod optim;
mod parameters;
mod place;
mod recorder;
mod run;
mod running;
mod schedule;
mod shim;
mod source;
mod step;
mod stop;
mod task;
mod timing;
mod weights;

pub use bench::{bench, peaks};
pub use check::check;
pub use device::{load_cuda, probe};
pub use eval::eval;
pub use fault::Fault;
pub use look::look;
pub use measure::measure;
pub use run::run;
pub use stop::Stop;
