//! Batches: which images, how they are changed, how pixels become numbers.

use super::Split;
use super::sampler::Sample;
use super::stored::crop::Window;
use fathom_base::random::{Purpose, Stream};
use rayon::prelude::*;
use std::borrow::Cow;

/// How pixels (0 … 1) are standardised; figures are those of the training images.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Standardise {
    /// Mean and deviation of each channel.
    Channel,
    /// Mean and deviation of each pixel of each channel.
    PerFeature,
    /// Mean of each pixel of each channel, no division: the choice of 1512.03385 §4.2.
    PerPixelMean,
    /// Mean and deviation of each channel, as given.
    Given {
        /// One per channel.
        mean: Vec<f64>,
        /// One per channel.
        std: Vec<f64>,
    },
    /// Pixels as they are.
    None,
}

/// Random changes of a training image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Augment {
    /// None.
    None,
    /// A crop of the image with `pad` zero pixels on every side; mirrored half of the time where
    /// `flip` is set (1512.03385 §4.2).
    Crop {
        /// Pixels on every side.
        pad: usize,
        /// Whether half of the images are mirrored.
        flip: bool,
    },
    /// A random part of the image, resized to the net's input, and mirrored half of the time:
    /// torchvision's `RandomResizedCrop` and `RandomHorizontalFlip`.
    ResizedCrop,
}

/// Where the crop of an image lies in the padded image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Rows above it.
    pub down: usize,
    /// Columns to its left.
    pub right: usize,
    /// Whether it is mirrored.
    pub mirrored: bool,
}

impl Crop {
    /// The one of this image in this epoch; the place where the image itself lies is `pad` rows
    /// down and columns to the right.
    pub fn draw(seed: u64, sample: &Sample, pad: usize, flip: bool) -> Self {
        let key = u64::from(sample.index);
        let mut stream = Stream::new(seed, Purpose::Augment, sample.epoch, key);
        let (down, right) = (stream.below(2 * pad + 1), stream.below(2 * pad + 1));
        Self { down, right, mirrored: flip && stream.below(2) == 1 }
    }
}

/// What is subtracted from each pixel (0 … 1) and what it is multiplied by afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardiser {
    /// One per value of an image (channels × rows × columns).
    mean: Vec<f32>,
    /// One over the deviation, likewise.
    scale: Vec<f32>,
    description: String,
}

impl Standardiser {
    /// Measures `images` (the training set). Sums are of integers, so the figures are exact.
    /// Where a deviation is zero, nothing is divided.
    pub fn measure(how: &Standardise, images: &Split) -> Self {
        let shape = images.shape();
        let (size, plane, channels) = (shape.len(), shape.height * shape.width, shape.channels);
        let features = Moments::of(images);
        let expand = |values: &[f64]| -> Vec<f64> {
            values.iter().flat_map(|value| std::iter::repeat_n(*value, plane)).collect()
        };
        let (mean, std, description) = match how {
            Standardise::None => (vec![0.0; size], vec![1.0; size], "pixels/255".into()),
            Standardise::Given { mean, std } => {
                let told = format!("given: mean {mean:?}, std {std:?}");
                (expand(mean), expand(std), told)
            }
            Standardise::Channel => {
                let moments: Vec<(f64, f64)> = (0..channels)
                    .map(|channel| features.over(channel * plane..(channel + 1) * plane))
                    .collect();
                let mean: Vec<f64> = moments.iter().map(|m| m.0).collect();
                let std: Vec<f64> = moments.iter().map(|m| m.1).collect();
                let told = format!("channel: mean {mean:.4?}, std {std:.4?}");
                (expand(&mean), expand(&std), told)
            }
            Standardise::PerFeature | Standardise::PerPixelMean => {
                let moments: Vec<(f64, f64)> = (0..size).map(|i| features.over(i..i + 1)).collect();
                let mean = moments.iter().map(|m| m.0).collect();
                if *how == Standardise::PerFeature {
                    let std = moments.iter().map(|m| m.1).collect();
                    (mean, std, "mean and deviation of each pixel".into())
                } else {
                    (mean, vec![1.0; size], "mean of each pixel, no division".into())
                }
            }
        };
        let inverse = |std: &f64| if *std > 0.0 { (1.0 / std) as f32 } else { 1.0 };
        Self {
            mean: mean.iter().map(|mean| *mean as f32).collect(),
            scale: std.iter().map(inverse).collect(),
            description,
        }
    }

