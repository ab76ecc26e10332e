//! Errors in data files.

use std::path::{Path, PathBuf};

/// A data file has wrong contents. The message names the file, the byte, and what was expected there.
#[derive(Debug, thiserror::Error)]
#[error("{}: byte {offset}: {kind}", file.display())]
pub struct FileError {
    /// Path of the file.
    pub file: PathBuf,
    /// Offset in bytes from the start of the file, after decompression except for [`Gzip`].
    ///
    /// [`Gzip`]: FileErrorKind::Gzip
    pub offset: u64,
    /// What is wrong there.
    pub kind: FileErrorKind,
}

impl FileError {
    /// An error at `offset` of `file`.
    pub fn new(file: &Path, offset: u64, kind: FileErrorKind) -> Self {
        Self { file: file.to_owned(), offset, kind }
    }
}

/// What is wrong with a data file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileErrorKind {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is shorter than its format or its header requires.
    #[error("the file ends here, but should have {expected} bytes (truncated?)")]
    Truncated {
        /// Expected length of the whole file in bytes.
        expected: u64,
    },
    /// An image file ends before the image does.
    #[error("the file ends here, before the end of the image (truncated?)")]
    Unfinished,
    /// A part of an image file has another checksum than the one that follows it.
    #[error("the checksum of this part is wrong: the file is damaged")]
    Checksum,
    /// The file is longer than its format or its header allows.
    #[error("the file continues here, but should have only {expected} bytes")]
    Oversized {
        /// Expected length of the whole file in bytes.
        expected: u64,
    },
    /// The first four bytes of an IDX file are wrong.
    #[error("the magic number is {found:#010x}, expected {expected:#010x} ({meaning})")]
    Magic {
        /// The number in the file.
        found: u32,
        /// The expected number.
        expected: u32,
        /// Contents of a file with the expected number.
        meaning: &'static str,
    },
    /// A label is not a class of the data set.
    #[error("label {found}, but the classes are numbered 0 to {last}")]
    Label {
        /// The label in the file.
        found: u8,
        /// The last class.
        last: u8,
    },
    /// A number in a header is not that of the data set.
    #[error("the header says {found} {field}, but this data set has {expected}")]
    Header {
        /// What the number counts.
        field: &'static str,
        /// The number in the file.
        found: u64,
        /// The expected number.
        expected: u64,
    },
    /// A pickle has something that a file of the data set does not have.
    #[error(
        "this pickle has {0}, which no file of CIFAR has; nothing of a pickle is executed, so it is refused"
    )]
    Pickle(String),
    /// The contents of a MATLAB file are wrong.
    #[error("invalid MATLAB file: {0}")]
    Mat(String),
    /// A label of SVHN is not a digit.
    #[error("label {0}, but digits are numbered 1 to 10 here")]
    Digit(u8),
    /// The MD5 of a file is not the published one.
    #[error(
        "the MD5 is {found}, but the published one is {expected}: the file is damaged or another one"
    )]
    Md5 {
        /// The sum of the file.
        found: String,
        /// The expected sum.
        expected: &'static str,
    },
    /// The structure or the checksum of gzip is invalid.
    #[error("invalid gzip file: {0}")]
    Gzip(String),
}
