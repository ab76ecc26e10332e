//! Reading an official set from its folder, and checking its contents.

use super::catalogue::{DataFile, Format, IDX_SIDE, Set};
use super::file_error::{FileError, FileErrorKind};
use super::locate::{Home, path_of};
use super::{FullDataset, HashedImages, Images, Labels, cifar, files, idx, mat};
use anyhow::{Context, Result, ensure};
use md5::{Digest, Md5};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Reads a set and checks sizes, headers, labels, numbers of images per class, and contents.
///
/// # Errors
/// The first error that is found, with file and offset, or with the split that is wrong.
pub fn read(home: &Home, labels: Labels) -> Result<FullDataset> {
    let Home { set, folder, .. } = home;
    let (train, test) = (read_split(home, true, labels)?, read_split(home, false, labels)?);
    let classes = set.class_names(labels);
    check_classes(home, classes, &train.images, "training")?;
    check_classes(home, classes, &test.images, "test")?;
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
        None => check_sums(home)?,
    }
    let classes = classes.iter().map(|c| (*c).to_owned()).collect();
    Ok(FullDataset { classes, train, test, notes: Vec::new() })
}

/// Reads all training (or test) images of a set.
///
/// # Errors
/// The errors of [`read`], except those of checksums, which are not verified.
pub fn read_split(home: &Home, train: bool, labels: Labels) -> Result<HashedImages> {
    let Home { set, version, folder } = home;
    let wanted: Vec<&DataFile> = version.files.iter().filter(|f| f.train == train).collect();
    // All sizes are checked before a file is read, so that a truncated last file is reported at once.
    let paths = wanted.iter().map(|file| checked_path(file, folder)).collect::<Result<Vec<_>>>()?;
    let mut images = no_images();
    for (file, path) in wanted.iter().zip(&paths) {
        read_file(set, file, path, labels, &mut images)?;
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
pub fn read_file(
    set: &Set,
    file: &DataFile,
    path: &Path,
    labels: Labels,
    images: &mut Images,
) -> Result<()> {
    match file.format {
        Format::Cifar(record) => {
            let bytes = files::read_exactly(path, file.size())?;
            cifar::append(path, &bytes, record, labels, images)?;
        }
        Format::Pickle(record) => {
            let bytes = files::read_up_to(path, file.size())?;
            cifar::append_pickle(path, &bytes, (record, file.count), labels, images)?;
        }
        Format::Mat => {
            // No other sums are known, and damage in compressed data would be reported without its place.
            let found = md5_of(path)?;
            if found != file.md5 {
                let kind = FileErrorKind::Md5 { found, expected: file.md5 };
                return Err(FileError::new(path, 0, kind).into());
            }
            mat::append(path, &files::read_up_to(path, file.size())?, file.count, images)?;
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
            let labels = idx::parse_labels(path, &bytes, set.classes.len() as u8)?;
            images.labels = labels.iter().map(|l| u16::from(*l)).collect();
        }
    }
    Ok(())
}

/// Path of a file, whose size is checked if it is always the same. IDX files may be gzipped and have a
/// header, and pickles have their length inside, so these are checked when they are read.
fn checked_path(file: &DataFile, folder: &Path) -> Result<PathBuf> {
    let path = path_of(file, folder)
        .with_context(|| format!("{} is missing in {}", file.name, folder.display()))?;
    match file.format {
        Format::Cifar(_) => files::check_size_on_disk(&path, file.size())?,
        Format::Pickle(_) | Format::Mat | Format::IdxImages | Format::IdxLabels => {}
    }
    Ok(path)
}

/// Checks that every class has images, and equally many in the CIFAR sets.
fn check_classes(home: &Home, classes: &[&str], images: &Images, split: &str) -> Result<()> {
    let Home { set, version, folder } = home;
    let mut counts = vec![0; classes.len()];
    images.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
    let is_balanced = match version.files[0].format {
        Format::Cifar(_) | Format::Pickle(_) => true,
        Format::Mat | Format::IdxImages | Format::IdxLabels => false,
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
            classes[class],
            set.title
        );
    }
    Ok(())
}

fn check_sums(home: &Home) -> Result<()> {
    let wrong = home.version.files.par_iter().find_map_first(|file| {
        let path = home.folder.join(file.name);
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
