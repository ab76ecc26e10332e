//! What every other crate of fathom rests on: counter-based randomness, the keys and choices of
//! experiments as data, files that appear whole or not at all, and the identity of this program.

mod atomic;
pub mod key;
mod program;
pub mod random;
mod text;

pub use atomic::{make_readable, write_after, write_atomically};
pub use program::{Program, identify, program};
pub use text::plain;
