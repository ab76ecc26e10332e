//! Shapes, parameters and multiply-adds of every layer.

use super::{Dims, Layer, Network, Norm, Shortcut};
use serde::Serialize;
use std::fmt;

/// Costs of a network, in total and layer by layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass in convolutions and fully connected layers.
    pub macs: u64,
    /// Number of values that one image's forward pass produces in all layers, without those that the
    /// backward pass computes anew. Memory in training is proportional to it.
    pub activations: u64,
    /// The layers in the order of application.
    pub layers: Vec<AuditRow>,
}

/// One layer of an [`Audit`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    /// Name of the layer; a layer without parameters has the name of its kind.
    pub name: String,
    /// Description of the layer.
    pub kind: String,
    /// Channels, rows and columns of its output.
    pub output: Dims,
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass.
    pub macs: u64,
    /// Values of one image that an update must at least read and write in this layer, weights not
    /// included.
    pub traffic: u64,
    /// Side of the receptive field of one output value, in pixels of the network's input.
    pub receptive_field: usize,
}

/// Layers with a common name prefix: a stage, a dense block, or a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPart {
    /// The common prefix.
    pub name: String,
    /// Channels, rows and columns of its output.
    pub output: Dims,
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass.
    pub macs: u64,
}

/// Additions and multiplications of a multiply-add.
const PER_MAC: f64 = 2.0;
/// Cost of an update in forward passes: the backward pass has two products of the size of the forward
/// pass for each layer, one for the gradient of its weights and one for that of its input.
const PASSES: f64 = 3.0;

/// Speed of a machine.
#[derive(Clone, Copy, Debug)]
pub struct MachineSpeed {
    /// Additions and multiplications per second of a large matrix product.
    pub flops: f64,
    /// Bytes per second that a large copy reads and writes.
    pub bytes_per_second: f64,
}

impl Audit {
    /// Additions and multiplications of an update, for each image of its batch: those of
    /// convolutions and fully connected layers, forward and backward.
    pub fn operations(&self) -> f64 {
        PASSES * PER_MAC * self.macs as f64
    }

    /// The roofline of an update: the least seconds for each image of its batch, if every layer takes
    /// the time of its operations or that of its memory traffic, whichever is longer, and values of
    /// `value_bytes` each come from main memory.
    pub fn roofline_seconds(&self, value_bytes: usize, speed: MachineSpeed) -> f64 {
        let of_layer = |row: &AuditRow| {
            let computing = PASSES * PER_MAC * row.macs as f64 / speed.flops;
            let moving = (row.traffic * value_bytes as u64) as f64 / speed.bytes_per_second;
            computing.max(moving)
        };
        self.layers.iter().map(of_layer).sum()
    }

    /// Stages, dense blocks, transitions, and the layers between them, in the order of application.
    /// Layers without parameters belong to the part before them.
    pub fn parts(&self) -> Vec<AuditPart> {
        let mut parts: Vec<AuditPart> = Vec::new();
        for row in &self.layers {
            // layer1.0.conv1 belongs to layer1, and features.transition1.norm to transition1.
            let name = row.name.trim_start_matches("features.").split('.').next();
            let name = name.filter(|_| row.parameters > 0).unwrap_or_default();
            match parts.last_mut() {
                Some(part) if name.is_empty() || part.name == name => {
                    part.output = row.output;
                    part.parameters += row.parameters;
                    part.macs += row.macs;
                }
                _ => parts.push(AuditPart {
                    // What comes before all layers with parameters is a part of its own.
                    name: if name.is_empty() { row.name.clone() } else { name.into() },
                    output: row.output,
                    parameters: row.parameters,
                    macs: row.macs,
                }),
            }
        }
        parts
    }
}

/// Side of the receptive field, and distance of neighbouring outputs, in pixels of the network's input.
#[derive(Clone, Copy)]
struct Field {
    side: usize,
    jump: usize,
}

impl Field {
    fn convolve(&mut self, kernel: usize, stride: usize) {
        self.side += (kernel - 1) * self.jump;
        self.jump *= stride;
    }

    /// Extends the field over whole feature maps of this shape.
    fn cover(&mut self, [_, rows, columns]: Dims) {
        self.side += (rows.max(columns) - 1) * self.jump;
    }
}

