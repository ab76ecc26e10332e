//! What a folder held when its images were stored, so that processes which come later need not look
//! at each of a million files again.

use super::super::content_hash::hex;
use super::super::folder::Listing;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Classes and labels of a folder of images, and where they are stored.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Name of the folder with the stored images, in the cache.
    pub(super) store: String,
    /// Class names.
    pub(super) classes: Vec<String>,
    /// Numbers of images of each class: of training, of test images.
    pub(super) counts: [Vec<usize>; 2],
    /// When each folder of images was changed last: seconds and nanoseconds. A file that comes, goes or
    /// takes another's place changes its folder; one that is written over does not.
    changed: Vec<(i64, i64)>,
}

impl Index {
    /// Of these images; `changed` was asked for before they were listed.
    pub(super) fn new(listing: &Listing, store: String, changed: Vec<(i64, i64)>) -> Self {
        let count = |files: &[(PathBuf, u16)]| {
            let mut counts = vec![0; listing.classes.len()];
            files.iter().for_each(|(_, label)| counts[usize::from(*label)] += 1);
            counts
        };
        let counts = [count(&listing.train), count(&listing.test)];
        Self { store, classes: listing.classes.clone(), counts, changed }
    }

    /// The one in `cache` for a folder and a shorter side, if no folder of images was changed since.
    pub(super) fn read(cache: &Path, root: &Path, short: usize) -> Option<Self> {
        let bytes = std::fs::read(path(cache, root, short).ok()?).ok()?;
        let index: Self = serde_json::from_slice(&bytes).ok()?;
        (changes(root, &index.classes).ok()? == index.changed).then_some(index)
    }

    /// Keeps it in `cache`.
    pub(super) fn write(&self, cache: &Path, root: &Path, short: usize) -> Result<()> {
        let path = path(cache, root, short)?;
        let attempt = || -> std::io::Result<()> {
            let mut file = tempfile::Builder::new().suffix(".tmp").tempfile_in(cache)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.persist(&path).map_err(|failure| failure.error)?;
            Ok(())
        };
        attempt().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Labels of a part's images, in their order: class by class.
    pub(super) fn labels(&self, part: usize) -> Vec<u16> {
        let counts = self.counts[part].iter().enumerate();
        counts.flat_map(|(class, count)| std::iter::repeat_n(class as u16, *count)).collect()
    }
}

fn path(cache: &Path, root: &Path, short: usize) -> Result<PathBuf> {
    let root = std::path::absolute(root)?;
    let sum = hex(&Sha256::digest(format!("{}\nshorter side {short}\n", root.display())));
    Ok(cache.join(format!("stored-{}.json", &sum[..16])))
}

/// When the folders of these classes, and those that they lie in, were changed last.
pub(super) fn changes(root: &Path, classes: &[String]) -> Result<Vec<(i64, i64)>> {
    let mut changed = Vec::new();
    for part in ["train", "test"].map(|part| root.join(part)) {
        let folders = classes.iter().map(|class| part.join(class));
        for folder in std::iter::once(part.clone()).chain(folders) {
            let about = std::fs::metadata(&folder);
            let about = about.with_context(|| format!("cannot open {}", folder.display()))?;
            changed.push((about.mtime(), about.mtime_nsec()));
        }
    }
    Ok(changed)
}
