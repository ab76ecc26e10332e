//! Reads an official set from its folder, and checks that it is the set it claims to be.

use super::catalogue::{DataFile, Format, IDX_SIDE, Set};
use super::content_hash::{HashedImages, hex};
use super::{Images, cifar, files, idx, locate};
use anyhow::{Context, Result, bail, ensure};
use md5::{Digest, Md5};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A data set as it lies on disk: all of it, at its own size.
pub struct Whole {
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// Training images.
    pub train: HashedImages,
    /// Test images.
    pub test: HashedImages,
    /// What a reader of the results should know.
    pub notes: Vec<String>,
}

/// Reads `set` from `folder` and checks sizes, headers, labels, numbers per class and contents.
///
/// # Errors
/// At the first thing that is wrong, with file and offset, or with the part of the set.
pub fn read(set: &Set, folder: &Path) -> Result<Whole> {
    let (train, test) = (read_part(set, folder, true)?, read_part(set, folder, false)?);
    check_classes(set, folder, &train.images, "training")?;
    check_classes(set, folder, &test.images, "test")?;
    match &set.content {
        Some(content) => {
            for (part, sum, name) in [(&train, 0, "training"), (&test, 1, "test")] {
                ensure!(
                    part.sum() == content.sums[sum],
                    "{}: the {name} images or labels are not those of {} (a damaged file, or \
                     another set); `fathom data verify {}` checks file by file",
                    folder.display(),
                    set.title,
                    set.name
                );
            }
        }
        // Without known contents the files' own sums are all there is to check.
        None => check_sums(set, folder)?,
    }
    let classes = set.classes.iter().map(|c| (*c).to_owned()).collect();
    Ok(Whole { classes, train, test, notes: Vec::new() })
}

/// All images of one part, from the files that hold them.
///
/// # Errors
/// As for [`read`], without the checks on contents.
pub fn read_part(set: &Set, folder: &Path, train: bool) -> Result<HashedImages> {
    let wanted: Vec<&DataFile> = set.files.iter().filter(|f| f.train == train).collect();
    // All sizes before the first byte: a broken last file is told at once.
    let paths = wanted.iter().map(|file| checked_path(file, folder)).collect::<Result<Vec<_>>>()?;
    let mut images = nothing();
    for (file, path) in wanted.iter().zip(&paths) {
        read_file(set, file, path, &mut images)?;
    }
    Ok(HashedImages::new(images))
}

/// No image yet, for [`read_file`] to add to.
pub fn nothing() -> Images {
    Images { shape: cifar::SHAPE, pixels: Vec::new(), labels: Vec::new() }
}

/// Reads one file of `set` and adds to `images` what it holds.
///
/// # Errors
/// A fault of size, header or labels, with file and offset.
pub fn read_file(set: &Set, file: &DataFile, path: &Path, images: &mut Images) -> Result<()> {
    let classes = set.classes.len() as u8;
    match file.format {
        Format::Cifar(record) => {
            let bytes = files::read_exactly(path, file.size())?;
            cifar::append(path, &bytes, record, classes, images)?;
        }
        Format::IdxImages => {
            let mut bytes = files::read_up_to(path, file.size())?;
            let expected = [file.count, IDX_SIDE, IDX_SIDE].map(|n| n as u64);
            idx::check_header(path, &bytes, idx::IMAGES, &expected)?;
            images.shape = idx::parse_images(path, &bytes)?.0;
            images.pixels = bytes.split_off(idx::IMAGE_HEADER);
        }
        Format::IdxLabels => {
            let bytes = files::read_up_to(path, file.size())?;
            idx::check_header(path, &bytes, idx::LABELS, &[file.count as u64])?;
            let labels = idx::parse_labels(path, &bytes, classes)?;
            images.labels = labels.iter().map(|l| u16::from(*l)).collect();
        }
    }
    Ok(())
}

/// IDX files tell more than their size does, and may be zipped: they are read first.
fn checked_path(file: &DataFile, folder: &Path) -> Result<PathBuf> {
    let path = locate::path_of(file, folder)
        .with_context(|| format!("{} lacks {}", folder.display(), file.name))?;
    if !file.is_idx() {
        files::check_size_on_disk(&path, file.size())?;
    }
    Ok(path)
}

/// Every class of the CIFAR sets has equally many images; every class of every set has some.
fn check_classes(set: &Set, folder: &Path, images: &Images, part: &str) -> Result<()> {
    let mut counts = vec![0; set.classes.len()];
    images.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
    let equal = matches!(set.files[0].format, Format::Cifar(_));
    let share = images.len() / counts.len();
    for (class, count) in counts.iter().enumerate() {
        let right = if equal { *count == share } else { *count > 0 };
        if !right {
            bail!(
                "{}: class {class} ({}) has {count} {part} images, but {} has {} of it: \
                 the labels are wrong",
                folder.display(),
                set.classes[class],
                set.title,
                if equal { share.to_string() } else { "some".to_owned() }
            );
        }
    }
    Ok(())
}

fn check_sums(set: &Set, folder: &Path) -> Result<()> {
    let wrong = set.files.par_iter().find_map_first(|file| {
        let path = folder.join(file.name);
        match md5_of(&path) {
            Ok(sum) if sum == file.md5 => None,
            Ok(sum) => Some(anyhow::anyhow!(
                "{}: its MD5 is {sum}, but the published one is {}: the file is damaged or another",
                path.display(),
                file.md5
            )),
            Err(error) => Some(error),
        }
    });
    wrong.map_or(Ok(()), Err)
}

/// MD5 (hexadecimal) of a file, read in pieces.
///
/// # Errors
/// When it cannot be read.
pub fn md5_of(path: &Path) -> Result<String> {
    let mut sum = Md5::new();
    let reading = || format!("cannot read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(reading)?;
    let mut piece = vec![0; 1 << 18];
    loop {
        match std::io::Read::read(&mut file, &mut piece).with_context(reading)? {
            0 => return Ok(hex(&sum.finalize())),
            n => sum.update(&piece[..n]),
        }
    }
}
