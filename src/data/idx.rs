//! IDX, the file format of MNIST and Fashion-MNIST: a big-endian magic number, the sizes as
//! big-endian 32-bit numbers, then bytes. (Format: yann.lecun.com/exdb/mnist.)

use super::Shape;
use super::file_error::{FileError, FileErrorKind};
use super::files::check_length;
use std::path::Path;

/// Bytes before the first pixel.
pub const IMAGE_HEADER: usize = 16;
/// Bytes before the first label.
pub const LABEL_HEADER: usize = 8;

/// The first four bytes of an IDX file.
#[derive(Clone, Copy, Debug)]
pub struct Magic {
    number: u32,
    meaning: &'static str,
}

/// Magic number of a file of images.
pub const IMAGES: Magic = Magic { number: 0x0803, meaning: "images of bytes" };
/// Magic number of a file of labels.
pub const LABELS: Magic = Magic { number: 0x0801, meaning: "labels of bytes" };
/// Meaning of the numbers after the magic number.
const FIELDS: [&str; 3] = ["items", "rows", "columns"];

/// Checks the magic number and the numbers after it: items, rows, columns, as many as are expected.
///
/// # Errors
/// A [`FileError`] at the first number that is missing or wrong.
pub fn check_header(
    file: &Path,
    bytes: &[u8],
    magic: Magic,
    expected: &[u64],
) -> Result<(), FileError> {
    match word(bytes, 0) {
        None if bytes.is_empty() => return Err(FileError::new(file, 0, FileErrorKind::Empty)),
        None => return Err(truncated(file, bytes, 4)),
        Some(found) if found != magic.number => {
            let Magic { number: expected, meaning } = magic;
            return Err(FileError::new(file, 0, FileErrorKind::Magic { found, expected, meaning }));
        }
        Some(_) => {}
    }
    for (index, (expected, field)) in expected.iter().copied().zip(FIELDS).enumerate() {
        let offset = 4 + 4 * index;
        let Some(found) = word(bytes, offset).map(u64::from) else {
            return Err(truncated(file, bytes, offset as u64 + 4));
        };
        if found != expected {
            let kind = FileErrorKind::Header { field, found, expected };
            return Err(FileError::new(file, offset as u64, kind));
        }
    }
    Ok(())
}

/// Contents of a file of grey images: their shape and pixels.
pub type ParsedImages<'a> = (Shape, &'a [u8]);

/// Parses a file of images. `bytes` are the whole file, decompressed; they are not copied.
///
/// # Errors
/// A [`FileError`] when the magic number is wrong, or the length of the file is not that of its header.
/// `file` is used in the message only.
pub fn parse_images<'a>(file: &Path, bytes: &'a [u8]) -> Result<ParsedImages<'a>, FileError> {
    check_header(file, bytes, IMAGES, &[])?;
    let [count, height, width] =
        [4, 8, 12].map(|offset| word(bytes, offset).map(u64::from)).map(Option::unwrap_or_default);
    if bytes.len() < IMAGE_HEADER {
        return Err(truncated(file, bytes, IMAGE_HEADER as u64));
    }
    // The product of three 32-bit numbers may exceed 64 bits; such a file does not exist.
    let expected = count
        .checked_mul(height)
        .and_then(|n| n.checked_mul(width))
        .and_then(|n| n.checked_add(IMAGE_HEADER as u64))
        .unwrap_or(u64::MAX);
    check_length(file, bytes.len() as u64, expected)?;
    let shape = Shape { channels: 1, height: height as usize, width: width as usize };
    Ok((shape, &bytes[IMAGE_HEADER..]))
}

