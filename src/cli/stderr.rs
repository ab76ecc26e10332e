//! Words on standard error that nobody need be there to read.

use std::fmt::Display;
use std::io::Write;

/// Writes a line. `eprintln!` would panic once the terminal is closed, in the midst of a sweep that
/// is told to stop because of that.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `1 run`, `2 runs`.
pub fn so_many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
