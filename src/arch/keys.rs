//! Keys that several families share, and their typed values.

use super::block::{Scalars, Weights};
use super::{Activation, Init, InvalidKey, Layer, Norm};
use fathom_base::choice;
use fathom_base::key::{Condition, Default, Key, Kind, key};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// No condition: the key always has an effect.
pub(super) const ALWAYS: &[Condition] = &[];
/// The condition under which a net has batch normalisation.
pub const BATCH_NORM: &[Condition] =
    &[("network.norm", &NormName::with_detail::<2>(Detail::Momentum))];
/// The condition under which a net has normalisation.
pub(super) const NORMALISED: &[Condition] =
    &[("network.norm", &NormName::with_detail::<4>(Detail::Eps))];
const GROUP: &[Condition] = &[("network.norm", &NormName::with_detail::<1>(Detail::Groups))];

choice! {
    /// Words of `network.norm`.
    pub enum NormName {
        /// Batch normalisation (1502.03167), fused.
        Batch,
        /// Batch normalisation computed from its formulas.
        BatchFormula,
        /// Group normalisation (1803.08494).
        Group,
        /// Layer normalisation (1607.06450).
        Layer,
        /// No normalisation.
        None,
    }
}

/// Details of a normalisation that have a key of their own.
#[derive(Clone, Copy)]
enum Detail {
    Eps,
    Momentum,
    Groups,
}

impl NormName {
    const fn has(self, detail: Detail) -> bool {
        match (self, detail) {
            (NormName::Batch | NormName::BatchFormula, Detail::Eps | Detail::Momentum)
            | (NormName::Group, Detail::Eps | Detail::Groups)
            | (NormName::Layer, Detail::Eps) => true,
            (NormName::Batch | NormName::BatchFormula, Detail::Groups)
            | (NormName::Group, Detail::Momentum)
            | (NormName::Layer, Detail::Momentum | Detail::Groups)
            | (NormName::None, Detail::Eps | Detail::Momentum | Detail::Groups) => false,
        }
    }

    /// The words of the `N` normalisations that have this detail; another `N` does not compile.
    const fn with_detail<const N: usize>(detail: Detail) -> [&'static str; N] {
        let (mut words, mut found, mut index) = ([""; N], 0, 0);
        while index < NormName::ALL.len() {
            if NormName::ALL[index].has(detail) {
                assert!(found < N, "N is less than the number of normalisations with this detail");
                words[found] = NormName::ALL[index].word();
                found += 1;
            }
            index += 1;
        }
        assert!(found == N, "N is the number of normalisations with this detail");
        words
    }
}

choice! {
    /// Words of `network.init`.
    pub enum InitName {
        /// He et al. 2015 by the number of outputs.
        HeFanOut,
        /// He et al. 2015 by the number of inputs.
        HeFanIn,
        /// Glorot & Bengio 2010.
        Xavier,
        /// Orthogonal matrices in the middle of kernels (1806.05393).
        DeltaOrthogonal,
        /// Fixup (1901.09321), with its scalars.
        Fixup,
        /// `he-fan-out` with the scalars of SkipInit (2002.10444).
        Skipinit,
    }
}

impl InitName {
    /// The scalars that replace normalisation under this initialisation.
    const fn scalars(self) -> Scalars {
        match self {
            InitName::HeFanOut
            | InitName::HeFanIn
            | InitName::Xavier
            | InitName::DeltaOrthogonal => Scalars::None,
            InitName::Fixup => Scalars::Fixup,
            InitName::Skipinit => Scalars::SkipInit,
        }
    }

    /// The words of the `N` initialisations without scalars, which need no residual branches; another
    /// `N` does not compile.
    const fn without_scalars<const N: usize>() -> [&'static str; N] {
        let (mut words, mut found, mut index) = ([""; N], 0, 0);
        while index < InitName::ALL.len() {
            if matches!(InitName::ALL[index].scalars(), Scalars::None) {
                assert!(found < N, "N is less than the number of initialisations without scalars");
                words[found] = InitName::ALL[index].word();
                found += 1;
            }
            index += 1;
        }
        assert!(found == N, "N is the number of initialisations without scalars");
        words
    }
}

