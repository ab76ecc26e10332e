//! The sequence of training batches of a run.

use super::device_dataset::Source;
use super::prefetch::Prefetcher;
use fathom_data::{Augment, Sampler};
use fathom_spec::Settings;
use std::ops::Range;
use tch::Tensor;

/// Pixel values that a device assembles at once, at most: enough to make the cost of launching the
/// operations negligible, few enough for its memory.
const BLOCK_VALUES: usize = 1 << 24;

/// Batches that a device assembles at once, at most: more bring no further gain.
const BLOCK_BATCHES: u64 = 64;

/// Assembles the batch of each update.
pub struct DataLoader {
    augment: Augment,
    seed: u64,
    batch: usize,
    sampler: Sampler,
    /// The batches that the device assembled at once most recently.
    block: Option<Block>,
    /// The background thread, for batches that are slow to assemble.
    prefetching: Option<Prefetching>,
}

/// The batch of one update: a part of a block of batches, which may be this one alone.
pub struct Batch {
    /// Images of the block (n × channels × rows × columns), on the device.
    pub images: Tensor,
    /// Labels of the block.
    pub labels: Tensor,
    /// Index of the block: blocks with the same one are equal.
    pub block: u64,
    /// First image of the batch in the block.
    pub first: i64,
    /// Number of images of the batch.
    pub len: i64,
}

impl Batch {
    /// A block of one batch.
    fn alone((images, labels): (Tensor, Tensor), step: u64) -> Self {
        let len = labels.size()[0];
        Self { images, labels, block: step, first: 0, len }
    }

    /// Images of the batch.
    pub fn images(&self) -> Tensor {
        self.images.narrow(0, self.first, self.len)
    }

    /// Labels of the batch.
    pub fn labels(&self) -> Tensor {
        self.labels.narrow(0, self.first, self.len)
    }
}

/// Consecutive batches in one pair of tensors on the device.
struct Block {
    steps: Range<u64>,
    images: Tensor,
    labels: Tensor,
}

/// A prefetcher and the step of the batch that it returns next.
struct Prefetching {
    next: u64,
    batches: Prefetcher,
}

impl DataLoader {
    /// A loader for `images` training images with these settings.
    pub fn new(images: usize, settings: &Settings) -> Self {
        Self {
            augment: settings.augment,
            seed: settings.seed,
            batch: settings.training.batch,
            sampler: Sampler::new(settings.seed, images),
            block: None,
            prefetching: None,
        }
    }

    /// Number of batches that are assembled at once: 1 if the processor assembles them.
    pub fn period(&self, source: &Source) -> u64 {
        if !source.is_resident() {
            return 1;
        }
        let count = BLOCK_VALUES / (self.batch * source.values());
        (count as u64).clamp(1, BLOCK_BATCHES)
    }

    /// The batch of the update after `step` others. `source` must be the same at every call.
    pub fn batch(&mut self, source: &Source, step: u64) -> Batch {
        if let Some(prefetched) = self.prefetched(source, step) {
            return Batch::alone(prefetched, step);
        }
        if !source.is_resident() {
            return Batch::alone(self.assemble(source, step, 1), step);
        }
        let period = self.period(source);
        let block = self.block.take().filter(|block| block.steps.contains(&step));
        let block = block.unwrap_or_else(|| {
            let (images, labels) = self.assemble(source, step, period);
            Block { steps: step..step + period, images, labels }
        });
        let len = self.batch as i64;
        let batch = Batch {
            images: block.images.shallow_clone(),
            labels: block.labels.shallow_clone(),
            block: block.steps.start,
            first: (step - block.steps.start) as i64 * len,
            len,
        };
        self.block = Some(block);
        batch
    }

    /// Images and labels of `count` consecutive batches in one pair of tensors.
    fn assemble(&mut self, source: &Source, step: u64, count: u64) -> (Tensor, Tensor) {
        let samples = self.sampler.samples(step * self.batch as u64, count as usize * self.batch);
        source.augmented(&samples, self.augment, self.seed)
    }

    /// The batch that the background thread assembled; `None` if batches are quick to assemble.
    fn prefetched(&mut self, source: &Source, step: u64) -> Option<(Tensor, Tensor)> {
        let current = self.prefetching.take().filter(|current| current.next == step);
        let mut batches = match current {
            Some(current) => current.batches,
            // The first call, or one that does not continue the sequence.
            None => {
                let (mut sampler, batch) = (self.sampler.clone(), self.batch);
                let samples = move |step: u64| sampler.samples(step * batch as u64, batch);
                source.prefetch((step..).map(samples), self.augment, self.seed)?
            }
        };
        let assembled = batches.next()?;
        self.prefetching = Some(Prefetching { next: step + 1, batches });
        Some(source.prefetched(assembled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::testing::tiny;

    #[test]
    fn a_device_that_assembles_several_batches_at_once_returns_the_same_batches() {
        let (_, context) = tiny(&["data.augment=crop-flip"]);
        let images = &context.data.dataset.train;
        let source = |resident| {
            let placement = context.device.placement;
            Source::new(images, &context.data.standardiser, placement, resident, 1)
        };
        let [host, resident] = [false, true].map(source);
        let loader = || DataLoader::new(images.len(), &context.settings);
        let (mut by_host, mut by_device) = (loader(), loader());
        assert_eq!(by_host.period(&host), 1);
        let period = by_device.period(&resident);
        assert!(period > 3, "{period}");
        // Consecutive batches, the next block, and a step back, as after a checkpoint.
        for step in [0, 1, 2, period, period + 1, 1] {
            let (expected, found) = (by_host.batch(&host, step), by_device.batch(&resident, step));
            assert_eq!(expected.labels(), found.labels(), "step {step}");
            assert!(
                (expected.images() - found.images()).abs().max().double_value(&[]) < 1e-6,
                "step {step}"
            );
        }
    }
}
