//! From a request to a data set that is ready for training.

use super::catalogue::Set;
use super::content_hash::digest;
use super::folder::ImageFolder;
use super::stored::{self, Gallery, Store, Stored};
use super::subset::Subset;
use super::{
    Dataset, FullDataset, HashedImages, Images, Request, Shape, Source, Split, locate, official,
    resize, shapes,
};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loads the data set of a request: reads and checks it, selects the subset, and resizes the images. Files
/// are searched in `data_dir`, `FATHOM_DATA` and the cache folder.
///
/// The same request gives the same bytes on every machine, independent of the order of the records in
/// the files and of the number of threads. Stored images (`short_side`) are used as long as no file is
/// added or removed; [`prepare`] checks every file.
///
/// # Errors
/// When the set is missing (the message names the folders that were searched and the commands to get
/// it), when it is damaged (the message names file and offset), or when it has fewer images than
/// requested.
pub fn load(request: &Request, data_dir: Option<&Path>) -> Result<Dataset> {
    ensure!(request.size != Some(0), "size = 0: images need at least one row");
    match (request.source, request.short_side) {
        (Source::Shapes, _) => shapes::load(request),
        (Source::Images, Some(short)) => {
            let StoredFolder { images, cache, size } =
                StoredFolder::find(request, short, data_dir)?;
            let gallery = match Gallery::open(&images, short, &cache)? {
                Some(gallery) => gallery,
                None => stored::build(&images, short, &cache, &|_, _| {})?,
            };
            select_stored(gallery, request, short, size)
        }
        (
            Source::Cifar10
            | Source::Cifar100
            | Source::Mnist
            | Source::FashionMnist
            | Source::Svhn
            | Source::Images,
            _,
        ) => select(read_full(request, data_dir)?, request),
    }
}

/// Checks that [`load`] will succeed, and decodes images that stay in files if necessary. `progress` is
/// called from several threads with the number of images that are decoded and of all images. Returns remarks
/// for the user, such as which files were ignored.
///
/// # Errors
/// The errors of [`load`].
pub fn prepare(
    request: &Request,
    data_dir: Option<&Path>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<String>> {
    if let (Source::Images, Some(short)) = (request.source, request.short_side) {
        let folder = StoredFolder::find(request, short, data_dir)?;
        stored::build(&folder.images, short, &folder.cache, progress)?;
    }
    Ok(load(request, data_dir)?.notes)
}

/// A folder of images that stays in files.
struct StoredFolder {
    images: ImageFolder,
    /// The folder for stores.
    cache: PathBuf,
    /// Rows and columns of the net's input.
    size: usize,
}

impl StoredFolder {
    fn find(request: &Request, short: usize, data_dir: Option<&Path>) -> Result<Self> {
        let size =
            request.size.context("data.short_side needs data.size, the size of the crops")?;
        ensure!(size > 0, "size = 0: images need at least one row");
        ensure!(short >= size, "short_side = {short}: must be at least size = {size}");
        let cache = locate::cache_folder()
            .context("no folder for decoded images: set XDG_CACHE_HOME or HOME")?;
        Ok(Self { images: image_folder(request, data_dir)?, cache, size })
    }
}

/// The folder of a request for `images`.
///
/// # Errors
/// When it is not given, or was not found.
pub(super) fn image_folder(request: &Request, data_dir: Option<&Path>) -> Result<ImageFolder> {
    let path = request.path.as_deref().context(
        "data.path is missing: set it to the folder of the images, with train/CLASS/ and test/CLASS/",
    )?;
    Ok(ImageFolder { root: locate::image_folder(path, data_dir)?, test_share: request.test_share })
}

/// Selects the subset of stored images that was requested.
fn select_stored(
    gallery: Gallery,
    request: &Request,
    short: usize,
    size: usize,
) -> Result<Dataset> {
    let Gallery { classes, labels: [train_labels, test_labels], stores, notes } = gallery;
    let [train, test] = stores.map(Arc::new);
    // The keys alone order the images; the pixels are not needed.
    let hashed = |store: &Store, labels: Vec<u16>| HashedImages {
        images: Images {
            shape: Shape { channels: 0, height: 0, width: 0 },
            pixels: Vec::new(),
            labels,
        },
        keys: (0..store.len()).map(|index| store.key(index)).collect(),
    };
    let (hashed_train, hashed_test) = (hashed(&train, train_labels), hashed(&test, test_labels));
    let subset = Subset::select(&hashed_train, &hashed_test, classes.len(), request)
        .with_context(|| format!("data.source = \"{}\"", request.source))?;
    let mut sum = Sha256::new();
    sum.update(format!("{short} {size}"));
    let mut split = |store: &Arc<Store>, from: &HashedImages, indices: Vec<u32>| {
        let labels: Vec<u16> = indices.iter().map(|i| from.images.labels[*i as usize]).collect();
        sum.update((indices.len() as u64).to_le_bytes());
        for (index, label) in indices.iter().zip(&labels) {
            sum.update(from.keys[*index as usize].to_le_bytes());
            sum.update(label.to_le_bytes());
        }
        Split::Stored(Stored::new(Arc::clone(store), indices, labels, size))
    };
    let (train, validation, test) = (
        split(&train, &hashed_train, subset.train),
        split(&train, &hashed_train, subset.validation),
        split(&test, &hashed_test, subset.test),
    );
    let sha256 = hex::encode(sum.finalize());
    Ok(Dataset { classes, train, validation, test, sha256, notes })
}

/// Reads all images of a set from files, at their own size (`images`: at the requested size).
///
/// # Errors
/// The errors of [`load`].
pub fn read_full(request: &Request, data_dir: Option<&Path>) -> Result<FullDataset> {
    match Set::of(request.source) {
        Some(set) => official::read(&locate::locate(set, data_dir)?, request.labels),
        None => {
            let cache = locate::cache_folder();
            stored::read(&image_folder(request, data_dir)?, request.size, cache.as_deref())
        }
    }
}

/// Selects the subset of images that was requested, and resizes it.
fn select(full: FullDataset, request: &Request) -> Result<Dataset> {
    let subset = Subset::select(&full.train, &full.test, full.classes.len(), request)
        .with_context(|| format!("data.source = \"{}\"", request.source))?;
    let split = |images: &Images, indices: &[u32]| {
        let selected = images.select(indices);
        match request.size {
            Some(size) => resize(selected, size),
            None => selected,
        }
    };
    let train = split(&full.train.images, &subset.train);
    let validation = split(&full.train.images, &subset.validation);
    let test = split(&full.test.images, &subset.test);
    let sha256 = digest(&[&train, &validation, &test]);
    let [train, validation, test] = [train, validation, test].map(Split::from);
    Ok(Dataset { classes: full.classes, train, validation, test, sha256, notes: full.notes })
}
