//! Reading data files, plain or gzipped, without ever taking memory on the word of a header.

use super::fault::{Fault, Kind};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a gzip file may be longer than its contents: headers, and blocks stored as they are.
const GZIP_OVERHEAD: u64 = 1 << 20;

/// The bytes of `path`, unzipped if it is gzipped (told by its first bytes, not by its name);
/// they must be exactly `expected` in number.
///
/// # Errors
/// When the file cannot be read; a [`Fault`] when it is empty, shorter, longer or badly zipped.
pub fn read_exactly(path: &Path, expected: u64) -> Result<Vec<u8>> {
    let bytes = read_up_to(path, expected)?;
    check_length(path, bytes.len() as u64, expected)?;
    Ok(bytes)
}

/// The same for a file whose header tells more about what is wrong than its length does: the
/// bytes may be fewer than `expected`, or one more if there are too many.
///
/// # Errors
/// When the file cannot be read or is badly zipped.
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

/// At most `limit` bytes from `reader`. Memory grows with what arrives, not with the limit.
fn read_at_most(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Unzips `raw` until it ends or gives one byte more than `expected`.
///
/// # Errors
/// A [`Fault`] with the offset in the zipped file where the stream breaks, or goes on after its end.
pub fn gunzip(path: &Path, raw: &[u8], expected: u64) -> Result<Vec<u8>, Fault> {
    let mut decoder = flate2::bufread::GzDecoder::new(raw);
    let mut bytes = Vec::new();
    let outcome = (&mut decoder).take(expected + 1).read_to_end(&mut bytes);
    // `into_inner` is what the decoder has not taken.
    let offset = (raw.len() - decoder.into_inner().len()) as u64;
    if let Err(error) = outcome {
        return Err(Fault::new(path, offset, Kind::Gzip(error.to_string())));
    }
    if bytes.len() as u64 == expected && offset < raw.len() as u64 {
        let more = "something follows the end of the compressed data".to_owned();
        return Err(Fault::new(path, offset, Kind::Gzip(more)));
    }
    Ok(bytes)
}

/// Checks that a file of `found` bytes has `expected`.
///
/// # Errors
/// A [`Fault`] at the first byte that is missing or too many.
pub fn check_length(path: &Path, found: u64, expected: u64) -> Result<(), Fault> {
    match found {
        0 => Err(Fault::new(path, 0, Kind::Empty)),
        n if n < expected => Err(Fault::new(path, n, Kind::Truncated { expected })),
        n if n > expected => Err(Fault::new(path, expected, Kind::Oversized { expected })),
        _ => Ok(()),
    }
}

/// Checks the size of a file on disk before any of it is read.
///
/// # Errors
/// When there is no such file; a [`Fault`] when its size is another.
pub fn check_size_on_disk(path: &Path, expected: u64) -> Result<()> {
    let about =
        std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(check_length(path, about.len(), expected)?)
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
    fn every_wrong_length_is_told_with_file_and_offset() {
        assert!(message_for(b"", 5).contains("some-file: byte 0: the file is empty"));
        let short = message_for(b"abc", 5);
        assert!(short.contains("some-file: byte 3: the file ends here, but 5 bytes"), "{short}");
        let long = message_for(b"abcdefg", 5);
        assert!(long.contains("some-file: byte 5: the file goes on here"), "{long}");
        let short = message_for(&zip(b"abc"), 5);
        assert!(short.contains("byte 3: the file ends here, but 5 bytes"), "{short}");
    }

    #[test]
    fn damaged_gzip_is_told() {
        let mut cut = zip(&[7; 100_000]);
        cut.truncate(cut.len() - 6);
        assert!(message_for(&cut, 100_000).contains("not a sound gzip file"));
        let mut wrong_sum = zip(b"abcde");
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        assert!(message_for(&wrong_sum, 5).contains("not a sound gzip file"));
        let mut more = zip(b"abcde");
        more.extend(b"more");
        assert!(message_for(&more, 5).contains("something follows"), "{}", message_for(&more, 5));
    }

    #[test]
    fn a_gzip_bomb_takes_no_more_memory_than_the_file_should_hold() {
        let bomb = zip(&vec![0; 30_000_000]);
        let bytes = gunzip(Path::new("bomb"), &bomb, 1000).unwrap();
        assert!(bytes.capacity() < 10_000);
        assert!(message_for(&bomb, 1000).contains("goes on here"));
    }
}
