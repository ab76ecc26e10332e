//! All parameters of a net in one flat tensor, so that the number of operations of an update does
//! not grow with the depth, and saving or restoring is one copy.
//!
//! In mixed precision, the weights and biases of layers come first in the flat tensor. The net
//! computes with a flat copy of them in the lower precision, which one operation converts after
//! each update.

use super::placement::Placement;
use anyhow::Result;
use fathom_arch::{Initial, Role};
use fathom_record::Layout;
use fathom_spec::Decay;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// The parameters of a net.
pub struct Parameters {
    /// Values of all parameters (one dimension), without gradient.
    flat: Tensor,
    /// In mixed precision, a copy of the first values in the kind in which the net computes.
    copies: Option<Tensor>,
    /// The parameters in the order of the layers.
    all: Vec<Parameter>,
    /// Indices into `all` in the order of the flat tensor.
    order: Vec<usize>,
    /// Indices into `all` by name.
    places: HashMap<String, usize>,
    /// 1 where weight decay applies, 0 elsewhere; `None` if it applies to all parameters.
    decay_mask: Option<Tensor>,
    place: Placement,
}

struct Parameter {
    name: String,
    /// Index of its first value in the flat tensor.
    offset: i64,
    shape: Vec<i64>,
    /// Leaf of the autograd graph with which the net computes.
    leaf: Tensor,
}

impl Parameter {
    fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// View of this parameter's part of a flat tensor, in the parameter's shape.
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

/// A gradient or other values in the shape of a parameter, as one dimension in the order of the
/// flat tensor.
fn flattened(values: &Tensor, layout: Layout) -> Tensor {
    if layout == Layout::ChannelsLast && values.dim() == 4 {
        values.permute([0, 2, 3, 1]).reshape([-1])
    } else {
        values.reshape([-1])
    }
}

impl Parameters {
    /// Parameters with these initial values, which are in the order of the layers.
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
        let is_decayed = |parameter: &Initial| match parameter.role {
            Role::Weight => true,
            Role::Bias | Role::Norm => decay == Decay::All,
            Role::Factor => false,
        };
        let decay_mask = (!initial.iter().all(is_decayed)).then(|| {
            let mask: Vec<f32> = order
                .iter()
                .map(|at| &initial[*at])
                .flat_map(|p| std::iter::repeat_n(f32::from(is_decayed(p)), p.values.len()))
                .collect();
            Tensor::from_slice(&mask).to_kind(place.kind).to_device(place.device)
        });
        let places = all.iter().enumerate().map(|(at, one)| (one.name.clone(), at)).collect();
        let mut parameters = Self { flat, copies, all, order, places, decay_mask, place };
        parameters.refresh();
        parameters
    }

    /// The leaf with this name.
    ///
    /// # Panics
    /// If the net has no such parameter; nets and parameters are built from the same description.
    pub fn leaf(&self, name: &str) -> Tensor {
        self.all[self.places[name]].leaf.shallow_clone()
    }

    /// Names and values in the order of the layers, sharing memory with the flat tensor. After a
    /// change of the values, call [`Parameters::refresh`].
    pub fn named(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.named_in(&self.flat)
    }

    /// Names and views of a tensor with the order of the flat one, such as gradients.
    pub fn named_in<'a>(&'a self, flat: &'a Tensor) -> impl Iterator<Item = (&'a str, Tensor)> {
        self.all.iter().map(|one| (one.name.as_str(), one.within(flat, self.place.layout)))
    }

    /// Updates the lower-precision copies in mixed precision, after a change of the flat tensor.
    pub fn refresh(&mut self) {
        if let Some(copies) = &mut self.copies {
            let _guard = tch::no_grad_guard();
            copies.copy_(&self.flat.narrow(0, 0, copies.size()[0]));
        }
    }

    /// The flat tensor. After a change of its values, call [`Parameters::refresh`].
    pub fn flat(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// Device, layout and kinds of the parameters.
    pub fn place(&self) -> Placement {
        self.place
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.flat.numel()
    }

    /// Gradients of `loss` in the order and of the kind of the flat tensor.
    pub fn gradients(&self, loss: &Tensor) -> Tensor {
        let leaves: Vec<&Tensor> = self.order.iter().map(|at| &self.all[*at].leaf).collect();
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        // In mixed precision, gradients of normalisations come last and have another kind.
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

    /// Adds `weight_decay` to the values of a flat tensor, where it applies.
    pub fn add_decay_of_ones(&self, values: &mut Tensor, weight_decay: f64) {
        match &self.decay_mask {
            None => *values += weight_decay,
            Some(mask) => *values += mask * weight_decay,
        }
    }

    /// Whether weight decay applies to all parameters.
    pub fn all_decay(&self) -> bool {
        self.decay_mask.is_none()
    }

    /// Zeros with the length, kind and device of the flat tensor.
    pub fn zeros(&self) -> Tensor {
        self.flat.zeros_like()
    }

    /// The values of a tensor that has the order of the flat one, in the order of files: by layer,
    /// and row-major within each parameter, whatever the placement is.
    ///
    /// # Errors
    /// If copying from the device fails.
    pub fn export(&self, flat: &Tensor) -> Result<Vec<f32>> {
        let ordered: Vec<Tensor> = self
            .all
            .iter()
            .map(|one| one.within(flat, self.place.layout).contiguous().view(-1))
            .collect();
        let ordered = Tensor::cat(&ordered, 0).to_kind(Kind::Float).to_device(Device::Cpu);
        Ok(Vec::<f32>::try_from(&ordered)?)
    }

    /// Copies values from [`Parameters::export`] into a tensor that has the order of the flat one.
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
