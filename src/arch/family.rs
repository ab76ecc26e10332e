//! Families of networks: their keys, and how keys become a [`Network`].

use super::{Dims, Network};
use fathom_base::key::Key;
use serde_json::Value;
use std::collections::BTreeMap;

/// Values of all keys of a network by full name, each of the key's kind.
pub type FamilyKeys = BTreeMap<String, Value>;

/// A family of networks.
pub trait Family: Sync {
    /// The value of `network.family` that selects it.
    fn name(&self) -> &'static str;

    /// One line that describes the family and names its paper.
    fn help(&self) -> &'static str;

    /// Its keys, with their defaults.
    fn keys(&self) -> &'static [Key];

    /// Builds the network of these keys for images of shape `input`.
    ///
    /// # Errors
    /// When the values do not give a network, such as a depth that is not in the family.
    fn build(&self, keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey>;
}

/// The value of a key is of the right kind but does not give a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct InvalidKey {
    /// Full name of the key.
    pub key: String,
    /// What is wrong, and which values are valid.
    pub message: String,
}

impl InvalidKey {
    /// An error about `key`.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}
