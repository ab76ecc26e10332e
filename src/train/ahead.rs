//! Batches that take long to assemble, assembled ahead by another thread. What a batch holds depends
//! on its place in the sequence alone, so nothing changes but the time.

use fathom::data::{Augment, Order, Split, Standardiser};
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

/// A thread that is some batches ahead.
pub struct Ahead {
    /// The update whose batch comes next.
    next: u64,
    batches: Receiver<Assembled>,
}

impl Ahead {
    /// Begins with the batch after so many updates, on `threads` threads.
    pub fn start(
        (images, standardiser): (&Split, &Standardiser),
        keyed: (Augment, u64),
        batch: usize,
        step: u64,
        threads: usize,
    ) -> std::io::Result<Self> {
        let (images, standardiser) = (images.clone(), standardiser.clone());
        let (sender, batches) = sync_channel(WAITING - 1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(std::io::Error::other)?;
        let mut order = Order::new(keyed.1, images.len());
        std::thread::Builder::new().name("batches".into()).spawn(move || {
            for step in step.. {
                let samples = order.samples(step * batch as u64, batch);
                let mut pixels = Vec::new();
                pool.install(|| {
                    standardiser.fill_augmented(&images, &samples, keyed, &mut pixels);
                });
                let indices = samples.iter().map(|sample| sample.index).collect();
                // Nobody takes them any more: the run is over.
                if sender.send(Assembled { pixels, indices }).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { next: step, batches })
    }

    /// The batch after so many updates, if it is the next one and the thread lives.
    pub fn take(&mut self, step: u64) -> Option<Assembled> {
        if step != self.next {
            return None;
        }
        self.next += 1;
        self.batches.recv().ok()
    }
}
