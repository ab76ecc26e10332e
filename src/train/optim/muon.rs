//! Muon: momentum, made orthogonal (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>).

use super::{DeviceNumbers, Rule};
use crate::parameters::Parameters;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Number of Newton–Schulz steps.
const STEPS: usize = 5;
/// Coefficients of x, x³ and x⁵ in each step, which bring all singular values into about 0.7 … 1.2.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];
/// Added to the norm of a matrix before the division.
const EPSILON: f64 = 1e-7;

/// Muon for the matrices of a net, and SGD with momentum for its other parameters. A matrix is the weight of a
/// convolution (outputs × (inputs · rows · columns)), or of a fully connected layer other than the last.
pub(super) struct Muon {
    momentum: f64,
    sgd_factor: f64,
    /// Weight decay of each parameter that enters its gradient: that of SGD.
    coupled: Tensor,
    /// Weight decay of each parameter that shrinks it: that of matrices.
    decoupled: Tensor,
    momentum_buffer: Tensor,
    lr: DeviceNumbers<1>,
    /// Positions of the matrices among the parameters, by their numbers of rows and columns: those of equal shape
    /// are made orthogonal together.
    matrices: BTreeMap<[i64; 2], Vec<usize>>,
}

impl Muon {
    /// Muon with fresh state.
    pub fn new(parameters: &Parameters, momentum: f64, sgd_factor: f64, weight_decay: f64) -> Self {
        let [mut coupled, decoupled, momentum_buffer] = [(); 3].map(|()| parameters.zeros());
        let named: Vec<Tensor> = parameters.named_in(&decoupled).map(|(_, part)| part).collect();
        let sizes: Vec<Vec<i64>> = named.iter().map(Tensor::size).collect();
        let classifier = sizes.iter().rposition(|size| size.len() == 2);
        let mut matrices: BTreeMap<[i64; 2], Vec<usize>> = BTreeMap::new();
        for (at, size) in sizes.iter().enumerate() {
            let [rows, columns @ ..] = size.as_slice() else { continue };
            if !columns.is_empty() && Some(at) != classifier {
                let _ = named[at].shallow_clone().fill_(1.0);
                matrices.entry([*rows, columns.iter().product()]).or_default().push(at);
            }
        }
        // The decay of all parameters, divided among the two kinds.
        parameters.add_decay_of_ones(&mut coupled, weight_decay);
        let decoupled = decoupled * &coupled;
        coupled -= &decoupled;
        let lr = DeviceNumbers::new(parameters.place().device);
        Self { momentum, sgd_factor, coupled, decoupled, momentum_buffer, lr, matrices }
    }
}

impl Rule for Muon {
    fn prepare(&mut self, lr: f64, _: i32) {
        self.lr.set([lr]);
    }

    fn step(&mut self, parameters: &mut Parameters, mut gradients: Tensor) {
        let [lr] = self.lr.get();
        gradients += &*parameters.flat() * &self.coupled;
        self.momentum_buffer *= self.momentum;
        self.momentum_buffer += &gradients;
        let mut update = &self.momentum_buffer * self.sgd_factor;
        let nesterov = gradients + &self.momentum_buffer * self.momentum;
        let parts = |flat| parameters.named_in(flat).map(|(_, part)| part).collect::<Vec<_>>();
        let (directions, updates) = (parts(&nesterov), parts(&update));
        for ([rows, columns], places) in &self.matrices {
            let same: Vec<Tensor> =
                places.iter().map(|at| directions[*at].reshape([*rows, *columns])).collect();
            let scale = (*rows as f64 / *columns as f64).max(1.0).sqrt();
            let orthogonal = orthogonal(&Tensor::stack(&same, 0)) * scale;
            for (at, matrix) in places.iter().zip(orthogonal.unbind(0)) {
                let mut part = updates[*at].shallow_clone();
                part.copy_(&matrix.reshape(part.size()));
            }
        }
        update += &*parameters.flat() * &self.decoupled;
        *parameters.flat() -= update * lr;
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("momentum_buffer", &self.momentum_buffer)]
    }
}

