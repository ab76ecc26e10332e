//! All parameters of a net in one flat tensor, so that an update is a handful of operations
//! whatever the depth, and saving or restoring is one copy.

use fathom::arch::Initial;
use fathom::spec::Decay;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// The parameters of a net.
pub struct Parameters {
    /// All values, one after the other, without gradient.
    flat: Tensor,
    /// The same memory as the leaves that the net computes with.
    leaves: Vec<Tensor>,
    places: HashMap<String, usize>,
    /// 1 where weight decay applies, 0 elsewhere; absent when it applies everywhere.
    decay_mask: Option<Tensor>,
}

impl Parameters {
    /// Copies initial values to the device, as numbers of this kind.
    pub fn new(initial: &[Initial], decay: Decay, (kind, device): (Kind, Device)) -> Self {
        let values: Vec<f32> = initial.iter().flat_map(|p| p.values.iter().copied()).collect();
        let flat = Tensor::from_slice(&values).to_kind(kind).to_device(device);
        let (mut leaves, mut places, mut offset) = (Vec::new(), HashMap::new(), 0);
        for (place, parameter) in initial.iter().enumerate() {
            let shape: Vec<i64> = parameter.shape.iter().map(|side| *side as i64).collect();
            let length = parameter.values.len() as i64;
            let view = flat.narrow(0, offset, length).view(shape.as_slice()).detach();
            leaves.push(view.set_requires_grad(true));
            places.insert(parameter.name.clone(), place);
            offset += length;
        }
        let decay_mask = (decay == Decay::Weights).then(|| {
            let mask: Vec<f32> = initial
                .iter()
                .flat_map(|p| std::iter::repeat_n(f32::from(p.is_weight), p.values.len()))
                .collect();
            Tensor::from_slice(&mask).to_kind(kind).to_device(device)
        });
        Self { flat, leaves, places, decay_mask }
    }

    /// The leaf of this name.
    ///
    /// # Panics
    /// When the net has no such parameter: nets and parameters come from one description.
    pub fn leaf(&self, name: &str) -> Tensor {
        self.leaves[self.places[name]].shallow_clone()
    }

    /// Names and leaves, in the order of the layers.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let mut named: Vec<_> =
            self.places.iter().map(|(name, place)| (*place, name.clone())).collect();
        named.sort();
        named.into_iter().map(|(place, name)| (name, self.leaves[place].shallow_clone())).collect()
    }

    /// All values as one tensor, sharing memory with the leaves.
    pub fn flat(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.flat.numel()
    }

    /// Gradients of `loss` in the order of [`Parameters::flat`].
    pub fn gradients(&self, loss: &Tensor) -> Tensor {
        let gradients = Tensor::run_backward(&[loss], &self.leaves, false, false);
        let flat: Vec<Tensor> = gradients.iter().map(|g| g.reshape([-1])).collect();
        Tensor::cat(&flat, 0)
    }

    /// Adds `weight_decay` × parameter to flat gradients, where it applies.
    pub fn add_decay(&self, gradients: &mut Tensor, weight_decay: f64) {
        if weight_decay > 0.0 {
            let mut decayed = &self.flat * weight_decay;
            if let Some(mask) = &self.decay_mask {
                decayed *= mask;
            }
            *gradients += decayed;
        }
    }

    /// Zeros of the same length and place.
    pub fn zeros(&self) -> Tensor {
        Tensor::zeros([self.flat.numel() as i64], (self.flat.kind(), self.flat.device()))
    }
}
