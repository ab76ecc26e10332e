//! The binary files of CIFAR-10 and CIFAR-100: a sequence of records, each of one or two labels and
//! 1024 red, 1024 green and 1024 blue bytes, row by row. (Format: www.cs.toronto.edu/~kriz/cifar.html.)

use super::file_error::{FileError, FileErrorKind};
use super::pickle::Batch;
use super::{Images, Labels, Shape};
use std::path::Path;

/// Shape of every CIFAR image.
pub const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3 * 32 * 32;

/// The labels of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// CIFAR-10: one label.
    One,
    /// CIFAR-100: the coarse label, then the fine label.
    CoarseFine,
}

/// Number of classes of CIFAR-10, and of coarse and fine classes of CIFAR-100.
const CIFAR10: u8 = 10;
const COARSE: u8 = 20;
const FINE: u8 = 100;

impl Record {
    /// Number of label bytes of a record.
    pub fn labels(self) -> usize {
        match self {
            Record::One => 1,
            Record::CoarseFine => 2,
        }
    }

    /// The label that is wanted of those of an image, after all are checked.
    ///
    /// # Errors
    /// When a label is no class, with its index.
    fn label(self, found: &[u8], wanted: Labels) -> Result<u16, (usize, FileErrorKind)> {
        let limits: &[u8] = match self {
            Record::One => &[CIFAR10],
            Record::CoarseFine => &[COARSE, FINE],
        };
        for (at, (label, limit)) in found.iter().zip(limits).enumerate() {
            if label >= limit {
                return Err((at, FileErrorKind::Label { found: *label, last: limit - 1 }));
            }
        }
        let at = match (self, wanted) {
            (Record::CoarseFine, Labels::Fine) => 1,
            (Record::CoarseFine, Labels::Coarse) | (Record::One, Labels::Fine | Labels::Coarse) => {
                0
            }
        };
        Ok(u16::from(found[at]))
    }

    /// Number of bytes of a record.
    pub fn size(self) -> usize {
        self.labels() + PIXELS
    }
}

/// Appends the records of a file, whose whole contents are `bytes`, to `images` of shape [`SHAPE`].
///
/// # Errors
/// A [`FileError`] when the file is empty, ends within a record, or has a label that is no class. `file` is
/// used in the message only.
pub fn append(
    file: &Path,
    bytes: &[u8],
    record: Record,
    labels: Labels,
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
        let (found, pixels) = one.split_at(record.labels());
        let label = record.label(found, labels);
        let label =
            label.map_err(|(at, kind)| FileError::new(file, (index * size + at) as u64, kind))?;
        images.labels.push(label);
        images.pixels.extend_from_slice(pixels);
    }
    Ok(())
}