    /// What was done, with the figures where they are few.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// For each value of an image what is subtracted from it (0 … 1), and what it is multiplied by
    /// then.
    pub fn figures(&self) -> (&[f32], &[f32]) {
        (&self.mean, &self.scale)
    }

    fn apply(&self, byte: u8, at: usize) -> f32 {
        (f32::from(byte) / 255.0 - self.mean[at]) * self.scale[at]
    }

    /// The images at `indices`, unchanged but for standardising, as n × channels × rows × columns
    /// numbers in `out`.
    pub fn fill(&self, images: &Split, indices: &[u32], out: &mut Vec<f32>) {
        if images.in_memory().is_none() {
            let plain = |at: usize| images.image(indices[at] as usize);
            return self.fill_each(indices.len(), images.shape().len(), plain, out);
        }
        out.clear();
        out.reserve(indices.len() * images.shape().len());
        for index in indices {
            let image = images.image(*index as usize);
            out.extend(image.iter().enumerate().map(|(at, byte)| self.apply(*byte, at)));
        }
    }

    /// The same with random crops and flips, keyed by (seed, epoch, image): independent of the
    /// batch in which an image comes. Padding is zero after standardising.
    pub fn fill_augmented(
        &self,
        images: &Split,
        samples: &[Sample],
        (augment, seed): (Augment, u64),
        out: &mut Vec<f32>,
    ) {
        let (pad, flip) = match augment {
            Augment::Crop { pad, flip } => (pad, flip),
            Augment::ResizedCrop => return self.fill_parts(images, samples, seed, out),
            Augment::None => {
                let indices: Vec<u32> = samples.iter().map(|sample| sample.index).collect();
                return self.fill(images, &indices, out);
            }
        };
        let shape = images.shape();
        let (rows, columns) = (shape.height, shape.width);
        out.clear();
        out.resize(samples.len() * shape.len(), 0.0);
        for (sample, target) in samples.iter().zip(out.chunks_exact_mut(shape.len())) {
            let Crop { down, right, mirrored } = Crop::draw(seed, sample, pad, flip);
            let image = images.image(sample.index as usize);
            for (line, target) in target.chunks_exact_mut(columns).enumerate() {
                let (channel, row) = (line / rows, line % rows);
                let Some(source) = (row + down).checked_sub(pad).filter(|row| *row < rows) else {
                    continue;
                };
                let start = (channel * rows + source) * columns;
                for (column, value) in target.iter_mut().enumerate() {
                    let column = if mirrored { columns - 1 - column } else { column };
                    let source = (column + right).wrapping_sub(pad);
                    if source < columns {
                        *value = self.apply(image[start + source], start + source);
                    }
                }
            }
        }
    }
}

impl Standardiser {
    /// The same with random parts of the images.
    fn fill_parts(&self, images: &Split, samples: &[Sample], seed: u64, out: &mut Vec<f32>) {
        let part = |at: usize| {
            let Sample { index, epoch } = samples[at];
            let mut stream = Stream::new(seed, Purpose::Augment, epoch, u64::from(index));
            let part = images.part(index as usize, |sides| {
                (Window::random(sides, &mut stream), stream.below(2) == 1)
            });
            Cow::Owned(part)
        };
        self.fill_each(samples.len(), images.shape().len(), part, out);
    }

    /// So many images, side by side: reading them from files and resizing take their time.
    fn fill_each<'i>(
        &self,
        count: usize,
        values: usize,
        image: impl Fn(usize) -> Cow<'i, [u8]> + Sync,
        out: &mut Vec<f32>,
    ) {
        out.resize(count * values, 0.0);
        out.par_chunks_exact_mut(values).enumerate().for_each(|(place, target)| {
            for (at, (byte, value)) in image(place).iter().zip(target).enumerate() {
                *value = self.apply(*byte, at);
            }
        });
    }
}

/// Of a set that is not in memory so many images are measured, as many of each class.
const MEASURED: usize = 4096;

/// Sums of every value of an image over all images.
struct Moments {
    count: u64,
    sums: Vec<u64>,
    squares: Vec<u64>,
}

impl Moments {
    fn of(images: &Split) -> Self {
        let size = images.shape().len();
        let (mut sums, mut squares) = (vec![0; size], vec![0; size]);
        let most = images.in_memory().map_or(MEASURED, |images| images.len());
        let chosen = balanced(images.labels(), most);
        for index in &chosen {
            let image = images.image(*index as usize);
            for ((byte, sum), square) in image.iter().zip(&mut sums).zip(&mut squares) {
                let value = u64::from(*byte);
                *sum += value;
                *square += value * value;
            }
        }
        Self { count: chosen.len() as u64, sums, squares }
    }

