//! Families of networks: their keys, and how keys become a [`Network`].

use super::{Dims, Network, dense, lenet, mlp, residual, single};
use fathom_base::key::Key;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The values of a network's keys, complete and each of its kind, by full name.
pub type FamilyKeys = BTreeMap<String, Value>;

/// A family of networks.
pub trait Family: Sync {
    /// The value of `network.family`.
    fn name(&self) -> &'static str;

    /// One line on what it is, with the paper.
    fn help(&self) -> &'static str;

    /// Its keys, with their defaults.
    fn keys(&self) -> &'static [Key];

    /// The network of these keys for images of this shape.
    ///
    /// # Errors
    /// When the values do not go together, such as a depth that is not in the family.
    fn build(&self, keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey>;
}

/// A value that is of its kind but does not give a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct InvalidKey {
    /// Full name of the key.
    pub key: String,
    /// What is wrong, and what would be valid.
    pub message: String,
}

impl InvalidKey {
    /// A fault of this key.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// Numbers of blocks that were given one by one, instead of a depth.
pub(super) fn explicit_blocks(
    depth: Option<usize>,
    blocks: &[usize],
) -> Result<Vec<usize>, InvalidKey> {
    let fault = |message: &str| Err(InvalidKey::new("network.blocks", message));
    if depth.is_some() {
        return fault("give either depth or blocks, not both");
    }
    if blocks.is_empty() || blocks.len() > 6 || blocks.contains(&0) {
        return fault("expected one to six numbers of at least one each");
    }
    Ok(blocks.to_vec())
}

/// Families of this crate.
static OWN: &[&dyn Family] = &[
    &residual::PLAIN,
    &residual::RESIDUAL,
    &residual::PREACT,
    &dense::DENSE,
    &mlp::MLP,
    &mlp::RESIDUAL_MLP,
    &lenet::LENET,
    &single::PLAIN_BLOCK,
    &single::RESIDUAL_BLOCK,
];

/// Families that the program's own crate adds.
static ADDED: OnceLock<Vec<&'static dyn Family>> = OnceLock::new();

/// Adds families to those of this crate, once and before anything else: a program of one's own
/// does so by `fathom::main`.
///
/// # Panics
/// When families were added before, or one has the name of another: both are faults of the program.
pub fn register(added: &[&'static dyn Family]) {
    let names: Vec<&str> = OWN.iter().chain(added).map(|family| family.name()).collect();
    for (place, name) in names.iter().enumerate() {
        assert!(!names[..place].contains(name), "there are two families \"{name}\"");
    }
    assert!(ADDED.set(added.to_vec()).is_ok(), "families were registered before");
}

/// All families.
pub fn families() -> impl Iterator<Item = &'static dyn Family> {
    OWN.iter().chain(ADDED.get().into_iter().flatten()).copied()
}

/// The family of this name.
pub fn family(name: &str) -> Option<&'static dyn Family> {
    families().find(|family| family.name() == name)
}

/// The network that complete keys (`network.family` among them) describe.
///
/// # Errors
/// When there is no such family, the values do not go together, or the images are too small.
pub fn network(keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey> {
    let name = keys.get("network.family").and_then(Value::as_str).unwrap_or_default();
    let family = family(name).ok_or_else(|| InvalidKey {
        key: "network.family".into(),
        message: format!("there is no family \"{name}\""),
    })?;
    let network = family.build(keys, input, classes)?;
    network.check()?;
    Ok(network)
}
