//! Optimisers over flat parameters: SGD, Adam and RMSprop. tch's own cannot save their state.

use super::parameters::Parameters;
use super::shim::FusedSgd;
use anyhow::{Result, ensure};
use fathom_spec::Optimiser as Choice;
use tch::{Device, Kind, Tensor};

/// ε of Adam and RMSprop.
const EPSILON: f64 = 1e-8;

/// An optimiser with its state.
pub struct Optimiser {
    rule: Box<dyn Rule>,
    /// Number of updates made.
    updates: i32,
}

/// The update rule of an optimiser, which owns its state.
///
/// The state keeps its memory and the numbers that change between updates lie on the device, so
/// that [`Rule::step`] can be recorded as a CUDA graph and replayed.
trait Rule {
    /// Writes the numbers that update number `update` (from 1) reads, such as the learning rate, to
    /// the device.
    fn prepare(&mut self, lr: f64, update: i32);

    /// Updates the parameters by flat gradients.
    fn step(&mut self, parameters: &mut Parameters, gradients: Tensor);

    /// Names (PyTorch's) and values of the state that updates build up, each as long as the flat
    /// parameters and sharing memory with the rule. A checkpoint holds them in this order.
    fn state(&self) -> Vec<(&'static str, &Tensor)>;
}

impl Optimiser {
    /// An optimiser with fresh state for these parameters.
    pub fn new(choice: Choice, weight_decay: f64, parameters: &Parameters) -> Self {
        let (zeros, device) = (|| parameters.zeros(), parameters.place().device);
        let rule: Box<dyn Rule> = match choice {
            Choice::Sgd { momentum, nesterov } => Box::new(Sgd {
                momentum,
                nesterov,
                weight_decay,
                momentum_buffer: zeros(),
                lr: DeviceNumbers::new(device),
            }),
            Choice::Adam { beta1, beta2 } => Box::new(Adam {
                beta1,
                beta2,
                weight_decay,
                exp_avg: zeros(),
                exp_avg_sq: zeros(),
                numbers: DeviceNumbers::new(device),
            }),
            Choice::RmsProp { alpha } => Box::new(RmsProp {
                alpha,
                weight_decay,
                square_avg: zeros(),
                lr: DeviceNumbers::new(device),
            }),
        };
        Self { rule, updates: 0 }
    }

    /// The state for a checkpoint: for each of its parts one f32 per parameter, in the order of
    /// the layers.
    ///
    /// # Errors
    /// If copying from the device fails.
    pub fn state(&self, parameters: &Parameters) -> Result<Vec<Vec<f32>>> {
        self.rule.state().into_iter().map(|(_, part)| parameters.export(part)).collect()
    }

    /// Restores what [`Optimiser::state`] gave after this number of updates.
    ///
    /// # Errors
    /// If the state is that of another optimiser or another net.
    pub fn restore(
        &mut self,
        parameters: &Parameters,
        state: &[Vec<f32>],
        updates: u64,
    ) -> Result<()> {
        let parts = self.rule.state();
        ensure!(
            parts.len() == state.len(),
            "the checkpoint's optimiser state has {} parts, this run's optimiser has {}: {}",
            state.len(),
            parts.len(),
            parts.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        );
        for ((name, part), values) in parts.iter().zip(state) {
            let (found, expected) = (values.len(), part.numel());
            ensure!(
                found == expected,
                "the checkpoint's {name} of the optimiser has {found} values, expected {expected}"
            );
        }
        for ((_, part), values) in parts.into_iter().zip(state) {
            parameters.import(values, part);
        }
        self.updates = i32::try_from(updates)?;
        Ok(())
    }

    /// Sets the learning rate of the next update. Not part of a recorded update.
    pub fn prepare(&mut self, lr: f64) {
        let _guard = tch::no_grad_guard();
        self.updates += 1;
        self.rule.prepare(lr, self.updates);
    }

    /// Updates the parameters by flat gradients. May be recorded and replayed.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: Tensor) {
        let _guard = tch::no_grad_guard();
        self.rule.step(parameters, gradients);
        parameters.refresh();
    }
}

/// Numbers on the device that change between updates.
struct DeviceNumbers<const N: usize> {
    values: Tensor,
    /// The numbers that were written.
    written: Option<[f32; N]>,
}

impl<const N: usize> DeviceNumbers<N> {
    fn new(device: Device) -> Self {
        Self { values: Tensor::zeros([N as i64], (Kind::Float, device)), written: None }
    }

