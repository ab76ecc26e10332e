//! Nets that deepen in training: the shallower net whose layers a deeper net can copy.

use super::{Activation, BATCH_NORM, Dims, FamilyKeys, InvalidKey, Network, network};
use serde_json::Value;

/// The key of the depth before growth.
const FROM: &str = "training.grow.from";

/// The net of depth `from` that can grow into the net of these keys by layers that are the identity
/// (1512.03385 §1: "a solution by construction to the deeper model"). It has the same keys except the
/// depth. Each of its layers has a counterpart in the deeper net, whose additional layers are whole
/// blocks at the ends of its stages.
///
/// # Errors
/// When the additional layers cannot be the identity, which needs the family `plain`, basic blocks,
/// batch normalisation and ReLU; when `from` is not less than the depth of the net, or not in the
/// family.
pub fn shallower(
    keys: &FamilyKeys,
    from: u64,
    input: Dims,
    classes: usize,
) -> Result<Network, InvalidKey> {
    let needs = [
        ("network.family", &["plain"][..]),
        ("network.block", &["basic"]),
        BATCH_NORM[0],
        ("network.kernel", &["free"]),
        ("network.activation", &[Activation::Relu.word()]),
    ];
    for (key, words) in needs {
        let word = keys.get(key).and_then(Value::as_str).unwrap_or_default();
        if !words.contains(&word) {
            let words = words.join(" or ");
            let message = format!("a net that grows (training.grow) needs {words}, found {word}");
            return Err(InvalidKey::new(key, message));
        }
    }
    let depth = keys.get("network.depth").and_then(Value::as_u64);
    let Some(depth) = depth.filter(|depth| from < *depth) else {
        return Err(InvalidKey::new(FROM, format!("{from} must be less than network.depth")));
    };
    let mut keys = keys.clone();
    keys.insert("network.depth".into(), from.into());
    network(&keys, input, classes).map_err(|invalid| {
        let message = format!("from {from} to {depth} layers: {}", invalid.message);
        InvalidKey::new(FROM, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::complete;
    use crate::{Layer, family};
    use serde_json::json;

    fn keys(set: Value) -> FamilyKeys {
        let mut keys = complete(family("plain").unwrap(), set);
        keys.entry("network.family".into()).or_insert("plain".into());
        keys
    }

    #[test]
    fn every_layer_of_the_shallower_net_is_in_the_deeper_one() {
        let keys = keys(json!({ "depth": 20, "width": 4 }));
        let shallow = shallower(&keys, 8, [3, 16, 16], 10).unwrap();
        let deep = network(&keys, [3, 16, 16], 10).unwrap();
        let names = |network: &Network| network.state();
        let deep = names(&deep);
        assert!(names(&shallow).iter().all(|parameter| deep.contains(parameter)));
        assert!(matches!(shallow.layers.first(), Some(Layer::Conv { .. })));
    }

    #[test]
    fn what_cannot_be_the_identity_is_refused() {
        let fault = |set: Value, from: u64| {
            shallower(&keys(set), from, [3, 16, 16], 10).unwrap_err().to_string()
        };
        let of = |norm: &str| json!({ "depth": 20, "width": 4, "norm": norm });
        let found = fault(of("none"), 8);
        assert!(found.contains("network.norm: a net that grows (training.grow) needs batch or"));
        assert!(fault(of("batch"), 20).contains("20 must be less than network.depth"));
        assert!(fault(of("batch"), 9).contains("from 9 to 20 layers: "));
        let residual = json!({ "depth": 20, "family": "residual" });
        let found = fault(residual, 8);
        assert!(found.contains("network.family: a net that grows (training.grow) needs plain"));
    }
}
