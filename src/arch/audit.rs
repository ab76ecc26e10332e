//! Shapes, parameters and multiply-adds of every layer.

use super::{Activation, Dims, Layer, Network, Norm, Shortcut};
use serde::Serialize;

/// A network layer by layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass in convolutions and fully connected layers.
    pub macs: u64,
    /// Values that one image's forward pass produces, all layers together: what memory in
    /// training is proportional to.
    pub activations: u64,
    /// In the order of application.
    pub layers: Vec<AuditRow>,
}

/// One layer of an [`Audit`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    /// Its name; layers without parameters have that of their kind.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Channels, rows and columns of its output.
    pub output: Dims,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-adds.
    pub macs: u64,
    /// Side, in pixels of the input, of what one output value depends on.
    pub receptive_field: usize,
}

/// Receptive field and distance of neighbouring outputs, both in pixels of the input.
#[derive(Clone, Copy)]
struct Field {
    side: usize,
    jump: usize,
}

impl Field {
    fn slide(&mut self, kernel: usize, stride: usize) {
        self.side += (kernel - 1) * self.jump;
        self.jump *= stride;
    }
}

/// Shape after a window slides over rows and columns.
fn slide([channels, rows, columns]: Dims, kernel: usize, stride: usize, padding: usize) -> Dims {
    let places = |side: usize| (side + 2 * padding).saturating_sub(kernel) / stride + 1;
    [channels, places(rows), places(columns)]
}

impl Network {
    /// Walks through the net with one image.
    pub fn audit(&self) -> Audit {
        let mut rows = Vec::new();
        walk(&self.layers, self.input, Field { side: 1, jump: 1 }, &mut rows);
        Audit {
            parameters: rows.iter().map(|row| row.parameters).sum(),
            macs: rows.iter().map(|row| row.macs).sum(),
            activations: rows.iter().map(|row| row.output.iter().product::<usize>() as u64).sum(),
            layers: rows,
        }
    }
}

fn walk(
    layers: &[Layer],
    mut dims: Dims,
    mut field: Field,
    rows: &mut Vec<AuditRow>,
) -> (Dims, Field) {
    for layer in layers {
        let (name, kind, macs) = match layer {
            Layer::Conv { name, inputs, outputs, kernel, stride, padding, .. } => {
                dims = slide([*outputs, dims[1], dims[2]], *kernel, *stride, *padding);
                field.slide(*kernel, *stride);
                let macs = inputs * kernel * kernel * dims.iter().product::<usize>();
                (name.clone(), format!("conv {kernel}×{kernel}, stride {stride}"), macs)
            }
            Layer::Norm { name, norm, .. } => {
                let kind = match norm {
                    Norm::Batch { from_formula: false, .. } => "batch norm".into(),
                    Norm::Batch { from_formula: true, .. } => "batch norm by formula".into(),
                    Norm::Group { groups, .. } => format!("group norm, {groups} groups"),
                    Norm::Layer { .. } => "layer norm".into(),
                };
                (name.clone(), kind, 0)
            }
            Layer::MaxPool { kernel, stride, padding } => {
                dims = slide(dims, *kernel, *stride, *padding);
                field.slide(*kernel, *stride);
                ("maxpool".into(), format!("max pool {kernel}×{kernel}, stride {stride}"), 0)
            }
            Layer::Activation(Activation::Relu) => ("relu".into(), "activation".into(), 0),
            Layer::Activation(Activation::Sigmoid) => ("sigmoid".into(), "activation".into(), 0),
            Layer::Residual { branch, shortcut, scale } => {
                if let Shortcut::Project(layers) = shortcut {
                    walk(layers, dims, field, rows);
                }
                (dims, field) = walk(branch, dims, field, rows);
                let times = if *scale == 1.0 { String::new() } else { format!(" × {scale}") };
                let kind = match shortcut {
                    Shortcut::Identity => format!("add identity{times}"),
                    Shortcut::Pad { stride, .. } => {
                        format!("add identity, stride {stride}, zero-padded{times}")
                    }
                    Shortcut::Project(_) => format!("add projection{times}"),
                };
                ("shortcut".into(), kind, 0)
            }
            Layer::AvgPool { kernel } => {
                dims = slide(dims, *kernel, *kernel, 0);
                field.slide(*kernel, *kernel);
                ("avgpool".into(), format!("average pool {kernel}×{kernel}"), 0)
            }
            Layer::Concat { branch } => {
                let (added, reached) = walk(branch, dims, field, rows);
                dims[0] += added[0];
                field = reached;
                ("concat".into(), format!("adds {} channels", added[0]), 0)
            }
            Layer::Dropout { p } => ("dropout".into(), format!("dropout {p}"), 0),
            Layer::Flatten => {
                dims = [dims.iter().product(), 1, 1];
                ("flatten".into(), "flatten".into(), 0)
            }
            Layer::GlobalAvgPool => {
                field.side += (dims[1].max(dims[2]) - 1) * field.jump;
                dims = [dims[0], 1, 1];
                ("avgpool".into(), "global average pool".into(), 0)
            }
            Layer::Linear { name, inputs, outputs } => {
                dims = [*outputs, 1, 1];
                (name.clone(), "fully connected".into(), inputs * outputs)
            }
        };
        let values = |shape: &Vec<usize>| shape.iter().product::<usize>() as u64;
        let parameters = layer.parameters().iter().map(|(_, shape)| values(shape)).sum();
        let receptive_field = field.side;
        rows.push(AuditRow {
            name,
            kind,
            output: dims,
            parameters,
            macs: macs as u64,
            receptive_field,
        });
    }
    (dims, field)
}
