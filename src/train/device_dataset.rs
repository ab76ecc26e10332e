//! Images of one part of a data set, where the net computes.

use super::placement::Placement;
use super::prefetch::{Assembled, Prefetcher};
use fathom_data::{Augment, Crop, Images, Sample, Split, Standardiser};
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Where images are, and how they become batches.
pub enum Source<'a> {
    /// With the processor, which assembles batches.
    Host(Host<'a>),
    /// On the device.
    Resident(Resident),
}

/// Images in the processor's memory or in files.
pub struct Host<'a> {
    images: &'a Split,
    standardiser: &'a Standardiser,
    /// Memory for a batch, which is used again.
    pixels: RefCell<Vec<f32>>,
    /// Threads for batches that take long to assemble.
    spare: usize,
}

/// Images as bytes on the device, where batches are assembled too.
pub struct Resident {
    /// Images × values, u8.
    pixels: Tensor,
    labels: Tensor,
    /// What is subtracted from each value (0 … 1), and what it is multiplied by then.
    mean: Tensor,
    scale: Tensor,
    /// Channels, rows, columns.
    shape: [i64; 3],
}

impl<'a> Source<'a> {
    /// `resident`: whether they go to the device, if they are in memory. Where the processor
    /// assembles batches, it has `spare` threads for those that take long.
    pub fn new(
        (images, standardiser): (&'a Split, &'a Standardiser),
        place: Placement,
        resident: bool,
        spare: usize,
    ) -> Self {
        match images.in_memory().filter(|_| resident) {
            Some(images) => Source::Resident(Resident::new(images, standardiser, place.device)),
            None => Source::Host(Host { images, standardiser, pixels: RefCell::default(), spare }),
        }
    }

    /// Values of one image.
    pub fn values(&self) -> usize {
        match self {
            Source::Host(host) => host.images.shape().len(),
            Source::Resident(resident) => resident.shape.iter().product::<i64>() as usize,
        }
    }

    /// Assembles these batches ahead of their use, where that takes long: images are read from
    /// files, or parts of them resized.
    pub fn ahead(
        &self,
        batches: impl Iterator<Item = Vec<Sample>> + Send + 'static,
        keyed: (Augment, u64),
    ) -> Option<Prefetcher> {
        let Source::Host(Host { images, standardiser, spare, .. }) = self else { return None };
        let is_quick = keyed.0 != Augment::ResizedCrop && images.in_memory().is_some();
        if is_quick {
            return None;
        }
        Prefetcher::start((images, standardiser), keyed, batches, *spare).ok()
    }

    /// A batch that was assembled ahead, on the device.
    ///
    /// # Panics
    /// For images on the device, of which none are.
    pub fn assembled(&self, batch: &Assembled, place: Placement) -> (Tensor, Tensor) {
        let Source::Host(host) = self else { panic!("the device assembles its own batches") };
        to_device(host.images, &batch.pixels, batch.indices.iter().copied(), place)
    }

