//! The basis of all other crates of fathom. Nothing here knows another crate of the workspace.
//!
//! | module | contents |
//! |---|---|
//! | [`key`] | keys of experiments as data, and `choice!` for words of the user |
//! | [`random`] | counter-based random numbers |
//! | `atomic` | files that are written completely or not at all |
//! | `numbers` | mean and variance; rounding of numbers in files and for readers |
//! | `program` | the git commit and build of the running program |

mod atomic;
pub mod key;
mod numbers;
mod program;
pub mod random;
mod text;

pub use atomic::{make_readable, write_after, write_atomically};
pub use numbers::{decimals, fixed, mean, rounded, short, variance};
pub use program::{Program, identify, program};
pub use text::{capitalised, plain, quoted};