/// Appends the images of a pickle of the Python version, whose whole contents are `bytes`, likewise.
///
/// # Errors
/// A [`FileError`] when it is not such a pickle, has another number of images than `count`, or a label that is
/// no class.
pub fn append_pickle(
    file: &Path,
    bytes: &[u8],
    (record, count): (Record, usize),
    labels: Labels,
    images: &mut Images,
) -> Result<(), FileError> {
    let wrong = |kind| FileError::new(file, 0, kind);
    if bytes.is_empty() {
        return Err(wrong(FileErrorKind::Empty));
    }
    let mut batch = Batch::parse(file, bytes)?;
    let sizes = [("images", batch.shape[0], count), ("values of an image", batch.shape[1], PIXELS)];
    let names: &[&str] = match record {
        Record::One => &["labels"],
        Record::CoarseFine => &["coarse_labels", "fine_labels"],
    };
    let lists: Vec<Vec<u8>> =
        names.iter().map(|name| batch.labels.remove(*name).unwrap_or_default()).collect();
    let lengths = names.iter().zip(&lists).map(|(name, list)| (*name, list.len(), count));
    for (field, found, expected) in sizes.into_iter().chain(lengths) {
        if found != expected {
            let (found, expected) = (found as u64, expected as u64);
            return Err(wrong(FileErrorKind::Header { field, found, expected }));
        }
    }
    for index in 0..count {
        let found: Vec<u8> = lists.iter().map(|list| list[index]).collect();
        images.labels.push(record.label(&found, labels).map_err(|(_, kind)| wrong(kind))?);
    }
    images.pixels.extend_from_slice(&batch.pixels);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::tests::pickled;
    use proptest::prelude::*;

    fn empty() -> Images {
        Images { shape: SHAPE, pixels: Vec::new(), labels: Vec::new() }
    }

    fn parse(bytes: &[u8], record: Record, labels: Labels) -> Result<Images, FileError> {
        let mut images = empty();
        append(Path::new("f"), bytes, record, labels, &mut images)?;
        Ok(images)
    }

    #[test]
    fn records_of_both_kinds_are_read() {
        let mut bytes = vec![7; 2 * 3073];
        (bytes[0], bytes[1], bytes[3073]) = (3, 200, 9);
        let images = parse(&bytes, Record::One, Labels::Fine).unwrap();
        assert_eq!((&images.labels[..], images.image(0)[0], images.len()), (&[3, 9][..], 200, 2));
        let mut bytes = vec![5; 3074];
        (bytes[0], bytes[1]) = (19, 99);
        assert_eq!(parse(&bytes, Record::CoarseFine, Labels::Fine).unwrap().labels, [99]);
        let coarse = parse(&bytes, Record::CoarseFine, Labels::Coarse).unwrap();
        assert_eq!((coarse.labels, coarse.pixels.len()), (vec![19], 3072));
    }

    #[test]
    fn a_pickle_has_the_images_of_the_records() {
        let pixels: Vec<u8> = (0..2 * 3072).map(|at| (at % 251) as u8).collect();
        let parse = |labels: &[(&str, &[u8])], record, wanted| {
            let bytes = pickled(2, &pixels, labels);
            let mut images = empty();
            append_pickle(Path::new("f"), &bytes, (record, 2), wanted, &mut images)?;
            Ok::<Images, FileError>(images)
        };
        let one = parse(&[("labels", &[3, 9])], Record::One, Labels::Fine).unwrap();
        assert_eq!((one.labels, &one.pixels), (vec![3, 9], &pixels));
        let both: [(&str, &[u8]); 2] = [("fine_labels", &[99, 4]), ("coarse_labels", &[1, 19])];
        let of = |wanted| parse(&both, Record::CoarseFine, wanted).unwrap().labels;
        assert_eq!((of(Labels::Fine), of(Labels::Coarse)), (vec![99, 4], vec![1, 19]));
        let fails = |labels: &[(&str, &[u8])], record| {
            parse(labels, record, Labels::Fine).unwrap_err().to_string()
        };
        assert!(fails(&[("labels", &[3, 10])], Record::One).contains("label 10, but"));
        let short = fails(&[("labels", &[3])], Record::One);
        assert!(short.contains("the header says 1 labels, but this data set has 2"), "{short}");
        assert!(fails(&both[..1], Record::CoarseFine).contains("0 coarse_labels"));
        let fewer = append_pickle(
            Path::new("f"),
            &pickled(2, &pixels, &[("labels", &[1, 2])]),
            (Record::One, 10_000),
            Labels::Fine,
            &mut empty(),
        );
        assert!(fewer.unwrap_err().to_string().contains("2 images, but this data set has 10000"));
    }

    #[test]
    fn each_error_has_its_message() {
        let fails = |bytes: &[u8]| parse(bytes, Record::One, Labels::Fine).unwrap_err().to_string();
        assert_eq!(fails(b""), "f: byte 0: the file is empty");
        assert!(
            fails(&[0; 3072]).contains("byte 3072: the file ends here, but should have 3073 bytes")
        );
        let mut bytes = vec![0; 2 * 3073];
        bytes[3073] = 10;
        assert!(fails(&bytes).contains("byte 3073: label 10, but the classes are numbered 0 to 9"));
        let mut bytes = vec![0; 3074];
        bytes[0] = 20;
        let coarse = parse(&bytes, Record::CoarseFine, Labels::Fine).unwrap_err().to_string();
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
            let outcome = append(Path::new("f"), &bytes, record, Labels::Fine, &mut images);
            prop_assert!(images.pixels.capacity() <= bytes.len());
            if outcome.is_ok() {
                prop_assert_eq!((images.len(), images.pixels.len()), (records, records * 3072));
            }
        }
    }
}