/// Parses a file of labels, likewise; each must be less than `classes`.
///
/// # Errors
/// A [`FileError`] as for images, or at the first label that is not a class.
pub fn parse_labels<'a>(file: &Path, bytes: &'a [u8], classes: u8) -> Result<&'a [u8], FileError> {
    check_header(file, bytes, LABELS, &[])?;
    let Some(count) = word(bytes, 4) else {
        return Err(truncated(file, bytes, LABEL_HEADER as u64));
    };
    check_length(file, bytes.len() as u64, u64::from(count) + LABEL_HEADER as u64)?;
    let labels = &bytes[LABEL_HEADER..];
    match labels.iter().position(|label| *label >= classes) {
        None => Ok(labels),
        Some(at) => {
            let kind = FileErrorKind::Label { found: labels[at], last: classes.saturating_sub(1) };
            Err(FileError::new(file, (LABEL_HEADER + at) as u64, kind))
        }
    }
}

fn truncated(file: &Path, bytes: &[u8], expected: u64) -> FileError {
    FileError::new(file, bytes.len() as u64, FileErrorKind::Truncated { expected })
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(words: &[u32], rest: &[u8]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).chain(rest.iter().copied()).collect()
    }

    #[test]
    fn images_and_labels_are_read() {
        let bytes = header(&[0x803, 2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let (shape, pixels) = parse_images(Path::new("x"), &bytes).unwrap();
        assert_eq!((shape.height, shape.width, pixels), (1, 3, &[1, 2, 3, 4, 5, 6][..]));
        let bytes = header(&[0x801, 3], &[0, 9, 4]);
        assert_eq!(parse_labels(Path::new("x"), &bytes, 10).unwrap(), [0, 9, 4]);
    }

    #[test]
    fn each_error_has_its_message() {
        let images = |bytes: &[u8]| parse_images(Path::new("f"), bytes).unwrap_err().to_string();
        assert_eq!(images(b""), "f: byte 0: the file is empty");
        assert!(images(&[0, 0, 8]).contains("byte 3: the file ends here, but should have 4 bytes"));
        assert!(images(&header(&[0x803, 1], &[])).contains("byte 8: the file ends here"));
        let labels_instead = images(&header(&[0x801, 1], &[0]));
        assert!(labels_instead.contains("is 0x00000801, expected 0x00000803 (images"));
        assert!(images(&header(&[0x803, 2, 1, 1], &[0])).contains("byte 17: the file ends here"));
        assert!(
            images(&header(&[0x803, 1, 1, 1], &[0, 0])).contains("byte 17: the file continues")
        );
        let huge = images(&header(&[0x803, u32::MAX, u32::MAX, u32::MAX], &[0]));
        assert!(huge.contains("byte 17: the file ends here"), "{huge}");
        let labels =
            |bytes: &[u8]| parse_labels(Path::new("f"), bytes, 10).unwrap_err().to_string();
        assert!(labels(&header(&[0x801, 3], &[0, 10, 4])).contains("byte 9: label 10, but"));
        assert!(labels(&header(&[0x801], &[0, 0])).contains("byte 6: the file ends here"));
    }

    #[test]
    fn a_header_of_another_set_is_reported() {
        let bytes = header(&[0x803, 10_000, 28, 27], &[]);
        let fails = |expected: &[u64]| {
            check_header(Path::new("f"), &bytes, IMAGES, expected).unwrap_err().to_string()
        };
        let fewer = fails(&[60_000, 28, 28]);
        assert!(fewer.contains("byte 4: the header says 10000 items, but this data set has 60000"));
        assert!(fails(&[10_000, 28, 28]).contains("byte 12: the header says 27 columns"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_error_or_what_the_header_says(
            words in proptest::collection::vec(prop_oneof![0u32..5, Just(0x803), Just(0x801), any::<u32>()], 0..5),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = header(&words, &rest);
            if let Ok((shape, pixels)) = parse_images(Path::new("f"), &bytes) {
                prop_assert_eq!(u64::from(words[1]) * shape.len() as u64, pixels.len() as u64);
            }
            if let Ok(labels) = parse_labels(Path::new("f"), &bytes, 10) {
                prop_assert_eq!(words[1] as usize, labels.len());
            }
        }
    }
}
