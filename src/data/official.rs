//! Reading an official set from its folder, and checking its contents.

use super::catalogue::{DataFile, Format, IDX_SIDE, Set};
use super::{FullDataset, HashedImages, Images, cifar, files, idx, locate};
use anyhow::{Context, Result, ensure};
use md5::{Digest, Md5};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Reads `set` from `folder` and checks sizes, headers, labels, numbers of images per class, and contents.
///
/// # Errors
/// The first error that is found, with file and offset, or with the split that is wrong.
pub fn read(set: &Set, folder: &Path) -> Result<FullDataset> {
    let (train, test) = (read_split(set, folder, true)?, read_split(set, folder, false)?);
    check_classes(set, folder, &train.images, "training")?;
    check_classes(set, folder, &test.images, "test")?;
    match &set.content {
        Some(content) => {
            for (split, expected, name) in
                [(&train, content.sums[0], "training"), (&test, content.sums[1], "test")]
            {
                ensure!(
                    split.sum() == expected,
                    "{}: the {name} images or labels are not those of {} (a file is damaged or \
                     belongs to another set); `fathom data verify {}` checks each file",
                    folder.display(),
                    set.title,
                    set.name
                );
            }
        }
        // Only the sums of the files are published.
        None => check_sums(set, folder)?,
    }
    let classes = set.classes.iter().map(|c| (*c).to_owned()).collect();
    Ok(FullDataset { classes, train, test, notes: Vec::new() })
}

/// Reads all training (or test) images of a set.
///
/// # Errors
/// The errors of [`read`], except those of checksums, which are not verified.
pub fn read_split(set: &Set, folder: &Path, train: bool) -> Result<HashedImages> {
    let wanted: Vec<&DataFile> = set.files.iter().filter(|f| f.train == train).collect();
    // All sizes are checked before a file is read, so that a truncated last file is reported at once.
    let paths = wanted.iter().map(|file| checked_path(file, folder)).collect::<Result<Vec<_>>>()?;
    let mut images = no_images();
    for (file, path) in wanted.iter().zip(&paths) {
        read_file(set, file, path, &mut images)?;
    }
    Ok(HashedImages::new(images))
}

/// An empty set of images, to which [`read_file`] adds.
pub fn no_images() -> Images {
    Images { shape: cifar::SHAPE, pixels: Vec::new(), labels: Vec::new() }
}

/// Reads one file of `set` and adds its images or labels to `images`.
///
/// # Errors
/// A wrong size, header or label, with file and offset.
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

/// Path of a file, whose size is checked. IDX files may be gzipped and have a header, so they are not
/// checked before they are read.
fn checked_path(file: &DataFile, folder: &Path) -> Result<PathBuf> {
    let path = locate::path_of(file, folder)
        .with_context(|| format!("{} is missing in {}", file.name, folder.display()))?;
    if !file.is_idx() {
        files::check_size_on_disk(&path, file.size())?;
    }
    Ok(path)
}

/// Checks that every class has images, and equally many in the CIFAR sets.
fn check_classes(set: &Set, folder: &Path, images: &Images, split: &str) -> Result<()> {
    let mut counts = vec![0; set.classes.len()];
    images.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
    let is_balanced = match set.files[0].format {
        Format::Cifar(_) => true,
        Format::IdxImages | Format::IdxLabels => false,
    };
    let share = images.len() / counts.len();
    for (class, count) in counts.into_iter().enumerate() {
        let (is_valid, expected) = match is_balanced {
            true => (count == share, share.to_string()),
            false => (count > 0, "at least 1".to_owned()),
        };
        ensure!(
            is_valid,
            "{}: class {class} ({}) has {count} {split} images, expected {expected} in {}: the \
             labels are wrong",
            folder.display(),
            set.classes[class],
            set.title
        );
    }
    Ok(())
}

fn check_sums(set: &Set, folder: &Path) -> Result<()> {
    let wrong = set.files.par_iter().find_map_first(|file| {
        let path = folder.join(file.name);
        match md5_of(&path) {
            Ok(sum) if sum == file.md5 => None,
            Ok(sum) => Some(anyhow::anyhow!(
                "{}: the MD5 is {sum}, but the published one is {}: the file is damaged or another one",
                path.display(),
                file.md5
            )),
            Err(error) => Some(error),
        }
    });
    wrong.map_or(Ok(()), Err)
}

/// MD5 (hexadecimal) of a file.
///
/// # Errors
/// When the file cannot be read.
pub fn md5_of(path: &Path) -> Result<String> {
    let mut sum = Md5::new();
    let reading = || format!("cannot read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(reading)?;
    let mut piece = vec![0; 1 << 18];
    loop {
        match std::io::Read::read(&mut file, &mut piece).with_context(reading)? {
            0 => return Ok(hex::encode(sum.finalize())),
            n => sum.update(&piece[..n]),
        }
    }
}
