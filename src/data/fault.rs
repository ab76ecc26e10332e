//! What can be wrong with a data file, and where.

use std::path::{Path, PathBuf};

/// A file that is not what it should be. Its message names the file, the byte and what would be
/// right.
#[derive(Debug, thiserror::Error)]
#[error("{}: byte {offset}: {kind}", file.display())]
pub struct Fault {
    /// The file as it was opened.
    pub file: PathBuf,
    /// Where in the file (once unzipped, unless the zip itself is at fault), counted from 0.
    pub offset: u64,
    /// What is wrong there.
    pub kind: Kind,
}

impl Fault {
    /// A fault of `kind` at `offset` of `file`.
    pub fn new(file: &Path, offset: u64, kind: Kind) -> Self {
        Self { file: file.to_owned(), offset, kind }
    }
}

/// The ways in which a data file can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// No byte at all.
    #[error("the file is empty")]
    Empty,
    /// Shorter than its kind or its header says.
    #[error("the file ends here, but {expected} bytes belong in it (truncated?)")]
    Truncated {
        /// Bytes that the whole file should have.
        expected: u64,
    },
    /// Longer than its kind or its header says.
    #[error("the file goes on here, but only {expected} bytes belong in it")]
    Oversized {
        /// Bytes that the whole file should have.
        expected: u64,
    },
    /// The first four bytes of an IDX file are others.
    #[error("the magic number is {found:#010x}, but {expected:#010x} ({what}) belongs here")]
    Magic {
        /// The number in the file.
        found: u32,
        /// The number of this kind of file.
        expected: u32,
        /// What that kind holds.
        what: &'static str,
    },
    /// A label outside the classes of the set.
    #[error("label {found}, but the classes are numbered 0 to {last}")]
    Label {
        /// The label in the file.
        found: u8,
        /// The last label there is.
        last: u8,
    },
    /// A number in a header other than the set's.
    #[error("the header says {found} {what}, but this set has {expected}")]
    Header {
        /// What is counted.
        what: &'static str,
        /// The number in the file.
        found: u64,
        /// The number that belongs there.
        expected: u64,
    },
    /// gzip's own structure or checksum is broken.
    #[error("not a sound gzip file: {0}")]
    Gzip(String),
}