    /// Mean and deviation, of pixels in 0 … 1, over these values of all images.
    fn over(&self, range: std::ops::Range<usize>) -> (f64, f64) {
        let n = (self.count * range.len() as u64).max(1) as f64;
        let mean = self.sums[range.clone()].iter().sum::<u64>() as f64 / n;
        let square = self.squares[range].iter().sum::<u64>() as f64 / n;
        (mean / 255.0, (square - mean * mean).max(0.0).sqrt() / 255.0)
    }
}

/// A fixed choice of at most `n` images with equally many of each class, as far as there are:
/// ascending indices, the same for every run on the same data.
pub fn balanced(labels: &[u16], n: usize) -> Vec<u32> {
    let mut stream = Stream::new(0, Purpose::Subset, 0, 0);
    let mut seen = std::collections::BTreeMap::new();
    let mut ranked: Vec<(usize, u16, u32)> = stream
        .permutation(labels.len())
        .into_iter()
        .map(|index| {
            let label = labels[index as usize];
            let rank = seen.entry(label).or_insert(0);
            *rank += 1;
            (*rank, label, index)
        })
        .collect();
    ranked.sort_unstable();
    let mut chosen: Vec<u32> = ranked.into_iter().take(n).map(|(_, _, index)| index).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Images, Shape};

    fn images() -> Images {
        let shape = Shape { channels: 2, height: 3, width: 4 };
        let pixels = (0..shape.len() * 5).map(|i| (i * 37 % 256) as u8).collect();
        Images { shape, pixels, labels: vec![0; 5] }
    }

    #[test]
    fn standardised_channels_have_mean_0_and_deviation_1() {
        let images = Split::from(images());
        for how in [Standardise::Channel, Standardise::PerFeature] {
            let mut out = Vec::new();
            Standardiser::measure(&how, &images).fill(&images, &[0, 1, 2, 3, 4], &mut out);
            let n = out.len() as f32;
            let mean = out.iter().sum::<f32>() / n;
            let variance = out.iter().map(|x| x * x).sum::<f32>() / n;
            assert!(
                mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4,
                "{how:?} {mean} {variance}"
            );
        }
    }

    #[test]
    fn a_crop_is_a_window_of_the_padded_image_and_half_are_mirrored() {
        let images = images();
        let split = Split::from(images.clone());
        let standardiser = Standardiser::measure(&Standardise::None, &split);
        let at = |row: i64, column: i64| {
            let inside = (0..3).contains(&row) && (0..4).contains(&column);
            if inside {
                f32::from(images.image(2)[(row * 4 + column) as usize]) / 255.0
            } else {
                0.0
            }
        };
        let (mut mirrored, mut seen) = (0, std::collections::BTreeSet::new());
        for epoch in 0..200 {
            let mut out = Vec::new();
            let sample = [Sample { index: 2, epoch }];
            let augment = Augment::Crop { pad: 1, flip: true };
            standardiser.fill_augmented(&split, &sample, (augment, 9), &mut out);
            let matches = |down: i64, right: i64, flip: bool| {
                (0..3).all(|row| {
                    (0..4).all(|column| {
                        let from = if flip { 3 - column } else { column };
                        out[(row * 4 + column) as usize] == at(row + down, from + right)
                    })
                })
            };
            let found = (-1..=1)
                .flat_map(|down| (-1..=1).map(move |right| (down, right)))
                .flat_map(|(down, right)| [(down, right, false), (down, right, true)])
                .find(|(down, right, flip)| matches(*down, *right, *flip))
                .expect("every crop is a window");
            mirrored += i32::from(found.2);
            seen.insert((found.0, found.1));
        }
        assert_eq!(seen.len(), 9, "all places occur");
        assert!((60..140).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn a_balanced_choice_has_equally_many_of_each_class() {
        let labels: Vec<u16> = (0..1000).map(|i| if i < 700 { 0 } else { 1 + i % 3 }).collect();
        let chosen = balanced(&labels, 40);
        let count = |class| chosen.iter().filter(|i| labels[**i as usize] == class).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [10; 4]);
        assert!(chosen.is_sorted());
        assert_eq!(balanced(&labels, 5000).len(), 1000);
    }
}
