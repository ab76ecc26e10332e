//! Whether an image file is complete. Decoders stop at the last pixel, and some fill what is missing with
//! grey, so the structure of a file is followed to its end before it is decoded.

use super::file_error::{FileError, FileErrorKind};
use image::ImageFormat;
use std::path::Path;

/// The formats of image files that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PNG.
    Png,
    /// JPEG, baseline or progressive.
    Jpeg,
    /// WebP.
    WebP,
    /// BMP.
    Bmp,
    /// PPM, PGM and PBM.
    Pnm,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Png, Self::Jpeg, Self::WebP, Self::Bmp, Self::Pnm];

    /// The format of a file with these first bytes; `None` if it is not one that is read.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let format = image::guess_format(bytes).ok()?;
        Self::ALL.into_iter().find(|kind| kind.format() == format)
    }

    /// The name of the format for the decoder.
    pub fn format(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::WebP => ImageFormat::WebP,
            Self::Bmp => ImageFormat::Bmp,
            Self::Pnm => ImageFormat::Pnm,
        }
    }
}

/// Checks that the end of the image is in `bytes`, which may be followed by others. The decoders of BMP and
/// PNM files find out for themselves.
///
/// # Errors
/// A [`FileError`] at the end of the file if the image goes on, or at a part of a PNG file whose checksum is
/// wrong. `file` is used in the message only.
pub fn check(file: &Path, bytes: &[u8], kind: Kind) -> Result<(), FileError> {
    let wrong = match kind {
        Kind::Png => png(bytes),
        Kind::Jpeg => jpeg(bytes),
        Kind::WebP => webp(bytes),
        Kind::Bmp | Kind::Pnm => return Ok(()),
    };
    wrong.map_err(|(offset, kind)| FileError::new(file, offset as u64, kind))
}

/// The offset of an error, and what is wrong there.
type Wrong = (usize, FileErrorKind);

/// Bytes `from..to`, or an error at the end of the file.
fn part(bytes: &[u8], from: usize, to: usize) -> Result<&[u8], Wrong> {
    bytes.get(from..to).ok_or((bytes.len(), FileErrorKind::Unfinished))
}

