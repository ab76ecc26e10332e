//! Images of one split of a data set, as batches on the device.

use super::device_images::{DeviceStandardiser, crop_table, on_device};
use super::placement::Placement;
use super::prefetch::{Assembled, Assembler, Bytes, Prefetcher};
use fathom_data::{Augment, Crop, Images, Sample, Split, Standardiser};
use std::cell::RefCell;
use tch::Tensor;

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
    /// Standardises such batches on a GPU.
    on_device: Option<DeviceStandardiser>,
}

/// Images as bytes on the device, which assembles batches.
struct Resident {
    /// Pixels, images × values, u8.
    pixels: Tensor,
    labels: Tensor,
    standardiser: DeviceStandardiser,
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
        let on_device = || DeviceStandardiser::new(images.shape(), standardiser, placement);
        let storage = match images.in_memory().filter(|_| resident) {
            Some(images) => Storage::Resident(Resident::new(images, on_device())),
            None => Storage::Host(Host {
                images,
                standardiser,
                pixels: RefCell::default(),
                threads,
                on_device: placement.device.is_cuda().then(on_device),
            }),
        };
        Self { placement, storage }
    }

    /// Number of values of one image: channels × rows × columns.
    pub fn values(&self) -> usize {
        match &self.storage {
            Storage::Host(host) => host.images.shape().len(),
            Storage::Resident(resident) => resident.standardiser.values(),
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
        let assembler = Assembler {
            images: (*images).clone(),
            standardiser: (*standardiser).clone(),
            augment,
            seed,
            device: self.placement.device,
        };
        Prefetcher::start(assembler, batches, *threads).ok()
    }

    /// Images and labels of a batch that [`Source::prefetch`] assembled.
    ///
    /// # Panics
    /// If the images are on the device: such batches are not prefetched.
    pub fn prefetched(&self, batch: Assembled) -> (Tensor, Tensor) {
        let Storage::Host(host) = &self.storage else { panic!("the images are on the device") };
        match (batch, &host.on_device) {
            (Assembled::OnHost(pixels, indices), _) => {
                host.to_device(&pixels, indices.into_iter(), self.placement)
            }
            (Assembled::OnDevice(Bytes { pixels, labels, crops }), Some(standardiser)) => {
                let pixels = pixels.adopt();
                let images = match crops {
                    Some((table, pad)) => standardiser.cropped(&pixels, &table.adopt(), pad),
                    None => standardiser.plain(&pixels),
                };
                (images, labels.adopt())
            }
            (Assembled::OnDevice(_), None) => panic!("a batch on a GPU, which is not in use"),
        }
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
            Some(batch) => self.prefetched(batch),
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
            Storage::Resident(resident) => resident.plain(indices),
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
                let draw = |sample: &Sample| (sample.index, Crop::draw(seed, sample, pad, flip));
                resident.cropped(&crop_table(samples.iter().map(draw)), pad as i64)
            }
            // Runs with resized crops, which the processor computes, have no resident images.
            (Storage::Resident(resident), Augment::None | Augment::ResizedCrop) => {
                resident.plain(&indices.collect::<Vec<u32>>())
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
    fn new(images: &Images, standardiser: DeviceStandardiser) -> Self {
        let device = standardiser.device();
        let [n, values] = [images.len(), images.shape.len()].map(|n| n as i64);
        Self {
            pixels: Tensor::from_slice(&images.pixels).view([n, values]).to_device(device),
            labels: on_device(images.labels.iter().copied(), device),
            standardiser,
        }
    }

    fn plain(&self, indices: &[u32]) -> (Tensor, Tensor) {
        let indices = on_device(indices.iter().copied(), self.standardiser.device());
        let images = self.standardiser.plain(&self.pixels.index_select(0, &indices));
        (images, self.labels.index_select(0, &indices))
    }

    fn cropped(&self, crops: &Tensor, pad: i64) -> (Tensor, Tensor) {
        // In one tensor, since the processor waits for every copy to a device.
        let crops = crops.to_device(self.standardiser.device());
        let labels = self.labels.index_select(0, &crops.select(1, 0));
        (self.standardiser.cropped(&self.pixels, &crops, pad), labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_data::{Shape, Standardise};
    use fathom_record::Layout;
    use fathom_spec::Precision;
    use tch::Device;

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
