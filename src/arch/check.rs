//! Whether a network's layers fit each other and its images.

use super::{Dims, InvalidKey, Layer, Network, Norm, Shortcut};

/// Why a layer cannot take what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// There are fewer rows or columns than the layer needs.
    TooSmall {
        /// The layer.
        layer: String,
        /// Rows and columns that it gets.
        found: [usize; 2],
    },
    /// Layers that do not belong together, which is a fault of the family.
    Shapes(String),
}

/// Largest size of images that is tried to find the smallest that fits.
const LARGEST: usize = 4096;

impl Network {
    /// Whether every layer can take what the one before gives.
    ///
    /// # Errors
    /// With the key to blame: images that are too small, with the smallest that fit; groups that
    /// do not divide the channels, with the nearest that do; layers that do not go together.
    pub fn check(&self) -> Result<(), InvalidKey> {
        self.check_groups()?;
        let found = match output(&self.layers, self.input) {
            Ok(found) => found,
            Err(Misfit::TooSmall { layer, found: [rows, columns] }) => {
                let smallest = self.smallest_input().map_or_else(String::new, |side| {
                    format!("; the smallest that do are {side}×{side}")
                });
                let message = format!(
                    "images of {}×{} are too small for this net: {layer} gets {rows}×{columns}\
                     {smallest}",
                    self.input[1], self.input[2]
                );
                return Err(InvalidKey::new("data.size", message));
            }
            Err(Misfit::Shapes(message)) => {
                return Err(InvalidKey::new("network.family", message));
            }
        };
        if found != [self.classes, 1, 1] {
            let message = format!("the net gives {found:?} for {} classes", self.classes);
            return Err(InvalidKey::new("network.family", message));
        }
        Ok(())
    }

    /// Side of the smallest square images that no window or stride overruns.
    fn smallest_input(&self) -> Option<usize> {
        (1..=LARGEST).find(|side| {
            let input = [self.input[0], *side, *side];
            !matches!(output(&self.layers, input), Err(Misfit::TooSmall { .. }))
        })
    }

    fn check_groups(&self) -> Result<(), InvalidKey> {
        let (mut groups, mut common, mut odd) = (1, 0, None);
        visit(&self.layers, &mut |layer| {
            if let Layer::Norm { name, channels, norm: Norm::Group { groups: asked, .. } } = layer {
                groups = *asked;
                common = greatest_common_divisor(common, *channels);
                if !channels.is_multiple_of(*asked) && odd.is_none() {
                    odd = Some((name.clone(), *channels));
                }
            }
        });
        let Some((name, channels)) = odd else { return Ok(()) };
        let nearest = (1..groups).rev().find(|n| common.is_multiple_of(*n)).unwrap_or(1);
        let message = format!(
            "{groups} does not divide the {channels} channels of {name}; the nearest below that \
             divides those of every layer is {nearest}"
        );
        Err(InvalidKey::new("network.norm_groups", message))
    }
}

/// Every layer, those of branches and projections too.
pub(super) fn visit(layers: &[Layer], see: &mut impl FnMut(&Layer)) {
    for layer in layers {
        see(layer);
        match layer {
            Layer::Concat { branch } => visit(branch, see),
            Layer::Residual { branch, shortcut, .. } => {
                visit(branch, see);
                if let Shortcut::Project(layers) = shortcut {
                    visit(layers, see);
                }
            }
            _ => {}
        }
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Shape after these layers.
pub(super) fn output(layers: &[Layer], input: Dims) -> Result<Dims, Misfit> {
    layers.iter().try_fold(input, |dims, layer| layer.output(dims))
}

impl Layer {
    /// Shape after this layer.
    pub(super) fn output(&self, dims: Dims) -> Result<Dims, Misfit> {
        let [channels, rows, columns] = dims;
        match self {
            Layer::Conv { name, inputs, outputs, kernel, stride, padding, .. } => {
                expect(name, *inputs, channels)?;
                let [_, rows, columns] = slide(name, dims, *kernel, *stride, *padding)?;
                Ok([*outputs, rows, columns])
            }
            Layer::Norm { name, channels: expected, .. } => {
                expect(name, *expected, channels)?;
                Ok(dims)
            }
            Layer::MaxPool { kernel, stride, padding } => {
                slide("the max pool", dims, *kernel, *stride, *padding)
            }
            Layer::AvgPool { kernel } => slide("an average pool", dims, *kernel, *kernel, 0),
            Layer::Residual { branch, shortcut, .. } => {
                let through = output(branch, dims)?;
                let around = shortcut.output(dims)?;
                if through != around {
                    return Err(Misfit::Shapes(format!(
                        "a branch gives {through:?} and its shortcut {around:?}"
                    )));
                }
                Ok(through)
            }
            Layer::Concat { branch } => {
                let [added, r, c] = output(branch, dims)?;
                if [r, c] != [rows, columns] {
                    return Err(Misfit::Shapes(format!(
                        "a branch gives {r}×{c} beside an input of {rows}×{columns}"
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
            Layer::Activation(_)
            | Layer::Dropout { .. }
            | Layer::Scale { .. }
            | Layer::Shift { .. } => Ok(dims),
        }
    }
}

impl Shortcut {
    fn output(&self, dims: Dims) -> Result<Dims, Misfit> {
        match self {
            Shortcut::Identity => Ok(dims),
            Shortcut::Pad { stride, inputs, outputs, .. } => {
                expect("a shortcut", *inputs, dims[0])?;
                let [_, rows, columns] = slide("a shortcut", dims, 1, *stride, 0)?;
                Ok([*outputs, rows, columns])
            }
            Shortcut::Project(layers) => output(layers, dims),
        }
    }
}

fn expect(layer: &str, expected: usize, found: usize) -> Result<(), Misfit> {
    if expected == found {
        return Ok(());
    }
    Err(Misfit::Shapes(format!("{layer} takes {expected} channels and gets {found}")))
}

/// Shape after a window slides over rows and columns. A stride over fewer pixels than itself would
/// shrink nothing: the net has more poolings than the images have pixels.
fn slide(
    layer: &str,
    [channels, rows, columns]: Dims,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<Dims, Misfit> {
    let places = |side: usize| {
        let fits = side + 2 * padding >= kernel && side >= stride;
        fits.then(|| (side + 2 * padding - kernel) / stride + 1)
    };
    match (places(rows), places(columns)) {
        (Some(rows), Some(columns)) => Ok([channels, rows, columns]),
        _ => Err(Misfit::TooSmall { layer: layer.into(), found: [rows, columns] }),
    }
}
