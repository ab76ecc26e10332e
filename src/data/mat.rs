//! The files of SVHN's cropped digits: MATLAB 5.0 files with an array `X` of rows × columns × channels × images,
//! whose first index changes fastest, and a list `y` of digits, in which 10 stands for 0. (Format:
//! "MAT-File Format", MathWorks: a header, then elements of type, length and data, which may be compressed.)

use super::file_error::{FileError, FileErrorKind};
use super::{Images, Shape, cifar};
use flate2::read::ZlibDecoder;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Length of the header of a file; its last two bytes say that numbers are little-endian.
const HEADER: usize = 128;

/// Types of elements.
const UINT8: u32 = 2;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Appends the images of a file, whose whole contents are `bytes`, to `images` of CIFAR's shape.
///
/// # Errors
/// A [`FileError`] when it is not such a file, has another number of images than `count`, or a label that is
/// not a digit. `file` is used in the message only.
pub fn append(
    file: &Path,
    bytes: &[u8],
    count: usize,
    images: &mut Images,
) -> Result<(), FileError> {
    let outcome = read(bytes, count, images);
    outcome.map_err(|kind| FileError::new(file, 0, kind))
}

fn read(bytes: &[u8], count: usize, images: &mut Images) -> Result<(), FileErrorKind> {
    let Shape { channels, height, width } = cifar::SHAPE;
    let size = cifar::SHAPE.len();
    if bytes.is_empty() {
        return Err(FileErrorKind::Empty);
    }
    let mut arrays =
        arrays(bytes, count * size).ok_or_else(|| invalid("its structure is damaged"))?;
    let mut array = |name: &str| {
        arrays.remove(name).ok_or_else(|| invalid(&format!("it has no array `{name}`")))
    };
    let (pixels, digits) = (array("X")?, array("y")?.digits());
    let fields = ["rows", "columns", "channels", "images"];
    let sides = pixels.sides.iter().copied().chain(std::iter::repeat(1));
    let labels =
        [("labels", digits.len(), count), ("bytes of images", pixels.bytes().len(), count * size)];
    let of_pixels = fields.into_iter().zip(sides).zip([height, width, channels, count]);
    for (field, found, expected) in
        of_pixels.map(|((field, found), side)| (field, found, side)).chain(labels)
    {
        if found != expected {
            let (found, expected) = (found as u64, expected as u64);
            return Err(FileErrorKind::Header { field, found, expected });
        }
    }
    for digit in digits {
        if !(1..=10).contains(&digit) {
            return Err(FileErrorKind::Digit(digit));
        }
        images.labels.push(u16::from(digit % 10));
    }
    images.pixels.reserve_exact(count * size);
    for plane in pixels.bytes().chunks_exact(height * width) {
        let row = |row: usize| (0..width).map(move |column| plane[column * height + row]);
        images.pixels.extend((0..height).flat_map(row));
    }
    Ok(())
}

fn invalid(reason: &str) -> FileErrorKind {
    FileErrorKind::Mat(reason.to_owned())
}

/// An array of a file.
struct Array {
    /// Numbers of values along each index.
    sides: Vec<usize>,
    /// Type of the values.
    kind: u32,
    data: Vec<u8>,
}

impl Array {
    /// The values, if they are bytes.
    fn bytes(&self) -> &[u8] {
        if self.kind == UINT8 { &self.data } else { &[] }
    }

