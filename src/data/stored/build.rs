//! Decoding a folder of images into shards, once and side by side.

use super::super::decode;
use super::super::folder::Listing;
use super::super::folder_cache;
use super::Store;
use super::crop;
use super::shard::{self, Picture, Shard};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the stored images depend on: the files, their sizes and times, and the shorter side.
///
/// # Errors
/// When a file cannot be looked at.
pub fn key(listing: &Listing, short: usize) -> Result<String> {
    folder_cache::key_of(listing, &format!("shorter side {short}"))
}

/// Stores the images of a listing with their shorter sides brought to `short`, in a folder below
/// `cache`; what earlier calls have stored is kept, so a call that was interrupted is gone on with.
/// `told` hears how many of how many images are there, from several threads.
///
/// Memory holds a few shards at a time, whatever the number of images.
///
/// # Errors
/// When a file cannot be decoded, naming it, or the disk refuses.
pub fn build(
    listing: &Listing,
    short: usize,
    cache: &Path,
    told: &(dyn Fn(usize, usize) + Sync),
) -> Result<[Store; 2]> {
    let folder = cache.join(format!("stored-{}", &key(listing, short)?[..16]));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let parts = [("train", &listing.train), ("test", &listing.test)];
    let all: usize = parts.iter().map(|(_, files)| files.len()).sum();
    let done = AtomicUsize::new(0);
    let advance = |count: usize| {
        let before = done.fetch_add(count, Ordering::Relaxed);
        told(before + count, all);
    };
    let open = |(part, files): (&str, &Vec<(PathBuf, u16)>)| -> Result<Store> {
        for (number, files) in files.chunks(shard::IMAGES).enumerate() {
            let path = folder.join(shard::name(part, number));
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
            shard::write(&path, &pictures)?;
        }
        Store::open(&folder, part, files.len())?
            .with_context(|| format!("{} changed while it was written", folder.display()))
    };
    Ok([open(parts[0])?, open(parts[1])?])
}

fn picture(path: &Path, label: u16, short: usize) -> Result<Picture> {
    let (pixels, sides, key) = decode::colour(path, label)?;
    let to = crop::shorter_side(sides, short);
    let side = |side: usize| u16::try_from(side).ok();
    let (Some(height), Some(width)) = (side(to.0), side(to.1)) else {
        bail!("{}: {}×{} pixels are too long and thin", path.display(), sides.1, sides.0);
    };
    Ok(Picture { key, height, width, pixels: crop::scaled(&pixels, sides, to) })
}