const WITHOUT_SCALARS: &[&str] = &InitName::without_scalars::<4>();

choice! {
    /// Words of `network.stem`.
    #[derive(Default)]
    pub enum Stem {
        /// A 3×3 convolution.
        #[default]
        Cifar,
        /// A 7×7 convolution of stride 2 and a 3×3 max pool.
        Imagenet,
    }
}

impl Stem {
    /// The convolution of the stem.
    pub(super) fn conv(self, outputs: usize) -> Weights {
        match self {
            Stem::Cifar => Weights::Conv { kernel: 3, outputs, stride: 1 },
            Stem::Imagenet => Weights::Conv { kernel: 7, outputs, stride: 2 },
        }
    }

    /// The max pool of the stem, if any.
    pub(super) fn max_pool(self) -> Option<Layer> {
        match self {
            Stem::Cifar => None,
            Stem::Imagenet => Some(Layer::MaxPool { kernel: 3, stride: 2, padding: 1 }),
        }
    }
}

/// `network.norm` and its details, with this default.
#[rustfmt::skip]
pub(super) const fn norm(default: NormName) -> [Key; 4] {
    [
        key("network.norm", Kind::Choice(NormName::WORDS), Default::Word(default.word()), ALWAYS,
            "normalisation at each layer with weights; batch: BatchNorm (1502.03167), libtorch's fused one; batch-formula: \
         BatchNorm written out; group: GroupNorm (1803.08494); layer: LayerNorm (1607.06450)"),
        key("network.norm_eps", Kind::Number(0.0, 1.0), Default::Number(1e-5), NORMALISED,
            "constant eps that is added to the variance"),
        key("network.norm_momentum", Kind::Number(0.0, 1.0), Default::Number(0.1), BATCH_NORM,
            "weight of the newest batch in the moving averages of mean and variance (PyTorch's convention)"),
        key("network.norm_groups", Kind::Count(1, 4096), Default::Count(4), GROUP,
            "number of groups into which the channels are divided"),
    ]
}

/// `network.activation`, with this default.
#[rustfmt::skip]
pub(super) const fn activation(default: Activation) -> Key {
    key("network.activation", Kind::Choice(Activation::WORDS), Default::Word(default.word()), ALWAYS,
        "activation function")
}

/// `network.init`, with this default, and its detail.
#[rustfmt::skip]
pub(super) const fn init(default: InitName, has_branches: bool) -> [Key; 2] {
    let (kind, help) = if has_branches {
        (Kind::Choice(InitName::WORDS),
            "initialisation of weights; he-fan-out, he-fan-in: He et al. 2015 (1502.01852), by number of outputs or inputs; \
            xavier: Glorot & Bengio 2010; delta-orthogonal (1806.05393): an orthogonal matrix at the middle of each \
            kernel; fixup (1901.09321), skipinit (2002.10444): only with network.norm = none")
    } else {
        (Kind::Choice(WITHOUT_SCALARS),
            "initialisation of weights; he-fan-out, he-fan-in: He et al. 2015 (1502.01852), by number of outputs or inputs; \
            xavier: Glorot & Bengio 2010; delta-orthogonal (1806.05393): an orthogonal matrix at the middle of each \
            kernel")
    };
    [
        key("network.init", kind, Default::Word(default.word()), ALWAYS, help),
        key("network.gain", Kind::Number(1e-6, 1e3), Default::Number(1.0), ALWAYS,
            "factor of all initial weights except those of the last layer"),
    ]
}

/// `network.stem`.
#[rustfmt::skip]
pub(super) const STEM: Key =
    key("network.stem", Kind::Choice(Stem::WORDS), Default::Word(Stem::Cifar.word()), ALWAYS,
        "first layers; cifar: a 3x3 convolution; imagenet: a 7x7 convolution of stride 2 and a 3x3 max pool");

