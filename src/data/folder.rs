//! `images`: a folder with the files `train/CLASS/*` and `test/CLASS/*`. The classes are the names of the
//! folders in alphabetical order.

use super::Shape;
use super::decode::{self, Header};
use super::pixels::Sides;
use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// The image files of a folder in alphabetical order.
#[derive(Debug)]
pub struct Listing {
    /// Path of the folder.
    pub root: PathBuf,
    /// Class names.
    pub classes: Vec<String>,
    /// Training files with their labels.
    pub train: Vec<(PathBuf, u16)>,
    /// Test files with their labels.
    pub test: Vec<(PathBuf, u16)>,
    /// Number of files that were ignored because their extension is not that of an image.
    pub others: usize,
}

/// Extensions of the files that are read.
const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pbm", "pnm"];

/// Lists the image files in `root`. Names that start with a dot are ignored.
///
/// # Errors
/// When `train` or `test` is missing, when they have different classes or fewer than two, or when a
/// class has no images.
pub fn list(root: &Path) -> Result<Listing> {
    let classes = class_names(root, "train")?;
    let test_classes = class_names(root, "test")?;
    let missing = |of: &[String], other: &[String]| of.iter().find(|c| !other.contains(c)).cloned();
    if let Some(class) = missing(&classes, &test_classes) {
        bail!("{}: class `{class}` of train/ has no folder in test/", root.display());
    }
    if let Some(class) = missing(&test_classes, &classes) {
        bail!("{}: class `{class}` of test/ has no folder in train/", root.display());
    }
    let (found, most) = (classes.len(), usize::from(u16::MAX));
    ensure!(
        (2..=most).contains(&found),
        "{}: need from 2 to {most} classes (one folder each), found {found}",
        root.join("train").display()
    );
    let (train, train_others) = labelled_files(&root.join("train"), &classes)?;
    let (test, test_others) = labelled_files(&root.join("test"), &classes)?;
    Ok(Listing { root: root.to_owned(), classes, train, test, others: train_others + test_others })
}

/// Files of all classes with their labels, and the number of files that were ignored.
fn labelled_files(split: &Path, classes: &[String]) -> Result<(Vec<(PathBuf, u16)>, usize)> {
    let (mut files, mut others) = (Vec::new(), 0);
    for (label, class) in classes.iter().enumerate() {
        let folder = split.join(class);
        let (images, ignored) = image_files(&folder)?;
        ensure!(
            !images.is_empty(),
            "{} has no images ({})",
            folder.display(),
            EXTENSIONS.map(|extension| format!(".{extension}")).join(", ")
        );
        others += ignored;
        files.extend(images.into_iter().map(|file| (file, label as u16)));
    }
    Ok((files, others))
}

/// Entries of a folder except hidden ones, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("cannot read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let name = path.file_name().unwrap_or_default().to_str();
        let Some(name) = name else { bail!("the name of {} is not UTF-8", path.display()) };
        if !name.starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn class_names(root: &Path, split: &str) -> Result<Vec<String>> {
    let folder = root.join(split);
    ensure!(
        folder.is_dir() || !root.is_dir(),
        "cannot read the folder {}: images are expected in train/CLASS/ and test/CLASS/ of {}",
        folder.display(),
        root.display()
    );
    let folders = entries(&folder)?.into_iter().filter(|path| path.is_dir());
    let name = |path: PathBuf| path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
    Ok(folders.filter_map(name).collect())
}

fn image_files(folder: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let is_image = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) && path.is_file()
    };
    let (images, others): (Vec<_>, Vec<_>) = entries(folder)?.into_iter().partition(is_image);
    Ok((images, others.len()))
}

/// Shape of the images at `size` rows and columns, or at their own size if that is the same for all, and
/// the number of classes. Reads only the headers of the files.
///
/// # Errors
/// The errors of [`list`] and of [`shape`].
pub fn describe(root: &Path, size: Option<usize>) -> Result<(Shape, usize)> {
    let listing = list(root)?;
    Ok((shape(&listing, size)?, listing.classes.len()))
}

/// Shape of the listed images at `size` rows and columns, or at their own size: grey if all files are
/// grey, otherwise three channels.
///
/// # Errors
/// When a header cannot be read, or sizes differ and `size` is `None`.
pub fn shape(listing: &Listing, size: Option<usize>) -> Result<Shape> {
    let files = listing.train.par_iter().chain(&listing.test);
    let headers: Vec<Header> =
        files.map(|(path, _)| decode::header(path)).collect::<Result<_>>()?;
    let channels = if headers.iter().all(|header| header.is_grey) { 1 } else { 3 };
    if let Some(size) = size {
        return Ok(Shape { channels, height: size, width: size });
    }
    let Sides { height, width } = headers[0].sides;
    for ((path, _), header) in listing.train.iter().chain(&listing.test).zip(&headers) {
        ensure!(
            header.sides == headers[0].sides,
            "{} has {}×{} pixels, but {} has {width}×{height}: set data.size to resize all images",
            path.display(),
            header.sides.width,
            header.sides.height,
            listing.train[0].0.display()
        );
    }
    Ok(Shape { channels, height, width })
}

/// Class names: the names of the folders of training images.
///
/// # Errors
/// When the folder cannot be read.
pub fn classes(root: &Path) -> Result<Vec<String>> {
    class_names(root, "train")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_class_and_a_folder_without_classes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let fails = || format!("{:#}", list(folder.path()).unwrap_err());
        let message = fails();
        assert!(message.contains("expected in train/CLASS/ and test/CLASS/"), "{message}");
        for split in ["train", "test"] {
            std::fs::create_dir_all(folder.path().join(split).join("cat")).unwrap();
        }
        let message = fails();
        assert!(message.contains("train: need from 2 to 65535 classes"), "{message}");
        assert!(message.ends_with("found 1"), "{message}");
    }
}
