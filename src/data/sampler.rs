//! The order of the training images.

use fathom_base::random::{Purpose, Stream};

/// One training image in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Index of the image.
    pub index: u32,
    /// Number of the pass over the training set, from 0.
    pub epoch: u64,
}

/// The endless sequence of training images: one random permutation per epoch, one after the other.
/// Batches have equal sizes and cross the boundaries of epochs.
#[derive(Clone)]
pub struct Sampler {
    seed: u64,
    count: usize,
    current: Option<(u64, Vec<u32>)>,
}

impl Sampler {
    /// The sequence of `count` images for a seed.
    pub fn new(seed: u64, count: usize) -> Self {
        Self { seed, count, current: None }
    }

    /// The samples at `start .. start + n` of the sequence.
    pub fn samples(&mut self, start: u64, n: usize) -> Vec<Sample> {
        let count = self.count as u64;
        (start..start + n as u64)
            .map(|position| {
                let (epoch, within) = (position / count, (position % count) as usize);
                Sample { index: self.epoch(epoch)[within], epoch }
            })
            .collect()
    }

    /// The permutation of an epoch; the last one is kept.
    fn epoch(&mut self, epoch: u64) -> &[u32] {
        if self.current.as_ref().is_none_or(|(current, _)| *current != epoch) {
            let mut stream = Stream::new(self.seed, Purpose::Order, epoch, 0);
            self.current = Some((epoch, stream.permutation(self.count)));
        }
        self.current.as_ref().map_or(&[], |(_, order)| order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_shows_every_image_once_whatever_the_batch() {
        let mut order = Sampler::new(1, 10);
        let all = order.samples(0, 30);
        let mut again = Sampler::new(1, 10);
        let batches: Vec<Sample> = (0..10).flat_map(|i| again.samples(i * 3, 3)).collect();
        assert_eq!(all, batches);
        for epoch in 0..3 {
            let mut seen: Vec<u32> =
                all.iter().filter(|s| s.epoch == epoch).map(|s| s.index).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
    }
}
