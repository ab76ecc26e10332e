//! The only code that knows libtorch: networks as modules, the optimiser, training, evaluation.
//!
//! One process trains one run: libtorch's default generator, thread counts and flags belong to the
//! process.

mod bench;
mod check;
mod cuda_driver;
mod cuda_graph;
mod data_loader;
mod device;
mod device_dataset;
mod eval;
mod evaluate;
mod fault;
mod grow;
mod interrupt;
mod landscape;
mod layer_stats;
mod learner;
mod measure;
mod net;
mod objective;
mod optim;
mod parameters;
mod placement;
mod prefetch;
mod run;
mod running_metrics;
mod schedule;
mod shim;
mod timing;
mod training_loop;
mod weights;
mod worker;

use bench::{bench, peaks};
use check::check;
use device::{load_cuda, probe};
use eval::eval;
use fault::Fault;
use interrupt::Interrupt;
use landscape::look;
use measure::measure;
use run::run;
pub use worker::main;
