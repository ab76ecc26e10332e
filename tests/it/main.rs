//! The programs as a user meets them, each test in a folder of its own.

mod command_line;
mod data;
mod supervise;
mod support;
#[cfg(feature = "train")]
mod training;
