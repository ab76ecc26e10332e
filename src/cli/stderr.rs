//! Messages on standard error, which may be closed.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard error and ignores failure: `eprintln!` would panic once the terminal is
/// closed, in the midst of a sweep that is asked to stop for that reason.
pub fn log(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
