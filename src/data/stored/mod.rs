//! Sets that do not fit into memory, ImageNet's: every image is decoded once, its shorter side
//! brought to a given length, and stored in files that are mapped into memory (`store`). Training
//! takes random crops of them, testing the middle (`crop`), both at the size of the net's input.

mod build;
pub mod crop;
mod index;
mod shard;

pub use build::build;

use super::Shape;
use anyhow::Result;
use crop::Window;
use index::Index;
use shard::Shard;
use std::path::Path;
use std::sync::Arc;

/// A folder's images as they are stored.
#[derive(Debug)]
pub struct Gallery {
    /// Class names.
    pub classes: Vec<String>,
    /// Labels of training and test images.
    pub labels: [Vec<u16>; 2],
    /// These images.
    pub stores: [Store; 2],
}

impl Gallery {
    fn new(index: Index, stores: [Store; 2]) -> Self {
        let labels = [0, 1].map(|part| index.labels(part));
        Self { classes: index.classes, labels, stores }
    }

    /// Opens what [`build`] stored, if no folder of images was changed since; a file that was written
    /// over in its place goes unnoticed, which [`build`] would see. Nothing where something is missing.
    ///
    /// # Errors
    /// When a file cannot be mapped.
    pub fn open(root: &Path, short: usize, cache: &Path) -> Result<Option<Self>> {
        let Some(index) = Index::read(cache, root, short) else { return Ok(None) };
        let folder = cache.join(&index.store);
        let count = |part: usize| index.counts[part].iter().sum();
        let train = Store::open(&folder, "train", count(0))?;
        let test = Store::open(&folder, "test", count(1))?;
        Ok(train.zip(test).map(|(train, test)| Self::new(index, [train, test])))
    }
}

/// One part (training or test images) as it is stored; 64-bit numbers tell images apart by their
/// files' bytes.
#[derive(Debug)]
pub struct Store {
    shards: Vec<Shard>,
    /// Place of each shard's first image.
    firsts: Vec<usize>,
    count: usize,
}

impl Store {
    /// Opens what [`build`] wrote for a part; nothing where it is not whole.
    ///
    /// # Errors
    /// When a file cannot be mapped.
    pub fn open(folder: &Path, part: &str, count: usize) -> Result<Option<Self>> {
        let (mut shards, mut firsts, mut found) = (Vec::new(), Vec::new(), 0);
        while found < count {
            let expected = shard::IMAGES.min(count - found);
            let path = folder.join(shard::name(part, shards.len()));
            let Some(shard) = Shard::open(&path, expected)? else { return Ok(None) };
            firsts.push(found);
            found += expected;
            shards.push(shard);
        }
        Ok(Some(Self { shards, firsts, count }))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The key of an image.
    pub fn key(&self, index: usize) -> u64 {
        let (shard, place) = self.find(index);
        shard.entry(place).key
    }

    /// Rows and columns of an image.
    pub fn sides(&self, index: usize) -> (usize, usize) {
        let (shard, place) = self.find(index);
        let entry = shard.entry(place);
        (usize::from(entry.height), usize::from(entry.width))
    }

    /// Gives rows × columns × 3 bytes of an image to `see`.
    pub fn pixels<R>(&self, index: usize, see: impl FnOnce(&[u8]) -> R) -> R {
        let (shard, place) = self.find(index);
        shard.pixels(place, see)
    }

    fn find(&self, index: usize) -> (&Shard, usize) {
        let place = self.firsts.partition_point(|first| *first <= index) - 1;
        (&self.shards[place], index - self.firsts[place])
    }
}

/// A choice of stored images, as a net of a certain input sees them.
#[derive(Clone, Debug)]
pub struct Stored {
    store: Arc<Store>,
    /// Which, in order.
    indices: Vec<u32>,
    /// Of these.
    labels: Vec<u16>,
    size: usize,
}

impl Stored {
    /// These images with their labels, at `size` rows and columns.
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

    /// The middle of an image, as three planes of `size` rows and columns.
    pub fn middle(&self, index: usize) -> Vec<u8> {
        let at = self.indices[index] as usize;
        let (height, width) = self.store.sides(at);
        let window = Window::middle((height, width), self.size);
        crop::planes(&self.store.pixels(at, |pixels| crop::cut(pixels, width, window)))
    }

    /// A part of an image, brought to `size` rows and columns, as three planes; `draw` is told rows
    /// and columns of the image, and says which part, and whether it is mirrored.
    pub fn part(
        &self,
        index: usize,
        draw: impl FnOnce((usize, usize)) -> (Window, bool),
    ) -> Vec<u8> {
        let at = self.indices[index] as usize;
        let sides = self.store.sides(at);
        let drawn = draw(sides);
        self.store.pixels(at, |pixels| crop::drawn(pixels, sides, drawn, self.size))
    }
}

#[cfg(test)]
mod tests;
