//! Data sets as arrays of bytes: the official files of CIFAR-10, CIFAR-100, MNIST and
//! Fashion-MNIST, folders of images, and the built-in `shapes`; their checksums, and the batches
//! with augmentation that training takes from them. Nothing here knows libtorch.

mod batch;
pub mod catalogue;
mod catalogue_names;
pub mod cifar;
pub mod contact;
pub mod content_hash;
mod decode;
mod describe;
pub mod fault;
pub mod fetch;
pub mod files;
pub mod folder;
mod folder_cache;
pub mod idx;
pub mod install;
mod load;
pub mod locate;
mod mosaic;
pub mod official;
mod resize;
mod sampler;
pub mod shapes;
mod split;
pub mod stored;
pub mod subset;
pub mod verify;

pub use batch::{Augment, Crop, Standardise, Standardiser, balanced};
pub use describe::{describe, stand_in};
pub use load::{load, prepare, read_whole};
pub use locate::{Missing, locate, search_folders};
pub use resize::resize;
pub use sampler::{Sample, Sampler};
pub use split::Split;

use fathom_base::choice;

/// Channels, rows and columns of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Values in one image.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image would hold nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Images of equal shape with their labels.
#[derive(Clone, Debug)]
pub struct Images {
    /// Shape of every image.
    pub shape: Shape,
    /// `labels.len()` × channels × height × width bytes, in this order.
    pub pixels: Vec<u8>,
    /// Class of every image, counted from 0.
    pub labels: Vec<u16>,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bytes of image `index`.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.shape.len();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The images at `indices`, in that order.
    pub fn select(&self, indices: &[u32]) -> Images {
        let mut pixels = Vec::with_capacity(indices.len() * self.shape.len());
        indices.iter().for_each(|i| pixels.extend_from_slice(self.image(*i as usize)));
        let labels = indices.iter().map(|i| self.labels[*i as usize]).collect();
        Images { shape: self.shape, pixels, labels }
    }
}

/// A data set as training uses it: decoded, resized and cut to the numbers asked for.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Class names; their number is the number of outputs of a net.
    pub classes: Vec<String>,
    /// Training images (without those held out).
    pub train: Split,
    /// Images held out of the training set for every choice that is made by looking; may be empty.
    pub validation: Split,
    /// Test images.
    pub test: Split,
    /// SHA-256 (hexadecimal) over shapes, pixels and labels of all three parts.
    pub sha256: String,
    /// What a reader of the results should know, such as "file sums differ from the published".
    pub notes: Vec<String>,
}

choice! {
    /// Words of `data.source`: where a data set comes from.
    pub enum Source {
        /// The built-in figures.
        Shapes,
        /// CIFAR-10, official binary files.
        Cifar10,
        /// CIFAR-100 with its fine labels, official binary files.
        Cifar100,
        /// MNIST, IDX files.
        Mnist,
        /// Fashion-MNIST, IDX files.
        FashionMnist,
        /// A folder with `train/CLASS/*.png|jpg` and `test/CLASS/*.png|jpg`.
        Images,
    }
}

/// What an experiment asks of a data set (the part of `[data]` that decides on bytes).
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Request {
    /// Which data set.
    pub source: Source,
    /// Number of training images, a fixed class-balanced choice; all when absent.
    pub train: Option<usize>,
    /// Number of test images, likewise.
    pub test: Option<usize>,
    /// Number of images held out of the training set, likewise.
    pub validation: usize,
    /// Rows and columns to which images are resized; as they are when absent.
    pub size: Option<usize>,
    /// For `images` that are stored with their shorter side at this length, of which nets see crops
    /// of `size` rows and columns; absent where all are resized to `size` in memory.
    #[serde(default)]
    pub short_side: Option<usize>,
    /// Whether `shapes` are drawn in colour; the others have the channels they have.
    pub colour: bool,
    /// The folder of `images`.
    pub path: Option<std::path::PathBuf>,
}
