//! `images`: a folder with `train/CLASS/*` and `test/CLASS/*`, the classes being the names of the
//! folders in alphabetical order.

use super::content_hash::HashedImages;
use super::decode::{self, Target};
use super::official::Whole;
use super::{Images, Shape, folder_cache};
use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// The image files of a folder, sorted, and what else lies there.
#[derive(Debug)]
pub struct Listing {
    /// The folder.
    pub root: PathBuf,
    /// Class names.
    pub classes: Vec<String>,
    /// Training files with their labels.
    pub train: Vec<(PathBuf, u16)>,
    /// Test files with their labels.
    pub test: Vec<(PathBuf, u16)>,
    /// Number of files left out because their names do not end as those of images do.
    pub others: usize,
}

/// Endings of the files that are read.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// Lists the image files under `root`. Names that begin with a dot are passed over.
///
/// # Errors
/// When `train` or `test` is missing, they have not the same two or more classes, or a class has
/// no image.
pub fn list(root: &Path) -> Result<Listing> {
    let classes = class_names(&root.join("train"))?;
    let of_test = class_names(&root.join("test"))?;
    let lacks = |of: &[String], other: &[String]| of.iter().find(|c| !other.contains(c)).cloned();
    if let Some(class) = lacks(&classes, &of_test) {
        bail!("{}: class `{class}` of train/ has no folder in test/", root.display());
    }
    if let Some(class) = lacks(&of_test, &classes) {
        bail!("{}: class `{class}` of test/ has no folder in train/", root.display());
    }
    let (found, most) = (classes.len(), usize::from(u16::MAX));
    ensure!(found >= 2, "{}: one class is nothing to tell apart", root.join("train").display());
    ensure!(found <= most, "{}: {found} classes, but at most {most} work", root.display());
    let (mut others, mut parts) = (0, Vec::new());
    for part in ["train", "test"] {
        let mut files = Vec::new();
        for (label, class) in classes.iter().enumerate() {
            let folder = root.join(part).join(class);
            let (images, rest) = image_files(&folder)?;
            ensure!(
                !images.is_empty(),
                "{} holds no image ({})",
                folder.display(),
                ENDINGS.map(|e| format!(".{e}")).join(", ")
            );
            others += rest;
            files.extend(images.into_iter().map(|file| (file, label as u16)));
        }
        parts.push(files);
    }
    let (test, train) = (parts.pop().unwrap_or_default(), parts.pop().unwrap_or_default());
    Ok(Listing { root: root.to_owned(), classes, train, test, others })
}

/// Entries of a folder but for hidden ones, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("cannot read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let name = path.file_name().unwrap_or_default().to_str();
        let Some(name) = name else { bail!("{} has a name that is not UTF-8", path.display()) };
        if !name.starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn class_names(folder: &Path) -> Result<Vec<String>> {
    let folders = entries(folder)?.into_iter().filter(|path| path.is_dir());
    let name = |path: PathBuf| path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
    Ok(folders.filter_map(name).collect())
}

fn image_files(folder: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let is_image = |path: &PathBuf| {
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) && path.is_file()
    };
    let (images, others): (Vec<_>, Vec<_>) = entries(folder)?.into_iter().partition(is_image);
    Ok((images, others.len()))
}

/// Reads a folder of images at `size` rows and columns, or at their own size if that is the same
/// for all. The result is kept in `cache` (a folder) and used again until a file changes.
///
/// Images are grey if every file is, else red, green and blue; transparency is dropped.
///
/// # Errors
/// As for [`list`]; when a file cannot be decoded, or sizes differ and no size is given.
pub fn read(root: &Path, size: Option<usize>, cache: Option<&Path>) -> Result<Whole> {
    let listing = list(root)?;
    let key = folder_cache::key(&listing, size)?;
    let path = cache.map(|folder| folder.join(format!("images-{}.cache", &key[..16])));
    if let Some(whole) = path.as_ref().and_then(|path| folder_cache::read(path, &key)) {
        return Ok(whole);
    }
    let mut whole = decode_all(&listing, size)?;
    if listing.others > 0 {
        whole.notes.push(format!("{} files that are no images were left out", listing.others));
    }
    if let Some(path) = path
        && let Err(error) = folder_cache::write(&path, &key, &whole)
    {
        // The images are there; only the next start will be slow again.
        whole.notes.push(format!("the decoded images could not be kept: {error:#}"));
    }
    Ok(whole)
}

/// Shape of the images that [`read`] will give, and the number of classes, from the files' headers.
///
/// # Errors
/// As for [`list`]; when a header cannot be read, or sizes differ and no size is given.
pub fn describe(root: &Path, size: Option<usize>) -> Result<(Shape, usize)> {
    let listing = list(root)?;
    Ok((shape(&listing, size)?, listing.classes.len()))
}

/// Class names, by the folders of training images.
///
/// # Errors
/// When they cannot be read.
pub fn classes(root: &Path) -> Result<Vec<String>> {
    class_names(&root.join("train"))
}

fn heads(listing: &Listing) -> Result<Vec<decode::Head>> {
    let files = listing.train.par_iter().chain(&listing.test);
    files.map(|(path, _)| decode::head(path)).collect()
}

fn shape(listing: &Listing, size: Option<usize>) -> Result<Shape> {
    let heads = heads(listing)?;
    let channels = if heads.iter().all(|head| head.grey) { 1 } else { 3 };
    if let Some(size) = size {
        return Ok(Shape { channels, height: size, width: size });
    }
    let decode::Head { height, width, .. } = heads[0];
    for ((path, _), head) in listing.train.iter().chain(&listing.test).zip(&heads) {
        ensure!(
            (head.height, head.width) == (height, width),
            "{} has {}×{} pixels, but {} has {width}×{height}: give data.size to resize them",
            path.display(),
            head.width,
            head.height,
            listing.train[0].0.display()
        );
    }
    Ok(Shape { channels, height, width })
}

fn decode_all(listing: &Listing, size: Option<usize>) -> Result<Whole> {
    let target = Target { shape: shape(listing, size)?, resize: size };
    let (train, test) = (decode_part(&listing.train, target)?, decode_part(&listing.test, target)?);
    Ok(Whole { classes: listing.classes.clone(), train, test, notes: Vec::new() })
}

/// Decodes files side by side. Their keys come from the files' bytes, so that the choice of a
/// subset is the same at every size.
fn decode_part(files: &[(PathBuf, u16)], target: Target) -> Result<HashedImages> {
    let decoded: Vec<(Vec<u8>, u64)> = files
        .par_iter()
        .map(|(path, label)| decode::decode(path, *label, target))
        .collect::<Result<_>>()?;
    let mut pixels = Vec::with_capacity(files.len() * target.shape.len());
    decoded.iter().for_each(|(image, _)| pixels.extend_from_slice(image));
    let keys = decoded.iter().map(|(_, key)| *key).collect();
    let labels = files.iter().map(|(_, label)| *label).collect();
    Ok(HashedImages { images: Images { shape: target.shape, pixels, labels }, keys })
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
