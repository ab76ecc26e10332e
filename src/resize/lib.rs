//! Bilinear resizing with antialiasing, in Pillow's integer arithmetic.
//!
//! A crate of its own, since its dependency is generic and takes longer to compile than all other code
//! that handles images.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

/// Rows and columns of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Sides {
    /// Equal numbers of rows and columns.
    pub fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }
}

/// Resizes an image of interleaved RGB pixels (rows × columns × 3 bytes).
///
/// # Panics
/// When the number of pixels is not that of the sides, or is zero.
pub fn bilinear(pixels: &[u8], from: Sides, to: Sides) -> Vec<u8> {
    if from == to {
        return pixels.to_vec();
    }
    let side = |side: usize| u32::try_from(side).expect("sides fit into 32 bits");
    let source = TypedImageRef::<U8x3>::from_buffer(side(from.width), side(from.height), pixels);
    let source = source.expect("as many pixels as the sides say");
    let mut bytes = vec![0; to.height * to.width * 3];
    let target = TypedImage::<U8x3>::from_buffer(side(to.width), side(to.height), &mut bytes);
    let mut target = target.expect("as many pixels as the sides say");
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    // The typed call: the other one would compile the code of every type of pixel.
    let done = Resizer::new().resize_typed(&source, &mut target, &options);
    done.expect("neither image is empty");
    bytes
}
