//! All parameters of a net in one flat tensor, so that an update is a handful of operations
//! whatever the depth, and saving or restoring is one copy.
//!
//! Where the net computes in numbers of another kind, the weights and biases of its layers come
//! first, and a flat copy of them in that kind is what it computes with: one conversion for all of
//! them after each update.

use super::placement::Placement;
use anyhow::Result;
use fathom_arch::{Initial, Role};
use fathom_record::Layout;
use fathom_spec::Decay;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// The parameters of a net.
pub struct Parameters {
    /// All values, one after the other, without gradient.
    flat: Tensor,
    /// The first values again, in the kind that the net computes in, if that is another one.
    copies: Option<Tensor>,
    /// In the order of the layers.
    all: Vec<Parameter>,
    /// Places in `all` in the order of the flat tensor.
    order: Vec<usize>,
    places: HashMap<String, usize>,
    /// 1 where weight decay applies, 0 elsewhere; absent when it applies everywhere.
    decay_mask: Option<Tensor>,
    place: Placement,
}

struct Parameter {
    name: String,
    /// Where it begins in the flat tensor.
    offset: i64,
    shape: Vec<i64>,
    /// What the net computes with, and gradients are of.
    leaf: Tensor,
}

impl Parameter {
    fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Its part of a flat tensor, in its shape and sharing memory.
    fn within(&self, flat: &Tensor, layout: Layout) -> Tensor {
        let part = flat.narrow(0, self.offset, self.len());
        match (layout, self.shape.as_slice()) {
            (Layout::ChannelsLast, &[outputs, inputs, rows, columns]) => {
                part.view([outputs, rows, columns, inputs]).permute([0, 3, 1, 2])
            }
            (_, shape) => part.view(shape),
        }
    }
}

/// A gradient, or any other values of a parameter's shape, one after the other as they lie in the
/// flat tensor.
fn flattened(values: &Tensor, layout: Layout) -> Tensor {
    if layout == Layout::ChannelsLast && values.dim() == 4 {
        values.permute([0, 2, 3, 1]).reshape([-1])
    } else {
        values.reshape([-1])
    }
}

impl Parameters {
    /// Copies initial values, in the order of the layers, to their place.
    pub fn new(initial: &[Initial], decay: Decay, place: Placement) -> Self {
        let has_copies = place.compute != place.kind;
        let is_copied = |parameter: &Initial| has_copies && parameter.role != Role::Norm;
        let mut order: Vec<usize> = (0..initial.len()).collect();
        order.sort_by_key(|at| !is_copied(&initial[*at]));
        let count = |parameter: &Initial| parameter.values.len() as i64;
        let total: i64 = initial.iter().map(count).sum();
        let copied: i64 = initial.iter().filter(|p| is_copied(p)).map(count).sum();
        let flat = Tensor::zeros([total], (place.kind, place.device));
        let copies = has_copies.then(|| Tensor::zeros([copied], (place.compute, place.device)));
        let mut offsets = vec![0; initial.len()];
        let mut offset = 0;
        for at in &order {
            offsets[*at] = offset;
            offset += count(&initial[*at]);
        }
        let all = initial.iter().zip(offsets).map(|(parameter, offset)| {
            let mut one = Parameter {
                name: parameter.name.clone(),
                offset,
                shape: parameter.shape.iter().map(|side| *side as i64).collect(),
                leaf: Tensor::new(),
            };
            let values = Tensor::from_slice(&parameter.values).view(one.shape.as_slice());
            one.within(&flat, place.layout).copy_(&values);
            let source = copies.as_ref().filter(|_| is_copied(parameter)).unwrap_or(&flat);
            one.leaf = one.within(source, place.layout).detach().set_requires_grad(true);
            one
        });
        let all: Vec<Parameter> = all.collect();
        let decay_mask = (decay == Decay::Weights).then(|| {
            let mask: Vec<f32> = order
                .iter()
                .map(|at| &initial[*at])
                .flat_map(|p| {
                    std::iter::repeat_n(f32::from(p.role == Role::Weight), p.values.len())
                })
                .collect();
            Tensor::from_slice(&mask).to_kind(place.kind).to_device(place.device)
        });
        let places = all.iter().enumerate().map(|(at, one)| (one.name.clone(), at)).collect();
        let mut parameters = Self { flat, copies, all, order, places, decay_mask, place };
        parameters.refresh();
        parameters
    }

