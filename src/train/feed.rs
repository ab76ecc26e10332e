//! The training batches of a run, one after the other.

use super::place::Place;
use super::source::Source;
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
}

impl Feed {
    /// Those of these settings, of `images` images.
    pub fn new(images: usize, settings: &Settings, place: Place) -> Self {
        Self {
            keyed: (settings.augment, settings.seed),
            batch: settings.training.batch,
            place,
            order: Order::new(settings.seed, images),
            ahead: None,
        }
    }

    /// Images and labels of the update after so many, on the device; `source` is the same every
    /// time.
    pub fn batch(&mut self, source: &Source, step: u64) -> (Tensor, Tensor) {
        let batch = self.batch as u64;
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
}
