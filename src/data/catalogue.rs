//! The data sets with official files: their files, sums, classes and addresses.

mod sets;

pub use sets::SETS;

use super::catalogue_names::CIFAR100_COARSE;
use super::cifar::Record;
use super::{Labels, Source};

/// A data set that is distributed as files of fixed size.
pub struct Set {
    /// The value of `data.source` that selects it.
    pub source: Source,
    /// Name in an experiment and on the command line.
    pub name: &'static str,
    /// Name in messages and tables.
    pub title: &'static str,
    /// The forms in which it is distributed; the first is downloaded.
    pub versions: &'static [Version],
    /// Class names in the order of the labels.
    pub classes: &'static [&'static str],
    /// Files to download or import.
    pub downloads: &'static [Download],
    /// Addresses to which the name of a download is appended, the official one first.
    pub bases: &'static [&'static str],
    /// Sums of images and labels; `None` if only the sums of the files are known.
    pub content: Option<Content>,
}

/// A form in which a set is distributed.
pub struct Version {
    /// Subfolders of a data folder in which it is searched; it is imported into the first.
    pub folders: &'static [&'static str],
    /// Its files.
    pub files: &'static [DataFile],
    /// The archive that has them; `None` if they are distributed one by one.
    pub archive: Option<&'static str>,
}

/// One file of a set.
pub struct DataFile {
    /// Name; an IDX file may have `.gz` appended.
    pub name: &'static str,
    /// Whether it has training images (or their labels), not test images.
    pub train: bool,
    /// Format.
    pub format: Format,
    /// Number of images or labels.
    pub count: usize,
    /// Published MD5: of the file for CIFAR, of the official `.gz` for IDX.
    pub md5: &'static str,
    /// MD5 of an IDX file after decompression; the bytes of the `.gz` depend on the compressor.
    pub unzipped_md5: Option<&'static str>,
}

/// The format of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CIFAR records.
    Cifar(Record),
    /// The images and labels of CIFAR records, in the Python version.
    Pickle(Record),
    /// Images and labels in a MATLAB file, which is read only if its MD5 is the published one.
    Mat,
    /// 28×28 images in IDX.
    IdxImages,
    /// Labels in IDX.
    IdxLabels,
}

/// Rows and columns of the images in the known IDX sets.
pub const IDX_SIDE: usize = 28;

impl DataFile {
    /// Length of the file in bytes, after decompression; of a pickle, which also has names of files, and of a
    /// MATLAB file, which is compressed, the greatest.
    pub fn size(&self) -> u64 {
        let bytes = match self.format {
            Format::Cifar(record) => self.count * record.size(),
            // A pickle may have two bytes for each of another one.
            Format::Pickle(record) => 2 * self.count * record.size(),
            Format::Mat => self.count * (super::cifar::SHAPE.len() + 16),
            Format::IdxImages => super::idx::IMAGE_HEADER + self.count * IDX_SIDE * IDX_SIDE,
            Format::IdxLabels => super::idx::LABEL_HEADER + self.count,
        };
        bytes as u64
    }

    /// Whether it is an IDX file, which may be gzipped.
    pub fn is_idx(&self) -> bool {
        match self.format {
            Format::Cifar(_) | Format::Pickle(_) | Format::Mat => false,
            Format::IdxImages | Format::IdxLabels => true,
        }
    }
}

/// A file to download, with the sums that its authors or torchvision publish.
pub struct Download {
    /// File name in the address and on disk.
    pub name: &'static str,
    /// Length in bytes, if published.
    pub size: Option<u64>,
    /// MD5.
    pub md5: &'static str,
    /// SHA-256, if published.
    pub sha256: Option<&'static str>,
}

/// Sums of the images and labels of a set, independent of their order and files.
pub struct Content {
    /// Sums of the keys of training and test images (see `HashedImages::sum`), checked at every load.
    pub sums: [u64; 2],
    /// SHA-256 of training and test images in the order of their keys, checked by `fathom data verify`.
    pub sha256: [&'static str; 2],
}

impl Set {
    /// The set of `source`; `None` for the built-in set and for folders of images.
    pub fn of(source: Source) -> Option<&'static Set> {
        SETS.iter().find(|set| set.source == source)
    }

    /// Class names for a choice of labels.
    pub fn class_names(&self, labels: Labels) -> &'static [&'static str] {
        match (self.source, labels) {
            (Source::Cifar100, Labels::Coarse) => &CIFAR100_COARSE,
            (_, Labels::Fine | Labels::Coarse) => self.classes,
        }
    }

    /// The set of this name.
    pub fn named(name: &str) -> Option<&'static Set> {
        SETS.iter().find(|set| set.name == name)
    }

    /// Number of training images, or of test images.
    pub fn count(&self, train: bool) -> usize {
        let has_images = |f: &&DataFile| f.train == train && f.format != Format::IdxLabels;
        self.versions[0].files.iter().filter(has_images).map(|f| f.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue_names::CIFAR100;

    #[test]
    fn sizes_follow_from_formats_and_counts() {
        let size = |set: &str, file: usize| Set::named(set).unwrap().versions[0].files[file].size();
        assert_eq!((size("cifar10", 0), size("cifar100", 0)), (30_730_000, 153_700_000));
        assert_eq!((size("mnist", 0), size("mnist", 3)), (47_040_016, 10_008));
        let counts = SETS.each_ref().map(|set| (set.count(true), set.count(false)));
        assert_eq!(
            counts,
            [
                (50_000, 10_000),
                (50_000, 10_000),
                (60_000, 10_000),
                (60_000, 10_000),
                (73_257, 26_032)
            ]
        );
    }

    #[test]
    fn class_names_are_complete_and_distinct() {
        for set in &SETS {
            let expected = if set.source == Source::Cifar100 { 100 } else { 10 };
            let names: std::collections::BTreeSet<_> = set.classes.iter().collect();
            assert_eq!((set.classes.len(), names.len()), (expected, expected));
        }
        assert!(CIFAR100.is_sorted());
    }
}