    /// The values as digits, if they are bytes or floating-point numbers. Others become 0, which is no digit.
    fn digits(&self) -> Vec<u8> {
        match self.kind {
            UINT8 => self.data.clone(),
            DOUBLE => {
                let digit = |bytes: &[u8; 8]| {
                    let value = f64::from_le_bytes(*bytes);
                    (1..=10).find(|digit| f64::from(*digit) == value).unwrap_or(0)
                };
                self.data.as_chunks().0.iter().map(digit).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The arrays of a file by name, of which none has more than `most` bytes. `None` if the file is damaged.
fn arrays(bytes: &[u8], most: usize) -> Option<HashMap<String, Array>> {
    let mut rest = bytes.get(HEADER..).filter(|_| bytes[..HEADER].ends_with(b"IM"))?;
    let mut found = HashMap::new();
    while !rest.is_empty() {
        match element(&mut rest)? {
            (COMPRESSED, data) => {
                // The other parts of an array are much shorter than a page.
                let mut whole = Vec::new();
                ZlibDecoder::new(data).take(most as u64 + 4096).read_to_end(&mut whole).ok()?;
                let mut inner = &whole[..];
                let (MATRIX, data) = element(&mut inner)? else { return None };
                found.extend(array(data));
            }
            (MATRIX, data) => found.extend(array(data)),
            _ => {}
        }
    }
    Some(found)
}

/// Name and contents of an array; `None` if it has no numbers.
fn array(mut data: &[u8]) -> Option<(String, Array)> {
    let (_flags, sides, name) = (element(&mut data)?, element(&mut data)?.1, element(&mut data)?.1);
    let (kind, values) = element(&mut data)?;
    let sides = sides.as_chunks().0.iter().map(|side| u32::from_le_bytes(*side) as usize).collect();
    let name = String::from_utf8_lossy(name).into_owned();
    Some((name, Array { sides, kind, data: values.to_vec() }))
}

/// Takes type and data of the next element from `rest`.
fn element<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let first = word(0)?;
    // Up to four bytes of data stand in the place of the length, which is then beside the type.
    if first >> 16 != 0 {
        let data = rest.get(4..4 + (first >> 16) as usize)?;
        *rest = rest.get(8..)?;
        return Some((first & 0xffff, data));
    }
    let length = word(4)? as usize;
    let data = rest.get(8..8 + length)?;
    // All but compressed elements end at a multiple of eight bytes.
    let end = if first == COMPRESSED { length } else { length.next_multiple_of(8) };
    *rest = rest.get(8 + end..).unwrap_or_default();
    Some((first, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::official::no_images;

    /// Three images that encode row, column, channel and image, written by SciPy as MATLAB does.
    const FILE: &[u8] = include_bytes!("../../tests/fixtures/images/svhn.mat");

    #[test]
    fn images_are_turned_and_ten_is_zero() {
        let mut images = no_images();
        append(Path::new("f"), FILE, 3, &mut images).unwrap();
        assert_eq!(images.labels, [1, 0, 9]);
        for (at, value) in images.pixels.iter().enumerate() {
            let (image, channel) = (at / 3072, at / 1024 % 3);
            let (row, column) = (at / 32 % 32, at % 32);
            assert_eq!(usize::from(*value), (row * 3 + column + channel * 50 + image * 20) % 256);
        }
    }

    #[test]
    fn a_file_that_is_cut_or_changed_gives_an_error_or_whole_images() {
        for left in 0..FILE.len() {
            assert!(append(Path::new("f"), &FILE[..left], 3, &mut no_images()).is_err(), "{left}");
        }
        for at in 0..FILE.len() {
            let mut changed = FILE.to_vec();
            changed[at] ^= 0x55;
            let mut images = no_images();
            if append(Path::new("f"), &changed, 3, &mut images).is_ok() {
                assert_eq!((images.pixels.len(), images.len()), (3 * 3072, 3));
            }
        }
    }

    #[test]
    fn other_files_are_refused() {
        let fails = |bytes: &[u8], count| {
            append(Path::new("f"), bytes, count, &mut no_images()).unwrap_err().to_string()
        };
        let fewer = fails(FILE, 73_257);
        assert!(fewer.contains("the header says 3 images, but this data set has 73257"), "{fewer}");
        assert!(fails(b"", 3).contains("the file is empty"));
        assert!(fails(b"MATLAB 5.0 MAT-file", 3).contains("invalid MATLAB file"));
    }
}
