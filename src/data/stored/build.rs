//! Storing a folder of images that stays in files.

use super::index::{self, Index};
use super::key::store_name;
use super::shard::{self, Picture, Shard};
use super::{Gallery, Store, crop};
use crate::folder::{self, ImageFolder, LabelledFile, Layout};
use crate::{decode, files};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Decodes the images of a folder, resizes their shorter side to `short`, and stores them in a folder
/// below `cache`. Shards that exist already are kept, so that an interrupted call is resumed. `progress`
/// is called from several threads with the number of images that are stored and of all images.
///
/// Memory holds one shard at a time, whatever the number of images.
///
/// # Errors
/// The errors of [`folder::list`]; when a file cannot be decoded, naming it; when the store cannot be written.
pub fn build(
    images: &ImageFolder,
    short: usize,
    cache: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Gallery> {
    // Before the files are listed, so that the next reader notices changes in the meantime.
    let changed = index::changes(&Layout::of(images)?)?;
    let listing = folder::list(images)?;
    let name = store_name(&listing, images.test_share, &format!("shorter side {short}"))?;
    let folder = cache.join(&name);
    files::create_folder(&folder)?;
    let total = listing.train.len() + listing.test.len();
    let stored = AtomicUsize::new(0);
    let advance = |count: usize| {
        let before = stored.fetch_add(count, Ordering::Relaxed);
        progress(before + count, total);
    };
    let store = |split: &str, files: &[LabelledFile]| -> Result<Store> {
        for (number, files) in files.chunks(shard::IMAGES).enumerate() {
            let path = folder.join(shard::name(split, number));
            if Shard::open(&path, files.len())?.is_some() {
                advance(files.len());
                continue;
            }
            let pictures = files
                .par_iter()
                .map(|(path, label)| {
                    let picture = picture(path, *label, short)?;
                    advance(1);
                    Ok(picture)
                })
                .collect::<Result<Vec<Picture>>>()?;
            shard::write(&path, 3, &pictures)?;
        }
        Store::open(&folder, split, files.len())?
            .with_context(|| format!("{} changed while it was written", folder.display()))
    };
    let stores = [store("train", &listing.train)?, store("test", &listing.test)?];
    let index = Index::new(&listing, name, changed);
    index.write(cache, images, short)?;
    Ok(Gallery::new(index, stores))
}

fn picture(path: &Path, label: u16, short: usize) -> Result<Picture> {
    let decode::Decoded { pixels, sides, key } = decode::colour(path, label)?;
    let to = crop::shorter_side(sides, short);
    let (Ok(height), Ok(width)) = (u16::try_from(to.height), u16::try_from(to.width)) else {
        bail!(
            "{}: {}×{} pixels: the longer side would have more than {} pixels",
            path.display(),
            sides.width,
            sides.height,
            u16::MAX
        );
    };
    Ok(Picture { key, height, width, pixels: fathom_resize::bilinear(&pixels, sides, to) })
}
