//! Decoding a folder of images into shards, once and side by side.

use super::super::decode;
use super::super::{folder, folder_cache};
use super::index::{self, Index};
use super::shard::{self, Picture, Shard};
use super::{Gallery, Store, crop};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stores the images of a folder with their shorter sides brought to `short`, in a folder below
/// `cache`; what earlier calls have stored is kept, so a call that was interrupted is gone on with.
/// `told` hears how many of how many images are there, from several threads.
///
/// Memory holds one shard at a time, whatever the number of images.
///
/// # Errors
/// When the folder is not as it should be, a file cannot be decoded, naming it, or the disk refuses.
pub fn build(
    root: &Path,
    short: usize,
    cache: &Path,
    told: &(dyn Fn(usize, usize) + Sync),
) -> Result<Gallery> {
    // Before they are listed: what changes meanwhile is seen by the next one who looks.
    let changed = index::changes(root, &folder::classes(root)?);
    let listing = folder::list(root)?;
    let key = folder_cache::key_of(&listing, &format!("shorter side {short}"))?;
    let name = format!("stored-{}", &key[..16]);
    let folder = cache.join(&name);
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
    let stores = [open(parts[0])?, open(parts[1])?];
    let index = Index::new(&listing, name, changed?);
    index.write(cache, root, short)?;
    Ok(Gallery::new(index, stores))
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
