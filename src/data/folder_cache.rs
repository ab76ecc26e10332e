//! Decoded images kept in one file, so that a folder of images is decoded once and not at every
//! start. The file is only a copy: whatever is wrong with it, it is made again.

use super::content_hash::{HashedImages, hex};
use super::folder::Listing;
use super::official::Whole;
use super::{Images, Shape};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const MAGIC: &[u8; 16] = b"fathom images 1\n";
const SUM: usize = 32;

/// What stands before the bytes.
#[derive(Serialize, Deserialize)]
struct Header {
    key: String,
    classes: Vec<String>,
    notes: Vec<String>,
    shape: [usize; 3],
    counts: [usize; 2],
}

impl Header {
    /// Bytes that follow the header; none when the numbers are beyond all bounds.
    fn body(&self) -> Option<u64> {
        let product = |numbers: &[usize]| {
            numbers.iter().try_fold(1u64, |product, n| product.checked_mul(*n as u64))
        };
        let per_image = product(&self.shape)?.checked_add(2 + 8)?;
        (self.counts[0] as u64).checked_add(self.counts[1] as u64)?.checked_mul(per_image)
    }
}

/// What the decoded images depend on: the files, their sizes and times, and the size asked for.
///
/// # Errors
/// When a file cannot be looked at.
pub fn key(listing: &Listing, size: Option<usize>) -> Result<String> {
    key_of(listing, &format!("{size:?}"))
}

/// The same for any way of storing them, in words.
///
/// # Errors
/// As for [`key`].
pub fn key_of(listing: &Listing, how: &str) -> Result<String> {
    let mut sum = Sha256::new();
    sum.update(MAGIC);
    let root = std::path::absolute(&listing.root)?;
    sum.update(format!("{}\n{how}\n", root.display()));
    for (path, label) in listing.train.iter().chain(&listing.test) {
        let about =
            std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
        let (seconds, nanoseconds) = (about.mtime(), about.mtime_nsec());
        sum.update(format!(
            "{label} {} {seconds}.{nanoseconds} {}\n",
            about.len(),
            path.strip_prefix(&listing.root).unwrap_or(path).display()
        ));
    }
    Ok(hex(&sum.finalize()))
}

/// Reads the file at `path` if it is whole, undamaged and of this `key`.
pub fn read(path: &Path, key: &str) -> Option<Whole> {
    let mut file = std::fs::File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let mut start = [0; 16 + SUM + 8];
    file.read_exact(&mut start).ok()?;
    let (magic, rest) = start.split_at(16);
    let (expected, length) = rest.split_at(SUM);
    let length = u64::from_le_bytes(length.try_into().ok()?);
    let left = size.checked_sub(start.len() as u64)?;
    // Memory is taken only for what the file really holds.
    if magic != MAGIC || length > left {
        return None;
    }
    let mut header = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut header).ok()?;
    let mut sum = Sha256::new();
    sum.update(&header);
    let header: Header = serde_json::from_slice(&header).ok()?;
    if header.key != key || header.body()? != left - length {
        return None;
    }
    let [channels, height, width] = header.shape;
    let shape = Shape { channels, height, width };
    let train = read_part(&mut file, shape, header.counts[0], &mut sum)?;
    let test = read_part(&mut file, shape, header.counts[1], &mut sum)?;
    let inside = |part: &HashedImages| {
        part.images.labels.iter().all(|label| usize::from(*label) < header.classes.len())
    };
    let sound = sum.finalize()[..] == *expected && inside(&train) && inside(&test);
    sound.then_some(Whole { classes: header.classes, train, test, notes: header.notes })
}

fn read_part(
    file: &mut std::fs::File,
    shape: Shape,
    count: usize,
    sum: &mut Sha256,
) -> Option<HashedImages> {
    let mut take = |length: usize| -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).ok()?;
        sum.update(&bytes);
        Some(bytes)
    };
    let pixels = take(count * shape.len())?;
    let labels = take(count * 2)?.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
    let keys = take(count * 8)?.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
    Some(HashedImages { images: Images { shape, pixels, labels }, keys })
}

/// Writes the file: magic, SHA-256 of what follows, length of the header, header, and for both
/// parts pixels, labels and keys.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(path: &Path, key: &str, whole: &Whole) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let Shape { channels, height, width } = whole.train.images.shape;
    let header = serde_json::to_vec(&Header {
        key: key.to_owned(),
        classes: whole.classes.clone(),
        notes: whole.notes.clone(),
        shape: [channels, height, width],
        counts: [whole.train.images.len(), whole.test.images.len()],
    })?;
    let mut pieces = vec![header.clone()];
    let mut borrowed: Vec<&[u8]> = Vec::new();
    for part in [&whole.train, &whole.test] {
        pieces.push(part.images.labels.iter().flat_map(|l| l.to_le_bytes()).collect());
        pieces.push(part.keys.iter().flat_map(|k| k.to_le_bytes()).collect());
    }
    borrowed.push(&pieces[0]);
    for (part, at) in [(&whole.train, 1), (&whole.test, 3)] {
        borrowed.extend([&part.images.pixels[..], &pieces[at], &pieces[at + 1]]);
    }
    let mut sum = Sha256::new();
    borrowed.iter().for_each(|piece| sum.update(piece));

    let attempt = || -> std::io::Result<()> {
        let file = tempfile::Builder::new().suffix(".tmp").tempfile_in(folder)?;
        let mut out = BufWriter::new(file);
        out.write_all(MAGIC)?;
        out.write_all(&sum.finalize())?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        borrowed.iter().try_for_each(|piece| out.write_all(piece))?;
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.persist(path).map_err(|failure| failure.error)?;
        Ok(())
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}
