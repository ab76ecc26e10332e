//! Training on libtorch: networks as modules, optimisers, the training loop, evaluation. No other
//! crate depends on libtorch.
//!
//! One process trains one run: libtorch's default random generator, its thread counts and its flags
//! belong to the process.
//!
//! Where to find what:
//!
//! | part | modules |
//! |---|---|
//! | commands of the worker | `worker` reads a job and dispatches to `run`, `eval`, `measure`, `bench`, `landscape`, `check` |
//! | set-up of a job | `context` (device, settings, data set), `device`, `cuda_driver`, `placement` |
//! | training | `training_loop`, `train_state` (what a checkpoint holds), `checkpointer`, `curve_evaluation`, `progress` |
//! | one update | `learner`, `objective`, `optim`, `schedule`, `running_metrics`, `best_weights` |
//! | net and weights | `net`, `parameters`, `weights`, `grow` |
//! | data | `device_dataset`, `device_images`, `data_loader`, `prefetch` |
//! | measurements | `evaluate`, `layer_stats`, `timing` |
//! | process | `interrupt`, `fault`, `process` |
//! | libtorch beyond `tch` | `shim`, `cuda_graph` |

// `println!` and `eprintln!` panic once the reader of the output has ended.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod batch_feed;
mod bench;
mod best_weights;
mod check;
mod checkpointer;
mod context;
mod cuda_driver;
mod cuda_graph;
mod curve_evaluation;
mod data_loader;
mod device;
mod device_dataset;
mod device_images;
mod eval;
mod evaluate;
mod fault;
mod grow;
mod interrupt;
mod landscape;
mod layer_stats;
mod learner;
mod lesion;
mod measure;
mod net;
mod objective;
mod optim;
mod pace;
mod parameters;
mod placement;
mod prefetch;
mod process;
mod progress;
mod run;
mod running_metrics;
mod schedule;
mod shim;
mod stop_rule;
mod timing;
mod train_state;
mod training_loop;
mod weights;
mod worker;

pub use worker::main;
