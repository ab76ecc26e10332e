//! Shapes, parameters and multiply-adds of every layer.

use super::{Activation, Dims, Layer, Network, Norm, Shortcut};
use serde::Serialize;
use std::fmt;

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

/// Layers that belong together by name: a stage, a dense block, a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPart {
    /// What the names of its layers begin with.
    pub name: String,
    /// Channels, rows and columns after it.
    pub output: Dims,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-adds.
    pub macs: u64,
}

impl Audit {
    /// Stages, dense blocks, transitions, and what stands between them, in the order of
    /// application. Layers without parameters belong to the part before them.
    pub fn parts(&self) -> Vec<AuditPart> {
        let mut parts: Vec<AuditPart> = Vec::new();
        for row in &self.layers {
            // layer1.0.conv1 is of layer1, features.transition1.norm of transition1.
            let name = row.name.trim_start_matches("features.").split('.').next();
            let name = name.filter(|_| row.parameters > 0).unwrap_or_default();
            match parts.last_mut() {
                Some(part) if name.is_empty() || part.name == name => {
                    part.output = row.output;
                    part.parameters += row.parameters;
                    part.macs += row.macs;
                }
                _ => parts.push(AuditPart {
                    name: name.into(),
                    output: row.output,
                    parameters: row.parameters,
                    macs: row.macs,
                }),
            }
        }
        parts
    }
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

    /// All that there is of maps of this shape.
    fn cover(&mut self, [_, rows, columns]: Dims) {
        self.side += (rows.max(columns) - 1) * self.jump;
    }
}

impl Network {
    /// Walks through the net with one image. Only of a net that passes [`Network::check`] are all
    /// figures right.
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
        let input = dims;
        dims = layer.output(input).unwrap_or(input);
        let (name, kind) = match layer {
            Layer::Conv { name, kernel, stride, .. } => {
                field.slide(*kernel, *stride);
                (name.clone(), format!("conv {kernel}×{kernel}, stride {stride}"))
            }
            Layer::Norm { name, norm, .. } => (name.clone(), norm.to_string()),
            Layer::MaxPool { kernel, stride, .. } => {
                field.slide(*kernel, *stride);
                ("maxpool".into(), format!("max pool {kernel}×{kernel}, stride {stride}"))
            }
            Layer::AvgPool { kernel } => {
                field.slide(*kernel, *kernel);
                ("avgpool".into(), format!("average pool {kernel}×{kernel}"))
            }
            Layer::Activation(Activation::Relu) => ("relu".into(), "activation".into()),
            Layer::Activation(Activation::Sigmoid) => ("sigmoid".into(), "activation".into()),
            Layer::Residual { branch, shortcut, scale } => {
                if let Shortcut::Project(layers) = shortcut {
                    walk(layers, input, field, rows);
                }
                (_, field) = walk(branch, input, field, rows);
                let times = if *scale == 1.0 { String::new() } else { format!(" × {scale}") };
                ("shortcut".into(), format!("add {shortcut}{times}"))
            }
            Layer::Concat { branch } => {
                (_, field) = walk(branch, input, field, rows);
                ("concat".into(), format!("adds {} channels", dims[0] - input[0]))
            }
            Layer::Dropout { p } => ("dropout".into(), format!("dropout {p}")),
            Layer::Flatten => {
                field.cover(input);
                ("flatten".into(), "flatten".into())
            }
            Layer::GlobalAvgPool => {
                field.cover(input);
                ("avgpool".into(), "global average pool".into())
            }
            Layer::Linear { name, .. } => (name.clone(), "fully connected".into()),
            Layer::Scale { name, .. } => (name.clone(), "times one number".into()),
            Layer::Shift { name } => (name.clone(), "plus one number".into()),
        };
        rows.push(AuditRow {
            name,
            kind,
            output: dims,
            parameters: parameters(layer),
            macs: macs(layer, dims),
            receptive_field: field.side,
        });
    }
    (dims, field)
}

/// Trained parameters of this layer alone.
fn parameters(layer: &Layer) -> u64 {
    let values = |shape: &Vec<usize>| shape.iter().product::<usize>() as u64;
    layer.parameters().iter().map(|(_, shape)| values(shape)).sum()
}

/// Multiply-adds of this layer alone, of convolutions and fully connected layers only.
fn macs(layer: &Layer, output: Dims) -> u64 {
    let output: u64 = output.iter().map(|side| *side as u64).product();
    match layer {
        Layer::Conv { inputs, kernel, .. } => (inputs * kernel * kernel) as u64 * output,
        Layer::Linear { inputs, .. } => *inputs as u64 * output,
        _ => 0,
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Norm::Batch { from_formula: false, .. } => f.write_str("batch norm"),
            Norm::Batch { from_formula: true, .. } => f.write_str("batch norm by formula"),
            Norm::Group { groups, .. } => write!(f, "group norm, {groups} groups"),
            Norm::Layer { .. } => f.write_str("layer norm"),
        }
    }
}

impl fmt::Display for Shortcut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortcut::Identity => f.write_str("identity"),
            Shortcut::Pad { stride, .. } => write!(f, "identity, stride {stride}, zero-padded"),
            Shortcut::Project(_) => f.write_str("projection"),
        }
    }
}
