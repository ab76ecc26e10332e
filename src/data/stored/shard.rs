//! A shard: a file with some of the decoded images of a folder. It consists of a head, a table with one
//! entry per image, and the interleaved pixels of all images.

use crate::Shape;
use anyhow::{Context, Result};
use fathom_base::make_readable;
use memmap2::{Mmap, UncheckedAdvice};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Number of images of a shard; the last shard of a split may have fewer. So many decoded images fit
/// into memory.
pub(super) const IMAGES: usize = 512;

/// First bytes of a shard with three channels.
const COLOUR: &[u8; 16] = b"fathom shard 1\n\0";
/// First bytes of a shard with one channel.
const GREY: &[u8; 16] = b"fathom shard 1g\n";
/// Length of the head: magic, number of images, CRC-32C of the table, CRC-32C of the pixels. Shards of
/// older versions have 0 for the last.
const HEAD: usize = 16 + 8 + 4 + 4;
/// Length of an entry: offset of the pixels, key, rows, columns.
const ENTRY: usize = 8 + 8 + 2 + 2;

/// The entry of one image in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of its pixels in the file.
    start: u64,
    /// Key of its label and the bytes of its image file.
    pub(super) key: u64,
    pub(super) height: u16,
    pub(super) width: u16,
}

impl Entry {
    fn bytes(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.start.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.key.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.height.to_le_bytes());
        bytes[18..].copy_from_slice(&self.width.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        Some(Self { start: word(0)?, key: word(8)?, height: half(16)?, width: half(18)? })
    }

    /// Number of values of the image.
    fn len(&self, channels: usize) -> usize {
        usize::from(self.height) * usize::from(self.width) * channels
    }
}

/// An image to be written to a shard.
pub(super) struct Picture {
    pub(super) key: u64,
    pub(super) height: u16,
    pub(super) width: u16,
    /// Interleaved pixels.
    pub(super) pixels: Vec<u8>,
}

/// A shard that is mapped into memory.
#[derive(Debug)]
pub(super) struct Shard {
    map: Mmap,
    channels: usize,
    /// CRC-32C of all pixels; 0 if unknown.
    checksum: u32,
    entries: Vec<Entry>,
}

/// The file name of a shard.
pub(super) fn name(split: &str, number: usize) -> String {
    format!("{split}-{number:05}.shard")
}

impl Shard {
    /// Opens a shard of `count` images. Returns `None` if there is no file, or if it is incomplete or
    /// its table is damaged; pixels are not read.
    pub(super) fn open(path: &Path, count: usize) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("cannot open {}", path.display()))?,
        };
        let about = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
        if about.len() < HEAD as u64 {
            return Ok(None);
        }
        // SAFETY: a shard is written under another name and renamed when it is complete; this program
        // does not write to it afterwards.
        let map = unsafe { Mmap::map(&file) };
        let map = map.with_context(|| format!("cannot map {}", path.display()))?;
        Ok(Self::read(map, count))
    }

    fn read(map: Mmap, count: usize) -> Option<Self> {
        let (head, rest) = map.split_at_checked(HEAD)?;
        let channels = if head.starts_with(COLOUR) {
            3
        } else if head.starts_with(GREY) {
            1
        } else {
            return None;
        };
        let word = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let found = u64::from_le_bytes(head[16..24].try_into().ok()?);
        let table = (found == count as u64).then(|| rest.get(..count * ENTRY))??;
        let checksum = word(28)?;
        if word(24)? != table_checksum(table, checksum) {
            return None;
        }
        let entries: Vec<Entry> = table
            .as_chunks::<ENTRY>()
            .0
            .iter()
            .map(|entry| Entry::read(entry))
            .collect::<Option<_>>()?;
        let mut end = (HEAD + table.len()) as u64;
        for entry in &entries {
            if entry.start != end || entry.len(channels) == 0 {
                return None;
            }
            end += entry.len(channels) as u64;
        }
        (end == map.len() as u64).then_some(Self { map, channels, checksum, entries })
    }

    /// The entry of image `index`.
    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// Shape of the images, if all have the same.
    pub(super) fn shape(&self) -> Option<Shape> {
        let first = self.entries.first()?;
        let is_equal = |entry: &Entry| (entry.height, entry.width) == (first.height, first.width);
        let (height, width) = (first.height.into(), first.width.into());
        let shape = Shape { channels: self.channels, height, width };
        self.entries.iter().all(is_equal).then_some(shape)
    }

    /// Whether the pixels have the checksum with which they were written. Reads all of them.
    pub(super) fn is_intact(&self) -> bool {
        let pixels = &self.map[HEAD + self.entries.len() * ENTRY..];
        crc32c::crc32c(pixels) == self.checksum
    }

    /// The interleaved pixels of image `index`.
    pub(super) fn image(&self, index: usize) -> &[u8] {
        let entry = &self.entries[index];
        // Within the file, as was checked when it was opened.
        let start = entry.start as usize;
        &self.map[start..start + entry.len(self.channels)]
    }

    /// Passes the pixels of image `index` to `read`, then releases their pages. Otherwise the process
    /// would appear to occupy memory for all images that it has read.
    pub(super) fn with_image<R>(&self, index: usize, read: impl FnOnce(&[u8]) -> R) -> R {
        let pixels = self.image(index);
        let result = read(pixels);
        let start = self.entries[index].start as usize;
        // SAFETY: the map is never written to, so another thread that reads the same pages finds the
        // bytes of the file again.
        let released = unsafe {
            self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, pixels.len())
        };
        // The advice only saves memory.
        let _ = released;
        result
    }
}

