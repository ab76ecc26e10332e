//! Standard output, whose reader may have ended.

use anyhow::{Context, Result};
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Prints text. Once the reader of the output has ended, as in `fathom plot DIR | head -1`, nothing is
/// printed, and the command completes its other work.
///
/// # Errors
/// When the output cannot be written for another reason, such as a full disk.
pub fn write(text: impl Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Prints a line, as [`write()`] does.
///
/// # Errors
/// Those of [`write()`].
pub fn write_line(line: impl Display) -> Result<()> {
    write(format_args!("{line}\n"))
}
