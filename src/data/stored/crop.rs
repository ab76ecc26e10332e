//! Crops as torchvision defines them: `RandomResizedCrop`, `Resize` to a shorter side, `CenterCrop`;
//! bilinear with a filter as wide as the shrinking (antialias), in Pillow's integer arithmetic.
//! Pixels are rows × columns × 3 bytes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use fathom_base::random::Stream;

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Share of the image's area that a random crop has, and its ratio of width to height.
const AREA: (f64, f64) = (0.08, 1.0);
const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// Draws before the middle is taken instead.
const TRIES: usize = 10;

impl Window {
    /// All of an image.
    pub fn whole((height, width): (usize, usize)) -> Self {
        Self { top: 0, left: 0, height, width }
    }

    /// The square in the middle (`CenterCrop`), of an image that is no smaller.
    pub fn middle((height, width): (usize, usize), size: usize) -> Self {
        // Half to even, as Python rounds.
        let half = |side: usize| ((side - size) as f64 / 2.0).round_ties_even() as usize;
        Self { top: half(height), left: half(width), height: size, width: size }
    }

    /// A random part (`RandomResizedCrop`): area uniform in 0.08 … 1 of the image's, the logarithm of
    /// its ratio of sides uniform between those of 3/4 and 4/3; after ten that do not fit the middle.
    pub fn random((height, width): (usize, usize), stream: &mut Stream) -> Self {
        let between = |stream: &mut Stream, (low, high): (f64, f64)| {
            low + (high - low) * f64::from(stream.uniform())
        };
        let area = (height * width) as f64;
        for _ in 0..TRIES {
            let target = area * between(stream, AREA);
            let ratio = libm::exp(between(stream, (libm::log(RATIO.0), libm::log(RATIO.1))));
            let wide = (target * ratio).sqrt().round_ties_even() as usize;
            let high = (target / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&wide) && (1..=height).contains(&high) {
                let top = stream.below(height - high + 1);
                let left = stream.below(width - wide + 1);
                return Self { top, left, height: high, width: wide };
            }
        }
        let ratio = width as f64 / height as f64;
        let (high, wide) = if ratio < RATIO.0 {
            ((width as f64 / RATIO.0).round_ties_even() as usize, width)
        } else if ratio > RATIO.1 {
            (height, (height as f64 * RATIO.1).round_ties_even() as usize)
        } else {
            (height, width)
        };
        let (top, left) = ((height - high) / 2, (width - wide) / 2);
        Self { top, left, height: high, width: wide }
    }
}

/// Sides of an image whose shorter one is brought to `short`; the longer one is cut to a whole
/// number, as torchvision's `Resize` does.
pub fn shorter_side((height, width): (usize, usize), short: usize) -> (usize, usize) {
    let longer = |long: usize, side: usize| (short * long / side).max(short);
    if height <= width { (short, longer(width, height)) } else { (longer(height, width), short) }
}

/// A part of an image as it is.
pub fn cut(pixels: &[u8], width: usize, window: Window) -> Vec<u8> {
    let mut out = Vec::with_capacity(window.height * window.width * 3);
    for row in window.top..window.top + window.height {
        let start = (row * width + window.left) * 3;
        out.extend_from_slice(&pixels[start..start + window.width * 3]);
    }
    out
}

/// A part of an image, brought to `size` rows and columns. What lies beyond the part has no
/// influence, as torchvision cuts first.
pub fn resized(pixels: &[u8], (_, width): (usize, usize), window: Window, size: usize) -> Vec<u8> {
    let part = cut(pixels, width, window);
    scaled(&part, (window.height, window.width), (size, size))
}

/// An image brought to other sides.
///
/// # Panics
/// When the pixels are not as many as the sides say, or there are none.
pub fn scaled(pixels: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    if from == to {
        return pixels.to_vec();
    }
    let side = |side: usize| u32::try_from(side).expect("sides fit into 32 bits");
    let source = ImageRef::new(side(from.1), side(from.0), pixels, PixelType::U8x3);
    let source = source.expect("as many pixels as the sides say");
    let mut target = Image::new(side(to.1), side(to.0), PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let done = Resizer::new().resize(&source, &mut target, &options);
    done.expect("both have pixels of one kind");
    target.into_vec()
}

/// A part that was drawn, brought to `size` rows and columns, mirrored or not: three planes.
pub fn drawn(
    pixels: &[u8],
    sides: (usize, usize),
    (window, is_mirrored): (Window, bool),
    size: usize,
) -> Vec<u8> {
    let part = resized(pixels, sides, window, size);
    planes(&if is_mirrored { mirrored(&part, size) } else { part })
}

/// Three planes as pixels of three values.
pub fn interleaved(planes: &[u8]) -> Vec<u8> {
    let size = planes.len() / 3;
    (0..size).flat_map(|at| [planes[at], planes[at + size], planes[at + 2 * size]]).collect()
}

/// The mirror image of one with so many columns.
pub fn mirrored(pixels: &[u8], width: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len());
    for row in pixels.chunks_exact(width * 3) {
        row.rchunks_exact(3).for_each(|pixel| out.extend_from_slice(pixel));
    }
    out
}

/// Pixels of three values as three planes.
pub fn planes(pixels: &[u8]) -> Vec<u8> {
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect()
}

#[cfg(test)]
mod tests;
