//! Images of one split of a data set, as batches on the device.

use super::placement::Placement;
use super::prefetch::{Assembled, Prefetcher};
use fathom_data::{Augment, Crop, Images, Sample, Split, Standardiser};
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Turns images of a split into batches of standardised tensors.
pub struct Source<'a> {
    placement: Placement,
    storage: Storage<'a>,
}

/// Where the images are stored.
enum Storage<'a> {
    Host(Host<'a>),
    Resident(Resident),
}

/// Images in the processor's memory or in files; the processor assembles batches.
struct Host<'a> {
    images: &'a Split,
    standardiser: &'a Standardiser,
    /// Buffer for the pixels of a batch, reused.
    pixels: RefCell<Vec<f32>>,
    /// Threads for batches that are slow to assemble.
    threads: usize,
}

/// Images as bytes on the device, which assembles batches.
struct Resident {
    /// Pixels, images × values, u8.
    pixels: Tensor,
    labels: Tensor,
    /// Subtracted from each value (0 … 1).
    mean: Tensor,
    /// Multiplies each value after the subtraction.
    scale: Tensor,
    /// Channels, rows, columns.
    shape: [i64; 3],
}

impl<'a> Source<'a> {
    /// A source of batches with this placement. `resident` copies images that are in memory to the
    /// device. Otherwise the processor assembles batches, on `threads` threads if they are slow to
    /// assemble.
    pub fn new(
        images: &'a Split,
        standardiser: &'a Standardiser,
        placement: Placement,
        resident: bool,
        threads: usize,
    ) -> Self {
        let storage = match images.in_memory().filter(|_| resident) {
            Some(images) => {
                Storage::Resident(Resident::new(images, standardiser, placement.device))
            }
            None => {
                Storage::Host(Host { images, standardiser, pixels: RefCell::default(), threads })
            }
        };
        Self { placement, storage }
    }

    /// Number of values of one image: channels × rows × columns.
    pub fn values(&self) -> usize {
        match &self.storage {
            Storage::Host(host) => host.images.shape().len(),
            Storage::Resident(resident) => resident.shape.iter().product::<i64>() as usize,
        }
    }

    /// Whether the images are on the device.
    pub fn is_resident(&self) -> bool {
        matches!(self.storage, Storage::Resident(_))
    }

    /// Starts to assemble these batches in the background. Returns `None` if that brings no gain:
    /// only images that are read from files or resized are slow to assemble.
    pub fn prefetch(
        &self,
        batches: impl Iterator<Item = Vec<Sample>> + Send + 'static,
        augment: Augment,
        seed: u64,
    ) -> Option<Prefetcher> {
        let Storage::Host(Host { images, standardiser, threads, .. }) = &self.storage else {
            return None;
        };
        let is_quick = augment != Augment::ResizedCrop && images.in_memory().is_some();
        if is_quick {
            return None;
        }
        Prefetcher::start(images, standardiser, augment, seed, batches, *threads).ok()
    }

    /// Copies a batch that [`Source::prefetch`] assembled to the device.
    ///
    /// # Panics
    /// If the images are on the device: such batches are not prefetched.
    pub fn upload(&self, batch: &Assembled) -> (Tensor, Tensor) {
        let Storage::Host(host) = &self.storage else { panic!("the images are on the device") };
        host.to_device(&batch.pixels, batch.indices.iter().copied(), self.placement)
    }

