//! Training batches, assembled on the processor.

use super::place::Place;
use fathom::data::{Images, Order, Standardiser};
use fathom::spec::Settings;
use tch::Tensor;

/// The batches of a run, one after the other.
pub struct Feed<'a> {
    train: &'a Images,
    standardiser: &'a Standardiser,
    settings: &'a Settings,
    place: Place,
    order: Order,
    pixels: Vec<f32>,
}

impl<'a> Feed<'a> {
    /// Those of these settings.
    pub fn new(
        train: &'a Images,
        standardiser: &'a Standardiser,
        settings: &'a Settings,
        place: Place,
    ) -> Self {
        let order = Order::new(settings.seed, train.len());
        Self { train, standardiser, settings, place, order, pixels: Vec::new() }
    }

    /// Images and labels of the update after so many, on the device.
    pub fn batch(&mut self, step: u64) -> (Tensor, Tensor) {
        let batch = self.settings.training.batch;
        let samples = self.order.samples(step * batch as u64, batch);
        let keyed = (self.settings.augment, self.settings.seed);
        self.standardiser.fill_augmented(self.train, &samples, keyed, &mut self.pixels);
        let indices = samples.iter().map(|sample| sample.index);
        to_device(self.train, &self.pixels, indices, self.place)
    }
}

/// Pixels (standardised, n × channels × rows × columns) and labels as tensors on the device.
pub fn to_device(
    images: &Images,
    pixels: &[f32],
    indices: impl Iterator<Item = u32>,
    place: Place,
) -> (Tensor, Tensor) {
    let labels: Vec<i64> = indices.map(|i| i64::from(images.labels[i as usize])).collect();
    let shape = images.shape;
    let dims = [labels.len(), shape.channels, shape.height, shape.width].map(|n| n as i64);
    let pixels = place.images(&Tensor::from_slice(pixels).view(dims));
    (pixels, Tensor::from_slice(&labels).to_device(place.device))
}
