//! From a request to a data set ready for training.

use super::catalogue::Set;
use super::content_hash::{HashedImages, digest, hex};
use super::official::{self, Whole};
use super::resize::resize;
use super::stored::{self, Gallery, Stored};
use super::subset::choose;
use super::{Dataset, Images, Request, Shape, Source, Split, folder, locate};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loads, checks, chooses and resizes what `request` asks for. Files are looked for in `data_dir`,
/// `FATHOM_DATA` and the cache folder.
///
/// The same request gives the same bytes on every machine, whatever the order of the records in
/// the files and the number of threads. Images that were decoded once for all (`short_side`) are used
/// as long as no file came or went; [`prepare`] looks at each of them.
///
/// # Errors
/// When the set is missing (naming the folders searched and the commands to get it), damaged or
/// mislabelled (naming file and offset), or smaller than the request.
pub fn load(request: &Request, data_dir: Option<&Path>) -> Result<Dataset> {
    ensure!(request.size != Some(0), "size = 0: images need at least one row");
    match (request.source, request.short_side) {
        (Source::Shapes, _) => super::shapes::load(request),
        (Source::Images, Some(short)) => {
            let (root, cache) = places(request, short, data_dir)?;
            let gallery = match Gallery::open(&root, short, &cache)? {
                Some(gallery) => gallery,
                None => stored::build(&root, short, &cache, &|_, _| {})?,
            };
            choose_stored(gallery, request, short)
        }
        _ => finish(read_whole(request, data_dir)?, request),
    }
}

/// Sees that [`load`] will succeed. Images that stay in files are decoded, where they were not;
/// `told` hears how many of how many are, from several threads.
///
/// # Errors
/// As for [`load`].
pub fn prepare(
    request: &Request,
    data_dir: Option<&Path>,
    told: &(dyn Fn(usize, usize) + Sync),
) -> Result<()> {
    if let (Source::Images, Some(short)) = (request.source, request.short_side) {
        let (root, cache) = places(request, short, data_dir)?;
        stored::build(&root, short, &cache, told)?;
    }
    load(request, data_dir).map(drop)
}

/// The folder of images, and the one for decoded ones.
fn places(request: &Request, short: usize, data_dir: Option<&Path>) -> Result<(PathBuf, PathBuf)> {
    let size = request.size.context("data.short_side needs data.size: what a net sees")?;
    ensure!(size > 0 && short >= size, "short_side = {short}: no less than size = {size}, above 0");
    let path = request.path.as_deref().context("data.path is missing")?;
    let cache =
        locate::cache_folder().context("no folder for decoded images: set XDG_CACHE_HOME")?;
    Ok((locate::image_folder(path, data_dir)?, cache))
}

/// Cuts stored images to what was asked for.
fn choose_stored(gallery: Gallery, request: &Request, short: usize) -> Result<Dataset> {
    let Gallery { classes, labels: [train_labels, test_labels], stores } = gallery;
    let [train, test] = stores.map(Arc::new);
    // Keys alone tell the images apart.
    let keyed = |store: &Arc<stored::Store>, labels: Vec<u16>| HashedImages {
        images: Images {
            shape: Shape { channels: 0, height: 0, width: 0 },
            pixels: Vec::new(),
            labels,
        },
        keys: (0..store.len()).map(|index| store.key(index)).collect(),
    };
    let (all, tests) = (keyed(&train, train_labels), keyed(&test, test_labels));
    let size = request.size.unwrap_or(short);
    let choice = choose(&all, &tests, classes.len(), request)
        .with_context(|| format!("data source {:?}", request.source))?;
    let mut sum = Sha256::new();
    sum.update(format!("{short} {size}"));
    let mut cut = |store: &Arc<stored::Store>, from: &HashedImages, indices: Vec<u32>| {
        let labels: Vec<u16> = indices.iter().map(|i| from.images.labels[*i as usize]).collect();
        sum.update((indices.len() as u64).to_le_bytes());
        for (index, label) in indices.iter().zip(&labels) {
            sum.update(from.keys[*index as usize].to_le_bytes());
            sum.update(label.to_le_bytes());
        }
        Split::Stored(Stored::new(Arc::clone(store), indices, labels, size))
    };
    let (train, validation, test) = (
        cut(&train, &all, choice.train),
        cut(&train, &all, choice.validation),
        cut(&test, &tests, choice.test),
    );
    let sha256 = hex(&sum.finalize());
    Ok(Dataset { classes, train, validation, test, sha256, notes: Vec::new() })
}

/// Reads a whole set from files, at its own size (`images`: at the size asked for).
///
/// # Errors
/// As for [`load`].
pub fn read_whole(request: &Request, data_dir: Option<&Path>) -> Result<Whole> {
    match Set::of(request.source) {
        Some(set) => official::read(set, &locate::locate(set, data_dir)?),
        None => {
            let path = request.path.as_deref();
            let path =
                path.context("data.path is missing: `images` needs the folder they are in")?;
            let cache = locate::cache_folder();
            folder::read(&locate::image_folder(path, data_dir)?, request.size, cache.as_deref())
        }
    }
}

/// Cuts a whole set to what was asked for.
fn finish(whole: Whole, request: &Request) -> Result<Dataset> {
    let choice = choose(&whole.train, &whole.test, whole.classes.len(), request)
        .with_context(|| format!("data source {:?}", request.source))?;
    let cut = |images: &Images, indices: &[u32]| {
        let chosen = images.select(indices);
        match request.size {
            Some(size) => resize(chosen, size),
            None => chosen,
        }
    };
    let train = cut(&whole.train.images, &choice.train);
    let validation = cut(&whole.train.images, &choice.validation);
    let test = cut(&whole.test.images, &choice.test);
    let sha256 = digest(&[&train, &validation, &test]);
    let [train, validation, test] = [train, validation, test].map(Split::from);
    Ok(Dataset { classes: whole.classes, train, validation, test, sha256, notes: whole.notes })
}
