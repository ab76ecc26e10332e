//! Weights from a net and into one.

use super::net::Net;
use super::parameters::Parameters;
use anyhow::{Context, Result};
use fathom::record::{Values, Weights};
use tch::{Kind, Tensor};

/// Parameters and moving averages by name.
pub fn export(net: &Net, parameters: &Parameters) -> Result<Weights> {
    let mut weights = Weights::default();
    for (name, tensor) in tensors(net, parameters) {
        let shape = tensor.size().iter().map(|side| *side as usize).collect();
        let flat = tensor.detach().to_kind(Kind::Float).to_device(tch::Device::Cpu).reshape([-1]);
        let values = Vec::<f32>::try_from(&flat).with_context(|| name.clone())?;
        weights.tensors.insert(name, Values { shape, values });
    }
    Ok(weights)
}

/// Copies weights that [`Weights::fit`] the net into it.
///
/// # Panics
/// When they do not.
pub fn import(weights: &Weights, net: &Net, parameters: &Parameters) {
    let _guard = tch::no_grad_guard();
    for (name, mut tensor) in tensors(net, parameters) {
        let values = Tensor::from_slice(&weights.tensors[&name].values);
        tensor.copy_(&values.view(tensor.size().as_slice()));
    }
}

fn tensors(net: &Net, parameters: &Parameters) -> Vec<(String, Tensor)> {
    let mut all = parameters.named();
    all.extend(net.named_statistics());
    all
}
