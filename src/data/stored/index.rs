//! The index of a stored folder: its classes, numbers of images, and the modification times of its
//! folders, so that later processes need not inspect each of a million files again.

use crate::folder::Listing;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Classes and numbers of images of a folder, and the name of its store.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Name of the store in the cache folder.
    pub(super) store: String,
    /// Class names.
    pub(super) classes: Vec<String>,
    /// Numbers of training and of test images of each class.
    pub(super) counts: [Vec<usize>; 2],
    /// Modification time of each folder of images: seconds and nanoseconds. A file that is added,
    /// removed or replaced changes the time of its folder; a file that is overwritten does not.
    changed: Vec<(i64, i64)>,
}

impl Index {
    /// The index of these images; `changed` are the modification times from before they were listed.
    pub(super) fn new(listing: &Listing, store: String, changed: Vec<(i64, i64)>) -> Self {
        let count = |files: &[(PathBuf, u16)]| {
            let mut counts = vec![0; listing.classes.len()];
            files.iter().for_each(|(_, label)| counts[usize::from(*label)] += 1);
            counts
        };
        let counts = [count(&listing.train), count(&listing.test)];
        Self { store, classes: listing.classes.clone(), counts, changed }
    }

    /// Reads the index of a folder and a shorter side from `cache`, if no folder of images has changed since.
    pub(super) fn read(cache: &Path, root: &Path, short: usize) -> Option<Self> {
        let bytes = std::fs::read(path(cache, root, short).ok()?).ok()?;
        let index: Self = serde_json::from_slice(&bytes).ok()?;
        (changes(root, &index.classes).ok()? == index.changed).then_some(index)
    }

    /// Writes the index to `cache`.
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

    /// Labels of the images of a split (0 for training, 1 for test), which are ordered by class.
    pub(super) fn labels(&self, split: usize) -> Vec<u16> {
        let counts = self.counts[split].iter().enumerate();
        counts.flat_map(|(class, count)| std::iter::repeat_n(class as u16, *count)).collect()
    }
}

fn path(cache: &Path, root: &Path, short: usize) -> Result<PathBuf> {
    let root = std::path::absolute(root)?;
    let sum = hex::encode(Sha256::digest(format!("{}\nshorter side {short}\n", root.display())));
    Ok(cache.join(format!("stored-{}.json", &sum[..16])))
}

/// Modification times of `train`, `test` and the folders of these classes in both.
pub(super) fn changes(root: &Path, classes: &[String]) -> Result<Vec<(i64, i64)>> {
    let mut changed = Vec::new();
    for split in ["train", "test"].map(|split| root.join(split)) {
        let folders = classes.iter().map(|class| split.join(class));
        for folder in std::iter::once(split.clone()).chain(folders) {
            let about = std::fs::metadata(&folder);
            let about = about.with_context(|| format!("cannot open {}", folder.display()))?;
            changed.push((about.mtime(), about.mtime_nsec()));
        }
    }
    Ok(changed)
}
