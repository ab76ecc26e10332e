//! The store of decoded images: every image of a folder is decoded once and written to shards in the
//! cache folder, so that later runs need no decoding. A folder that fits into memory is stored at the
//! size of the net's input and read from its shards as a whole. Of a larger one, such as ImageNet, images
//! are stored with their shorter side at a given length; the shards are mapped into memory, training
//! takes random crops, and testing the central crop.
//!
//! | module | contents |
//! |---|---|
//! | `shard` | the file format |
//! | `key` | names of stores, which change whenever a file changes |
//! | `memory` | folders that are read into memory |
//! | `build`, `index` | folders that stay in files: storing them, and opening them again quickly |
//! | `crop` | the crops of torchvision |
//! | `check` | decoding of all files without storing them |

mod build;
mod check;
pub mod crop;
mod index;
mod key;
mod memory;
mod shard;

pub use build::build;
pub use check::check;
pub use memory::read;

use super::Shape;
use super::folder::ImageFolder;
use super::pixels::{Sides, planes};
use anyhow::Result;
use crop::{ResizedCrop, Window};
use index::Index;
use shard::Shard;
use std::path::Path;
use std::sync::Arc;

/// The stored images of a folder that stays in files.
#[derive(Debug)]
pub struct Gallery {
    /// Class names.
    pub classes: Vec<String>,
    /// Labels of the training and the test images.
    pub labels: [Vec<u16>; 2],
    /// The training and the test images.
    pub stores: [Store; 2],
    /// Remarks on what was ignored, and on which images are the test images.
    pub notes: Vec<String>,
}

impl Gallery {
    fn new(index: Index, stores: [Store; 2]) -> Self {
        let labels = [0, 1].map(|split| index.labels(split));
        Self { classes: index.classes, labels, stores, notes: index.notes }
    }

    /// Opens what [`build`] stored. Returns `None` if something is missing, or if a folder of images has
    /// changed since. A file that was overwritten in place is not noticed here, but by [`build`].
    ///
    /// # Errors
    /// When a file cannot be mapped into memory.
    pub fn open(images: &ImageFolder, short: usize, cache: &Path) -> Result<Option<Self>> {
        let Some(index) = Index::read(cache, images, short) else { return Ok(None) };
        let folder = cache.join(&index.store);
        let count = |split: usize| index.counts[split].iter().sum();
        let train = Store::open(&folder, "train", count(0))?;
        let test = Store::open(&folder, "test", count(1))?;
        Ok(train.zip(test).map(|(train, test)| Self::new(index, [train, test])))
    }
}

/// The stored training or test images of a folder.
#[derive(Debug)]
pub struct Store {
    shards: Vec<Shard>,
    count: usize,
}

impl Store {
    /// Opens the shards of a split; `None` if one is missing or incomplete.
    ///
    /// # Errors
    /// When a file cannot be mapped into memory.
    fn open(folder: &Path, split: &str, count: usize) -> Result<Option<Self>> {
        let mut shards = Vec::new();
        for start in (0..count).step_by(shard::IMAGES) {
            let path = folder.join(shard::name(split, shards.len()));
            let expected = shard::IMAGES.min(count - start);
            let Some(shard) = Shard::open(&path, expected)? else { return Ok(None) };
            shards.push(shard);
        }
        Ok(Some(Self { shards, count }))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The key of an image: a hash of its label and the bytes of its file.
    pub fn key(&self, index: usize) -> u64 {
        let (shard, index) = self.find(index);
        shard.entry(index).key
    }

    /// Rows and columns of an image.
    pub fn sides(&self, index: usize) -> Sides {
        let (shard, index) = self.find(index);
        let entry = shard.entry(index);
        Sides { height: entry.height.into(), width: entry.width.into() }
    }

    /// Passes the rows × columns × 3 bytes of an image to `read`, and returns its result.
    pub fn with_image<R>(&self, index: usize, read: impl FnOnce(&[u8]) -> R) -> R {
        let (shard, index) = self.find(index);
        shard.with_image(index, read)
    }

    /// All shards but the last have the same number of images.
    fn find(&self, index: usize) -> (&Shard, usize) {
        (&self.shards[index / shard::IMAGES], index % shard::IMAGES)
    }
}

/// A subset of the stored images, as a net with square inputs sees them.
#[derive(Clone, Debug)]
pub struct Stored {
    store: Arc<Store>,
    /// Indices of the images in the store.
    indices: Vec<u32>,
    /// Labels of these images.
    labels: Vec<u16>,
    /// Rows and columns of the net's input.
    size: usize,
}

impl Stored {
    /// The images at these indices, with their labels, for a net with inputs of `size` rows and columns.
    pub fn new(store: Arc<Store>, indices: Vec<u32>, labels: Vec<u16>, size: usize) -> Self {
        Self { store, indices, labels, size }
    }

    /// Shape of the net's input.
    pub fn shape(&self) -> Shape {
        Shape { channels: 3, height: self.size, width: self.size }
    }

    /// Class of every image.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The central crop of an image, as three planes.
    pub fn centre(&self, index: usize) -> Vec<u8> {
        let index = self.indices[index] as usize;
        let sides = self.store.sides(index);
        let window = Window::centre(sides, self.size);
        planes(&self.store.with_image(index, |pixels| crop::cut(pixels, sides.width, window)), 3)
    }

    /// The crop of an image that `draw` chooses for its sides, as three planes of the net's input.
    pub fn crop(&self, index: usize, draw: impl FnOnce(Sides) -> ResizedCrop) -> Vec<u8> {
        let index = self.indices[index] as usize;
        let sides = self.store.sides(index);
        let crop = draw(sides);
        self.store.with_image(index, |pixels| crop.apply(pixels, sides.width, self.size))
    }
}

#[cfg(test)]
mod tests;
