//! Batches for updates that are replayed as a CUDA graph: the graph itself takes the next batch from a block of
//! batches at a fixed place in the memory of the device.

use super::data_loader::Batch;
use super::placement::is_dense;
use tch::{Kind, Tensor};

/// A block of batches on the device, and the position of the next batch in it.
#[derive(Default)]
pub struct BatchFeed(Option<Loaded>);

struct Loaded {
    images: Tensor,
    labels: Tensor,
    /// Index of the block.
    block: u64,
    /// Index of the first image of the next batch, on the device, where [`BatchFeed::next`] moves it.
    first: Tensor,
    /// The value of `first` once all submitted work is done.
    expected: i64,
    /// 0, 1, … up to the number of images of a batch.
    offsets: Tensor,
}

impl BatchFeed {
    /// Makes `batch` the next one. Copies its block unless it is the block of the batch before.
    pub fn load(&mut self, batch: &Batch) {
        let _guard = tch::no_grad_guard();
        match &mut self.0 {
            Some(loaded) if loaded.images.size() == batch.images.size() => {
                if loaded.block != batch.block {
                    loaded.images.copy_(&batch.images);
                    loaded.labels.copy_(&batch.labels);
                    loaded.block = batch.block;
                }
                if loaded.expected != batch.first {
                    let _ = loaded.first.fill_(batch.first);
                }
            }
            // No block yet, or one of another size.
            slot => {
                let place = (Kind::Int64, batch.labels.device());
                *slot = Some(Loaded {
                    images: batch.images.copy(),
                    labels: batch.labels.copy(),
                    block: batch.block,
                    first: Tensor::full([1], batch.first, place),
                    expected: batch.first,
                    offsets: Tensor::arange(batch.len, place),
                });
            }
        }
        if let Some(loaded) = &mut self.0 {
            loaded.expected = batch.first + batch.len;
        }
    }

    /// Images and labels of the next batch, by operations that a CUDA graph can replay.
    ///
    /// # Panics
    /// If no batch was loaded.
    pub fn next(&mut self) -> (Tensor, Tensor) {
        let _guard = tch::no_grad_guard();
        let loaded = self.0.as_mut().expect("a batch was loaded");
        let rows = &loaded.offsets + &loaded.first;
        let images = if is_dense(&loaded.images, &[0, 2, 3, 1]) {
            // A selection is contiguous, so that the layout is one only if the axes are in its order.
            let in_order = loaded.images.permute([0, 2, 3, 1]);
            in_order.index_select(0, &rows).permute([0, 3, 1, 2])
        } else {
            loaded.images.index_select(0, &rows)
        };
        let labels = loaded.labels.index_select(0, &rows);
        loaded.first += loaded.offsets.size()[0];
        (images, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::channels_last;
    use tch::Device;

    #[test]
    fn batches_follow_each_other_and_jump_to_where_they_are_asked_for() {
        let values = Tensor::arange(7 * 24, (Kind::Float, Device::Cpu)).view([7, 2, 3, 4]);
        let labels = Tensor::arange(7, (Kind::Int64, Device::Cpu));
        for images in [values.copy(), channels_last(&values)] {
            let mut feed = BatchFeed::default();
            // Of two blocks: batches in order, a step back, the other block, and the first one again.
            for (block, first) in [(0, 0), (0, 2), (0, 4), (0, 0), (5, 0), (5, 2), (0, 2)] {
                let batch = Batch {
                    images: &images + block as f64,
                    labels: labels.copy() + block as i64,
                    block,
                    first,
                    len: 2,
                };
                feed.load(&batch);
                let (found, found_labels) = feed.next();
                assert_eq!(found, batch.images(), "block {block} from {first}");
                assert_eq!(found_labels, batch.labels());
                assert_eq!(found.stride(), batch.images().stride());
            }
        }
    }
}
