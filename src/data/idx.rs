//! IDX, the file format of MNIST and Fashion-MNIST: a big-endian magic number, the sizes as
//! big-endian 32-bit numbers, then bytes. (Format: yann.lecun.com/exdb/mnist.)

use super::Shape;
use super::fault::{Fault, Kind};
use super::files::check_length;
use std::path::Path;

/// Bytes before the first pixel.
pub const IMAGE_HEADER: usize = 16;
/// Bytes before the first label.
pub const LABEL_HEADER: usize = 8;

/// Magic number of a file of images, and what it says.
pub const IMAGES: (u32, &str) = (0x0803, "images of bytes");
/// Magic number of a file of labels, and what it says.
pub const LABELS: (u32, &str) = (0x0801, "labels of bytes");
/// What the numbers of a header count.
const FIELDS: [&str; 3] = ["items", "rows", "columns"];

/// Checks the magic number, and that the numbers after it are those `expected` (number of items,
/// rows, columns; as many as are given).
///
/// # Errors
/// A [`Fault`] at the first number that is missing or another.
pub fn check_header(
    file: &Path,
    bytes: &[u8],
    (magic, what): (u32, &'static str),
    expected: &[u64],
) -> Result<(), Fault> {
    match word(bytes, 0) {
        None if bytes.is_empty() => return Err(Fault::new(file, 0, Kind::Empty)),
        None => return Err(truncated(file, bytes, 4)),
        Some(found) if found != magic => {
            return Err(Fault::new(file, 0, Kind::Magic { found, expected: magic, what }));
        }
        Some(_) => {}
    }
    for (place, (expected, what)) in expected.iter().copied().zip(FIELDS).enumerate() {
        let offset = 4 + 4 * place;
        let Some(found) = word(bytes, offset).map(u64::from) else {
            return Err(truncated(file, bytes, offset as u64 + 4));
        };
        if found != expected {
            let kind = Kind::Header { what, found, expected };
            return Err(Fault::new(file, offset as u64, kind));
        }
    }
    Ok(())
}

/// What a file of images holds: its grey images' shape, and their pixels.
pub type ParsedImages<'a> = (Shape, &'a [u8]);

/// Reads a file of images. `bytes` are the whole file, unzipped; nothing is copied.
///
/// # Errors
/// A [`Fault`] when the magic number is another, or the sizes in the header and the file's own
/// differ. `file` is for the message only.
pub fn parse_images<'a>(file: &Path, bytes: &'a [u8]) -> Result<ParsedImages<'a>, Fault> {
    check_header(file, bytes, IMAGES, &[])?;
    let [count, height, width] =
        [4, 8, 12].map(|offset| word(bytes, offset).map(u64::from)).map(Option::unwrap_or_default);
    if bytes.len() < IMAGE_HEADER {
        return Err(truncated(file, bytes, IMAGE_HEADER as u64));
    }
    // Three 32-bit numbers may multiply to more than 64 bits: such a file does not exist.
    let expected = count
        .checked_mul(height)
        .and_then(|n| n.checked_mul(width))
        .and_then(|n| n.checked_add(IMAGE_HEADER as u64))
        .unwrap_or(u64::MAX);
    check_length(file, bytes.len() as u64, expected)?;
    let shape = Shape { channels: 1, height: height as usize, width: width as usize };
    Ok((shape, &bytes[IMAGE_HEADER..]))
}

/// Reads a file of labels, likewise; each must be below `classes`.
///
/// # Errors
/// A [`Fault`] as for images, or at the first label that is no class.
pub fn parse_labels<'a>(file: &Path, bytes: &'a [u8], classes: u8) -> Result<&'a [u8], Fault> {
    check_header(file, bytes, LABELS, &[])?;
    let Some(count) = word(bytes, 4) else {
        return Err(truncated(file, bytes, LABEL_HEADER as u64));
    };
    check_length(file, bytes.len() as u64, u64::from(count) + LABEL_HEADER as u64)?;
    let labels = &bytes[LABEL_HEADER..];
    match labels.iter().position(|label| *label >= classes) {
        None => Ok(labels),
        Some(at) => {
            let kind = Kind::Label { found: labels[at], last: classes.saturating_sub(1) };
            Err(Fault::new(file, (LABEL_HEADER + at) as u64, kind))
        }
    }
}

fn truncated(file: &Path, bytes: &[u8], expected: u64) -> Fault {
    Fault::new(file, bytes.len() as u64, Kind::Truncated { expected })
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
    fn each_fault_has_its_message() {
        let images = |bytes: &[u8]| parse_images(Path::new("f"), bytes).unwrap_err().to_string();
        assert_eq!(images(b""), "f: byte 0: the file is empty");
        assert!(images(&[0, 0, 8]).contains("byte 3: the file ends here, but 4 bytes"));
        assert!(images(&header(&[0x803, 1], &[])).contains("byte 8: the file ends here"));
        let labels_instead = images(&header(&[0x801, 1], &[0]));
        assert!(labels_instead.contains("is 0x00000801, but 0x00000803 (images"));
        assert!(images(&header(&[0x803, 2, 1, 1], &[0])).contains("byte 17: the file ends here"));
        assert!(images(&header(&[0x803, 1, 1, 1], &[0, 0])).contains("byte 17: the file goes on"));
        let huge = images(&header(&[0x803, u32::MAX, u32::MAX, u32::MAX], &[0]));
        assert!(huge.contains("byte 17: the file ends here"), "{huge}");
        let labels =
            |bytes: &[u8]| parse_labels(Path::new("f"), bytes, 10).unwrap_err().to_string();
        assert!(labels(&header(&[0x801, 3], &[0, 10, 4])).contains("byte 9: label 10, but"));
        assert!(labels(&header(&[0x801], &[0, 0])).contains("byte 6: the file ends here"));
    }

    #[test]
    fn a_header_of_another_set_is_told() {
        let bytes = header(&[0x803, 10_000, 28, 27], &[]);
        let fails = |expected: &[u64]| {
            check_header(Path::new("f"), &bytes, IMAGES, expected).unwrap_err().to_string()
        };
        let fewer = fails(&[60_000, 28, 28]);
        assert!(fewer.contains("byte 4: the header says 10000 items, but this set has 60000"));
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
