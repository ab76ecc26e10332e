//! What ends a residual branch besides its last normalisation: a factor, or a normalisation that begins at 0,
//! so that every block is initially the identity or near it; and stochastic depth.

use super::block::Scalars;
use super::keys::ALWAYS;
use super::{InvalidKey, Layer};
use fathom_base::choice;
use fathom_base::key::{Condition, Default, Key, Kind, key};
use serde::Deserialize;

choice! {
    /// Words of `network.branch_scale`.
    #[derive(Default)]
    pub(super) enum BranchScale {
        /// The branch ends with its last layer or normalisation.
        #[default]
        None,
        /// The last γ of each branch is initially 0 (1706.02677, section 5.1).
        ZeroGamma,
        /// One learned factor, initially 0 (2003.04887); in nets without normalisation this is SkipInit.
        Rezero,
        /// One learned factor for each channel (2103.17239).
        LayerScale,
    }
}

/// The end of a residual branch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BranchEnd {
    /// The last normalisation, or the last layer with weights.
    Plain,
    /// A normalisation whose γ is initially 0.
    ZeroGamma,
    /// One learned factor with this initial value.
    Factor(f32),
    /// A learned factor for each channel with this initial value.
    FactorOfChannels(f32),
}

const LAYER_SCALE: &[Condition] = &[("network.branch_scale", &[BranchScale::LayerScale.word()])];

/// The keys of residual branches.
#[rustfmt::skip]
pub(super) const BRANCH: [Key; 3] = [
    key("network.branch_scale", Kind::Choice(BranchScale::WORDS), Default::Word(BranchScale::None.word()), ALWAYS,
        "what each residual branch ends with; zero-gamma: a normalisation whose scale is initially 0 (1706.02677), not \
         in preact and wide nets; rezero: one learned factor, initially 0 (2003.04887); layer-scale: a learned factor \
         for each channel (2103.17239)"),
    key("network.branch_scale_init", Kind::Number(-1e3, 1e3), Default::Number(0.1), LAYER_SCALE,
        "initial value of the factors; the paper has 0.1 for up to 18 blocks, 1e-5 for up to 24, and 1e-6 for more"),
    key("network.survival", Kind::Number(0.01, 1.0), Default::Number(1.0), ALWAYS,
        "stochastic depth (1603.09382): probability that the last residual branch takes part in an update; that of the \
         others falls linearly from 1 at the input; 1 for no stochastic depth"),
];

/// Typed values of the keys; nets without shortcuts have none of them.
#[derive(Deserialize)]
pub(super) struct BranchKeys {
    #[serde(rename = "network.branch_scale", default)]
    scale: BranchScale,
    #[serde(rename = "network.branch_scale_init", default)]
    initial: f32,
    #[serde(rename = "network.survival", default = "always")]
    survival: f64,
}

fn always() -> f64 {
    1.0
}

impl BranchKeys {
    /// The end of each branch. `scalars` are those of the initialisation; `ends_with_norm` says whether branches
    /// end with a normalisation.
    ///
    /// # Errors
    /// When two factors would follow each other, or there is no normalisation whose scale could be 0.
    pub fn end(&self, scalars: Scalars, ends_with_norm: bool) -> Result<BranchEnd, InvalidKey> {
        let fail = |message: &str| Err(InvalidKey::new("network.branch_scale", message.to_owned()));
        match (scalars, self.scale) {
            (Scalars::None, BranchScale::None) => Ok(BranchEnd::Plain),
            (Scalars::Fixup, BranchScale::None) => Ok(BranchEnd::Factor(1.0)),
            (Scalars::SkipInit, BranchScale::None) | (Scalars::None, BranchScale::Rezero) => {
                Ok(BranchEnd::Factor(0.0))
            }
            (Scalars::None, BranchScale::LayerScale) => {
                Ok(BranchEnd::FactorOfChannels(self.initial))
            }
            (Scalars::None, BranchScale::ZeroGamma) if ends_with_norm => Ok(BranchEnd::ZeroGamma),
            (Scalars::None, BranchScale::ZeroGamma) => fail(
                "zero-gamma is for nets whose branches end with a normalisation, which those of preact and wide nets, and \
                 of nets without normalisation, do not: use rezero",
            ),
            (Scalars::Fixup | Scalars::SkipInit, _) => fail(
                "the initialisations fixup and skipinit have factors of their own: leave it at none",
            ),
        }
    }

    /// Gives the branches of these layers their probabilities to take part in an update.
    pub fn set_survival(&self, layers: &mut [Layer]) {
        let branches =
            || layers.iter().filter(|layer| matches!(layer, Layer::Residual { .. })).count() as f64;
        let total = branches();
        let mut number = 0.0;
        for layer in layers {
            if let Layer::Residual { survival, .. } = layer {
                number += 1.0;
                // 1603.09382, equation 4.
                *survival = 1.0 - number / total * (1.0 - self.survival);
            }
        }
    }
}