    /// Iterates over the images at `indices` and their labels in batches of `size`, without
    /// augmentation.
    pub fn batches<'s>(
        &'s self,
        indices: &'s [u32],
        size: usize,
    ) -> impl Iterator<Item = (Tensor, Tensor)> + 's {
        let owned: Vec<Vec<u32>> = indices.chunks(size).map(<[u32]>::to_vec).collect();
        let sample = |index| Sample { index, epoch: 0 };
        let samples = owned.into_iter().map(move |part| part.into_iter().map(sample).collect());
        let mut prefetcher = self.prefetch(samples, Augment::None, 0);
        indices.chunks(size).map(move |part| match prefetcher.as_mut().and_then(Iterator::next) {
            Some(batch) => self.upload(&batch),
            None => self.plain(part),
        })
    }

    /// Images (n × channels × rows × columns) and labels at `indices`, without augmentation.
    pub fn plain(&self, indices: &[u32]) -> (Tensor, Tensor) {
        match &self.storage {
            Storage::Host(host) => {
                let mut pixels = host.pixels.borrow_mut();
                host.standardiser.fill(host.images, indices, &mut pixels);
                host.to_device(&pixels, indices.iter().copied(), self.placement)
            }
            Storage::Resident(resident) => resident.plain(indices, self.placement),
        }
    }

    /// Augmented training images (n × channels × rows × columns) and their labels. `seed` and each
    /// sample key the random numbers.
    pub fn augmented(&self, samples: &[Sample], augment: Augment, seed: u64) -> (Tensor, Tensor) {
        let indices = samples.iter().map(|sample| sample.index);
        match (&self.storage, augment) {
            (Storage::Host(host), _) => {
                let mut pixels = host.pixels.borrow_mut();
                host.standardiser.fill_augmented(host.images, samples, augment, seed, &mut pixels);
                host.to_device(&pixels, indices, self.placement)
            }
            (Storage::Resident(resident), Augment::Crop { pad, flip }) => {
                let crops: Vec<Crop> =
                    samples.iter().map(|sample| Crop::draw(seed, sample, pad, flip)).collect();
                resident.cropped(samples, &crops, pad as i64, self.placement)
            }
            // Runs with resized crops, which the processor computes, have no resident images.
            (Storage::Resident(resident), Augment::None | Augment::ResizedCrop) => {
                resident.plain(&indices.collect::<Vec<u32>>(), self.placement)
            }
        }
    }
}

impl Host<'_> {
    /// Copies standardised pixels (n × channels × rows × columns) and the labels at `indices` to
    /// the device.
    fn to_device(
        &self,
        pixels: &[f32],
        indices: impl Iterator<Item = u32>,
        placement: Placement,
    ) -> (Tensor, Tensor) {
        let labels = indices.map(|index| self.images.labels()[index as usize]);
        let labels = on_device(labels, placement.device);
        let shape = self.images.shape();
        let [channels, rows, columns] =
            [shape.channels, shape.height, shape.width].map(|side| side as i64);
        let pixels = Tensor::from_slice(pixels).view([-1, channels, rows, columns]);
        (placement.images(&pixels), labels)
    }
}

impl Resident {
    fn new(images: &Images, standardiser: &Standardiser, device: Device) -> Self {
        let shape = [images.shape.channels, images.shape.height, images.shape.width];
        let [n, values] = [images.len(), images.shape.len()].map(|n| n as i64);
        let (mean, scale) = standardiser.mean_and_scale();
        Self {
            pixels: Tensor::from_slice(&images.pixels).view([n, values]).to_device(device),
            labels: on_device(images.labels.iter().copied(), device),
            mean: Tensor::from_slice(mean).to_device(device),
            scale: Tensor::from_slice(scale).to_device(device),
            shape: shape.map(|side| side as i64),
        }
    }

    fn plain(&self, indices: &[u32], placement: Placement) -> (Tensor, Tensor) {
        let indices = on_device(indices.iter().copied(), placement.device);
        let [channels, rows, columns] = self.shape;
        let bytes = self.pixels.index_select(0, &indices);
        let values = (bytes.to_kind(Kind::Float) / 255.0 - &self.mean) * &self.scale;
        let images = placement.images(&values.view([-1, channels, rows, columns]));
        (images, self.labels.index_select(0, &indices))
    }

