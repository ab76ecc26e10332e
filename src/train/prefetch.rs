//! Background assembly of batches that are slow to assemble.
//!
//! The content of a batch depends on its position in the sequence alone, so prefetching changes no
//! result.

use super::device_images::crop_table;
use super::shim::device::{Uploaded, Uploader};
use fathom_data::{Augment, Crop, Sample, Split, Standardiser, fill_bytes};
use std::sync::mpsc::{Receiver, sync_channel};
use tch::{Device, Tensor};

/// Maximum number of assembled batches that are waiting; training uses another one meanwhile.
const WAITING: usize = 2;

/// A batch of images, with the index of each in its split.
pub enum Assembled {
    /// Standardised pixels, n × channels × rows × columns, in the processor's memory.
    OnHost(Vec<f32>, Vec<u32>),
    /// Pixels on a GPU.
    OnDevice(Bytes),
}

/// Images on a GPU that remain to be cropped and standardised.
pub struct Bytes {
    /// Bytes, n × values.
    pub pixels: Uploaded,
    /// Label of each image.
    pub labels: Uploaded,
    /// The crops that remain to be made, and the number of zero pixels around each image.
    pub crops: Option<(Uploaded, i64)>,
}

/// What a background thread needs to assemble batches.
pub struct Assembler {
    /// The images.
    pub images: Split,
    /// Standardisation of batches in the processor's memory.
    pub standardiser: Standardiser,
    /// Augmentation.
    pub augment: Augment,
    /// Key of the random numbers of the augmentation.
    pub seed: u64,
    /// Device for which batches are assembled. Those for a GPU are copied to it as bytes.
    pub device: Device,
}

/// An iterator over batches that a background thread assembles.
pub struct Prefetcher(Receiver<Assembled>);

impl Prefetcher {
    /// Starts to assemble the batches of `samples`, in their order, on `threads` threads.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        assembler: Assembler,
        samples: impl Iterator<Item = Vec<Sample>> + Send + 'static,
        threads: usize,
    ) -> std::io::Result<Self> {
        let (sender, batches) = sync_channel(WAITING - 1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(std::io::Error::other)?;
        std::thread::Builder::new().name("batches".into()).spawn(move || {
            let uploader = match assembler.device {
                Device::Cuda(index) => Some(Uploader::new(index)),
                _ => None,
            };
            for samples in samples {
                let batch = match &uploader {
                    Some(uploader) => assembler.on_device(&samples, &pool, uploader),
                    None => assembler.on_host(&samples, &pool),
                };
                // Sending fails once the run has dropped the receiver.
                if sender.send(batch).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self(batches))
    }
}

impl Iterator for Prefetcher {
    type Item = Assembled;

    fn next(&mut self) -> Option<Assembled> {
        self.0.recv().ok()
    }
}

impl Assembler {
    fn on_host(&self, samples: &[Sample], pool: &rayon::ThreadPool) -> Assembled {
        let Self { images, standardiser, augment, seed, .. } = self;
        let mut pixels = Vec::new();
        pool.install(|| {
            standardiser.fill_augmented(images, samples, *augment, *seed, &mut pixels);
        });
        Assembled::OnHost(pixels, samples.iter().map(|sample| sample.index).collect())
    }

    fn on_device(
        &self,
        samples: &[Sample],
        pool: &rayon::ThreadPool,
        uploader: &Uploader,
    ) -> Assembled {
        let mut pixels = Vec::new();
        pool.install(|| fill_bytes(&self.images, samples, self.augment, self.seed, &mut pixels));
        let pixels = Tensor::from_slice(&pixels).view([samples.len() as i64, -1]);
        let label = |sample: &Sample| i64::from(self.images.labels()[sample.index as usize]);
        let labels: Vec<i64> = samples.iter().map(label).collect();
        let crops = match self.augment {
            Augment::Crop { pad, flip } => {
                let draw = |sample: &Sample| Crop::draw(self.seed, sample, pad, flip);
                let table = crop_table((0..).zip(samples.iter().map(draw)));
                Some((uploader.upload(&table), pad as i64))
            }
            Augment::None | Augment::ResizedCrop => None,
        };
        Assembled::OnDevice(Bytes {
            pixels: uploader.upload(&pixels),
            labels: uploader.upload(&Tensor::from_slice(&labels)),
            crops,
        })
    }
}
