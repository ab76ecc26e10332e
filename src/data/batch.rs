//! Batches: augmentation of images, and standardisation of their pixels.

use super::Split;
use super::sampler::Sample;
use super::stored::crop::ResizedCrop;
use fathom_base::random::{Purpose, Stream};
use rayon::prelude::*;
use std::borrow::Cow;

/// Standardisation of pixels (0 … 1). Means and standard deviations are those of the training images.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Standardise {
    /// Subtract the mean and divide by the standard deviation of each channel.
    Channel,
    /// Subtract the mean and divide by the standard deviation of each pixel of each channel.
    PerFeature,
    /// Subtract the mean of each pixel of each channel, without a division (1512.03385 §4.2).
    PerPixelMean,
    /// Subtract the given mean and divide by the given standard deviation of each channel.
    Given {
        /// Mean of each channel.
        mean: Vec<f64>,
        /// Standard deviation of each channel.
        std: Vec<f64>,
    },
    /// No standardisation.
    None,
}

/// Augmentation: random changes of a training image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Augment {
    /// No augmentation.
    None,
    /// A crop of the image with `pad` zero pixels on every side; mirrored with probability 1/2 if
    /// `flip` is set (1512.03385 §4.2).
    Crop {
        /// Number of zero pixels on every side.
        pad: usize,
        /// Whether images are mirrored with probability 1/2.
        flip: bool,
    },
    /// A random window of the image, resized to the net's input, and mirrored with probability 1/2:
    /// torchvision's `RandomResizedCrop` and `RandomHorizontalFlip`.
    ResizedCrop,
}

/// Position of the crop in the padded image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Number of rows above it.
    pub down: usize,
    /// Number of columns to its left.
    pub right: usize,
    /// Whether it is mirrored.
    pub mirrored: bool,
}

impl Crop {
    /// Draws the crop of this image in this epoch. A crop `pad` rows down and `pad` columns to the right
    /// is the image itself.
    pub fn draw(seed: u64, sample: &Sample, pad: usize, flip: bool) -> Self {
        let key = u64::from(sample.index);
        let mut stream = Stream::new(seed, Purpose::Augment, sample.epoch, key);
        let (down, right) = (stream.below(2 * pad + 1), stream.below(2 * pad + 1));
        Self { down, right, mirrored: flip && stream.below(2) == 1 }
    }
}

/// Writes images to `out` in parallel as bytes, n × channels × rows × columns, before they are standardised. Crops of
/// [`Augment::ResizedCrop`] are resized; those of [`Augment::Crop`] remain to be made.
pub fn fill_bytes(
    images: &Split,
    samples: &[Sample],
    augment: Augment,
    seed: u64,
    out: &mut Vec<u8>,
) {
    let values = images.shape().len();
    out.resize(samples.len() * values, 0);
    out.par_chunks_exact_mut(values).zip(samples).for_each(|(target, sample)| {
        let image = match augment {
            Augment::ResizedCrop => Cow::Owned(resized_crop(images, sample, seed)),
            Augment::None | Augment::Crop { .. } => images.image(sample.index as usize),
        };
        target.copy_from_slice(&image);
    });
}

/// The bytes of the random crop of an image, resized to the net's input.
fn resized_crop(images: &Split, sample: &Sample, seed: u64) -> Vec<u8> {
    let Sample { index, epoch } = *sample;
    let mut stream = Stream::new(seed, Purpose::Augment, epoch, u64::from(index));
    images.crop(index as usize, |sides| ResizedCrop::draw(sides, &mut stream))
}

/// A measured standardisation: value = (pixel − mean) × scale, with pixels in 0 … 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardiser {
    /// Mean for each value of an image (channels × rows × columns).
    mean: Vec<f32>,
    /// Reciprocal of the standard deviation for each value of an image.
    scale: Vec<f32>,
    description: String,
}