    fn set(&mut self, numbers: [f64; N]) {
        let numbers = numbers.map(|number| number as f32);
        // A fill has its value with it: unlike a copy from this processor's memory, nothing waits for the device.
        for (index, number) in numbers.into_iter().enumerate() {
            if self.written.is_none_or(|written| written[index] != number) {
                let _ = self.values.get(index as i64).fill_(f64::from(number));
            }
        }
        self.written = Some(numbers);
    }

    /// The numbers as tensors without dimensions, sharing memory.
    fn get(&self) -> [Tensor; N] {
        std::array::from_fn(|index| self.values.get(index as i64))
    }
}

/// Stochastic gradient descent with momentum.
struct Sgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    momentum_buffer: Tensor,
    lr: DeviceNumbers<1>,
}

impl Rule for Sgd {
    fn prepare(&mut self, lr: f64, _: i32) {
        self.lr.set([lr]);
    }

    fn step(&mut self, parameters: &mut Parameters, mut gradients: Tensor) {
        let [lr] = self.lr.get();
        // The fused operation decays all parameters or none.
        let weight_decay = if parameters.all_decay() {
            self.weight_decay
        } else {
            parameters.add_decay(&mut gradients, self.weight_decay);
            0.0
        };
        let fused = FusedSgd {
            gradients: &gradients,
            velocity: &self.momentum_buffer,
            lr: &lr,
            weight_decay,
            momentum: self.momentum,
            nesterov: self.nesterov,
        };
        fused.update(parameters.flat());
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("momentum_buffer", &self.momentum_buffer)]
    }
}

/// Adam (1412.6980).
struct Adam {
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
    /// First moment of the gradients.
    exp_avg: Tensor,
    /// Second moment of the gradients.
    exp_avg_sq: Tensor,
    /// Learning rate, and the bias corrections of both moments.
    numbers: DeviceNumbers<3>,
}

impl Rule for Adam {
    fn prepare(&mut self, lr: f64, update: i32) {
        let correction = |beta: f64| 1.0 / (1.0 - beta.powi(update));
        self.numbers.set([lr, correction(self.beta1), correction(self.beta2)]);
    }

    fn step(&mut self, parameters: &mut Parameters, mut gradients: Tensor) {
        let [lr, correction1, correction2] = self.numbers.get();
        parameters.add_decay(&mut gradients, self.weight_decay);
        self.exp_avg *= self.beta1;
        self.exp_avg += &gradients * (1.0 - self.beta1);
        self.exp_avg_sq *= self.beta2;
        self.exp_avg_sq += gradients.square() * (1.0 - self.beta2);
        let first = &self.exp_avg * correction1;
        let second = &self.exp_avg_sq * correction2;
        *parameters.flat() -= first / (second.sqrt() + EPSILON) * lr;
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("exp_avg", &self.exp_avg), ("exp_avg_sq", &self.exp_avg_sq)]
    }
}

/// RMSprop as in PyTorch, without momentum.
struct RmsProp {
    alpha: f64,
    weight_decay: f64,
    /// Running average of the squared gradients.
    square_avg: Tensor,
    lr: DeviceNumbers<1>,
}

impl Rule for RmsProp {
    fn prepare(&mut self, lr: f64, _: i32) {
        self.lr.set([lr]);
    }

