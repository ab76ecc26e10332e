//! Output shapes of layers, and the check that the layers of a network fit each other and its images.

use super::{Dims, InvalidKey, Layer, Network, Norm, Shortcut};

/// A layer cannot be applied to its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ShapeError {
    /// The input has fewer rows or columns than the layer needs.
    TooSmall {
        /// Name of the layer.
        layer: String,
        /// Rows and columns of its input.
        found: [usize; 2],
    },
    /// An identity shortcut has more channels than what it is added to.
    FewerChannels {
        /// Channels of the input of the block.
        inputs: usize,
        /// Channels of its output.
        outputs: usize,
    },
    /// The shapes of two layers do not match, which is an error in the family.
    Mismatch(String),
}

/// Largest side of images that is tried in the search for the smallest valid one.
const LARGEST: usize = 4096;

/// Largest [`costs`] of a net: no machine could train it, and sums over several such nets do not overflow.
const LARGEST_COSTS: f64 = 1e15;

impl Network {
    /// Checks that every layer can be applied to the output of the layer before it.
    ///
    /// # Errors
    /// Names the key that is wrong: images that are too small, with the smallest valid size; groups
    /// that do not divide the channels, with the nearest number that does; shapes that do not match; costs too large
    /// to be counted;
    /// normalisations of single values, whatever the batch is.
    pub fn check(&self) -> Result<(), InvalidKey> {
        self.check_groups()?;
        let found = match output(&self.layers, self.input) {
            Ok(found) => found,
            Err(ShapeError::TooSmall { layer, found: [rows, columns] }) => {
                let smallest = self.smallest_input().map_or_else(String::new, |side| {
                    format!("; the smallest valid size is {side}×{side}")
                });
                let message = format!(
                    "images of {}×{} are too small for this net: the input of {layer} is \
                     {rows}×{columns}{smallest}",
                    self.input[1], self.input[2]
                );
                return Err(InvalidKey::new("data.size", message));
            }
            Err(ShapeError::FewerChannels { inputs, outputs }) => {
                let message = format!(
                    "a adds zeros for new channels, but a block has {inputs} channels before and {outputs} after it: \
                     use b, or at least as many filters in the first stage as in the stem"
                );
                return Err(InvalidKey::new("network.shortcut", message));
            }
            Err(ShapeError::Mismatch(message)) => {
                return Err(InvalidKey::new("network.family", message));
            }
        };
        let costs = costs(&self.layers, self.input);
        if costs > LARGEST_COSTS {
            let message = format!(
                "the values and multiply-adds of one image are about {costs:.0e}, and at most {LARGEST_COSTS:.0e} can \
                 be counted: a shallower or narrower net, or smaller images need less"
            );
            return Err(InvalidKey::new("network.family", message));
        }
        if found != [self.classes, 1, 1] {
            let message =
                format!("the output has shape {found:?}, expected [{}, 1, 1]", self.classes);
            return Err(InvalidKey::new("network.family", message));
        }
        if let Some(name) = self.normalisation_of_one_value(2) {
            let message = format!(
                "{name} would take mean and variance over one value: its outputs are all 0"
            );
            return Err(InvalidKey::new("network.norm", message));
        }
        Ok(())
    }

    /// The name of a normalisation that takes mean and variance over one value, so that its outputs do not depend
    /// on its inputs, if batch normalisations take theirs over so many images.
    pub fn normalisation_of_one_value(&self, images: usize) -> Option<String> {
        normalisation_of_one_value(&self.layers, self.input, images)
    }

    /// Side of the smallest square images to which every layer can be applied.
    fn smallest_input(&self) -> Option<usize> {
        (1..=LARGEST).find(|side| {
            let input = [self.input[0], *side, *side];
            !matches!(output(&self.layers, input), Err(ShapeError::TooSmall { .. }))
        })
    }

