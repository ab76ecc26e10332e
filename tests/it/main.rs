//! The programs as a user meets them, each test in a folder of its own.

mod ablation;
mod bench;
mod browser;
mod build;
#[cfg(feature = "train")]
mod chaos;
mod claims;
mod command_line;
#[cfg(feature = "train")]
mod cuda;
mod data;
#[cfg(feature = "train")]
mod disk;
#[cfg(feature = "train")]
mod first_hours;
mod format;
mod import;
mod inspect;
mod large;
mod options;
mod output;
#[cfg(feature = "train")]
mod recipes;
#[cfg(feature = "train")]
mod resume;
#[cfg(feature = "train")]
mod reuse;
#[cfg(feature = "train")]
mod session;
#[cfg(feature = "train")]
mod slurm;
mod stages;
#[cfg(feature = "train")]
mod stored;
mod supervise;
mod support;
mod tables;
#[cfg(feature = "train")]
mod trained;
#[cfg(feature = "train")]
mod training;