/// The concatenation of these tables of keys; `N` is the total number of keys.
pub(super) const fn joined<const N: usize>(tables: &[&[Key]]) -> [Key; N] {
    let mut all = [STEM; N];
    let (mut table, mut total) = (0, 0);
    while table < tables.len() {
        let mut index = 0;
        while index < tables[table].len() {
            all[total] = tables[table][index];
            total += 1;
            index += 1;
        }
        table += 1;
    }
    assert!(total == N, "N is the total number of keys");
    all
}

/// The typed values of a family's keys.
///
/// # Errors
/// When a value is not of its key's kind.
pub(super) fn typed<T: DeserializeOwned>(keys: &BTreeMap<String, Value>) -> Result<T, InvalidKey> {
    let object = keys.clone().into_iter().collect();
    serde_json::from_value(Value::Object(object))
        .map_err(|error| InvalidKey::new("network", error.to_string()))
}

/// Typed values of the keys of [`norm()`] and [`init()`].
#[derive(Deserialize)]
pub(super) struct NormKeys {
    #[serde(rename = "network.norm")]
    norm: NormName,
    #[serde(rename = "network.norm_eps", default)]
    eps: f64,
    #[serde(rename = "network.norm_momentum", default)]
    momentum: f64,
    #[serde(rename = "network.norm_groups", default)]
    groups: usize,
    #[serde(rename = "network.init")]
    init: InitName,
    #[serde(rename = "network.gain")]
    gain: f32,
}

impl NormKeys {
    /// The normalisation, if any.
    pub fn norm(&self) -> Option<Norm> {
        let eps = self.eps;
        let batch = |from_formula| Norm::Batch { eps, momentum: self.momentum, from_formula };
        match self.norm {
            NormName::Batch => Some(batch(false)),
            NormName::BatchFormula => Some(batch(true)),
            NormName::Group => Some(Norm::Group { groups: self.groups, eps }),
            NormName::Layer => Some(Norm::Layer { eps }),
            NormName::None => None,
        }
    }

    /// A normalisation layer, if the net has normalisation.
    pub fn layer(&self, name: String, channels: usize) -> Option<Layer> {
        self.norm().map(|norm| Layer::Norm { name, channels, norm, gamma: 1.0 })
    }

    /// A layer with weights, which has a bias where the net has no normalisation.
    pub fn weights(&self, name: String, inputs: usize, weights: Weights) -> Layer {
        weights.layer(name, inputs, self.norm().is_none())
    }

    /// The initialisation of the weights.
    pub fn init(&self) -> Init {
        match self.init {
            InitName::HeFanOut | InitName::Skipinit => Init::HeFanOut,
            InitName::HeFanIn => Init::HeFanIn,
            InitName::Xavier => Init::Xavier,
            InitName::DeltaOrthogonal => Init::DeltaOrthogonal,
            InitName::Fixup => Init::Fixup,
        }
    }

    /// The factor of the initial weights.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// The learned scalars that replace normalisation.
    ///
    /// # Errors
    /// When the net has both scalars and normalisation.
    pub fn scalars(&self) -> Result<Scalars, InvalidKey> {
        match (self.init.scalars(), self.norm()) {
            (Scalars::Fixup | Scalars::SkipInit, Some(_)) => {
                let message =
                    format!("{} is for nets without normalisation: norm = \"none\"", self.init);
                Err(InvalidKey::new("network.init", message))
            }
            (scalars, _) => Ok(scalars),
        }
    }
}

/// Default values of the keys of a family; keys without a default are absent.
pub fn defaults(family: &dyn super::Family) -> BTreeMap<String, Value> {
    let keys = family.keys().iter();
    keys.filter_map(|key| Some((key.name.to_owned(), key.default.value()?))).collect()
}

/// Defaults with other values for some keys, whose names lack `network.`.
#[cfg(test)]
pub(super) fn complete(family: &dyn super::Family, set: Value) -> BTreeMap<String, Value> {
    let mut keys = defaults(family);
    for (key, value) in set.as_object().expect("an object") {
        keys.insert(format!("network.{key}"), value.clone());
    }
    keys
}
