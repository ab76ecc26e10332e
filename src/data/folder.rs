//! `images`: a folder of image files. The classes are the names of folders, or the labels of a list, in
//! alphabetical order.
//!
//! | module | contents |
//! |---|---|
//! | `layout` | where the training and the test images are |
//! | `labels` | lists that name an image and its label on each line |
//! | `entries` | the entries of a folder, without those of operating systems |

mod entries;
mod labels;
mod layout;

pub use entries::dangling;
pub use layout::{Layout, SHARES};

use super::Shape;
use super::decode::{self, Header};
use super::pixels::Sides;
use anyhow::{Result, bail, ensure};
use entries::{Entries, Ignored};
use layout::Part;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A folder of images, and how it is divided.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFolder {
    /// Path of the folder.
    pub root: PathBuf,
    /// Share of the training images of each class that are held out as test images, for a folder without
    /// test images.
    pub test_share: Option<f64>,
}

/// The image files of a folder in alphabetical order.
#[derive(Debug)]
pub struct Listing {
    /// Path of the folder.
    pub root: PathBuf,
    /// Class names.
    pub classes: Vec<String>,
    /// Training files with their labels.
    pub train: Vec<LabelledFile>,
    /// Test files with their labels.
    pub test: Vec<LabelledFile>,
    /// Remarks on what was ignored, and on which images are the test images.
    pub notes: Vec<String>,
}

/// An image file with its label.
pub type LabelledFile = (PathBuf, u16);

/// Extensions of the files that are read.
const EXTENSIONS: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pbm", "pnm"];

/// Lists the image files of a folder. Names that start with a dot are ignored.
///
/// # Errors
/// When there are no training or test images, when they have different classes or fewer than two, when a
/// class has no images, or when a link leads nowhere.
pub fn list(folder: &ImageFolder) -> Result<Listing> {
    let layout = Layout::of(folder)?;
    let classes = layout.classes.clone();
    let mut ignored = Ignored::default();
    let mut train = files(&layout.train, &classes, &mut ignored)?;
    let test = match &layout.test {
        Some(part) => files(part, &classes, &mut ignored)?,
        None => {
            hold_out(&mut train, folder.test_share.unwrap_or_default(), &classes, &layout.root)?
        }
    };
    let mut notes = layout.notes;
    notes.extend(ignored.note());
    Ok(Listing { root: folder.root.clone(), classes, train, test, notes })
}

/// The files of a part with their labels, ordered by class.
fn files(part: &Part, classes: &[String], ignored: &mut Ignored) -> Result<Vec<LabelledFile>> {
    match part {
        Part::Classes(folder) => {
            let mut files = Vec::new();
            ignored.add_loose(&Entries::of(folder)?);
            for (label, class) in classes.iter().enumerate() {
                let images = class_files(&folder.join(class), ignored)?;
                files.extend(images.into_iter().map(|file| (file, label as u16)));
            }
            Ok(files)
        }
        Part::Listed { list, images } => list.files(images, classes),
    }
}

/// The images of a class: those in its folder, otherwise those in its folder `images`.
fn class_files(class: &Path, ignored: &mut Ignored) -> Result<Vec<PathBuf>> {
    let mut entries = Entries::of(class)?;
    let inner = class.join(layout::IMAGES);
    if entries.images.is_empty() && inner.is_dir() {
        entries.folders.retain(|folder| *folder != inner);
        ignored.add(&entries);
        entries = Entries::of(&inner)?;
    }
    if entries.images.is_empty() {
        let folders = match entries.folders.len() {
            0 => String::new(),
            _ => format!("; its folders are not classes: {}", entries::names(&entries.folders)),
        };
        bail!("{} has no images ({}){folders}", class.display(), endings());
    }
    ignored.add(&entries);
    Ok(entries.images)
}

/// The extensions of the files that are read, for messages.
fn endings() -> String {
    EXTENSIONS.map(|extension| format!(".{extension}")).join(", ")
}

/// Moves a share of the files of each class from `train`, which is ordered by class, to the result, at least one. They are those with
/// the smallest hashes of their paths within the folder, so the choice is the same everywhere, and a file
/// that is added later moves few others.
fn hold_out(
    train: &mut Vec<LabelledFile>,
    share: f64,
    classes: &[String],
    root: &Path,
) -> Result<Vec<LabelledFile>> {
    let hash = |path: &Path| {
        let inner = path.strip_prefix(root).unwrap_or(path);
        Sha256::digest(inner.as_os_str().as_encoded_bytes())
    };
    let (mut rest, mut test) = (Vec::new(), Vec::new());
    for files in train.chunk_by(|a, b| a.1 == b.1) {
        ensure!(
            files.len() > 1,
            "{}: class `{}` has 1 image, but data.test_share needs one for training and one for testing",
            root.display(),
            classes[usize::from(files[0].1)]
        );
        let mut files = files.to_vec();
        files.sort_by_cached_key(|(path, _)| hash(path));
        let count = (share * files.len() as f64).round() as usize;
        let kept = files.split_off(count.clamp(1, files.len() - 1));
        rest.extend(kept);
        test.extend(files);
    }
    let in_order = |a: &LabelledFile, b: &LabelledFile| (a.1, &a.0).cmp(&(b.1, &b.0));
    rest.sort_by(in_order);
    test.sort_by(in_order);
    *train = rest;
    Ok(test)
}

/// Shape of the images at `size` rows and columns, or at their own size if that is the same for all, and
/// the number of classes. Reads only the headers of the files.
///
/// # Errors
/// The errors of [`list`] and of [`shape`].
pub fn describe(folder: &ImageFolder, size: Option<usize>) -> Result<(Shape, usize)> {
    let listing = list(folder)?;
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

#[cfg(test)]
mod tests;