    fn step(&mut self, parameters: &mut Parameters, mut gradients: Tensor) {
        let [lr] = self.lr.get();
        parameters.add_decay(&mut gradients, self.weight_decay);
        self.square_avg *= self.alpha;
        self.square_avg += gradients.square() * (1.0 - self.alpha);
        *parameters.flat() -= gradients / (self.square_avg.sqrt() + EPSILON) * lr;
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("square_avg", &self.square_avg)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::Placement;
    use fathom_arch::{Initial, Role};
    use fathom_spec::Decay;

    fn parameters(decay: Decay) -> Parameters {
        let initial = |name: &str, role, value| Initial {
            name: name.into(),
            shape: vec![1],
            values: vec![value],
            role,
        };
        let all = [initial("w", Role::Weight, 1.0), initial("b", Role::Bias, 2.0)];
        Parameters::new(&all, decay, Placement::plain(tch::Device::Cpu, tch::Kind::Float))
    }

    /// Parameters after updates whose gradients are always (1, 1).
    fn after(steps: usize, choice: Choice, weight_decay: f64, decay: Decay) -> Vec<f64> {
        let mut parameters = parameters(decay);
        let mut optimiser = Optimiser::new(choice, weight_decay, &parameters);
        for _ in 0..steps {
            let gradients = Tensor::from_slice(&[1.0f32, 1.0]);
            optimiser.prepare(0.1);
            optimiser.step(&mut parameters, gradients);
        }
        Vec::<f64>::try_from(parameters.flat().shallow_clone()).unwrap()
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} against {expected:?}");
        }
    }

    #[test]
    fn sgd_follows_its_formula() {
        let sgd = |nesterov| Choice::Sgd { momentum: 0.9, nesterov };
        // The momentum buffer is 1, then 1.9.
        close(&after(2, sgd(false), 0.0, Decay::All), &[1.0 - 0.29, 2.0 - 0.29]);
        // The steps g + 0.9 v are 1.9, then 2.71.
        close(&after(2, sgd(true), 0.0, Decay::All), &[1.0 - 0.461, 2.0 - 0.461]);
    }

    #[test]
    fn decay_reaches_all_parameters_or_only_weights() {
        let sgd = Choice::Sgd { momentum: 0.0, nesterov: false };
        close(&after(1, sgd, 0.5, Decay::All), &[1.0 - 0.1 * 1.5, 2.0 - 0.1 * 2.0]);
        close(&after(1, sgd, 0.5, Decay::Weights), &[1.0 - 0.1 * 1.5, 2.0 - 0.1]);
    }

    #[test]
    fn adam_and_rmsprop_follow_their_formulas() {
        let adam = Choice::Adam { beta1: 0.9, beta2: 0.999 };
        // With a constant gradient both corrected moments are 1.
        close(&after(3, adam, 0.0, Decay::All), &[0.7, 1.7]);
        let rms = Choice::RmsProp { alpha: 0.99 };
        close(&after(1, rms, 0.0, Decay::All), &[1.0 - 0.1 / 0.1, 2.0 - 0.1 / 0.1]);
    }

    #[test]
    fn leaves_share_memory_with_the_flat_tensor() {
        let mut parameters = parameters(Decay::All);
        let loss = parameters.leaf("w") * 3.0 + parameters.leaf("b") * 5.0;
        let gradients = parameters.gradients(&loss.sum(tch::Kind::Float));
        assert_eq!(Vec::<f32>::try_from(&gradients).unwrap(), [3.0, 5.0]);
        let sgd = Choice::Sgd { momentum: 0.0, nesterov: false };
        let mut optimiser = Optimiser::new(sgd, 0.0, &parameters);
        optimiser.prepare(0.1);
        optimiser.step(&mut parameters, gradients);
        assert!((parameters.leaf("b").double_value(&[0]) - 1.5).abs() < 1e-6);
    }

    #[test]
    fn restored_optimisers_continue_exactly() {
        for choice in [
            Choice::Sgd { momentum: 0.9, nesterov: true },
            Choice::Adam { beta1: 0.9, beta2: 0.999 },
            Choice::RmsProp { alpha: 0.99 },
        ] {
            let mut through = parameters(Decay::All);
            let mut optimiser = Optimiser::new(choice, 0.1, &through);
            let update = |optimiser: &mut Optimiser, parameters: &mut Parameters, gradient: f32| {
                optimiser.prepare(0.1);
                optimiser.step(parameters, Tensor::from_slice(&[gradient, -gradient]));
            };
            update(&mut optimiser, &mut through, 1.0);
            update(&mut optimiser, &mut through, 3.0);
            let mut resumed = parameters(Decay::All);
            resumed.flat().copy_(&through.flat().copy());
            let mut restored = Optimiser::new(choice, 0.1, &resumed);
            restored.restore(&resumed, &optimiser.state(&through).unwrap(), 2).unwrap();
            update(&mut optimiser, &mut through, -2.0);
            update(&mut restored, &mut resumed, -2.0);
            assert_eq!(
                Vec::<f32>::try_from(&*through.flat()).unwrap(),
                Vec::<f32>::try_from(&*resumed.flat()).unwrap(),
                "{choice:?}"
            );
            assert_eq!(optimiser.state(&through).unwrap(), restored.state(&resumed).unwrap());
        }
    }

    #[test]
    fn state_of_another_optimiser_or_net_is_refused() {
        let parameters = parameters(Decay::All);
        let mut adam = Optimiser::new(Choice::Adam { beta1: 0.9, beta2: 0.999 }, 0.0, &parameters);
        let mut error =
            |state: &[Vec<f32>]| adam.restore(&parameters, state, 1).unwrap_err().to_string();
        assert_eq!(
            error(&[vec![0.0; 2]]),
            "the checkpoint's optimiser state has 1 parts, this run's optimiser has 2: \
             exp_avg, exp_avg_sq"
        );
        assert_eq!(
            error(&[vec![0.0; 2], vec![0.0; 3]]),
            "the checkpoint's exp_avg_sq of the optimiser has 3 values, expected 2"
        );
    }
}
