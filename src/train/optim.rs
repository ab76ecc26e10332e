//! Optimisers over flat parameters: SGD, Adam, RMSprop and Muon. tch's own cannot save their state.

mod muon;

use super::parameters::Parameters;
use super::shim::FusedSgd;
use anyhow::{Result, ensure};
use fathom_spec::Optimiser as Choice;
use muon::Muon;
use tch::{Device, Kind, Tensor};

/// ε of Adam and RMSprop.
const EPSILON: f64 = 1e-8;

/// Added to the norm of the gradients before the division, as in PyTorch's `clip_grad_norm_`.
const CLIP_EPSILON: f64 = 1e-6;

/// An optimiser with its state.
pub struct Optimiser {
    rule: Box<dyn Rule>,
    /// Largest norm of the gradients that the rule gets; `None` for no clipping.
    clip_norm: Option<f64>,
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
    pub fn new(
        choice: Choice,
        weight_decay: f64,
        clip_norm: Option<f64>,
        parameters: &Parameters,
    ) -> Self {
        let (zeros, device) = (|| parameters.zeros(), parameters.place().device);
        let rule: Box<dyn Rule> = match choice {
            Choice::Sgd { momentum, nesterov } => Box::new(Sgd {
                momentum,
                nesterov,
                weight_decay,
                momentum_buffer: zeros(),
                lr: DeviceNumbers::new(device),
            }),
            Choice::Muon { momentum, sgd_factor } => {
                Box::new(Muon::new(parameters, momentum, sgd_factor, weight_decay))
            }
            Choice::Adam { is_decay_decoupled, beta1, beta2 } => Box::new(Adam {
                is_decay_decoupled,
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
        Self { rule, clip_norm, updates: 0 }
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

    /// Updates the parameters by flat gradients, clipped first. May be recorded and replayed.
    pub fn step(&mut self, parameters: &mut Parameters, mut gradients: Tensor) {
        let _guard = tch::no_grad_guard();
        if let Some(most) = self.clip_norm {
            clip(&mut gradients, most);
        }
        self.rule.step(parameters, gradients);
        parameters.refresh();
    }
}

/// Multiplies gradients by min(1, most / (‖gradients‖ + 10⁻⁶)) (1211.5063). The norm stays on the device, so that
/// a recorded update clips each replay by its own norm.
fn clip(gradients: &mut Tensor, most: f64) {
    let norm = gradients.square().sum(Kind::Float).sqrt();
    *gradients *= ((norm + CLIP_EPSILON).reciprocal() * most).clamp_max(1.0);
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

/// Adam (1412.6980), or AdamW (1711.05101).
struct Adam {
    is_decay_decoupled: bool,
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
        if self.is_decay_decoupled {
            let mut decay = parameters.zeros();
            parameters.add_decay(&mut decay, self.weight_decay);
            *parameters.flat() -= decay * &lr;
        } else {
            parameters.add_decay(&mut gradients, self.weight_decay);
        }
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
mod tests;
