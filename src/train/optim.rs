//! SGD, Adam and RMSprop over flat parameters. Own ones, since their state must be saved.

use super::parameters::Parameters;
use super::shim::fused_sgd;
use anyhow::{Result, ensure};
use fathom_spec::Optimiser;
use tch::{Kind, Tensor};

const EPSILON: f64 = 1e-8;

/// A rule of the update with its state.
pub struct Update {
    rule: Optimiser,
    weight_decay: f64,
    /// Velocity of SGD, first moment of Adam.
    first: Tensor,
    /// Second moment of Adam and RMSprop.
    second: Tensor,
    steps: i32,
    /// Learning rate and Adam's two corrections, on the device: a recorded update reads them there.
    numbers: Tensor,
}

impl Update {
    /// Fresh state for these parameters.
    pub fn new(rule: Optimiser, weight_decay: f64, parameters: &Parameters) -> Self {
        let (first, second) = (parameters.zeros(), parameters.zeros());
        let numbers = Tensor::zeros([3], (Kind::Float, parameters.place().device));
        Self { rule, weight_decay, first, second, steps: 0, numbers }
    }

    /// The state that updates build up, in f32: for each part one number for each parameter, in
    /// the order of the layers, and nothing of a part that the rule does not use.
    ///
    /// # Errors
    /// When the device does not give it.
    pub fn state(&self, parameters: &Parameters) -> Result<Vec<Vec<f32>>> {
        let used: &[&Tensor] = match self.rule {
            Optimiser::Sgd { .. } => &[&self.first],
            Optimiser::Adam { .. } => &[&self.first, &self.second],
            Optimiser::RmsProp { .. } => &[&self.second],
        };
        used.iter().map(|part| parameters.export(part)).collect()
    }

    /// Puts back what [`Update::state`] gave after so many updates.
    ///
    /// # Errors
    /// When it is that of another rule or of another net.
    pub fn restore(
        &mut self,
        parameters: &Parameters,
        state: &[Vec<f32>],
        updates: u64,
    ) -> Result<()> {
        let used: &mut [&mut Tensor] = match self.rule {
            Optimiser::Sgd { .. } => &mut [&mut self.first],
            Optimiser::Adam { .. } => &mut [&mut self.first, &mut self.second],
            Optimiser::RmsProp { .. } => &mut [&mut self.second],
        };
        let sizes = used.iter().map(|part| part.numel());
        ensure!(
            sizes.eq(state.iter().map(Vec::len)),
            "the checkpoint's optimiser state is not this run's"
        );
        for (part, values) in used.iter_mut().zip(state) {
            parameters.import(values, part);
        }
        self.steps = i32::try_from(updates)?;
        Ok(())
    }

    /// Sets the learning rate of the next update.
    pub fn prepare(&mut self, lr: f64) {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let correction = |beta: f64| 1.0 / (1.0 - beta.powi(self.steps));
        let [first, second] = match self.rule {
            Optimiser::Adam { beta1, beta2 } => [correction(beta1), correction(beta2)],
            _ => [1.0, 1.0],
        };
        self.numbers.copy_(&Tensor::from_slice(&[lr, first, second].map(|n| n as f32)));
    }

    /// One update by flat gradients. All state is changed in place, so that the operations can be
    /// recorded and replayed.
    pub fn step(&mut self, parameters: &mut Parameters, mut gradients: Tensor) {
        let _guard = tch::no_grad_guard();
        let lr = self.numbers.get(0);
        let mut weight_decay = self.weight_decay;
        if !(parameters.all_decay() && matches!(self.rule, Optimiser::Sgd { .. })) {
            parameters.add_decay(&mut gradients, weight_decay);
            weight_decay = 0.0;
        }
        match self.rule {
            Optimiser::Sgd { momentum, nesterov } => {
                let how = (weight_decay, momentum, nesterov);
                fused_sgd(parameters.flat(), [&gradients, &self.first], &lr, how);
            }
            Optimiser::Adam { beta1, beta2 } => {
                self.first *= beta1;
                self.first += &gradients * (1.0 - beta1);
                self.second *= beta2;
                self.second += gradients.square() * (1.0 - beta2);
                let first = &self.first * self.numbers.get(1);
                let second = &self.second * self.numbers.get(2);
                *parameters.flat() -= first / (second.sqrt() + EPSILON) * lr;
            }
            Optimiser::RmsProp { alpha } => {
                self.second *= alpha;
                self.second += gradients.square() * (1.0 - alpha);
                *parameters.flat() -= gradients / (self.second.sqrt() + EPSILON) * lr;
            }
        }
        parameters.refresh();
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

    /// Values after updates whose gradient is always (1, 1).
    fn after(steps: usize, rule: Optimiser, weight_decay: f64, decay: Decay) -> Vec<f64> {
        let mut parameters = parameters(decay);
        let mut update = Update::new(rule, weight_decay, &parameters);
        for _ in 0..steps {
            let gradients = Tensor::from_slice(&[1.0f32, 1.0]);
            update.prepare(0.1);
            update.step(&mut parameters, gradients);
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
        let sgd = |nesterov| Optimiser::Sgd { momentum: 0.9, nesterov };
        // Velocities 1 and 1.9.
        close(&after(2, sgd(false), 0.0, Decay::All), &[1.0 - 0.29, 2.0 - 0.29]);
        // Steps g + 0.9 v = 1.9 and 2.71.
        close(&after(2, sgd(true), 0.0, Decay::All), &[1.0 - 0.461, 2.0 - 0.461]);
    }

    #[test]
    fn decay_reaches_all_parameters_or_only_weights() {
        let sgd = Optimiser::Sgd { momentum: 0.0, nesterov: false };
        close(&after(1, sgd, 0.5, Decay::All), &[1.0 - 0.1 * 1.5, 2.0 - 0.1 * 2.0]);
        close(&after(1, sgd, 0.5, Decay::Weights), &[1.0 - 0.1 * 1.5, 2.0 - 0.1]);
    }

    #[test]
    fn adam_and_rmsprop_follow_their_formulas() {
        let adam = Optimiser::Adam { beta1: 0.9, beta2: 0.999 };
        // With a constant gradient both corrected moments are 1.
        close(&after(3, adam, 0.0, Decay::All), &[0.7, 1.7]);
        let rms = Optimiser::RmsProp { alpha: 0.99 };
        close(&after(1, rms, 0.0, Decay::All), &[1.0 - 0.1 / 0.1, 2.0 - 0.1 / 0.1]);
    }

    #[test]
    fn leaves_share_memory_with_the_flat_tensor() {
        let mut parameters = parameters(Decay::All);
        let loss = parameters.leaf("w") * 3.0 + parameters.leaf("b") * 5.0;
        let gradients = parameters.gradients(&loss.sum(tch::Kind::Float));
        assert_eq!(Vec::<f32>::try_from(&gradients).unwrap(), [3.0, 5.0]);
        let sgd = Optimiser::Sgd { momentum: 0.0, nesterov: false };
        let mut update = Update::new(sgd, 0.0, &parameters);
        update.prepare(0.1);
        update.step(&mut parameters, gradients);
        assert!((parameters.leaf("b").double_value(&[0]) - 1.5).abs() < 1e-6);
    }
}
