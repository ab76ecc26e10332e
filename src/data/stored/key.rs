//! Names of stores. The name of a store is a hash of everything on which the stored images depend.

use crate::folder::Listing;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::os::unix::fs::MetadataExt;

/// The folder of a store in the cache folder. It depends on the paths, sizes and modification times of
/// the image files, on the share of them that is held out, and on `form`, which says how they are stored.
///
/// # Errors
/// When the metadata of a file cannot be read.
pub(super) fn store_name(listing: &Listing, test_share: Option<f64>, form: &str) -> Result<String> {
    let root = std::path::absolute(&listing.root)?;
    let mut sum = Sha256::new();
    // Stores with number 1 may hold images whose files are damaged.
    sum.update("fathom images 2\n");
    sum.update(format!("{}\n{form}\n{test_share:?}\n", root.display()));
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
    Ok(format!("stored-{}", &hex::encode(sum.finalize())[..16]))
}
