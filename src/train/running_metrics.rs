//! Running loss and error of the training batches.

use super::learner::StepOutput;
use fathom_record::Position;
use tch::{Device, Kind, Tensor};

/// Sums over the training batches since the last row of the curve, on the device.
///
/// Once the sum of losses is no longer finite, later batches do not change the sums: a later read
/// returns the sums at the update at which training diverged.
pub struct RunningMetrics {
    /// Sum of batch losses (f32 scalar).
    loss: Tensor,
    /// Number of wrong answers, and number of batches (i64, 2 values).
    counts: Tensor,
}

/// Sums read from the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sums {
    /// Sum of batch losses.
    pub loss: f32,
    /// Number of wrong answers.
    pub wrong: i64,
    /// Number of batches.
    pub batches: u64,
}

impl RunningMetrics {
    /// Empty sums.
    pub fn new(device: Device) -> Self {
        Self {
            loss: Tensor::zeros([], (Kind::Float, device)),
            counts: Tensor::zeros([2], (Kind::Int64, device)),
        }
    }

    /// Restores the sums of a checkpoint.
    pub fn restore(position: &Position, device: Device) -> Self {
        let loss = Tensor::from_slice(&[f32::from_bits(position.running_loss)]).view(());
        let counts = [position.running_wrong, position.running_batches as i64];
        let counts = Tensor::from_slice(&counts);
        Self { loss: loss.to_device(device), counts: counts.to_device(device) }
    }

    /// Sets the sums to zero in place, as CUDA graphs hold the addresses of these tensors.
    pub fn reset(&mut self) {
        let _guard = tch::no_grad_guard();
        let _ = (self.loss.zero_(), self.counts.zero_());
    }

    /// Adds a batch, without waiting for the device.
    pub fn add(&mut self, output: &StepOutput) {
        let _guard = tch::no_grad_guard();
        let counted = self.loss.isfinite();
        let sum = (&self.loss + &output.loss).where_self(&counted, &self.loss);
        self.loss.copy_(&sum);
        let batch = Tensor::stack(&[&output.wrong, &output.wrong.ones_like()], 0);
        self.counts += batch * counted;
    }

    /// Reads the sums. Waits for the device.
    pub fn sums(&self) -> Sums {
        // In one tensor, since every read from a device is a wait. f64 represents all of them exactly.
        let [loss, counts] =
            [&self.loss.view(1), &self.counts].map(|sums| sums.to_kind(Kind::Double));
        let all = Tensor::cat(&[loss, counts], 0).to_device(Device::Cpu);
        let [loss, wrong, batches] = [0, 1, 2].map(|at| all.double_value(&[at]));
        Sums { loss: loss as f32, wrong: wrong as i64, batches: batches as u64 }
    }
}

impl Sums {
    /// Whether every loss was finite.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite()
    }

    /// Mean loss in nats and error in per cent over batches of this size; `None` without a batch.
    pub fn means(&self, batch: usize) -> Option<(f64, f64)> {
        if self.batches == 0 {
            return None;
        }
        let images = (self.batches * batch as u64) as f64;
        Some((f64::from(self.loss) / self.batches as f64, 100.0 * self.wrong as f64 / images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(loss: f32, wrong: i64) -> StepOutput {
        StepOutput { loss: Tensor::from(loss), wrong: Tensor::from(wrong) }
    }

    #[test]
    fn sums_end_with_the_batch_whose_loss_is_not_finite() {
        let mut running = RunningMetrics::new(Device::Cpu);
        assert_eq!(running.sums().means(10), None);
        running.add(&output(2.0, 3));
        running.add(&output(1.0, 1));
        assert_eq!(running.sums().means(10), Some((1.5, 20.0)));
        running.add(&output(f32::INFINITY, 10));
        let diverged = running.sums();
        assert_eq!(diverged, Sums { loss: f32::INFINITY, wrong: 14, batches: 3 });
        running.add(&output(1.0, 1));
        running.add(&output(f32::NAN, 1));
        assert_eq!(running.sums(), diverged);
        running.reset();
        running.add(&output(1.0, 1));
        assert_eq!(running.sums(), Sums { loss: 1.0, wrong: 1, batches: 1 });
    }
}
