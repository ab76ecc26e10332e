//! From a request to a data set ready for training.

use super::catalogue::Set;
use super::choose::choose;
use super::keyed::digest;
use super::official::{self, Whole};
use super::resize::resize;
use super::{Dataset, Images, Request, Source, folder, locate};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Loads, checks, chooses and resizes what `request` asks for. Files are looked for in `data_dir`,
/// `FATHOM_DATA` and the cache folder.
///
/// The same request gives the same bytes on every machine, whatever the order of the records in
/// the files and the number of threads.
///
/// # Errors
/// When the set is missing (naming the folders searched and the commands to get it), damaged or
/// mislabelled (naming file and offset), or smaller than the request.
pub fn load(request: &Request, data_dir: Option<&Path>) -> Result<Dataset> {
    ensure!(request.size != Some(0), "size = 0: images need at least one row");
    match request.source {
        Source::Shapes => super::shapes::load(request),
        _ => finish(read_whole(request, data_dir)?, request),
    }
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
    Ok(Dataset { classes: whole.classes, train, validation, test, sha256, notes: whole.notes })
}