/// The orthogonal factors of matrices (number × rows × columns), about: the singular vectors of each with singular
/// values near 1.
fn orthogonal(matrices: &Tensor) -> Tensor {
    let [a, b, c] = COEFFICIENTS;
    let is_tall = matrices.size()[1] > matrices.size()[2];
    let wide = if is_tall { matrices.transpose(1, 2) } else { matrices.shallow_clone() };
    let norms = wide.square().sum_dim_intlist([1, 2].as_slice(), true, Kind::Float).sqrt();
    let mut x = wide / (norms + EPSILON);
    for _ in 0..STEPS {
        let product = x.bmm(&x.transpose(1, 2));
        let quintic = &product * b + product.bmm(&product) * c;
        x = &x * a + quintic.bmm(&x);
    }
    if is_tall { x.transpose(1, 2) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Optimiser;
    use crate::placement::Placement;
    use fathom_arch::{Initial, Role};
    use fathom_spec::{Decay, Optimiser as Choice};

    #[test]
    fn singular_values_come_near_one_and_vectors_stay() {
        tch::manual_seed(1);
        for [rows, columns] in [[4, 9], [9, 4], [16, 144]] {
            let x = Tensor::randn([3, rows, columns], (Kind::Float, tch::Device::Cpu));
            let (u, before, v) = x.svd(true, true);
            let (_, after, _) = orthogonal(&x).svd(true, true);
            assert!(after.min().double_value(&[]) > 0.6, "{after}");
            assert!(after.max().double_value(&[]) < 1.25, "{after}");
            assert!(before.max().double_value(&[]) > 1.5, "{before}");
            // In the basis of the singular vectors the result is diagonal.
            let inner = u.transpose(1, 2).bmm(&orthogonal(&x)).bmm(&v);
            let diagonal = inner.diagonal(0, 1, 2).diag_embed(0, 1, 2);
            assert!((inner - diagonal).abs().max().double_value(&[]) < 1e-4);
        }
    }

    /// A net with a convolution of 2 × 3 × 1 × 1, a bias, and a classifier.
    fn parameters() -> Parameters {
        let initial = |name: &str, shape: &[usize], role| Initial {
            name: name.into(),
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
            role,
        };
        let all = [
            initial("conv1.weight", &[2, 3, 1, 1], Role::Weight),
            initial("conv1.bias", &[2], Role::Bias),
            initial("fc.weight", &[2, 2], Role::Weight),
        ];
        Parameters::new(&all, Decay::Weights, Placement::plain(tch::Device::Cpu, Kind::Float))
    }

    #[test]
    fn matrices_get_the_orthogonal_factor_of_the_momentum_and_the_rest_gets_sgd() {
        let mut parameters = parameters();
        let choice = Choice::Muon { momentum: 0.5, sgd_factor: 2.0 };
        let mut optimiser = Optimiser::new(choice, 0.1, None, &parameters);
        let gradients = [3.0f32, 0.0, 0.0, 0.0, 4.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        optimiser.prepare(0.1);
        optimiser.step(&mut parameters, Tensor::from_slice(&gradients));
        let found: Vec<(String, Vec<f64>)> = parameters
            .named()
            .map(|(name, part)| (name.to_owned(), Vec::try_from(part.reshape([-1])).unwrap()))
            .collect();
        // The singular values 3 and 4 of the gradient, scaled to norm 1, after five steps.
        let step = |mut x: f64| {
            for _ in 0..STEPS {
                x = COEFFICIENTS[0] * x + COEFFICIENTS[1] * x.powi(3) + COEFFICIENTS[2] * x.powi(5);
            }
            x
        };
        let expected = |at: usize| match at {
            0 => 1.0 - 0.1 * (step(0.6) + 0.1),
            4 => 1.0 - 0.1 * (step(0.8) + 0.1),
            _ => 1.0 - 0.1 * 0.1,
        };
        for (at, value) in found[0].1.iter().enumerate() {
            assert!((value - expected(at)).abs() < 1e-5, "{at}: {value}");
        }
        // SGD at twice the rate; a bias has no decay, and the classifier has it in its gradient.
        assert!(found[1].1.iter().all(|value| (value - 0.8).abs() < 1e-6), "{found:?}");
        assert!(found[2].1.iter().all(|value| (value - 0.78).abs() < 1e-6), "{found:?}");
    }
}