/// CRC-32C of the table and the checksum of the pixels; of the table alone where that is unknown, as in
/// shards of older versions.
fn table_checksum(table: &[u8], pixels: u32) -> u32 {
    let checksum = crc32c::crc32c(table);
    if pixels == 0 { checksum } else { crc32c::crc32c_append(checksum, &pixels.to_le_bytes()) }
}

/// Writes a shard of images with so many channels (1 or 3), completely or not at all.
pub(super) fn write(path: &Path, channels: usize, pictures: &[Picture]) -> Result<()> {
    let mut start = (HEAD + pictures.len() * ENTRY) as u64;
    let mut table = Vec::with_capacity(pictures.len() * ENTRY);
    let mut checksum = 0;
    for picture in pictures {
        let Picture { key, height, width, .. } = *picture;
        let entry = Entry { start, key, height, width };
        start += entry.len(channels) as u64;
        table.extend_from_slice(&entry.bytes());
        checksum = crc32c::crc32c_append(checksum, &picture.pixels);
    }
    let attempt = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().suffix(".tmp").tempfile_in(folder)?;
        let mut out = BufWriter::new(file);
        out.write_all(if channels == 1 { GREY } else { COLOUR })?;
        out.write_all(&(pictures.len() as u64).to_le_bytes())?;
        out.write_all(&table_checksum(&table, checksum).to_le_bytes())?;
        out.write_all(&checksum.to_le_bytes())?;
        out.write_all(&table)?;
        pictures.iter().try_for_each(|picture| out.write_all(&picture.pixels))?;
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        make_readable(&file)?;
        // The contents must survive a power failure if the rename does.
        file.as_file().sync_all()?;
        file.persist(path).map_err(|failure| failure.error)?;
        Ok(())
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(key: u64, height: u16, width: u16, channels: u16) -> Picture {
        let pixels = (0..height * width * channels).map(|byte| (byte % 251) as u8).collect();
        Picture { key, height, width, pixels }
    }

    #[test]
    fn a_shard_is_complete_or_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name("train", 3));
        assert!(path.ends_with("train-00003.shard"));
        assert!(Shard::open(&path, 2).unwrap().is_none());
        for channels in [3, 1] {
            let pictures = [picture(7, 4, 5, channels), picture(8, 3, 2, channels)];
            write(&path, channels.into(), &pictures).unwrap();
            let shard = Shard::open(&path, 2).unwrap().unwrap();
            let entry = shard.entry(1);
            assert_eq!((entry.key, entry.height, entry.width), (8, 3, 2));
            // Released pages are read again.
            for _ in 0..2 {
                shard.with_image(1, |pixels| assert_eq!(pixels, pictures[1].pixels));
            }
            assert_eq!(shard.with_image(0, <[u8]>::len), 20 * usize::from(channels));
            assert!(shard.is_intact() && shard.shape().is_none());
            assert!(Shard::open(&path, 3).unwrap().is_none(), "another number of images");
            let whole = std::fs::read(&path).unwrap();
            let longer = [&whole[..], &[0]].concat();
            for damage in [&whole[..whole.len() - 1], &whole[..40], &[], &longer] {
                std::fs::write(&path, damage).unwrap();
                assert!(Shard::open(&path, 2).unwrap().is_none(), "{} bytes", damage.len());
            }
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 1;
                std::fs::write(&path, &damaged).unwrap();
                let opened = Shard::open(&path, 2).unwrap();
                assert_eq!(opened.is_some(), at >= HEAD + 2 * ENTRY, "byte {at}");
                assert!(opened.is_none_or(|shard| !shard.is_intact()), "byte {at}");
            }
        }
    }

    #[test]
    fn a_shard_of_an_older_version_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name("train", 0));
        let picture = picture(9, 2, 3, 3);
        let entry = Entry { start: (HEAD + ENTRY) as u64, key: 9, height: 2, width: 3 };
        let mut bytes = COLOUR.to_vec();
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(u64::from(crc32c::crc32c(&entry.bytes())).to_le_bytes());
        bytes.extend(entry.bytes());
        bytes.extend(&picture.pixels);
        std::fs::write(&path, bytes).unwrap();
        let shard = Shard::open(&path, 1).unwrap().unwrap();
        assert_eq!((shard.entry(0).key, shard.image(0)), (9, &picture.pixels[..]));
        assert!(!shard.is_intact(), "its pixels have no checksum");
    }
}
