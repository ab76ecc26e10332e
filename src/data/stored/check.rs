//! Checking a folder of images without storing it.

use crate::decode;
use crate::folder::{self, ImageFolder, Listing};
use anyhow::Result;
use rayon::prelude::*;
use std::path::PathBuf;

/// What a folder of images holds.
#[derive(Debug)]
pub struct Checked {
    /// Class names.
    pub classes: Vec<String>,
    /// Numbers of training and test images.
    pub counts: [usize; 2],
    /// Remarks, such as which files were ignored.
    pub notes: Vec<String>,
    /// The files that cannot be decoded, with the reasons.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Decodes every file of a folder of images. Memory holds one image per thread.
///
/// # Errors
/// The errors of [`folder::list`].
pub fn check(images: &ImageFolder) -> Result<Checked> {
    let Listing { classes, train, test, notes, .. } = folder::list(images)?;
    let files = train.par_iter().chain(&test);
    let damaged = files.filter_map(|(path, label)| {
        let error = decode::colour(path, *label).err()?;
        let reason = format!("{error:#}");
        // Most messages begin with the path.
        let shown = reason.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&reason);
        Some((path.clone(), shown.to_owned()))
    });
    Ok(Checked { classes, counts: [train.len(), test.len()], notes, damaged: damaged.collect() })
}
