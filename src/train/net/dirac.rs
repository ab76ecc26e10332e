//! Kernels of Dirac convolutions (1706.00388): the identity plus a filter of norm 1.

use crate::parameters::Parameters;
use fathom_arch::DIRAC;
use tch::{Kind, Tensor};

/// Added to the norm of a filter before the division.
const NORM_EPSILON: f64 = 1e-12;

/// What turns the weight of a convolution into its kernel (1706.00388).
pub(super) struct Dirac {
    /// Factor of the identity for each output.
    alpha: Tensor,
    /// Factor of the filter for each output.
    beta: Tensor,
    /// The kernel that copies channels.
    identity: Tensor,
}

impl Dirac {
    /// The factors of the convolution `name`.
    pub fn new(name: &str, parameters: &Parameters) -> Self {
        let leaf = |part| parameters.leaf(&format!("{name}.{part}"));
        let weight = leaf("weight");
        let [outputs, inputs, side, _] = weight.size()[..] else {
            unreachable!("a convolution has a square kernel for each output and input")
        };
        // Ones for each output's own input; those beyond the number of inputs copy nothing.
        let copies = Tensor::eye_m(outputs, inputs, (Kind::Float, weight.device()));
        let (before, after) = (side / 2, side - 1 - side / 2);
        let identity =
            copies.view([outputs, inputs, 1, 1]).constant_pad_nd([before, after, before, after]);
        let [(alpha, _), (beta, _)] = DIRAC;
        Self { alpha: leaf(alpha), beta: leaf(beta), identity: identity.to_kind(weight.kind()) }
    }

    /// α δ + β W/‖W‖.
    pub fn kernel(&self, weight: &Tensor) -> Tensor {
        let norms =
            weight.square().sum_dim_intlist([1, 2, 3].as_slice(), true, weight.kind()).sqrt();
        let [alpha, beta] = [&self.alpha, &self.beta].map(|factors| factors.view([-1, 1, 1, 1]));
        &self.identity * alpha + weight / (norms + NORM_EPSILON) * beta
    }
}
