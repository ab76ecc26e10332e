//! All families by name: those of this crate, and those that a program of one's own registers.

use super::{Dims, Family, FamilyKeys, InvalidKey, Network, dense, lenet, mlp, residual, single};
use serde_json::Value;
use std::sync::OnceLock;

/// Families of this crate.
static BUILT_IN: &[&dyn Family] = &[
    &residual::PLAIN,
    &residual::RESIDUAL,
    &residual::PREACT,
    &residual::WIDE,
    &dense::DENSE,
    &mlp::MLP,
    &mlp::RESIDUAL_MLP,
    &lenet::LENET,
    &single::PLAIN_BLOCK,
    &single::RESIDUAL_BLOCK,
];

/// Families that the program registered.
static REGISTERED: OnceLock<Vec<&'static dyn Family>> = OnceLock::new();

/// Adds families to those of this crate. A program calls this at most once, before all other functions
/// of the library; `fathom::main` does so.
///
/// # Panics
/// When it is called twice, or two families have the same name: both are errors in the program.
pub fn register(families: &[&'static dyn Family]) {
    let names: Vec<&str> = BUILT_IN.iter().chain(families).map(|family| family.name()).collect();
    for (index, name) in names.iter().enumerate() {
        assert!(!names[..index].contains(name), "there are two families \"{name}\"");
    }
    assert!(REGISTERED.set(families.to_vec()).is_ok(), "families were registered before");
}

/// All families.
pub fn families() -> impl Iterator<Item = &'static dyn Family> {
    BUILT_IN.iter().chain(REGISTERED.get().into_iter().flatten()).copied()
}

/// The family of this name.
pub fn family(name: &str) -> Option<&'static dyn Family> {
    families().find(|family| family.name() == name)
}

/// Builds and checks the network that complete keys, `network.family` among them, describe.
///
/// # Errors
/// When there is no such family, the values do not give a network, or the images are too small.
pub fn network(keys: &FamilyKeys, input: Dims, classes: usize) -> Result<Network, InvalidKey> {
    let name = keys.get("network.family").and_then(Value::as_str).unwrap_or_default();
    let family = family(name).ok_or_else(|| {
        let names: Vec<&str> = families().map(|family| family.name()).collect();
        let message = format!("there is no family \"{name}\"; families are {}", names.join(", "));
        InvalidKey::new("network.family", message)
    })?;
    let network = family.build(keys, input, classes)?;
    network.check()?;
    Ok(network)
}
