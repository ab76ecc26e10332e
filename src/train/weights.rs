//! Export of weights from a net, and import into one.

use super::net::Net;
use super::parameters::Parameters;
use super::placement::Placement;
use anyhow::{Context, Result};
use fathom_arch::Network;
use fathom_record::{Values, Weights};
use fathom_spec::Decay;
use tch::{Device, Kind, Tensor};

/// Parameters and running averages by name, in f32.
///
/// # Errors
/// If copying from the device fails.
pub fn export(net: &Net, parameters: &Parameters) -> Result<Weights> {
    let mut weights = Weights::default();
    for (name, tensor) in tensors(net, parameters) {
        let shape = tensor.size().iter().map(|side| *side as usize).collect();
        let flat =
            tensor.detach().to_kind(Kind::Float).to_device(Device::Cpu).contiguous().view(-1);
        let values = Vec::<f32>::try_from(&flat).with_context(|| name.clone())?;
        weights.tensors.insert(name, Values { shape, values });
    }
    Ok(weights)
}

/// Builds a net with the given weights, which must [fit](Weights::fit) it.
///
/// # Panics
/// If they do not fit.
pub fn load(weights: &Weights, network: &Network, place: Placement) -> (Net, Parameters) {
    let mut parameters = Parameters::new(&network.initial(0), Decay::All, place);
    let net = Net::new(network, &parameters);
    import(weights, &net, &mut parameters);
    (net, parameters)
}

/// Copies weights, which must [fit](Weights::fit) the net, into it.
///
/// # Panics
/// If they do not fit.
pub fn import(weights: &Weights, net: &Net, parameters: &mut Parameters) {
    let _guard = tch::no_grad_guard();
    for (name, mut tensor) in tensors(net, parameters) {
        let values = Tensor::from_slice(&weights.tensors[&name].values);
        tensor.copy_(&values.view(tensor.size().as_slice()));
    }
    parameters.refresh();
}

/// Names and tensors of parameters and running averages, sharing memory with the net.
fn tensors(net: &Net, parameters: &Parameters) -> Vec<(String, Tensor)> {
    let named = parameters.named().map(|(name, values)| (name.to_owned(), values));
    let mut all: Vec<_> = named.collect();
    all.extend(net.named_statistics());
    all
}
