//! The training batches of a run, one after the other.

use super::device_dataset::Source;
use super::placement::Placement;
use super::prefetch::Prefetcher;
use fathom_data::{Augment, Sampler};
use fathom_spec::Settings;
use tch::Tensor;

/// Values of as many images as are assembled at once on a device: enough that starting the
/// operations costs nothing, few enough for memory.
const AHEAD: usize = 1 << 24;

/// Batches that are assembled at once on a device, at most: more would win nothing.
const AHEAD_BATCHES: u64 = 64;

/// Gives batches.
pub struct DataLoader {
    keyed: (Augment, u64),
    batch: usize,
    place: Placement,
    order: Sampler,
    /// Batches of this update and later ones, where they are assembled several at once.
    ahead: Option<(u64, Tensor, Tensor)>,
    /// Those that take long, from this update's on.
    thread: Option<(u64, Prefetcher)>,
}

impl DataLoader {
    /// Those of these settings, of `images` images.
    pub fn new(images: usize, settings: &Settings, place: Placement) -> Self {
        Self {
            keyed: (settings.augment, settings.seed),
            batch: settings.training.batch,
            place,
            order: Sampler::new(settings.seed, images),
            ahead: None,
            thread: None,
        }
    }

    /// Batches that are assembled at once: 1 where the processor assembles them.
    pub fn period(&self, source: &Source) -> u64 {
        if !source.is_resident() {
            return 1;
        }
        let count = AHEAD / (self.batch * source.values());
        (count as u64).clamp(1, AHEAD_BATCHES)
    }

    /// Images and labels of the update after so many, on the device; `source` is the same every
    /// time.
    pub fn batch(&mut self, source: &Source, step: u64) -> (Tensor, Tensor) {
        let batch = self.batch as u64;
        if let Some(found) = self.assembled(source, step) {
            return found;
        }
        if !source.is_resident() {
            let samples = self.order.samples(step * batch, self.batch);
            return source.augmented(&samples, self.keyed, self.place);
        }
        let count = self.period(source);
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
    fn assembled(&mut self, source: &Source, step: u64) -> Option<(Tensor, Tensor)> {
        let mut thread = self.thread.take().filter(|(next, _)| *next == step);
        if thread.is_none() {
            // The first one, or another than the next one.
            let (mut order, batch) = (self.order.clone(), self.batch);
            let samples = move |step: u64| order.samples(step * batch as u64, batch);
            thread = Some((step, source.ahead((step..).map(samples), self.keyed)?));
        }
        let (_, mut ahead) = thread?;
        let found = ahead.next()?;
        self.thread = Some((step + 1, ahead));
        Some(source.assembled(&found, self.place))
    }
}
