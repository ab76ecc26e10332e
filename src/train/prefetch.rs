//! Batches that take long to assemble, assembled ahead by another thread. What a batch holds depends
//! on its place in the sequence alone, so nothing changes but the time.

use fathom_data::{Augment, Sample, Split, Standardiser};
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches that wait to be used, at most: one is being trained on meanwhile.
const WAITING: usize = 2;

/// Standardised pixels and the images that they are of.
pub struct Assembled {
    /// n × channels × rows × columns.
    pub pixels: Vec<f32>,
    /// One for each.
    pub indices: Vec<u32>,
}

/// A thread that is some batches ahead, and gives them in their order.
pub struct Prefetcher(Receiver<Assembled>);

impl Prefetcher {
    /// Begins with the first of these batches, on `threads` threads.
    pub fn start(
        (images, standardiser): (&Split, &Standardiser),
        keyed: (Augment, u64),
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
                    standardiser.fill_augmented(&images, &samples, keyed.0, keyed.1, &mut pixels);
                });
                let indices = samples.iter().map(|sample| sample.index).collect();
                // Nobody takes them any more: the run is over.
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
