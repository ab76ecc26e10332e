//! Crops as torchvision defines them: `RandomResizedCrop`, `Resize` to a shorter side, `CenterCrop`.
//! All pixels here are interleaved: rows × columns × 3 bytes.

use crate::pixels::{Sides, planes};
use fathom_base::random::Stream;
use fathom_resize::bilinear;

/// A rectangle inside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

/// Range of the share of the image's area that a random window covers.
const AREA: (f64, f64) = (0.08, 1.0);
/// Range of the ratio of width to height of a random window.
const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// Number of draws before the central window is taken.
const ATTEMPTS: usize = 10;

impl Window {
    /// The central square (`CenterCrop`) of an image that is at least as large.
    pub fn centre(sides: Sides, size: usize) -> Self {
        // Halves are rounded to even, as in Python.
        let start = |side: usize| ((side - size) as f64 / 2.0).round_ties_even() as usize;
        Self { top: start(sides.height), left: start(sides.width), height: size, width: size }
    }

    /// A random window (`RandomResizedCrop`): its area is uniform in 0.08 … 1 of the image's, and the
    /// logarithm of its ratio of sides is uniform between those of 3/4 and 4/3. After ten windows that
    /// are larger than the image, the central one is returned.
    pub fn random(Sides { height, width }: Sides, stream: &mut Stream) -> Self {
        let between = |stream: &mut Stream, (low, high): (f64, f64)| {
            low + (high - low) * f64::from(stream.uniform())
        };
        let area = (height * width) as f64;
        for _ in 0..ATTEMPTS {
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

/// A random window that is resized to the input of the net, and mirrored with probability 1/2:
/// `RandomResizedCrop` and `RandomHorizontalFlip`.
#[derive(Clone, Copy, Debug)]
pub struct ResizedCrop {
    /// The window.
    pub window: Window,
    /// Whether it is mirrored.
    pub is_mirrored: bool,
}

impl ResizedCrop {
    /// Draws a crop of an image with these sides.
    pub fn draw(sides: Sides, stream: &mut Stream) -> Self {
        Self { window: Window::random(sides, stream), is_mirrored: stream.below(2) == 1 }
    }

    /// Three planes of `size` rows and columns, from the pixels of an image of `width` columns.
    pub fn apply(self, pixels: &[u8], width: usize, size: usize) -> Vec<u8> {
        let resized = resized(pixels, width, self.window, size);
        planes(&if self.is_mirrored { mirrored(&resized, size) } else { resized }, 3)
    }
}

/// Sides after resizing so that the shorter one is `short`. The longer one is rounded down, as in
/// torchvision's `Resize`.
pub fn shorter_side(Sides { height, width }: Sides, short: usize) -> Sides {
    let longer = |long: usize, side: usize| (short * long / side).max(short);
    if height <= width {
        Sides { height: short, width: longer(width, height) }
    } else {
        Sides { height: longer(height, width), width: short }
    }
}

/// The pixels of a window of an image of `width` columns.
pub fn cut(pixels: &[u8], width: usize, window: Window) -> Vec<u8> {
    let mut out = Vec::with_capacity(window.height * window.width * 3);
    for row in window.top..window.top + window.height {
        let start = (row * width + window.left) * 3;
        out.extend_from_slice(&pixels[start..start + window.width * 3]);
    }
    out
}

/// A window of an image of `width` columns, resized to `size` rows and columns. Pixels outside the
/// window have no influence, since torchvision cuts before it resizes.
pub fn resized(pixels: &[u8], width: usize, window: Window, size: usize) -> Vec<u8> {
    let from = Sides { height: window.height, width: window.width };
    bilinear(&cut(pixels, width, window), from, Sides::square(size))
}

/// The mirror image of an image of `width` columns.
pub fn mirrored(pixels: &[u8], width: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len());
    for row in pixels.chunks_exact(width * 3) {
        row.rchunks_exact(3).for_each(|pixel| out.extend_from_slice(pixel));
    }
    out
}

#[cfg(test)]
mod tests;
