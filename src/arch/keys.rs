//! Keys that families share, and how they are typed.

use super::block::Scalars;
use super::{Activation, Init, InvalidKey, Layer, Norm};
use crate::key::{Condition, Default, Key, Kind, key};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) const ALWAYS: &[Condition] = &[];
const BATCH: &[Condition] = &[("network.norm", &["batch", "batch-formula"])];
const NORMALISED: &[Condition] = &[("network.norm", &["batch", "batch-formula", "group", "layer"])];
const GROUP: &[Condition] = &[("network.norm", &["group"])];

/// Words of `network.norm`.
const NORMS: Kind = Kind::Choice(&["batch", "batch-formula", "group", "layer", "none"]);
/// Words of `network.init` for nets without residual branches.
const INITS: Kind = Kind::Choice(&["he-fan-out", "he-fan-in", "xavier"]);
/// The same for nets with residual branches.
const RESIDUAL_INITS: Kind =
    Kind::Choice(&["he-fan-out", "he-fan-in", "xavier", "fixup", "skipinit"]);

/// `network.norm` and its details, with this default.
#[rustfmt::skip]
pub(super) const fn norm(default: &'static str) -> [Key; 4] {
    [
        key("network.norm", NORMS, Default::Word(default), ALWAYS,
            "normalisation beside each layer with weights"),
        key("network.norm_eps", Kind::Number(0.0, 1.0), Default::Number(1e-5), NORMALISED,
            "constant added to the variance"),
        key("network.norm_momentum", Kind::Number(0.0, 1.0), Default::Number(0.1), BATCH,
            "weight of the newest batch in the moving averages"),
        key("network.norm_groups", Kind::Count(1, 4096), Default::Count(4), GROUP,
            "groups of channels"),
    ]
}

/// `network.activation`, with this default.
#[rustfmt::skip]
pub(super) const fn activation(default: &'static str) -> Key {
    key("network.activation", Kind::Choice(&["relu", "sigmoid"]), Default::Word(default), ALWAYS,
        "non-linearity")
}

/// `network.init`, with this default.
#[rustfmt::skip]
pub(super) const fn init(default: &'static str, has_branches: bool) -> Key {
    let (kind, help) = if has_branches {
        (RESIDUAL_INITS, "initial weights: He et al. 2015 by outputs or inputs, Glorot & Bengio \
            2010; without normalisation also Fixup (1901.09321) or SkipInit (2002.10444)")
    } else {
        (INITS, "initial weights: He et al. 2015 by outputs or inputs, or Glorot & Bengio 2010")
    };
    key("network.init", kind, Default::Word(default), ALWAYS, help)
}

/// `network.stem`.
#[rustfmt::skip]
pub(super) const STEM: Key =
    key("network.stem", Kind::Choice(&["cifar", "imagenet"]), Default::Word("cifar"), ALWAYS,
        "3x3 convolution, or 7x7 of stride 2 and a 3x3 max pool");

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
    norm: String,
    #[serde(rename = "network.norm_eps", default)]
    eps: f64,
    #[serde(rename = "network.norm_momentum", default)]
    momentum: f64,
    #[serde(rename = "network.norm_groups", default)]
    groups: usize,
    #[serde(rename = "network.init")]
    init: String,
}

impl NormKeys {
    /// The normalisation, where there is one.
    pub fn norm(&self) -> Option<Norm> {
        let eps = self.eps;
        let batch = |from_formula| Norm::Batch { eps, momentum: self.momentum, from_formula };
        match self.norm.as_str() {
            "batch" => Some(batch(false)),
            "batch-formula" => Some(batch(true)),
            "group" => Some(Norm::Group { groups: self.groups, eps }),
            "layer" => Some(Norm::Layer { eps }),
            _ => None,
        }
    }

    /// A normalisation layer, where there is one.
    pub fn layer(&self, name: String, channels: usize) -> Option<Layer> {
        self.norm().map(|norm| Layer::Norm { name, channels, norm })
    }

    /// How weights are drawn.
    pub fn init(&self) -> Init {
        match self.init.as_str() {
            "he-fan-in" => Init::HeFanIn,
            "xavier" => Init::Xavier,
            "fixup" => Init::Fixup,
            _ => Init::HeFanOut,
        }
    }

    /// Single learned numbers that take normalisation's place.
    ///
    /// # Errors
    /// When there is a normalisation beside them.
    pub fn scalars(&self) -> Result<Scalars, InvalidKey> {
        let scalars = match self.init.as_str() {
            "fixup" => Scalars::Fixup,
            "skipinit" => Scalars::SkipInit,
            _ => return Ok(Scalars::None),
        };
        if self.norm != "none" {
            let message =
                format!("{} is for nets without normalisation: norm = \"none\"", self.init);
            return Err(InvalidKey::new("network.init", message));
        }
        Ok(scalars)
    }
}

/// `network.activation`, typed.
pub(super) fn activation_of(word: &str) -> Activation {
    if word == "sigmoid" { Activation::Sigmoid } else { Activation::Relu }
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
