//! Residual additions.

use super::norm::After;
use super::{Mode, Module, Pass, chain};
use tch::{Kind, Tensor};

/// branch(x) + shortcut, and ReLU after it where `relu` says so. A normalisation at the end of the
/// branch takes part in the fusion.
pub(super) fn fused_residual(
    branch: &[Module],
    x: &Tensor,
    shortcut: &Tensor,
    relu: bool,
    pass: &mut Pass,
) -> Tensor {
    if let Some((Module::Norm(norm), branch)) = branch.split_last() {
        let response = chain(branch, x, pass);
        let own = matches!(branch.last(), Some(Module::Conv { .. } | Module::Linear(_)));
        return norm.forward(&response, pass.mode, &After { added: Some(shortcut), relu, own });
    }
    let mut response = chain(branch, x, pass);
    let mut sum = if matches!(branch.last(), Some(Module::Conv { .. })) {
        response.g_add_(shortcut)
    } else {
        response + shortcut
    };
    if relu { sum.relu_() } else { sum }
}

/// The response of a branch under stochastic depth. In training it counts fully or not at all; the choice is
/// made on the device, so that each replay of a recorded update makes its own. Otherwise it is multiplied by
/// its probability.
pub(super) fn surviving(response: &Tensor, survival: f64, mode: Mode) -> Tensor {
    match mode {
        Mode::Train { .. } => {
            let chance = Tensor::rand([1], (Kind::Float, response.device()));
            response * chance.lt(survival).to_kind(response.kind())
        }
        Mode::Predict | Mode::Refresh { .. } | Mode::Tapped(_) => response * survival,
    }
}

/// branch(x) + shortcut(x), recorded.
pub(super) fn tapped_residual(
    branch: &[Module],
    x: &Tensor,
    shortcut: impl FnOnce(&mut Pass) -> Tensor,
    survival: f64,
    pass: &mut Pass,
) -> Tensor {
    // The layers of the branch are recorded before those of the shortcut.
    let response = chain(branch, x, pass);
    let last = pass.taps.as_mut().and_then(|taps| taps.end_branch());
    let response =
        if survival < 1.0 { surviving(&response, survival, pass.mode) } else { response };
    let sum = response + shortcut(pass);
    if let Some(taps) = &mut pass.taps {
        taps.add(last, &sum);
    }
    sum
}
