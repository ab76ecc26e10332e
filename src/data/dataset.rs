//! The types that describe a data set.

use super::Split;
use fathom_base::choice;
use std::path::PathBuf;

/// A data set as training uses it: decoded, resized and reduced to the requested numbers of images.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Class names; their number is the number of outputs of a net.
    pub classes: Vec<String>,
    /// Training images, without those held out for validation.
    pub train: Split,
    /// Images held out of the training set, on which all choices are made; may be empty.
    pub validation: Split,
    /// Test images.
    pub test: Split,
    /// SHA-256 (hexadecimal) over shapes, pixels and labels of all three splits.
    pub sha256: String,
    /// Remarks for readers of the results, such as that generated images replace the data set.
    pub notes: Vec<String>,
}

choice! {
    /// Words of `data.source`: the origin of a data set.
    pub enum Source {
        /// The built-in figures.
        Shapes,
        /// CIFAR-10, official files of the binary or the Python version.
        Cifar10,
        /// CIFAR-100, official files of the binary or the Python version.
        Cifar100,
        /// MNIST, IDX files.
        Mnist,
        /// Fashion-MNIST, IDX files.
        FashionMnist,
        /// SVHN, cropped digits, official files.
        Svhn,
        /// A folder with `train/CLASS/` and `test/CLASS/` of image files.
        Images,
    }
}

choice! {
    /// Words of `data.labels`: the classes of CIFAR-100.
    #[derive(Default)]
    pub enum Labels {
        /// 100 classes.
        #[default]
        Fine,
        /// 20 superclasses of five classes each.
        Coarse,
    }
}

/// The part of `[data]` of an experiment that determines the bytes of the images.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Request {
    /// Origin of the data set.
    pub source: Source,
    /// Number of training images, a fixed class-balanced subset; `None` for all.
    pub train: Option<usize>,
    /// Number of test images, likewise.
    pub test: Option<usize>,
    /// Number of images held out of the training set, likewise.
    pub validation: usize,
    /// Number of rows and columns to which images are resized; `None` for their own size.
    pub size: Option<usize>,
    /// For `images` larger than memory: length of the shorter side of the stored images, of which nets
    /// see crops of `size` rows and columns. `None` if images are resized to `size` in memory.
    #[serde(default)]
    pub short_side: Option<usize>,
    /// Whether `shapes` are drawn in colour; other sources ignore it.
    pub colour: bool,
    /// The folder of `images`.
    pub path: Option<PathBuf>,
    /// For `images` without test images: share of the training images of each class that are held out as
    /// test images.
    #[serde(default)]
    pub test_share: Option<f64>,
    /// Labels of CIFAR-100; other sources ignore them.
    #[serde(default)]
    pub labels: Labels,
}

impl Request {
    /// All images of a source at their own size; of the folder at `path` for `images`.
    pub fn all(source: Source, path: Option<PathBuf>) -> Self {
        Self {
            source,
            train: None,
            test: None,
            validation: 0,
            size: None,
            short_side: None,
            colour: false,
            path,
            test_share: None,
            labels: Labels::Fine,
        }
    }
}

impl Source {
    /// The sources with official files.
    pub const OFFICIAL: &'static [Self] =
        &[Self::Cifar10, Self::Cifar100, Self::Mnist, Self::FashionMnist, Self::Svhn];

    /// The sources with files.
    pub const WITH_FILES: &'static [Self] =
        &[Self::Cifar10, Self::Cifar100, Self::Mnist, Self::FashionMnist, Self::Svhn, Self::Images];
}