/// Follows the chunks of a PNG file (length, name, contents, CRC-32) to `IEND`. Chunks that a decoder needs
/// not understand, which have a small first letter, may have a wrong checksum.
fn png(bytes: &[u8]) -> Result<(), Wrong> {
    const SIGNATURE: usize = 8;
    let word = |at: usize| {
        let four = part(bytes, at, at + 4)?;
        Ok(four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    };
    let mut at = SIGNATURE;
    loop {
        let end = at + 8 + word(at)? as usize;
        let named = part(bytes, at + 4, end)?;
        let found = word(end)?;
        let mut sum = flate2::Crc::new();
        sum.update(named);
        if named[0].is_ascii_uppercase() && sum.sum() != found {
            return Err((at, FileErrorKind::Checksum));
        }
        if named.starts_with(b"IEND") {
            return Ok(());
        }
        at = end + 4;
    }
}

/// Follows the markers of a JPEG file to the end of the image, over the compressed data between them.
fn jpeg(bytes: &[u8]) -> Result<(), Wrong> {
    /// Markers without contents: a stuffed zero, TEM, RST0 to RST7, and fill bytes before another marker.
    const ALONE: [std::ops::RangeInclusive<u8>; 4] = [0..=1, 0xd0..=0xd7, 0xd8..=0xd8, 0xff..=0xff];
    const END: u8 = 0xd9;
    let mut at = 2;
    loop {
        let ahead = part(bytes, at, bytes.len())?;
        let Some(found) = ahead.iter().position(|byte| *byte == 0xff) else {
            return Err((bytes.len(), FileErrorKind::Unfinished));
        };
        at += found;
        let marker = part(bytes, at + 1, at + 2)?[0];
        if marker == END {
            return Ok(());
        }
        // A fill byte may be the first byte of the next marker.
        at += if marker == 0xff { 1 } else { 2 };
        if !ALONE.iter().any(|alone| alone.contains(&marker)) {
            let length = part(bytes, at, at + 2)?;
            at += usize::from(length[0]) << 8 | usize::from(length[1]);
        }
    }
}

/// Checks that a WebP file is as long as its header says.
fn webp(bytes: &[u8]) -> Result<(), Wrong> {
    let length = part(bytes, 4, 8)?;
    let length = length.iter().rev().fold(0, |word, byte| word << 8 | usize::from(*byte));
    part(bytes, 8, 8 + length).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoded, colour};
    use image::codecs::webp::WebPEncoder;
    use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
    use std::io::Cursor;

    /// Files that the encoders of `image` cannot write: a progressive JPEG, one with restart markers, one
    /// in CMYK, all with colours at half the resolution except the last, and a lossy WebP.
    const FILES: [(&str, &[u8]); 4] = [
        ("progressive.jpg", include_bytes!("../../tests/fixtures/images/progressive.jpg")),
        ("restart.jpg", include_bytes!("../../tests/fixtures/images/restart.jpg")),
        ("cmyk.jpg", include_bytes!("../../tests/fixtures/images/cmyk.jpg")),
        ("lossy.webp", include_bytes!("../../tests/fixtures/images/lossy.webp")),
    ];

    fn picture() -> DynamicImage {
        RgbImage::from_fn(40, 40, |x, y| Rgb([(x * 6 + y) as u8, (y * 6) as u8, (x * y) as u8]))
            .into()
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// A file of every format, and of every kind of JPEG.
    fn files() -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<(String, Vec<u8>)> =
            FILES.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let image = picture();
        for (name, format) in [
            ("a.png", ImageFormat::Png),
            ("a.jpg", ImageFormat::Jpeg),
            ("a.bmp", ImageFormat::Bmp),
            ("a.ppm", ImageFormat::Pnm),
        ] {
            files.push((name.to_owned(), encoded(&image, format)));
            files.push((format!("grey-{name}"), encoded(&image.to_luma8().into(), format)));
        }
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes)
            .encode(image.as_bytes(), 40, 40, image::ExtendedColorType::Rgb8)
            .unwrap();
        files.push(("lossless.webp".to_owned(), bytes));
        files
    }

    fn attempt(name: &str, bytes: &[u8]) -> Result<Decoded, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        colour(&path, 0).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_of_which_any_part_is_missing_is_refused_with_its_name() {
        for (name, bytes) in files() {
            attempt(&name, &bytes).map_err(|error| format!("{name}: {error}")).unwrap();
            let cuts = (1..bytes.len()).filter(|n| n % 23 == 0 || bytes.len() - n < 20);
            for left in cuts {
                let error = attempt(&name, &bytes[..left]).err();
                let error =
                    error.unwrap_or_else(|| panic!("{left} of {} bytes: {name}", bytes.len()));
                assert!(error.contains(&name), "{error}");
            }
        }
    }

    #[test]
    fn a_file_with_a_hole_at_its_end_is_refused() {
        // A download that reserved the space of the whole file first.
        for (name, bytes) in files().into_iter().filter(|(name, _)| name.ends_with(".jpg")) {
            let half = bytes.len() / 2;
            let holed = [&bytes[..half], &vec![0; bytes.len() - half]].concat();
            let error = attempt(&name, &holed).err().unwrap();
            assert!(error.contains("before the end of the image (truncated?)"), "{error}");
        }
    }

    #[test]
    fn a_changed_byte_of_a_png_is_found() {
        let bytes = encoded(&picture(), ImageFormat::Png);
        for at in 8..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(attempt("a.png", &damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn bytes_after_the_end_and_fill_bytes_are_harmless() {
        for (name, bytes) in files() {
            let whole = attempt(&name, &bytes).unwrap();
            let longer = [&bytes[..], b"more \xff\xd8 \xff"].concat();
            assert_eq!(attempt(&name, &longer).unwrap().pixels, whole.pixels, "{name}");
            if name.ends_with(".jpg") {
                // After the first part: fill bytes, and bytes that belong to nothing.
                let at = 4 + usize::from(bytes[5]);
                for more in [&b"\xff\xff\xff"[..], b"between headers"] {
                    let filled = [&bytes[..at], more, &bytes[at..]].concat();
                    assert_eq!(attempt(&name, &filled).unwrap().pixels, whole.pixels, "{name}");
                }
            }
        }
    }

    #[test]
    fn every_kind_of_image_is_decoded_as_its_own_decoder_does() {
        let mut all = files();
        let grey = GrayImage::from_fn(9, 5, |x, y| Luma([(x * 20 + y) as u8]));
        let deep = DynamicImage::from(grey.clone()).to_rgb16();
        all.push(("deep.png".to_owned(), encoded(&deep.into(), ImageFormat::Png)));
        let clear = DynamicImage::from(grey).to_luma_alpha8();
        all.push(("clear.png".to_owned(), encoded(&clear.into(), ImageFormat::Png)));
        for (name, bytes) in all {
            let expected = image::load_from_memory(&bytes).unwrap().into_rgb8();
            assert_eq!(attempt(&name, &bytes).unwrap().pixels, expected.into_raw(), "{name}");
        }
    }

    #[test]
    fn another_format_is_refused() {
        let error = attempt("a.png", b"GIF89a\x01\0\x01\0\0\0\0;").err().unwrap();
        assert!(error.contains("a.png: byte 0: this is not a PNG, JPEG, WebP"), "{error}");
    }
}
