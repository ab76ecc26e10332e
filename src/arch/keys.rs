//! Keys that families share, and how they are typed.

#![deny(clippy::wildcard_enum_match_arm)]

use super::block::Scalars;
use super::{Activation, Init, InvalidKey, Layer, Norm};
use fathom_base::choice;
use fathom_base::key::{Condition, Default, Key, Kind, key};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) const ALWAYS: &[Condition] = &[];
/// The condition under which a net has batch normalisation.
pub const BATCH_NORM: &[Condition] =
    &[("network.norm", &[NormName::Batch.word(), NormName::BatchFormula.word()])];
const NORMALISED: &[Condition] = &[(
    "network.norm",
    &[
        NormName::Batch.word(),
        NormName::BatchFormula.word(),
        NormName::Group.word(),
        NormName::Layer.word(),
    ],
)];
const GROUP: &[Condition] = &[("network.norm", &[NormName::Group.word()])];

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

choice! {
    /// Words of `network.init`.
    pub enum InitName {
        /// [`Init::HeFanOut`].
        HeFanOut,
        /// [`Init::HeFanIn`].
        HeFanIn,
        /// [`Init::Xavier`].
        Xavier,
        /// [`Init::Fixup`], with Fixup's scalars.
        Fixup,
        /// [`Init::HeFanOut`], with SkipInit's scalars (2002.10444).
        Skipinit,
    }
}

choice! {
    /// Words of `network.stem`.
    pub enum Stem {
        /// A 3×3 convolution.
        Cifar,
        /// A 7×7 convolution of stride 2 and a 3×3 max pool.
        Imagenet,
    }
}

/// The initialisations of nets without residual branches.
const INITS: Kind =
    Kind::Choice(&[InitName::HeFanOut.word(), InitName::HeFanIn.word(), InitName::Xavier.word()]);

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

/// `network.init`, with this default.
#[rustfmt::skip]
pub(super) const fn init(default: InitName, has_branches: bool) -> Key {
    let (kind, help) = if has_branches {
        (Kind::Choice(InitName::WORDS),
            "initialisation of weights; he-fan-out, he-fan-in: He et al. 2015, by number of outputs or inputs; \
            xavier: Glorot & Bengio 2010; fixup (1901.09321), skipinit (2002.10444): only with network.norm = none")
    } else {
        (INITS,
            "initialisation of weights; he-fan-out, he-fan-in: He et al. 2015, by number of outputs or inputs; xavier: \
            Glorot & Bengio 2010")
    };
    key("network.init", kind, Default::Word(default.word()), ALWAYS, help)
}

/// `network.stem`.
#[rustfmt::skip]
pub(super) const STEM: Key =
    key("network.stem", Kind::Choice(Stem::WORDS), Default::Word(Stem::Cifar.word()), ALWAYS,
        "first layers; cifar: a 3x3 convolution; imagenet: a 7x7 convolution of stride 2 and a 3x3 max pool");

/// Some tables of keys, one behind the other; `N` is the number of keys in all.
pub(super) const fn joined<const N: usize>(tables: &[&[Key]]) -> [Key; N] {
    let mut all = [STEM; N];
    let (mut table, mut place) = (0, 0);
    while table < tables.len() {
        let mut next = 0;
        while next < tables[table].len() {
            all[place] = tables[table][next];
            place += 1;
            next += 1;
        }
        table += 1;
    }
    assert!(place == N, "N is the number of keys");
    all
}

/// The values of a family's keys, typed.
pub(super) fn typed<T: DeserializeOwned>(keys: &BTreeMap<String, Value>) -> Result<T, InvalidKey> {
    let object = keys.clone().into_iter().collect();
    serde_json::from_value(Value::Object(object))
        .map_err(|error| InvalidKey::new("network", error.to_string()))
}

/// The keys of [`norm`] and [`init`], typed.
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
}

impl NormKeys {
    /// The normalisation, where there is one.
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

    /// A normalisation layer, where there is one.
    pub fn layer(&self, name: String, channels: usize) -> Option<Layer> {
        self.norm().map(|norm| Layer::Norm { name, channels, norm })
    }

    /// How weights are drawn.
    pub fn init(&self) -> Init {
        match self.init {
            InitName::HeFanOut | InitName::Skipinit => Init::HeFanOut,
            InitName::HeFanIn => Init::HeFanIn,
            InitName::Xavier => Init::Xavier,
            InitName::Fixup => Init::Fixup,
        }
    }

    /// Single learned numbers that take normalisation's place.
    ///
    /// # Errors
    /// When there is a normalisation beside them.
    pub fn scalars(&self) -> Result<Scalars, InvalidKey> {
        let scalars = match self.init {
            InitName::Fixup => Scalars::Fixup,
            InitName::Skipinit => Scalars::SkipInit,
            InitName::HeFanOut | InitName::HeFanIn | InitName::Xavier => return Ok(Scalars::None),
        };
        if self.norm != NormName::None {
            let message =
                format!("{} is for nets without normalisation: norm = \"none\"", self.init);
            return Err(InvalidKey::new("network.init", message));
        }
        Ok(scalars)
    }
}

/// The values of a family's keys that have a default.
pub fn defaults(family: &dyn super::Family) -> BTreeMap<String, Value> {
    let keys = family.keys().iter();
    keys.filter_map(|key| Some((key.name.to_owned(), key.default.value()?))).collect()
}

/// Defaults with other values, for tests: keys without `network.`.
#[cfg(test)]
pub(super) fn complete(family: &dyn super::Family, set: Value) -> BTreeMap<String, Value> {
    let mut keys = defaults(family);
    for (key, value) in set.as_object().expect("an object") {
        keys.insert(format!("network.{key}"), value.clone());
    }
    keys
}
