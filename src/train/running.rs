//! Loss and error of training batches as they pass.

use super::step::Outcome;
use fathom::record::Position;
use tch::{Device, Kind, Tensor};

/// Sums over the batches since the last row, on the device.
pub struct Running {
    /// Of the losses.
    pub loss: Tensor,
    /// Of wrong answers.
    pub wrong: Tensor,
    /// How many.
    pub batches: u64,
}

impl Running {
    /// Nothing yet.
    pub fn new(device: Device) -> Self {
        Self {
            loss: Tensor::zeros([], (Kind::Float, device)),
            wrong: Tensor::zeros([], (Kind::Int64, device)),
            batches: 0,
        }
    }

    /// As a checkpoint has it.
    pub fn at(position: &Position, device: Device) -> Self {
        let loss = Tensor::from_slice(&[f32::from_bits(position.running_loss)]).view(());
        let wrong = Tensor::from_slice(&[position.running_wrong]).view(());
        let batches = position.running_batches;
        Self { loss: loss.to_device(device), wrong: wrong.to_device(device), batches }
    }

    /// One more batch.
    pub fn add(&mut self, outcome: &Outcome) {
        self.loss += &outcome.loss;
        self.wrong += &outcome.wrong;
        self.batches += 1;
    }

    /// Whether every loss was a number.
    pub fn is_finite(&self) -> bool {
        self.loss.double_value(&[]).is_finite()
    }

    /// Mean loss and error in per cent over batches of this size; nothing before the first.
    pub fn means(&self, batch: usize) -> (Option<f64>, Option<f64>) {
        if self.batches == 0 {
            return (None, None);
        }
        let loss = self.loss.double_value(&[]) / self.batches as f64;
        let images = (self.batches * batch as u64) as f64;
        (Some(loss), Some(100.0 * self.wrong.int64_value(&[]) as f64 / images))
    }
}
