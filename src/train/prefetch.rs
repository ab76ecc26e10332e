//! Background assembly of batches that are slow to assemble.
//!
//! The content of a batch depends on its position in the sequence alone, so prefetching changes no
//! result.

use fathom_data::{Augment, Sample, Split, Standardiser};
use std::sync::mpsc::{Receiver, sync_channel};

/// Maximum number of assembled batches that are waiting; training uses another one meanwhile.
const WAITING: usize = 2;

/// Standardised pixels of a batch and the indices of its images.
pub struct Assembled {
    /// Values, n × channels × rows × columns.
    pub pixels: Vec<f32>,
    /// Index of each of the n images in its split.
    pub indices: Vec<u32>,
}

/// An iterator over batches that a background thread assembles.
pub struct Prefetcher(Receiver<Assembled>);

impl Prefetcher {
    /// Starts to assemble the batches of `samples`, in their order, on `threads` threads. `seed`
    /// keys the random numbers of `augment`.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        images: &Split,
        standardiser: &Standardiser,
        augment: Augment,
        seed: u64,
        samples: impl Iterator<Item = Vec<Sample>> + Send + 'static,
        threads: usize,
    ) -> std::io::Result<Self> {
        let (images, standardiser) = (images.clone(), standardiser.clone());
        let (sender, batches) = sync_channel(WAITING - 1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(std::io::Error::other)?;
        std::thread::Builder::new().name("batches".into()).spawn(move || {
            for samples in samples {
                let mut pixels = Vec::new();
                pool.install(|| {
                    standardiser.fill_augmented(&images, &samples, augment, seed, &mut pixels);
                });
                let indices = samples.iter().map(|sample| sample.index).collect();
                // Sending fails once the run has dropped the receiver.
                if sender.send(Assembled { pixels, indices }).is_err() {
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
