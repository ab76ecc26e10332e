//! Weights from a net and into one.

use super::net::Net;
use super::parameters::Parameters;
use anyhow::{Context, Result};
use fathom::arch::{Initial, Network};
use fathom::record::{Values, Weights};
use fathom::spec::Decay;
use tch::{Device, Kind, Tensor};

/// Parameters and moving averages by name.
pub fn export(net: &Net, parameters: &Parameters) -> Result<Weights> {
    let mut weights = Weights::default();
    for (name, tensor) in tensors(net, parameters) {
        let shape = tensor.size().iter().map(|side| *side as usize).collect();
        let flat = tensor.detach().to_kind(Kind::Float).to_device(Device::Cpu).reshape([-1]);
        let values = Vec::<f32>::try_from(&flat).with_context(|| name.clone())?;
        weights.tensors.insert(name, Values { shape, values });
    }
    Ok(weights)
}

/// A net with weights that [`Weights::fit`] it.
///
/// # Panics
/// When they do not.
pub fn load(weights: &Weights, network: &Network, options: (Kind, Device)) -> (Net, Parameters) {
    let given = |(name, shape): (String, Vec<usize>)| {
        let values = weights.tensors[&name].values.clone();
        Initial { name, shape, values, is_weight: false }
    };
    let initial: Vec<Initial> = network.parameters().into_iter().map(given).collect();
    let parameters = Parameters::new(&initial, Decay::All, options);
    let net = Net::new(network, &parameters);
    import(weights, &net, &parameters);
    (net, parameters)
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