impl Network {
    /// Number of trained parameters.
    pub fn parameter_count(&self) -> u64 {
        self.audit().parameters
    }

    /// The costs of one image's forward pass. They are correct for a network that passes
    /// [`Network::check`].
    pub fn audit(&self) -> Audit {
        let mut rows = Vec::new();
        walk(&self.layers, self.input, Field { side: 1, jump: 1 }, &mut rows);
        Audit {
            parameters: rows.iter().map(|row| row.parameters).sum(),
            macs: rows.iter().map(|row| row.macs).sum(),
            activations: rows.iter().map(|row| values(row.output)).sum::<u64>()
                - recomputed(&self.layers, self.input),
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
            Layer::Conv { name, kernel, stride, dirac, .. } => {
                field.convolve(*kernel, *stride);
                let kind = if *dirac { "Dirac conv" } else { "conv" };
                (name.clone(), format!("{kind} {kernel}×{kernel}, stride {stride}"))
            }
            Layer::Norm { name, norm, .. } => (name.clone(), norm.to_string()),
            Layer::MaxPool { kernel, stride, .. } => {
                field.convolve(*kernel, *stride);
                ("maxpool".into(), format!("max pool {kernel}×{kernel}, stride {stride}"))
            }
            Layer::AvgPool { kernel } => {
                field.convolve(*kernel, *kernel);
                ("avgpool".into(), format!("average pool {kernel}×{kernel}"))
            }
            Layer::Activation(activation) => (activation.to_string(), "activation".into()),
            Layer::Residual { branch, shortcut, scale, survival } => {
                match shortcut {
                    Shortcut::Project(layers) => {
                        walk(layers, input, field, rows);
                    }
                    Shortcut::Identity | Shortcut::Pad { .. } => {}
                }
                (_, field) = walk(branch, input, field, rows);
                let times = if *scale == 1.0 { String::new() } else { format!(" × {scale}") };
                let chance = match *survival {
                    1.0 => String::new(),
                    survival => format!(", branch with probability {survival:.3}"),
                };
                ("shortcut".into(), format!("add {shortcut}{times}{chance}"))
            }
            Layer::Concat { branch, .. } => {
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
            Layer::Scale { name, factors: 1, .. } => (name.clone(), "learned factor".into()),
            Layer::Scale { name, .. } => (name.clone(), "learned factor of each channel".into()),
            Layer::Shift { name } => (name.clone(), "learned shift".into()),
        };
        rows.push(AuditRow {
            name,
            kind,
            output: dims,
            parameters: parameters(layer),
            macs: macs(layer, dims),
            traffic: traffic(layer, input, dims),
            receptive_field: field.side,
        });
    }
    (dims, field)
}

fn values(dims: Dims) -> u64 {
    dims.iter().product::<usize>() as u64
}

/// Number of values that the backward pass computes anew: in dense layers those before the first convolution, and
/// the concatenations that another such layer reads.
fn recomputed(layers: &[Layer], mut dims: Dims) -> u64 {
    let is_recomputed = |layer: &Layer| matches!(layer, Layer::Concat { recompute: true, .. });
    let mut total = 0;
    for (at, layer) in layers.iter().enumerate() {
        let output = layer.output(dims).unwrap_or(dims);
        if let Layer::Concat { branch, recompute: true } = layer {
            let before = branch.iter().take_while(|layer| !layer.has_weights());
            total += before.count() as u64 * values(dims);
            if layers.get(at + 1).is_some_and(is_recomputed) {
                total += values(output);
            }
        }
        dims = output;
    }
    total
}

/// Number of trained parameters of this layer alone.
fn parameters(layer: &Layer) -> u64 {
    let values = |shape: &Vec<usize>| shape.iter().product::<usize>() as u64;
    layer.parameters().iter().map(|(_, shape)| values(shape)).sum()
}

/// Multiply-adds of this layer alone; 0 except for convolutions and fully connected layers.
fn macs(layer: &Layer, output: Dims) -> u64 {
    let output: u64 = output.iter().map(|side| *side as u64).product();
    match layer {
        Layer::Conv { inputs, kernel, .. } => (inputs * kernel * kernel) as u64 * output,
        Layer::Linear { inputs, .. } => *inputs as u64 * output,
        Layer::Norm { .. }
        | Layer::Activation(_)
        | Layer::Residual { .. }
        | Layer::MaxPool { .. }
        | Layer::AvgPool { .. }
        | Layer::Concat { .. }
        | Layer::Dropout { .. }
        | Layer::Flatten
        | Layer::GlobalAvgPool
        | Layer::Scale { .. }
        | Layer::Shift { .. } => 0,
    }
}

/// Values of one image that an update must at least read and write in this layer. Activations, learned
/// scales and shifts, and dropout are taken for fused with the layer before them.
fn traffic(layer: &Layer, input: Dims, output: Dims) -> u64 {
    let [input, output] = [input, output].map(|dims| dims.iter().product::<usize>() as u64);
    match layer {
        // Result; gradient of the input; gradient of the weights: each from two of the three
        // tensors, or from one and the weights.
        Layer::Conv { .. } | Layer::Linear { .. } => 3 * (input + output),
        // Statistics; result; sums of the backward pass over input and gradient; gradient of the
        // input from both.
        Layer::Norm { norm: Norm::Batch { .. }, .. } => 8 * input,
        // Statistics of one image stay in a cache.
        Layer::Norm { norm: Norm::Group { .. } | Norm::Layer { .. }, .. } => 5 * input,
        // The shortcut is read when the branch's result is written, and its gradient is written.
        Layer::Residual { .. } => 2 * output,
        Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool => {
            2 * (input + output)
        }
        // Both parts are copied, and their gradients back.
        Layer::Concat { .. } => 4 * output,
        Layer::Activation(_)
        | Layer::Dropout { .. }
        | Layer::Flatten
        | Layer::Scale { .. }
        | Layer::Shift { .. } => 0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Init;

    #[test]
    fn what_is_computed_anew_is_not_kept() {
        let activations = |depth: usize, recompute: bool| {
            let family = crate::family("dense").unwrap();
            let set = serde_json::json!({ "depth": depth, "recompute": recompute });
            let keys = crate::keys::complete(family, set);
            family.build(&keys, [3, 32, 32], 10).unwrap().audit().activations as f64
        };
        // Blocks of 8 and of 16 layers: twice as many layers need about twice the memory, not four times.
        let growth = |recompute| activations(52, recompute) / activations(28, recompute);
        assert!(growth(true) < 2.3, "{}", growth(true));
        assert!(growth(false) > 2.8, "{}", growth(false));
    }

    #[test]
    fn every_part_has_a_name() {
        for family in crate::families() {
            let set = serde_json::json!({ "depth": 8 });
            let keys = crate::keys::complete(family, set);
            let Ok(network) = family.build(&keys, [3, 32, 32], 10) else { continue };
            let names: Vec<String> =
                network.audit().parts().into_iter().map(|part| part.name).collect();
            assert!(names.iter().all(|name| !name.is_empty()), "{}: {names:?}", family.name());
        }
    }

    #[test]
    fn a_layer_takes_the_longer_of_its_two_times() {
        let conv = Layer::Conv {
            name: "conv1".into(),
            inputs: 3,
            outputs: 8,
            kernel: 3,
            stride: 1,
            padding: 1,
            bias: false,
            dirac: false,
        };
        let layers = vec![conv, Layer::GlobalAvgPool];
        let network =
            Network { input: [3, 10, 10], classes: 8, layers, init: Init::HeFanOut, gain: 1.0 };
        let audit = network.audit();
        let macs = 3 * 9 * 8 * 100;
        assert_eq!(audit.operations(), 6.0 * f64::from(macs));
        let traffic: Vec<u64> = audit.layers.iter().map(|row| row.traffic).collect();
        assert_eq!(traffic, [3 * (300 + 800), 2 * (800 + 8)]);
        let slow = MachineSpeed { flops: 1e6, bytes_per_second: 1e9 };
        let least = audit.roofline_seconds(4, slow);
        assert!((least - (0.1296 + 4.0 * 1616e-9)).abs() < 1e-12, "{least}");
        let fast = MachineSpeed { flops: 1e15, bytes_per_second: 1e9 };
        let least = audit.roofline_seconds(2, fast);
        assert!((least - 2.0 * (3300.0 + 1616.0) * 1e-9).abs() < 1e-15, "{least}");
    }
}
