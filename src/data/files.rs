//! Reading data files, plain or gzipped, with memory bounded by their expected size, and creating folders.

use super::file_error::{FileError, FileErrorKind};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes by which a gzip file may be longer than its contents: headers, and uncompressed blocks.
const GZIP_OVERHEAD: u64 = 1 << 20;

/// Reads exactly `expected` bytes from a file, which is decompressed if its first bytes are those of a
/// gzip file.
///
/// # Errors
/// When the file cannot be read; a [`FileError`] when it is empty, shorter, longer, or an invalid gzip file.
pub fn read_exactly(path: &Path, expected: u64) -> Result<Vec<u8>> {
    let bytes = read_up_to(path, expected)?;
    check_length(path, bytes.len() as u64, expected)?;
    Ok(bytes)
}

/// Reads at most `expected` + 1 bytes from a file, as [`read_exactly`] does, for formats whose header says
/// more about an error than the length.
///
/// # Errors
/// When the file cannot be read; a [`FileError`] when it is an invalid gzip file.
pub fn read_up_to(path: &Path, expected: u64) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut raw = read_at_most(file, expected + GZIP_OVERHEAD)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if raw.starts_with(&GZIP_MAGIC) {
        return Ok(gunzip(path, &raw, expected)?);
    }
    raw.truncate(usize::try_from(expected)?.saturating_add(1));
    Ok(raw)
}

/// The first two bytes of every gzip file.
pub const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether these are the first bytes of an HTML page, which servers and portals send in place of a file.
pub fn is_html(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&head[..head.len().min(256)]).to_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    ["<!doctype html", "<html", "<head"].iter().any(|start| text.starts_with(start))
}

/// Reads at most `limit` bytes. The allocated memory grows with the bytes read, not with the limit.
fn read_at_most(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decompresses `raw` to at most `expected` + 1 bytes.
///
/// # Errors
/// A [`FileError`] with the offset in the gzip file where the stream is invalid, or where bytes follow its
/// end.
pub fn gunzip(path: &Path, raw: &[u8], expected: u64) -> Result<Vec<u8>, FileError> {
    let mut decoder = flate2::bufread::GzDecoder::new(raw);
    let mut bytes = Vec::new();
    let outcome = (&mut decoder).take(expected + 1).read_to_end(&mut bytes);
    // `into_inner` returns the bytes that the decoder has not consumed.
    let offset = (raw.len() - decoder.into_inner().len()) as u64;
    if let Err(error) = outcome {
        return Err(FileError::new(path, offset, FileErrorKind::Gzip(error.to_string())));
    }
    if bytes.len() as u64 == expected && offset < raw.len() as u64 {
        let more = "bytes follow the end of the compressed data".to_owned();
        return Err(FileError::new(path, offset, FileErrorKind::Gzip(more)));
    }
    Ok(bytes)
}

/// Checks that a file of `found` bytes has the expected length.
///
/// # Errors
/// A [`FileError`] at the first missing or superfluous byte.
pub fn check_length(path: &Path, found: u64, expected: u64) -> Result<(), FileError> {
    match found {
        0 => Err(FileError::new(path, 0, FileErrorKind::Empty)),
        n if n < expected => Err(FileError::new(path, n, FileErrorKind::Truncated { expected })),
        n if n > expected => {
            Err(FileError::new(path, expected, FileErrorKind::Oversized { expected }))
        }
        _ => Ok(()),
    }
}

/// Checks the size of a file on disk before any of it is read.
///
/// # Errors
/// When the file is missing; a [`FileError`] when its size is not the expected one.
pub fn check_size_on_disk(path: &Path, expected: u64) -> Result<()> {
    let about =
        std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(check_length(path, about.len(), expected)?)
}

/// Creates a folder and its parents.
///
/// # Errors
/// When the folder cannot be created, naming it.
pub fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn message_for(contents: &[u8], expected: u64) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some-file");
        std::fs::write(&path, contents).unwrap();
        format!("{:#}", read_exactly(&path, expected).unwrap_err())
    }

    #[test]
    fn every_wrong_length_is_reported_with_file_and_offset() {
        assert!(message_for(b"", 5).contains("some-file: byte 0: the file is empty"));
        let short = message_for(b"abc", 5);
        assert!(
            short.contains("some-file: byte 3: the file ends here, but should have 5 bytes"),
            "{short}"
        );
        let long = message_for(b"abcdefg", 5);
        assert!(long.contains("some-file: byte 5: the file continues here"), "{long}");
        let short = message_for(&zip(b"abc"), 5);
        assert!(short.contains("byte 3: the file ends here, but should have 5 bytes"), "{short}");
    }

    #[test]
    fn pages_are_recognised() {
        for page in ["<!DOCTYPE html>\n<html>", "\u{feff}  <HTML lang=\"en\">", "\n<head>"] {
            assert!(is_html(page.as_bytes()), "{page}");
        }
        for other in [&b"\x1f\x8b<html>"[..], b"", b"html", b"<svg>"] {
            assert!(!is_html(other));
        }
    }

    #[test]
    fn damaged_gzip_is_reported() {
        let mut cut = zip(&[7; 100_000]);
        cut.truncate(cut.len() - 6);
        assert!(message_for(&cut, 100_000).contains("invalid gzip file"));
        let mut wrong_sum = zip(b"abcde");
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        assert!(message_for(&wrong_sum, 5).contains("invalid gzip file"));
        let mut more = zip(b"abcde");
        more.extend(b"more");
        assert!(message_for(&more, 5).contains("bytes follow"), "{}", message_for(&more, 5));
    }

    #[test]
    fn a_gzip_bomb_takes_no_more_memory_than_the_file_should_hold() {
        let bomb = zip(&vec![0; 30_000_000]);
        let bytes = gunzip(Path::new("bomb"), &bomb, 1000).unwrap();
        assert!(bytes.capacity() < 10_000);
        assert!(message_for(&bomb, 1000).contains("continues here"));
    }
}
