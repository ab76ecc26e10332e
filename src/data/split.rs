//! A part of a data set, wherever its pixels lie.

use super::stored::Stored;
use super::stored::crop::{self, Window};
use super::{Images, Shape};
use std::borrow::Cow;

/// Training, validation or test images.
#[derive(Clone, Debug)]
pub enum Split {
    /// In memory, all of the shape of the net's input.
    Memory(Images),
    /// In files, at their own ratios of sides; the net sees a crop.
    Stored(Stored),
}

impl Split {
    /// Shape of the net's input.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Memory(images) => images.shape,
            Self::Stored(stored) => stored.shape(),
        }
    }

    /// Class of every image, counted from 0.
    pub fn labels(&self) -> &[u16] {
        match self {
            Self::Memory(images) => &images.labels,
            Self::Stored(stored) => stored.labels(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels().len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels().is_empty()
    }

    /// The images, where all of them are in memory.
    pub fn in_memory(&self) -> Option<&Images> {
        match self {
            Self::Memory(images) => Some(images),
            Self::Stored(_) => None,
        }
    }

    /// The bytes of an image as it is tested on: channels × rows × columns.
    pub fn image(&self, index: usize) -> Cow<'_, [u8]> {
        match self {
            Self::Memory(images) => Cow::Borrowed(images.image(index)),
            Self::Stored(stored) => Cow::Owned(stored.middle(index)),
        }
    }

    /// The bytes of a part of an image at the shape of the net's input; `draw` is told rows and
    /// columns, and says which part, and whether it is mirrored.
    ///
    /// # Panics
    /// For grey images in memory.
    pub fn part(
        &self,
        index: usize,
        draw: impl FnOnce((usize, usize)) -> (Window, bool),
    ) -> Vec<u8> {
        match self {
            Self::Stored(stored) => stored.part(index, draw),
            Self::Memory(images) => {
                let sides = (images.shape.height, images.shape.width);
                let pixels = crop::interleaved(images.image(index));
                crop::drawn(&pixels, sides, draw(sides), images.shape.height)
            }
        }
    }
}

impl From<Images> for Split {
    fn from(images: Images) -> Self {
        Self::Memory(images)
    }
}