    fn check_groups(&self) -> Result<(), InvalidKey> {
        let (mut common, mut invalid) = (0, None);
        self.visit(&mut |layer| {
            if let Layer::Norm { name, channels, norm, .. } = layer {
                common = greatest_common_divisor(common, *channels);
                if !channels.is_multiple_of(norm.groups()) && invalid.is_none() {
                    invalid = Some((norm.groups(), *channels, name.clone()));
                }
            }
        });
        let Some((groups, channels, name)) = invalid else { return Ok(()) };
        let nearest = (1..groups).rev().find(|n| common.is_multiple_of(*n)).unwrap_or(1);
        let message = format!(
            "{groups} does not divide the {channels} channels of {name}; the nearest smaller number \
             that divides the channels of every layer is {nearest}"
        );
        Err(InvalidKey::new("network.norm_groups", message))
    }
}

/// A bound on each sum of [`Network::audit`](super::Network::audit), as a float, which does not overflow.
fn costs(layers: &[Layer], mut dims: Dims) -> f64 {
    let product = |sides: &[usize]| sides.iter().map(|side| *side as f64).product::<f64>();
    let mut total = 0.0;
    for layer in layers {
        let input = dims;
        dims = layer.output(input).unwrap_or(input);
        let parameters: f64 = layer.parameters().iter().map(|(_, shape)| product(shape)).sum();
        let positions = product(&dims[1..]);
        total += parameters * (1.0 + positions) + 8.0 * (product(&input) + product(&dims));
        total += layer.inner().into_iter().map(|inner| costs(inner, input)).sum::<f64>();
    }
    total
}

