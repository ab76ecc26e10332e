//! The binary files of CIFAR-10 and CIFAR-100: a sequence of records, each of one or two labels and
//! 1024 red, 1024 green and 1024 blue bytes, row by row. (Format: www.cs.toronto.edu/~kriz/cifar.html.)

use super::file_error::{FileError, FileErrorKind};
use super::{Images, Shape};
use std::path::Path;

/// Shape of every CIFAR image.
pub const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3 * 32 * 32;

/// The labels of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// CIFAR-10: one label.
    One,
    /// CIFAR-100: the coarse label, which is checked and ignored, then the fine label.
    CoarseFine,
}

/// Number of coarse classes of CIFAR-100.
const COARSE: u8 = 20;

impl Record {
    /// Number of label bytes of a record.
    pub fn labels(self) -> usize {
        match self {
            Record::One => 1,
            Record::CoarseFine => 2,
        }
    }

    /// Number of bytes of a record.
    pub fn size(self) -> usize {
        self.labels() + PIXELS
    }
}

/// Appends the records of a file, whose whole contents are `bytes`, to `images` of shape [`SHAPE`].
///
/// # Errors
/// A [`FileError`] when the file is empty, ends within a record, or has a label that is not less than
/// `classes`. `file` is used in the message only.
pub fn append(
    file: &Path,
    bytes: &[u8],
    record: Record,
    classes: u8,
    images: &mut Images,
) -> Result<(), FileError> {
    let size = record.size();
    if bytes.is_empty() {
        return Err(FileError::new(file, 0, FileErrorKind::Empty));
    }
    if !bytes.len().is_multiple_of(size) {
        let expected = bytes.len().next_multiple_of(size) as u64;
        return Err(FileError::new(
            file,
            bytes.len() as u64,
            FileErrorKind::Truncated { expected },
        ));
    }
    images.pixels.reserve_exact(bytes.len() / size * PIXELS);
    for (index, one) in bytes.chunks_exact(size).enumerate() {
        let (labels, pixels) = one.split_at(record.labels());
        let limits: &[u8] = if labels.len() == 1 { &[classes] } else { &[COARSE, classes] };
        for (at, (label, limit)) in labels.iter().zip(limits).enumerate() {
            if label >= limit {
                let kind = FileErrorKind::Label { found: *label, last: limit.saturating_sub(1) };
                return Err(FileError::new(file, (index * size + at) as u64, kind));
            }
        }
        images.labels.push(u16::from(labels[labels.len() - 1]));
        images.pixels.extend_from_slice(pixels);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty() -> Images {
        Images { shape: SHAPE, pixels: Vec::new(), labels: Vec::new() }
    }

    fn parse(bytes: &[u8], record: Record, classes: u8) -> Result<Images, FileError> {
        let mut images = empty();
        append(Path::new("f"), bytes, record, classes, &mut images)?;
        Ok(images)
    }

    #[test]
    fn records_of_both_kinds_are_read() {
        let mut bytes = vec![7; 2 * 3073];
        (bytes[0], bytes[1], bytes[3073]) = (3, 200, 9);
        let images = parse(&bytes, Record::One, 10).unwrap();
        assert_eq!((&images.labels[..], images.image(0)[0], images.len()), (&[3, 9][..], 200, 2));
        let mut bytes = vec![5; 3074];
        (bytes[0], bytes[1]) = (19, 99);
        assert_eq!(parse(&bytes, Record::CoarseFine, 100).unwrap().labels, [99]);
    }

    #[test]
    fn each_error_has_its_message() {
        let fails = |bytes: &[u8]| parse(bytes, Record::One, 10).unwrap_err().to_string();
        assert_eq!(fails(b""), "f: byte 0: the file is empty");
        assert!(
            fails(&[0; 3072]).contains("byte 3072: the file ends here, but should have 3073 bytes")
        );
        let mut bytes = vec![0; 2 * 3073];
        bytes[3073] = 10;
        assert!(fails(&bytes).contains("byte 3073: label 10, but the classes are numbered 0 to 9"));
        let mut bytes = vec![0; 3074];
        bytes[0] = 20;
        let coarse = parse(&bytes, Record::CoarseFine, 100).unwrap_err().to_string();
        assert!(coarse.contains("byte 0: label 20, but the classes are numbered 0 to 19"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_error_or_whole_records(
            records in 0usize..4, more in 0usize..3, byte in any::<u8>(), two in any::<bool>(),
        ) {
            let record = if two { Record::CoarseFine } else { Record::One };
            let bytes = vec![byte; records * record.size() + more];
            let mut images = empty();
            let outcome = append(Path::new("f"), &bytes, record, 10, &mut images);
            prop_assert!(images.pixels.capacity() <= bytes.len());
            if outcome.is_ok() {
                prop_assert_eq!((images.len(), images.pixels.len()), (records, records * 3072));
            }
        }
    }
}
