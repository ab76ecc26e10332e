//! The training batches of a run, one after the other.

use super::ahead::{Ahead, Assembled};
use super::place::Place;
use super::source::{Source, to_device};
use fathom::data::{Augment, Order};
use fathom::spec::Settings;
use tch::Tensor;

/// Values of as many images as are assembled at once on a device: enough that starting the
/// operations costs nothing, few enough for memory.
const AHEAD: usize = 1 << 24;

/// Gives batches.
pub struct Feed {
    keyed: (Augment, u64),
    batch: usize,
    place: Place,
    order: Order,
    /// Batches of this update and later ones, where they are assembled several at once.
    ahead: Option<(u64, Tensor, Tensor)>,
    /// Threads for those that take long, and what they are assembled by.
    spare: usize,
    thread: Option<Ahead>,
}

impl Feed {
    /// Those of these settings, of `images` images; with so many threads to spare.
    pub fn new(images: usize, settings: &Settings, place: Place, spare: usize) -> Self {
        Self {
            keyed: (settings.augment, settings.seed),
            batch: settings.training.batch,
            place,
            order: Order::new(settings.seed, images),
            ahead: None,
            spare,
            thread: None,
        }
    }

    /// Images and labels of the update after so many, on the device; `source` is the same every
    /// time.
    pub fn batch(&mut self, source: &Source, step: u64) -> (Tensor, Tensor) {
        let batch = self.batch as u64;
        if let Some(Assembled { pixels, indices }) = self.assembled(source, step)
            && let Source::Host(images, ..) = source
        {
            return to_device(images, &pixels, indices.into_iter(), self.place);
        }
        if !source.is_resident() {
            let samples = self.order.samples(step * batch, self.batch);
            return source.augmented(&samples, self.keyed, self.place);
        }
        let count = (AHEAD / (self.batch * source.values())).max(1) as u64;
        let has = |(first, _, _): &(u64, Tensor, Tensor)| (*first..first + count).contains(&step);
        let (first, images, labels) = match self.ahead.take().filter(has) {
            Some(ahead) => ahead,
            None => {
                let samples = self.order.samples(step * batch, count as usize * self.batch);
                let (images, labels) = source.augmented(&samples, self.keyed, self.place);
                (step, images, labels)
            }
        };
        let (from, n) = (((step - first) * batch) as i64, batch as i64);
        let found = (images.narrow(0, from, n), labels.narrow(0, from, n));
        self.ahead = Some((first, images, labels));
        found
    }

    /// A batch that was assembled ahead, where that is worth a thread.
    fn assembled(&mut self, source: &Source, step: u64) -> Option<Assembled> {
        let from = source.slow(self.keyed.0)?;
        if let Some(found) = self.thread.as_mut().and_then(|thread| thread.take(step)) {
            return Some(found);
        }
        // The first one, or another than the next one.
        self.thread = Ahead::start(from, self.keyed, self.batch, step, self.spare).ok();
        self.thread.as_mut()?.take(step)
    }
}
