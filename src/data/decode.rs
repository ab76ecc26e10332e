//! One image file at a time: its size, and its pixels.

use super::content_hash::key;
use super::stored::crop::planes;
use super::{Images, Shape, resize};
use anyhow::{Context, Result, bail, ensure};
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// What the header of an image file says.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether it has no colour.
    pub grey: bool,
}

/// What an image is to become.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Shape of the result.
    pub shape: Shape,
    /// Rows and columns to resize to; as it is when absent.
    pub resize: Option<usize>,
}

/// Bytes in which the header of an image is sought at first.
const HEAD: u64 = 1 << 14;
/// The longest side that is read.
const LONGEST_SIDE: u32 = 1 << 15;
/// Decoders may use so many bytes per byte of a file: more than any picture gains by being
/// compressed, and little enough that a small file cannot fill the memory.
const EXPANSION: u64 = 4096;
/// What every decoder may use, and what none may exceed.
const ALLOWANCE: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 30);

/// `file_size` is that of the whole file, of which `bytes` may be the beginning.
fn decoder<'a>(path: &Path, bytes: &'a [u8], file_size: u64) -> Result<impl ImageDecoder + 'a> {
    ensure!(!bytes.is_empty(), "{}: byte 0: the file is empty", path.display());
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format().is_none() {
        bail!("{}: byte 0: neither PNG nor JPEG nor WebP", path.display());
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(allowance(file_size));
    reader.limits(limits);
    let decoder = reader.into_decoder().with_context(|| broken(path))?;
    let (width, height) = decoder.dimensions();
    ensure!(width > 0 && height > 0, "{}: an image without pixels", path.display());
    // Not every decoder keeps to its limits before it hands over to the caller's buffer.
    ensure!(
        decoder.total_bytes() <= allowance(file_size),
        "{}: the header promises {width}×{height} pixels, too many for {} bytes of file",
        path.display(),
        file_size
    );
    Ok(decoder)
}

fn allowance(file_size: u64) -> u64 {
    file_size.saturating_mul(EXPANSION).clamp(*ALLOWANCE.start(), *ALLOWANCE.end())
}

fn broken(path: &Path) -> String {
    format!("{} cannot be decoded", path.display())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads the header of an image file.
///
/// # Errors
/// When it is no image, or promises more pixels than the file can hold.
pub fn head(path: &Path) -> Result<Head> {
    let reading = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(reading)?;
    let size = file.metadata().with_context(reading)?.len();
    let mut bytes = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut bytes).with_context(reading)?;
    let at_first = decoder(path, &bytes, size).map(|decoder| summary(&decoder));
    if at_first.is_err() && size > HEAD {
        // A long comment may stand before what is looked for.
        file.read_to_end(&mut bytes).with_context(reading)?;
        return Ok(summary(&decoder(path, &bytes, size)?));
    }
    at_first
}

fn summary(decoder: &impl ImageDecoder) -> Head {
    let (width, height) = decoder.dimensions();
    let grey = matches!(decoder.color_type(), ColorType::L8 | ColorType::La8)
        || matches!(decoder.color_type(), ColorType::L16 | ColorType::La16);
    Head { height: height as usize, width: width as usize, grey }
}

/// Decodes an image file to channels × rows × columns bytes, with the key of the file's bytes and
/// its label.
///
/// # Errors
/// When the file cannot be decoded, or changed its size since it was looked at.
pub fn decode(path: &Path, label: u16, target: Target) -> Result<(Vec<u8>, u64)> {
    let bytes = read(path)?;
    let image = DynamicImage::from_decoder(decoder(path, &bytes, bytes.len() as u64)?)
        .with_context(|| broken(path))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = match target.shape.channels {
        1 => image.into_luma8().into_raw(),
        _ => planes(&image.into_rgb8().into_raw()),
    };
    let shape = Shape { channels: target.shape.channels, height, width };
    let mut one = Images { shape, pixels, labels: vec![label] };
    if let Some(size) = target.resize {
        one = resize(one, size);
    }
    ensure!(one.shape == target.shape, "{} changed while it was read", path.display());
    Ok((one.pixels, key(label, &bytes)))
}

/// Decodes a file to red, green and blue, whatever it holds: rows × columns × 3 bytes, rows and
/// columns, and the key of label and file.
///
/// # Errors
/// When it cannot be decoded, naming it.
pub fn colour(path: &Path, label: u16) -> Result<(Vec<u8>, (usize, usize), u64)> {
    let bytes = read(path)?;
    let image = DynamicImage::from_decoder(decoder(path, &bytes, bytes.len() as u64)?)
        .with_context(|| broken(path))?;
    let sides = (image.height() as usize, image.width() as usize);
    Ok((image.into_rgb8().into_raw(), sides, key(label, &bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = DynamicImage::new_rgb8(width, height);
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn attempt(bytes: &[u8]) -> Result<(Vec<u8>, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, bytes).unwrap();
        let shape = Shape { channels: 3, height: 2, width: 2 };
        decode(&path, 0, Target { shape, resize: Some(2) })
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_memory_is_taken() {
        let mut bytes = png(1, 1);
        // IHDR: width at 16, height at 20, its CRC over 12..29 at 29.
        bytes[16..24].copy_from_slice(&[0, 0, 0x70, 0, 0, 0, 0x70, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let message = format!("{:#}", attempt(&bytes).unwrap_err());
        assert!(message.contains("a.png"), "{message}");
        assert!(message.contains("too many") || message.contains("limit"), "{message}");
    }

    #[test]
    fn planes_come_out_of_pixels() {
        assert_eq!(planes(&[1, 2, 3, 4, 5, 6]), [1, 4, 2, 5, 3, 6]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_files_give_an_error_or_an_image(
            cut in 0usize..80, at in 0usize..80, byte in any::<u8>(),
        ) {
            let mut bytes = png(7, 5);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut % bytes.len());
            if let Ok((pixels, _)) = attempt(&bytes) {
                prop_assert_eq!(pixels.len(), 12);
            }
        }
    }
}
