//! The state of a trained net: its parameters and the moving averages of its normalisations, by the
//! names of torchvision.

use super::{Layer, Network};

/// Suffixes of the names of a batch normalisation's moving averages.
pub const AVERAGES: [&str; 2] = ["running_mean", "running_var"];

/// Suffix of the name of PyTorch's count of the batches that entered the moving averages.
pub const COUNTER: &str = "num_batches_tracked";

impl Network {
    /// Names and shapes of the trained parameters, in the order of the layers.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        self.visit(&mut |layer| all.extend(layer.parameters()));
        all
    }

    /// Names and shapes of the trained parameters and of the moving averages, in the order of the
    /// layers; the counters of PyTorch are not included.
    pub fn state(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        self.visit(&mut |layer| {
            all.extend(layer.parameters());
            if let Layer::Norm { name, channels, norm, .. } = layer
                && norm.has_moving_averages()
            {
                all.extend(AVERAGES.map(|suffix| (format!("{name}.{suffix}"), vec![*channels])));
            }
        });
        all
    }

    /// Whether the net is random in training: it has dropout, or branches that take part by chance.
    pub fn is_random(&self) -> bool {
        let mut found = false;
        self.visit(&mut |layer| {
            found |= match layer {
                Layer::Dropout { .. } => true,
                Layer::Residual { survival, .. } => *survival < 1.0,
                Layer::Conv { .. }
                | Layer::Norm { .. }
                | Layer::Activation(_)
                | Layer::MaxPool { .. }
                | Layer::AvgPool { .. }
                | Layer::Concat { .. }
                | Layer::Flatten
                | Layer::GlobalAvgPool
                | Layer::Linear { .. }
                | Layer::Scale { .. }
                | Layer::Shift { .. } => false,
            }
        });
        found
    }

    /// Whether the net has convolutions.
    pub fn has_convolutions(&self) -> bool {
        let mut found = false;
        self.visit(&mut |layer| found |= matches!(layer, Layer::Conv { .. }));
        found
    }

    /// Names of the counters of PyTorch, one for each batch normalisation.
    pub fn counters(&self) -> Vec<String> {
        let first = format!(".{}", AVERAGES[0]);
        let state = self.state().into_iter();
        state
            .filter_map(|(name, _)| Some(format!("{}.{COUNTER}", name.strip_suffix(&first)?)))
            .collect()
    }
}
