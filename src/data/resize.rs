//! Resizing in integer arithmetic, so that every machine computes the same pixels: exact area averages to
//! shrink, bilinear interpolation between pixel centres to enlarge.

use super::{Images, Shape};
use rayon::prelude::*;

/// Resizes all images to `size` rows and columns; the two axes are scaled independently. Each value is the
/// exact weighted mean, rounded half up.
///
/// # Panics
/// If `size` is zero or the images have no pixels.
pub fn resize(images: Images, size: usize) -> Images {
    let from = images.shape;
    if from.height == size && from.width == size {
        return images;
    }
    let shape = Shape { channels: from.channels, height: size, width: size };
    let (rows, columns) = (Axis::new(from.height, size), Axis::new(from.width, size));
    let mut pixels = vec![0; images.len() * shape.len()];
    pixels
        .par_chunks_exact_mut(shape.len())
        .zip(images.pixels.par_chunks_exact(from.len()))
        .for_each(|(target, source)| {
            let planes = source.chunks_exact(from.height * from.width);
            for (target, source) in target.chunks_exact_mut(size * size).zip(planes) {
                resize_plane(source, from.width, &rows, &columns, target);
            }
        });
    Images { shape, pixels, labels: images.labels }
}

fn resize_plane(source: &[u8], width: usize, rows: &Axis, columns: &Axis, target: &mut [u8]) {
    let total = rows.total * columns.total;
    let size = columns.taps.len();
    for (row, target) in rows.taps.iter().zip(target.chunks_exact_mut(size)) {
        for (column, value) in columns.taps.iter().zip(target) {
            let mut sum = 0;
            for (dy, row_weight) in row.weights.iter().enumerate() {
                let start = (row.first + dy) * width + column.first;
                let line = &source[start..start + column.weights.len()];
                let line = line.iter().zip(&column.weights);
                sum += row_weight * line.map(|(p, w)| u64::from(*p) * w).sum::<u64>();
            }
            // A rounded mean of bytes is at most 255.
            *value = ((2 * sum + total) / (2 * total)) as u8;
        }
    }
}

/// Source pixels and weights of each target pixel along one axis. The sum of the weights of a pixel is
/// `total`.
struct Axis {
    taps: Vec<Taps>,
    total: u64,
}

/// The weights of consecutive source pixels, from `first`.
struct Taps {
    first: usize,
    weights: Vec<u64>,
}

impl Axis {
    fn new(from: usize, to: usize) -> Self {
        assert!(from > 0 && to > 0, "an axis without pixels");
        if to <= from { Self::area(from, to) } else { Self::bilinear(from, to) }
    }

    /// In units of 1/`to` source pixels, target pixel i covers i·from .. (i+1)·from and source
    /// pixel j covers j·to .. (j+1)·to; the weights are the overlaps.
    fn area(from: usize, to: usize) -> Self {
        let taps = |i: usize| {
            let (start, end) = (i * from, (i + 1) * from);
            let first = start / to;
            let overlap = |j: usize| (end.min((j + 1) * to) - start.max(j * to)) as u64;
            Taps { first, weights: (first..end.div_ceil(to)).map(overlap).collect() }
        };
        Self { taps: (0..to).map(taps).collect(), total: from as u64 }
    }

    /// The centre of target pixel i is at (i + ½)·from/to − ½ source pixels, an integer in units of
    /// 1/(2·to). Outside the outermost centres only the outermost pixel has a weight.
    fn bilinear(from: usize, to: usize) -> Self {
        let unit = 2 * to;
        let taps = |i: usize| {
            let at = ((2 * i + 1) * from).saturating_sub(to).min((from - 1) * unit);
            let (first, part) = (at / unit, (at % unit) as u64);
            let weights = match part {
                0 => vec![unit as u64],
                _ => vec![unit as u64 - part, part],
            };
            Taps { first, weights }
        };
        Self { taps: (0..to).map(taps).collect(), total: unit as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(height: usize, width: usize, pixels: &[u8]) -> Images {
        let shape = Shape { channels: 1, height, width };
        Images { shape, pixels: pixels.to_vec(), labels: vec![0; pixels.len() / shape.len()] }
    }

    #[test]
    fn halving_is_the_mean_of_four_rounded_half_up() {
        let image = grey(2, 4, &[0, 0, 10, 20, 0, 2, 30, 41]);
        // (0+0+0+2)/4 = 0.5 and (10+20+30+41)/4 = 25.25.
        let wide = resize(grey(4, 4, &[image.pixels.clone(), image.pixels].concat()), 2);
        assert_eq!(wide.pixels, [1, 25, 1, 25]);
    }

    #[test]
    fn thirds_overlap_exactly() {
        // 3 -> 2: the middle pixel has half its weight on either side.
        let out = resize(grey(3, 3, &[0, 90, 255, 0, 90, 255, 0, 90, 255]), 2);
        assert_eq!(out.pixels, [30, 200, 30, 200]);
    }

    #[test]
    fn enlarging_interpolates_between_centres() {
        let out = resize(grey(1, 2, &[0, 100]), 4);
        assert_eq!(out.pixels[..4], [0, 25, 75, 100]);
        assert_eq!(out.pixels[..4], out.pixels[12..]);
    }

    #[test]
    fn planes_and_images_stay_apart() {
        let shape = Shape { channels: 3, height: 2, width: 2 };
        let pixels: Vec<u8> = (0..6).flat_map(|plane| [plane * 40; 4]).collect();
        let out = resize(Images { shape, pixels, labels: vec![0, 1] }, 1);
        assert_eq!(out.pixels, [0, 40, 80, 120, 160, 200]);
    }

    proptest! {
        #[test]
        fn any_ratio_keeps_a_flat_image_flat_and_values_in_range(
            height in 1usize..40, width in 1usize..40, size in 1usize..50, value in any::<u8>(),
        ) {
            let out = resize(grey(height, width, &vec![value; height * width]), size);
            prop_assert_eq!(out.pixels, vec![value; size * size]);
        }
    }
}
