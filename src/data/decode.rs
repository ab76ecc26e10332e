//! Decoding one image file: its header, or its pixels.

use super::complete::{self, Kind};
use super::content_hash::key;
use super::pixels::{Sides, planes};
use super::{Images, Shape, resize};
use anyhow::{Context, Result, bail, ensure};
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, ImageReader, Limits, RgbImage};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

/// The header of an image file.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Rows and columns.
    pub sides: Sides,
    /// Whether the image has no colour channels.
    pub is_grey: bool,
}

/// A decoded image.
pub struct Decoded {
    /// Bytes of the pixels.
    pub pixels: Vec<u8>,
    /// Rows and columns.
    pub sides: Sides,
    /// Key of the label and the bytes of the file, see [`key`].
    pub key: u64,
}

/// The shape to which images are decoded.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Shape of the result.
    pub shape: Shape,
    /// Number of rows and columns to resize to; `None` if images keep their size.
    pub resize: Option<usize>,
}

/// Number of bytes at the start of a file in which its header is searched first.
const HEADER: u64 = 1 << 14;
/// The longest side that is accepted.
const LONGEST_SIDE: u32 = 1 << 15;
/// Bytes that a decoder may allocate per byte of the file. No picture is compressed more than this, and
/// a small file cannot exhaust the memory.
const EXPANSION: u64 = 4096;
/// Bytes that every decoder may allocate, and that none may exceed.
const ALLOWANCE: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 30);

/// A decoder of a file of `file_size` bytes, of which `bytes` may be only the beginning.
fn decoder<'a>(path: &Path, bytes: &'a [u8], file_size: u64) -> Result<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind(path, bytes)?.format());
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(allowance(file_size));
    reader.limits(limits);
    let decoder = reader.into_decoder().with_context(|| undecodable(path))?;
    let (width, height) = decoder.dimensions();
    ensure!(width > 0 && height > 0, "{}: the image has no pixels", path.display());
    // Some decoders ignore the limits when they write to a buffer of the caller.
    ensure!(
        decoder.total_bytes() <= allowance(file_size),
        "{}: the header promises {width}×{height} pixels, too many for a file of {file_size} bytes",
        path.display(),
    );
    Ok(decoder)
}

/// The format of a file, by its first bytes.
fn kind(path: &Path, bytes: &[u8]) -> Result<Kind> {
    ensure!(!bytes.is_empty(), "{}: byte 0: the file is empty", path.display());
    match Kind::of(bytes) {
        Some(kind) => Ok(kind),
        None => bail!(
            "{}: byte 0: this is not a PNG, JPEG, WebP, BMP, PPM or PGM image",
            path.display()
        ),
    }
}

fn allowance(file_size: u64) -> u64 {
    file_size.saturating_mul(EXPANSION).clamp(*ALLOWANCE.start(), *ALLOWANCE.end())
}

fn undecodable(path: &Path) -> String {
    format!("{} cannot be decoded", path.display())
}

/// Reads the header of an image file.
///
/// # Errors
/// When the file is not an image, or promises more pixels than a file of its size can hold.
pub fn header(path: &Path) -> Result<Header> {
    let reading = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(reading)?;
    let size = file.metadata().with_context(reading)?.len();
    let mut bytes = Vec::new();
    (&mut file).take(HEADER).read_to_end(&mut bytes).with_context(reading)?;
    if let Ok(decoder) = decoder(path, &bytes, size) {
        return Ok(summary(&decoder));
    }
    // A long comment may precede the header.
    file.read_to_end(&mut bytes).with_context(reading)?;
    complete::check(path, &bytes, kind(path, &bytes)?)?;
    Ok(summary(&decoder(path, &bytes, size)?))
}

fn summary(decoder: &impl ImageDecoder) -> Header {
    let (width, height) = decoder.dimensions();
    let colour = decoder.color_type();
    let is_grey =
        matches!(colour, ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16);
    Header { sides: Sides { height: height as usize, width: width as usize }, is_grey }
}

fn open(path: &Path, label: u16) -> Result<(DynamicImage, Sides, u64)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let kind = kind(path, &bytes)?;
    complete::check(path, &bytes, kind)?;
    let decoder = decoder(path, &bytes, bytes.len() as u64)?;
    let image = match kind {
        Kind::Jpeg => jpeg(&bytes, &decoder),
        Kind::Png | Kind::WebP | Kind::Bmp | Kind::Pnm => {
            DynamicImage::from_decoder(decoder).map_err(anyhow::Error::from)
        }
    };
    let image = image.with_context(|| undecodable(path))?;
    let sides = Sides { height: image.height() as usize, width: image.width() as usize };
    Ok((image, sides, key(label, &bytes)))
}

/// Decodes a JPEG file. The decoder of `image` replaces what it cannot decode by grey; this is the same
/// decoder, but strict, except about bytes between headers, which are harmless. `header` has read them.
fn jpeg(bytes: &[u8], header: &impl ImageDecoder) -> Result<DynamicImage> {
    let is_grey = header.color_type() == ColorType::L8;
    let colours = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(LONGEST_SIDE as usize)
        .set_max_height(LONGEST_SIDE as usize)
        .jpeg_set_out_colorspace(colours);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers()?;
    decoder.set_options(options.set_strict_mode(true));
    let pixels = decoder.decode()?;
    let (width, height) = header.dimensions();
    let image = if is_grey {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    image.context("the number of pixels is not that of the header")
}

/// Decodes an image file to planes of the target's shape.
///
/// # Errors
/// When the file cannot be decoded, or its size has changed since its header was read.
pub fn decode(path: &Path, label: u16, target: Target) -> Result<Decoded> {
    let (image, Sides { height, width }, key) = open(path, label)?;
    let channels = target.shape.channels;
    let pixels = match channels {
        1 => image.into_luma8().into_raw(),
        _ => planes(&image.into_rgb8().into_raw(), channels),
    };
    let shape = Shape { channels, height, width };
    let mut one = Images { shape, pixels, labels: vec![label] };
    if let Some(size) = target.resize {
        one = resize(one, size);
    }
    ensure!(one.shape == target.shape, "{} changed while it was read", path.display());
    let sides = Sides { height: one.shape.height, width: one.shape.width };
    Ok(Decoded { pixels: one.pixels, sides, key })
}

/// Decodes an image file of any kind to interleaved red, green and blue at its own size.
///
/// # Errors
/// When the file cannot be decoded, naming it.
pub fn colour(path: &Path, label: u16) -> Result<Decoded> {
    let (image, sides, key) = open(path, label)?;
    Ok(Decoded { pixels: image.into_rgb8().into_raw(), sides, key })
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

    fn attempt(bytes: &[u8]) -> Result<Decoded> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, bytes).unwrap();
        let shape = Shape { channels: 3, height: 2, width: 2 };
        decode(&path, 0, Target { shape, resize: Some(2) })
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_memory_is_allocated() {
        let mut bytes = png(1, 1);
        // IHDR: width at 16, height at 20, its CRC over 12..29 at 29.
        bytes[16..24].copy_from_slice(&[0, 0, 0x70, 0, 0, 0, 0x70, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let message = format!("{:#}", attempt(&bytes).err().unwrap());
        assert!(message.contains("a.png"), "{message}");
        assert!(message.contains("too many") || message.contains("limit"), "{message}");
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
            if let Ok(decoded) = attempt(&bytes) {
                prop_assert_eq!(decoded.pixels.len(), 12);
            }
        }
    }
}
