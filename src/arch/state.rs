//! What a trained net consists of: its parameters and the moving averages of its normalisations,
//! by torchvision's names.

use super::check::visit;
use super::{Layer, Network, Norm};

/// Ends of the names of a batch normalisation's moving averages.
pub const AVERAGES: [&str; 2] = ["running_mean", "running_var"];

/// End of the name of PyTorch's count of the batches that moved them.
pub const COUNTER: &str = "num_batches_tracked";

impl Network {
    /// Names and shapes of the trained parameters, in the order of the layers.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        visit(&self.layers, &mut |layer| all.extend(layer.parameters()));
        all
    }

    /// Names and shapes of everything that training changes, but for the counters.
    pub fn state(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        visit(&self.layers, &mut |layer| {
            all.extend(layer.parameters());
            if let Layer::Norm { name, channels, norm: Norm::Batch { .. } } = layer {
                all.extend(AVERAGES.map(|part| (format!("{name}.{part}"), vec![*channels])));
            }
        });
        all
    }

    /// Whether some values are left out at random in training.
    pub fn has_dropout(&self) -> bool {
        let mut found = false;
        visit(&self.layers, &mut |layer| found |= matches!(layer, Layer::Dropout { .. }));
        found
    }

    /// Names of the counters, one for each batch normalisation.
    pub fn counters(&self) -> Vec<String> {
        let first = format!(".{}", AVERAGES[0]);
        let state = self.state().into_iter();
        state
            .filter_map(|(name, _)| Some(format!("{}.{COUNTER}", name.strip_suffix(&first)?)))
            .collect()
    }
}
