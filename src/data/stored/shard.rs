//! A file with some of the images: what they are, then their pixels.

use anyhow::{Context, Result};
use memmap2::{Mmap, UncheckedAdvice};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Images of a shard, but for the last one of a part: few enough for memory while they are decoded.
pub(super) const IMAGES: usize = 512;

const MAGIC: &[u8; 16] = b"fathom shard 1\n\0";
/// Magic, number of images, CRC-32C of the table.
const HEAD: usize = 16 + 8 + 8;
/// Start, key, rows, columns.
const ENTRY: usize = 8 + 8 + 2 + 2;

/// What a shard holds of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where in the file its pixels begin.
    start: u64,
    pub(super) key: u64,
    pub(super) height: u16,
    pub(super) width: u16,
}

impl Entry {
    fn len(&self) -> usize {
        usize::from(self.height) * usize::from(self.width) * 3
    }

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
}

/// An image to be stored: rows × columns × 3 bytes.
pub(super) struct Picture {
    pub(super) key: u64,
    pub(super) height: u16,
    pub(super) width: u16,
    pub(super) pixels: Vec<u8>,
}

/// A shard in memory, as far as it is looked at.
#[derive(Debug)]
pub(super) struct Shard {
    map: Mmap,
    entries: Vec<Entry>,
}

/// The name of a part's shard.
pub(super) fn name(part: &str, number: usize) -> String {
    format!("{part}-{number:05}.shard")
}

impl Shard {
    /// Opens a shard of so many images; nothing where there is none, or what is there is not whole.
    pub(super) fn open(path: &Path, count: usize) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("cannot open {}", path.display()))?,
        };
        if file.metadata()?.len() < HEAD as u64 {
            return Ok(None);
        }
        // SAFETY: the file is written under another name and renamed into place when it is whole;
        // nothing of ours writes to it afterwards.
        let map = unsafe { Mmap::map(&file) };
        let map = map.with_context(|| format!("cannot map {}", path.display()))?;
        Ok(read_table(&map, count).map(|entries| Self { map, entries }))
    }

    pub(super) fn entry(&self, place: usize) -> &Entry {
        &self.entries[place]
    }

    /// Gives an image's pixels to `see`. Afterwards they count no longer as memory of this process:
    /// else it would come to hold all images, if only until others need the memory.
    pub(super) fn pixels<R>(&self, place: usize, see: impl FnOnce(&[u8]) -> R) -> R {
        let entry = &self.entries[place];
        // Inside the file: that was looked at when it was opened.
        let start = entry.start as usize;
        let seen = see(&self.map[start..start + entry.len()]);
        // SAFETY: nothing is written to the map, so whoever else looks at these pages (another
        // thread at an image beside this one) finds the file's bytes there again.
        let released = unsafe {
            self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, entry.len())
        };
        // Only advice: without it there is less memory for others.
        let _ = released;
        seen
    }
}

fn read_table(bytes: &[u8], count: usize) -> Option<Vec<Entry>> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let word = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
    if head[..16] != *MAGIC || word(16)? != count as u64 {
        return None;
    }
    let table = rest.get(..count * ENTRY)?;
    if word(24)? != u64::from(crc32c::crc32c(table)) {
        return None;
    }
    let entries: Vec<Entry> = table.chunks_exact(ENTRY).map(Entry::read).collect::<Option<_>>()?;
    let mut end = (HEAD + table.len()) as u64;
    for entry in &entries {
        if entry.start != end || entry.len() == 0 {
            return None;
        }
        end += entry.len() as u64;
    }
    (end == bytes.len() as u64).then_some(entries)
}

/// Writes a shard: whole, or not at all.
pub(super) fn write(path: &Path, pictures: &[Picture]) -> Result<()> {
    let mut start = (HEAD + pictures.len() * ENTRY) as u64;
    let mut table = Vec::with_capacity(pictures.len() * ENTRY);
    for picture in pictures {
        let Picture { key, height, width, .. } = *picture;
        let entry = Entry { start, key, height, width };
        start += entry.len() as u64;
        table.extend_from_slice(&entry.bytes());
    }
    let attempt = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().suffix(".tmp").tempfile_in(folder)?;
        let mut out = BufWriter::new(file);
        out.write_all(MAGIC)?;
        out.write_all(&(pictures.len() as u64).to_le_bytes())?;
        out.write_all(&u64::from(crc32c::crc32c(&table)).to_le_bytes())?;
        out.write_all(&table)?;
        pictures.iter().try_for_each(|picture| out.write_all(&picture.pixels))?;
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        // What is renamed into place must be there after a loss of power too.
        file.as_file().sync_all()?;
        file.persist(path).map_err(|failure| failure.error)?;
        Ok(())
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_whole_or_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name("train", 3));
        assert!(path.ends_with("train-00003.shard"));
        assert!(Shard::open(&path, 2).unwrap().is_none());
        let picture = |key: u64, height: u16, width: u16| Picture {
            key,
            height,
            width,
            pixels: (0..height * width * 3).map(|byte| (byte % 251) as u8).collect(),
        };
        write(&path, &[picture(7, 4, 5), picture(8, 3, 2)]).unwrap();
        let shard = Shard::open(&path, 2).unwrap().unwrap();
        assert_eq!((shard.entry(1).key, shard.entry(1).height, shard.entry(1).width), (8, 3, 2));
        shard.pixels(1, |pixels| assert_eq!(pixels, picture(8, 3, 2).pixels));
        // Let go of, they are there again.
        shard.pixels(1, |pixels| assert_eq!(pixels, picture(8, 3, 2).pixels));
        assert_eq!(shard.pixels(0, <[u8]>::len), 60);
        assert!(Shard::open(&path, 3).unwrap().is_none(), "of another number");
        let whole = std::fs::read(&path).unwrap();
        for damage in [&whole[..whole.len() - 1], &whole[..40], &[], &[&whole[..], &[0]].concat()] {
            std::fs::write(&path, damage).unwrap();
            assert!(Shard::open(&path, 2).unwrap().is_none(), "{} bytes", damage.len());
        }
        for at in 0..HEAD + 2 * ENTRY {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(Shard::open(&path, 2).unwrap().is_none(), "byte {at}");
        }
    }
}
