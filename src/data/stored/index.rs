//! The index of a stored folder: its classes, numbers of images, and the modification times of its
//! folders, so that later processes need not inspect each of a million files again.

use crate::folder::{ImageFolder, LabelledFile, Layout, Listing};
use anyhow::{Context, Result};
use fathom_base::make_readable;
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
    /// Remarks on what was ignored, and on which images are the test images.
    pub(super) notes: Vec<String>,
}

impl Index {
    /// The index of these images; `changed` are the modification times from before they were listed.
    pub(super) fn new(listing: &Listing, store: String, changed: Vec<(i64, i64)>) -> Self {
        let count = |files: &[LabelledFile]| {
            let mut counts = vec![0; listing.classes.len()];
            files.iter().for_each(|(_, label)| counts[usize::from(*label)] += 1);
            counts
        };
        let counts = [count(&listing.train), count(&listing.test)];
        let (classes, notes) = (listing.classes.clone(), listing.notes.clone());
        Self { store, classes, counts, changed, notes }
    }

    /// Reads the index of a folder and a shorter side from `cache`, if no folder of images has changed since.
    pub(super) fn read(cache: &Path, images: &ImageFolder, short: usize) -> Option<Self> {
        let bytes = std::fs::read(path(cache, images, short).ok()?).ok()?;
        let index: Self = serde_json::from_slice(&bytes).ok()?;
        let layout = Layout::of(images).ok()?;
        let is_same = layout.classes == index.classes && changes(&layout).ok()? == index.changed;
        is_same.then_some(index)
    }

    /// Writes the index to `cache`.
    pub(super) fn write(&self, cache: &Path, images: &ImageFolder, short: usize) -> Result<()> {
        let path = path(cache, images, short)?;
        let attempt = || -> std::io::Result<()> {
            let mut file = tempfile::Builder::new().suffix(".tmp").tempfile_in(cache)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            make_readable(&file)?;
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

fn path(cache: &Path, images: &ImageFolder, short: usize) -> Result<PathBuf> {
    let root = std::path::absolute(&images.root)?;
    let share = images.test_share;
    let key = format!("{}\nshorter side {short}\n{share:?}\n", root.display());
    let sum = hex::encode(Sha256::digest(key));
    Ok(cache.join(format!("stored-{}.json", &sum[..16])))
}

/// Modification times of the folders and lists on which the listing of the files depends.
pub(super) fn changes(layout: &Layout) -> Result<Vec<(i64, i64)>> {
    let changed = |path: PathBuf| {
        let about =
            std::fs::metadata(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok((about.mtime(), about.mtime_nsec()))
    };
    layout.sources().into_iter().map(changed).collect()
}