    /// Crops and flips images with one gather: each value of a crop is one value of the whole split,
    /// or zero where the crop extends into the padding.
    fn cropped(
        &self,
        samples: &[Sample],
        crops: &[Crop],
        pad: i64,
        placement: Placement,
    ) -> (Tensor, Tensor) {
        let _guard = tch::no_grad_guard();
        let device = placement.device;
        let [channels, rows, columns] = self.shape;
        let n = samples.len() as i64;
        // In one tensor, since the processor waits for every copy to a device.
        let choices = samples.iter().zip(crops).flat_map(|(sample, crop)| {
            [sample.index, crop.down as u32, crop.right as u32, u32::from(crop.mirrored)]
        });
        let choices = on_device(choices, device).view([n, 4]);
        let [indices, down, right, mirrored] = [0, 1, 2, 3].map(|at| choices.narrow(1, at, 1));
        let indices = indices.reshape([n]);
        let line = |side: i64| Tensor::arange(side, (Kind::Int64, device)).view([1, side]);
        let row = line(rows) + down - pad;
        // A flip replaces column c by column (columns − 1 − c).
        let straight = line(columns);
        let flipped: Tensor = (columns - 1) - &straight;
        let across = &straight + mirrored * (flipped - &straight) + right - pad;
        let inside = |at: &Tensor, side: i64| at.ge(0).logical_and(&at.lt(side));
        let valid = inside(&row, rows)
            .view([n, 1, rows, 1])
            .logical_and(&inside(&across, columns).view([n, 1, 1, columns]));
        let within = row.clamp(0, rows - 1).view([n, 1, rows, 1]) * columns
            + across.clamp(0, columns - 1).view([n, 1, 1, columns]);
        let channel = Tensor::arange(channels, (Kind::Int64, device)).view([1, channels, 1, 1]);
        let value = within + channel * (rows * columns);
        let image = indices.view([n, 1, 1, 1]) * (channels * rows * columns);
        let bytes = self.pixels.take(&(image + &value));
        let values = (bytes.to_kind(Kind::Float) / 255.0 - self.mean.take(&value))
            * self.scale.take(&value)
            * valid;
        (placement.images(&values), self.labels.index_select(0, &indices))
    }
}

/// Copies numbers to the device as i64.
fn on_device<N: Into<i64>>(numbers: impl Iterator<Item = N>, device: Device) -> Tensor {
    let numbers: Vec<i64> = numbers.map(Into::into).collect();
    Tensor::from_slice(&numbers).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_data::{Shape, Standardise};
    use fathom_record::Layout;
    use fathom_spec::Precision;

    #[test]
    fn the_device_assembles_the_batches_that_the_processor_does() {
        let shape = Shape { channels: 3, height: 6, width: 5 };
        let pixels = (0..shape.len() * 7).map(|i| (i * 37 % 251) as u8).collect();
        let images = Split::from(Images { shape, pixels, labels: (0..7).collect() });
        let standardiser = Standardiser::measure(&Standardise::PerFeature, &images);
        let samples: Vec<Sample> =
            (0..64).map(|at| Sample { index: at * 5 % 7, epoch: u64::from(at) }).collect();
        for layout in [Layout::Nchw, Layout::ChannelsLast] {
            let placement = Placement::new(Device::Cpu, layout, Precision::F32);
            let [host, resident] = [false, true]
                .map(|resident| Source::new(&images, &standardiser, placement, resident, 1));
            let crops =
                [(2, true), (2, false), (1, true)].map(|(pad, flip)| Augment::Crop { pad, flip });
            for augment in crops.into_iter().chain([Augment::None]) {
                let (a, labels) = host.augmented(&samples, augment, 3);
                let (b, others) = resident.augmented(&samples, augment, 3);
                assert_eq!(labels, others);
                assert_eq!((a.size(), a.stride()), (b.size(), b.stride()));
                assert!((a - b).abs().max().double_value(&[]) < 1e-6, "{augment:?}");
            }
        }
    }
}
