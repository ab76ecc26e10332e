//! Training, validation or test images, in memory or in files.

use super::pixels::{Sides, interleaved};
use super::stored::Stored;
use super::stored::crop::ResizedCrop;
use super::{Images, Shape};
use std::borrow::Cow;

/// Training, validation or test images.
#[derive(Clone, Debug)]
pub enum Split {
    /// Images in memory, all of the shape of the net's input.
    Memory(Images),
    /// Images in files, with their own ratios of sides; the net sees a crop.
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

    /// The images, if they are in memory.
    pub fn in_memory(&self) -> Option<&Images> {
        match self {
            Self::Memory(images) => Some(images),
            Self::Stored(_) => None,
        }
    }

    /// The bytes of an image without augmentation, as in evaluation: channels × rows × columns of the
    /// net's input.
    pub fn image(&self, index: usize) -> Cow<'_, [u8]> {
        match self {
            Self::Memory(images) => Cow::Borrowed(images.image(index)),
            Self::Stored(stored) => Cow::Owned(stored.centre(index)),
        }
    }

    /// The bytes of the crop that `draw` chooses for the sides of an image: channels × rows × columns of
    /// the net's input.
    ///
    /// # Panics
    /// For grey images in memory.
    pub fn crop(&self, index: usize, draw: impl FnOnce(Sides) -> ResizedCrop) -> Vec<u8> {
        match self {
            Self::Stored(stored) => stored.crop(index, draw),
            Self::Memory(images) => {
                let Shape { channels, height, width } = images.shape;
                let pixels = interleaved(images.image(index), channels);
                draw(Sides { height, width }).apply(&pixels, width, height)
            }
        }
    }
}

impl From<Images> for Split {
    fn from(images: Images) -> Self {
        Self::Memory(images)
    }
}