fn normalisation_of_one_value(layers: &[Layer], mut dims: Dims, images: usize) -> Option<String> {
    for layer in layers {
        if let Layer::Norm { name, channels, norm, .. } = layer {
            let values = match norm {
                Norm::Batch { .. } => images,
                Norm::Group { groups, .. } => channels / groups,
                Norm::Layer { .. } => *channels,
            };
            if [values, dims[1], dims[2]] == [1, 1, 1] {
                return Some(name.clone());
            }
        }
        let mut inner = layer.inner().into_iter();
        let found = inner.find_map(|inner| normalisation_of_one_value(inner, dims, images));
        if found.is_some() {
            return found;
        }
        dims = layer.output(dims).unwrap_or(dims);
    }
    None
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Output shape of a sequence of layers.
pub(super) fn output(layers: &[Layer], input: Dims) -> Result<Dims, ShapeError> {
    layers.iter().try_fold(input, |dims, layer| layer.output(dims))
}

impl Layer {
    /// Output shape of this layer.
    pub(super) fn output(&self, dims: Dims) -> Result<Dims, ShapeError> {
        let [channels, rows, columns] = dims;
        match self {
            Layer::Conv { name, inputs, outputs, kernel, stride, padding, .. } => {
                expect(name, *inputs, channels)?;
                let [_, rows, columns] = convolve(name, dims, *kernel, *stride, *padding)?;
                Ok([*outputs, rows, columns])
            }
            Layer::Norm { name, channels: expected, .. } => {
                expect(name, *expected, channels)?;
                Ok(dims)
            }
            Layer::MaxPool { kernel, stride, padding } => {
                convolve("the max pool", dims, *kernel, *stride, *padding)
            }
            Layer::AvgPool { kernel } => convolve("an average pool", dims, *kernel, *kernel, 0),
            Layer::Residual { branch, shortcut, .. } => {
                let [branch, shortcut] = [output(branch, dims)?, shortcut.output(dims)?];
                if branch != shortcut {
                    return Err(ShapeError::Mismatch(format!(
                        "a branch has the output shape {branch:?} and its shortcut {shortcut:?}"
                    )));
                }
                Ok(branch)
            }
            Layer::Concat { branch, .. } => {
                let [added, r, c] = output(branch, dims)?;
                if [r, c] != [rows, columns] {
                    return Err(ShapeError::Mismatch(format!(
                        "a branch has an output of {r}×{c}, but its input is {rows}×{columns}"
                    )));
                }
                Ok([channels + added, rows, columns])
            }
            Layer::Flatten => Ok([channels * rows * columns, 1, 1]),
            Layer::GlobalAvgPool => Ok([channels, 1, 1]),
            Layer::Linear { name, inputs, outputs, .. } => {
                expect(name, *inputs, channels * rows * columns)?;
                Ok([*outputs, 1, 1])
            }
            Layer::Scale { name, factors, .. } if *factors > 1 => {
                expect(name, *factors, channels)?;
                Ok(dims)
            }
            Layer::Activation(_)
            | Layer::Dropout { .. }
            | Layer::Scale { .. }
            | Layer::Shift { .. } => Ok(dims),
        }
    }
}

impl Shortcut {
    fn output(&self, dims: Dims) -> Result<Dims, ShapeError> {
        match self {
            Shortcut::Identity => Ok(dims),
            Shortcut::Pad { inputs, outputs, .. } if inputs > outputs => {
                Err(ShapeError::FewerChannels { inputs: *inputs, outputs: *outputs })
            }
            Shortcut::Pad { stride, inputs, outputs, .. } => {
                expect("a shortcut", *inputs, dims[0])?;
                let [_, rows, columns] = convolve("a shortcut", dims, 1, *stride, 0)?;
                Ok([*outputs, rows, columns])
            }
            Shortcut::Project(layers) => output(layers, dims),
        }
    }
}

fn expect(layer: &str, expected: usize, found: usize) -> Result<(), ShapeError> {
    if expected == found {
        return Ok(());
    }
    Err(ShapeError::Mismatch(format!("{layer} needs {expected} input channels, found {found}")))
}

/// Output shape of a convolution or a pool that keeps the channels. An input smaller than the stride is
/// refused: such a net reduces the size more often than the images have pixels.
fn convolve(
    layer: &str,
    [channels, rows, columns]: Dims,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<Dims, ShapeError> {
    let positions = |side: usize| {
        let fits = side + 2 * padding >= kernel && side >= stride;
        fits.then(|| (side + 2 * padding - kernel) / stride + 1)
    };
    match (positions(rows), positions(columns)) {
        (Some(rows), Some(columns)) => Ok([channels, rows, columns]),
        _ => Err(ShapeError::TooSmall { layer: layer.into(), found: [rows, columns] }),
    }
}

#[cfg(test)]
mod tests {
    use crate::keys::complete;
    use crate::{family, network};
    use serde_json::{Value, json};

    fn built(name: &str, set: Value, side: usize) -> Result<(), String> {
        let mut keys = complete(family(name).unwrap(), set);
        keys.insert("network.family".into(), name.into());
        network(&keys, [3, side, side], 10).map(|_| ()).map_err(|invalid| invalid.message)
    }

    #[test]
    fn a_net_whose_costs_cannot_be_counted_is_refused() {
        let wide = json!({ "depth": 99_998, "width": 4096 });
        let refused = built("plain", wide, 4096).unwrap_err();
        let expected = "the values and multiply-adds of one image are about 3e20, and at most 1e15 can be counted: a \
                        shallower or narrower net, or smaller images need less";
        assert_eq!(refused, expected);
        let long = json!({ "depth": 100_000, "growth": 4096 });
        assert!(built("dense", long, 32).unwrap_err().contains("can be counted"));
        built("plain", json!({ "depth": 20, "width": 64 }), 4096).unwrap();
    }

    #[test]
    fn a_stage_has_no_more_blocks_than_a_net_has_layers() {
        for blocks in [json!([0]), json!([100_001]), json!([u64::MAX, 1]), json!([])] {
            let refused = built("residual", json!({ "blocks": blocks }), 32).unwrap_err();
            assert_eq!(refused, "expected one to six numbers, each from 1 to 100000");
        }
    }
}