impl Standardiser {
    /// Measures `images`, the training set. Sums are integers, so the result does not depend on their
    /// order. A standard deviation of zero is replaced by 1.
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
                let description = format!("given: mean {mean:?}, std {std:?}");
                (expand(mean), expand(std), description)
            }
            Standardise::Channel => {
                let moments: Vec<(f64, f64)> = (0..channels)
                    .map(|channel| features.over(channel * plane..(channel + 1) * plane))
                    .collect();
                let mean: Vec<f64> = moments.iter().map(|m| m.0).collect();
                let std: Vec<f64> = moments.iter().map(|m| m.1).collect();
                let description = format!("channel: mean {mean:.4?}, std {std:.4?}");
                (expand(&mean), expand(&std), description)
            }
            Standardise::PerFeature => {
                let (mean, std) = (0..size).map(|i| features.over(i..i + 1)).unzip();
                (mean, std, "mean and deviation of each pixel".into())
            }
            Standardise::PerPixelMean => {
                let mean = (0..size).map(|i| features.over(i..i + 1).0).collect();
                (mean, vec![1.0; size], "mean of each pixel, no division".into())
            }
        };
        let inverse = |std: &f64| if *std > 0.0 { (1.0 / std) as f32 } else { 1.0 };
        Self {
            mean: mean.iter().map(|mean| *mean as f32).collect(),
            scale: std.iter().map(inverse).collect(),
            description,
        }
    }

    /// A description for the record of a run; it includes the means and deviations of channels.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Mean and scale for each value of an image.
    pub fn mean_and_scale(&self) -> (&[f32], &[f32]) {
        (&self.mean, &self.scale)
    }

    fn apply(&self, byte: u8, at: usize) -> f32 {
        (f32::from(byte) / 255.0 - self.mean[at]) * self.scale[at]
    }

    /// Writes the standardised images at `indices` to `out`: n × channels × rows × columns values.
    pub fn fill(&self, images: &Split, indices: &[u32], out: &mut Vec<f32>) {
        if images.in_memory().is_none() {
            let image = |at: usize| images.image(indices[at] as usize);
            return self.fill_parallel(indices.len(), images.shape().len(), image, out);
        }
        out.clear();
        out.reserve(indices.len() * images.shape().len());
        for index in indices {
            let image = images.image(*index as usize);
            out.extend(image.iter().enumerate().map(|(at, byte)| self.apply(*byte, at)));
        }
    }

    /// Writes augmented and standardised images to `out`, as [`Standardiser::fill`] does. The
    /// augmentation of an image depends on (seed, epoch, image) and not on its batch. Padding is zero
    /// after standardisation.
    pub fn fill_augmented(
        &self,
        images: &Split,
        samples: &[Sample],
        augment: Augment,
        seed: u64,
        out: &mut Vec<f32>,
    ) {
        let (pad, flip) = match augment {
            Augment::Crop { pad, flip } => (pad, flip),
            Augment::ResizedCrop => return self.fill_resized_crops(images, samples, seed, out),
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

    fn fill_resized_crops(
        &self,
        images: &Split,
        samples: &[Sample],
        seed: u64,
        out: &mut Vec<f32>,
    ) {
        let crop = |at: usize| Cow::Owned(resized_crop(images, &samples[at], seed));
        self.fill_parallel(samples.len(), images.shape().len(), crop, out);
    }

    /// Writes `count` standardised images in parallel, since reading them from files and resizing them is
    /// slow.
    fn fill_parallel<'i>(
        &self,
        count: usize,
        values: usize,
        image: impl Fn(usize) -> Cow<'i, [u8]> + Sync,
        out: &mut Vec<f32>,
    ) {
        out.resize(count * values, 0.0);
        out.par_chunks_exact_mut(values).enumerate().for_each(|(index, target)| {
            for (at, (byte, value)) in image(index).iter().zip(target).enumerate() {
                *value = self.apply(*byte, at);
            }
        });
    }
}

/// Number of images of a set in files that are measured, a balanced selection.
const MEASURED: usize = 4096;

/// Sums over images of every value of an image, and of its square.
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

    /// Mean and standard deviation, of pixels in 0 … 1, over a range of values of all images.
    fn over(&self, range: std::ops::Range<usize>) -> (f64, f64) {
        let n = (self.count * range.len() as u64).max(1) as f64;
        let mean = self.sums[range.clone()].iter().sum::<u64>() as f64 / n;
        let square = self.squares[range].iter().sum::<u64>() as f64 / n;
        (mean / 255.0, (square - mean * mean).max(0.0).sqrt() / 255.0)
    }
}

/// A fixed selection of at most `n` images, with equal numbers of each class as far as possible. Returns
/// ascending indices, which are the same for every run on the same data.
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
            standardiser.fill_augmented(&split, &sample, augment, 9, &mut out);
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
        assert_eq!(seen.len(), 9, "all positions occur");
        assert!((60..140).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn a_balanced_selection_has_equally_many_of_each_class() {
        let labels: Vec<u16> = (0..1000).map(|i| if i < 700 { 0 } else { 1 + i % 3 }).collect();
        let chosen = balanced(&labels, 40);
        let count = |class| chosen.iter().filter(|i| labels[**i as usize] == class).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [10; 4]);
        assert!(chosen.is_sorted());
        assert_eq!(balanced(&labels, 5000).len(), 1000);
    }
}