    /// The leaf of this name.
    ///
    /// # Panics
    /// When the net has no such parameter: nets and parameters come from one description.
    pub fn leaf(&self, name: &str) -> Tensor {
        self.all[self.places[name]].leaf.shallow_clone()
    }

    /// Names and values, in the order of the layers, sharing memory with the flat tensor; whoever
    /// changes them calls [`Parameters::refresh`].
    pub fn named(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.named_in(&self.flat)
    }

    /// Names and their parts of a tensor that lies as the flat one does, such as gradients.
    pub fn named_in<'a>(&'a self, flat: &'a Tensor) -> impl Iterator<Item = (&'a str, Tensor)> {
        self.all.iter().map(|one| (one.name.as_str(), one.within(flat, self.place.layout)))
    }

    /// Makes the net compute with what the flat tensor holds.
    pub fn refresh(&mut self) {
        if let Some(copies) = &mut self.copies {
            let _guard = tch::no_grad_guard();
            copies.copy_(&self.flat.narrow(0, 0, copies.size()[0]));
        }
    }

    /// All values as one tensor; whoever changes them calls [`Parameters::refresh`].
    pub fn flat(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// Where they lie.
    pub fn place(&self) -> Placement {
        self.place
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.flat.numel()
    }

    /// Gradients of `loss`, as they lie in the flat tensor and of its kind.
    pub fn gradients(&self, loss: &Tensor) -> Tensor {
        let leaves: Vec<&Tensor> = self.order.iter().map(|at| &self.all[*at].leaf).collect();
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        // One group of one kind, and another one where norms are of another.
        let groups = gradients.chunk_by(|a, b| a.kind() == b.kind()).map(|group| {
            let flat: Vec<Tensor> =
                group.iter().map(|gradient| flattened(gradient, self.place.layout)).collect();
            Tensor::cat(&flat, 0).to_kind(self.place.kind)
        });
        let groups: Vec<Tensor> = groups.collect();
        if groups.len() == 1 { groups[0].shallow_clone() } else { Tensor::cat(&groups, 0) }
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

    /// Whether weight decay applies to all of them.
    pub fn all_decay(&self) -> bool {
        self.decay_mask.is_none()
    }

    /// Zeros of the same length and place.
    pub fn zeros(&self) -> Tensor {
        self.flat.zeros_like()
    }

    /// Values that lie as the flat tensor's do, in the order of the layers and each parameter's
    /// row-major: the order of files, which does not depend on the place.
    ///
    /// # Errors
    /// When the device does not give them.
    pub fn export(&self, flat: &Tensor) -> Result<Vec<f32>> {
        let ordered: Vec<Tensor> = self
            .all
            .iter()
            .map(|one| one.within(flat, self.place.layout).contiguous().view(-1))
            .collect();
        let ordered = Tensor::cat(&ordered, 0).to_kind(Kind::Float).to_device(Device::Cpu);
        Ok(Vec::<f32>::try_from(&ordered)?)
    }

    /// Puts what [`Parameters::export`] gave into a tensor that lies as the flat one does.
    pub fn import(&self, values: &[f32], flat: &Tensor) {
        let _guard = tch::no_grad_guard();
        let mut rest = values;
        for one in &self.all {
            let (own, others) = rest.split_at(one.len() as usize);
            let own = Tensor::from_slice(own).view(one.shape.as_slice());
            one.within(flat, self.place.layout).copy_(&own);
            rest = others;
        }
    }
}