    /// Images and labels at `indices`, so many at a time, unchanged but for standardising.
    pub fn batches<'s>(
        &'s self,
        indices: &'s [u32],
        size: usize,
        place: Placement,
    ) -> impl Iterator<Item = (Tensor, Tensor)> + 's {
        let owned: Vec<Vec<u32>> = indices.chunks(size).map(<[u32]>::to_vec).collect();
        let sample = |index| Sample { index, epoch: 0 };
        let samples = owned.into_iter().map(move |part| part.into_iter().map(sample).collect());
        let mut ahead = self.ahead(samples, (Augment::None, 0));
        indices.chunks(size).map(move |part| match ahead.as_mut().and_then(Iterator::next) {
            Some(batch) => self.assembled(&batch, place),
            None => self.plain(part, place),
        })
    }

    /// Whether the images are on the device.
    pub fn is_resident(&self) -> bool {
        matches!(self, Source::Resident(_))
    }

    /// Images (n × channels × rows × columns) and labels, unchanged but for standardising.
    pub fn plain(&self, indices: &[u32], place: Placement) -> (Tensor, Tensor) {
        match self {
            Source::Host(Host { images, standardiser, pixels, .. }) => {
                let mut pixels = pixels.borrow_mut();
                standardiser.fill(images, indices, &mut pixels);
                to_device(images, &pixels, indices.iter().copied(), place)
            }
            Source::Resident(resident) => {
                let indices = on_device(indices.iter().copied(), place.device);
                let [channels, rows, columns] = resident.shape;
                let bytes = resident.pixels.index_select(0, &indices);
                let values =
                    (bytes.to_kind(Kind::Float) / 255.0 - &resident.mean) * &resident.scale;
                let images = place.images(&values.view([-1, channels, rows, columns]));
                (images, resident.labels.index_select(0, &indices))
            }
        }
    }

    /// Training images, cropped and mirrored at random as [`Crop`] says.
    pub fn augmented(
        &self,
        samples: &[Sample],
        (augment, seed): (Augment, u64),
        place: Placement,
    ) -> (Tensor, Tensor) {
        match (self, augment) {
            (Source::Host(Host { images, standardiser, pixels, .. }), _) => {
                let mut pixels = pixels.borrow_mut();
                standardiser.fill_augmented(images, samples, augment, seed, &mut pixels);
                to_device(images, &pixels, samples.iter().map(|sample| sample.index), place)
            }
            (Source::Resident(resident), Augment::Crop { pad, flip }) => {
                let crops: Vec<Crop> =
                    samples.iter().map(|sample| Crop::draw(seed, sample, pad, flip)).collect();
                resident.cropped(samples, &crops, pad as i64, place)
            }
            // Parts are resized on the processor: such runs keep no images on the device.
            (Source::Resident(_), Augment::None | Augment::ResizedCrop) => {
                let indices: Vec<u32> = samples.iter().map(|sample| sample.index).collect();
                self.plain(&indices, place)
            }
        }
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

    /// One gather for all values of all images: each value of a crop is that of one place in the
    /// whole set, or nothing where the crop reaches over the edge.
    fn cropped(
        &self,
        samples: &[Sample],
        crops: &[Crop],
        pad: i64,
        place: Placement,
    ) -> (Tensor, Tensor) {
        let _guard = tch::no_grad_guard();
        let device = place.device;
        let [channels, rows, columns] = self.shape;
        let n = samples.len() as i64;
        let column = |values: Tensor| values.view([n, 1]);
        let down = column(on_device(crops.iter().map(|crop| crop.down as u32), device));
        let right = column(on_device(crops.iter().map(|crop| crop.right as u32), device));
        let mirrored = column(on_device(crops.iter().map(|crop| u32::from(crop.mirrored)), device));
        let line = |side: i64| Tensor::arange(side, (Kind::Int64, device)).view([1, side]);
        let row = line(rows) + down - pad;
        // Mirrored, column c is the one that is as far from the other edge.
        let straight = line(columns);
        let turned: Tensor = (columns - 1) - &straight;
        let across = &straight + mirrored * (turned - &straight) + right - pad;
        let inside = |at: &Tensor, side: i64| at.ge(0).logical_and(&at.lt(side));
        let valid = inside(&row, rows)
            .view([n, 1, rows, 1])
            .logical_and(&inside(&across, columns).view([n, 1, 1, columns]));
        let within = row.clamp(0, rows - 1).view([n, 1, rows, 1]) * columns
            + across.clamp(0, columns - 1).view([n, 1, 1, columns]);
        let channel = Tensor::arange(channels, (Kind::Int64, device)).view([1, channels, 1, 1]);
        let value = within + channel * (rows * columns);
        let indices = on_device(samples.iter().map(|sample| sample.index), device);
        let image = indices.view([n, 1, 1, 1]) * (channels * rows * columns);
        let bytes = self.pixels.take(&(image + &value));
        let values = (bytes.to_kind(Kind::Float) / 255.0 - self.mean.take(&value))
            * self.scale.take(&value)
            * valid;
        (place.images(&values), self.labels.index_select(0, &indices))
    }
}

fn on_device<N: Into<i64>>(numbers: impl Iterator<Item = N>, device: Device) -> Tensor {
    let numbers: Vec<i64> = numbers.map(Into::into).collect();
    Tensor::from_slice(&numbers).to_device(device)
}

/// Pixels (standardised, n × channels × rows × columns) and labels as tensors on the device.
fn to_device(
    images: &Split,
    pixels: &[f32],
    indices: impl Iterator<Item = u32>,
    place: Placement,
) -> (Tensor, Tensor) {
    let labels = indices.map(|i| images.labels()[i as usize]);
    let labels = on_device(labels, place.device);
    let shape = images.shape();
    let dims = [shape.channels, shape.height, shape.width].map(|n| n as i64);
    let [channels, rows, columns] = dims;
    let pixels = place.images(&Tensor::from_slice(pixels).view([-1, channels, rows, columns]));
    (pixels, labels)
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
            let place = Placement::new(Device::Cpu, layout, Precision::F32);
            let [host, resident] =
                [false, true].map(|there| Source::new((&images, &standardiser), place, there, 1));
            let crops =
                [(2, true), (2, false), (1, true)].map(|(pad, flip)| Augment::Crop { pad, flip });
            for augment in crops.into_iter().chain([Augment::None]) {
                let (a, labels) = host.augmented(&samples, (augment, 3), place);
                let (b, others) = resident.augmented(&samples, (augment, 3), place);
                assert_eq!(labels, others);
                assert_eq!((a.size(), a.stride()), (b.size(), b.stride()));
                assert!((a - b).abs().max().double_value(&[]) < 1e-6, "{augment:?}");
            }
        }
    }
}
