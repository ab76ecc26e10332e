//! Nets without one of their blocks (Veit et al. 2016, 1605.06431, section 4.1).

use super::{Layer, Network};

/// A net without one block.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesion {
    /// Name of the last layer with weights of the block.
    pub last_layer: String,
    /// The net without the block. Its parameters have their names.
    pub network: Network,
}

impl Network {
    /// The nets that lack one block each, in the order of the blocks. Of a block with a shortcut, the branch is
    /// deleted and the shortcut stays. A block without one is deleted as a whole, so there is none for a block
    /// that changes the shape, and none in dense nets, where later layers read the outputs of all others.
    pub fn lesions(&self) -> Vec<Lesion> {
        let mut found = Vec::new();
        if self.layers.iter().any(|layer| matches!(layer, Layer::Concat { .. })) {
            return found;
        }
        let mut at = 0;
        while at < self.layers.len() {
            let mut network = self.clone();
            let count;
            let last_layer;
            if let Layer::Residual { branch, survival, .. } = &mut network.layers[at] {
                // In prediction a branch is multiplied by its probability to survive.
                *survival = 0.0;
                (count, last_layer) = (1, last_with_weights(branch));
            } else {
                let block = block(&self.layers[at..]);
                last_layer = last_with_weights(&self.layers[at..at + block]);
                network.layers.drain(at..at + block);
                count = block.max(1);
            }
            if let (Some(last_layer), Ok(())) = (last_layer, network.check()) {
                found.push(Lesion { last_layer, network });
            }
            at += count;
        }
        found
    }
}

/// Name of the last layer with weights.
fn last_with_weights(layers: &[Layer]) -> Option<String> {
    layers.iter().rev().find_map(Layer::weights_name).map(str::to_owned)
}

/// The block that a layer's parameters belong to: `layer1.0` for `layer1.0.conv1.weight`.
fn block_of(layer: &Layer) -> Option<String> {
    let (name, _) = layer.parameters().into_iter().next()?;
    let mut parts: Vec<&str> = name.split('.').collect();
    parts.truncate(parts.len().saturating_sub(2));
    (!parts.is_empty()).then(|| parts.join("."))
}

/// Number of layers at the beginning that are a block of a plain net: those with a common prefix, the layers
/// without parameters between them, and the activation after them; 0 if they begin with none.
fn block(layers: &[Layer]) -> usize {
    let Some(name) = layers.first().and_then(block_of) else { return 0 };
    let mut end = 0;
    for (at, layer) in layers.iter().enumerate() {
        match block_of(layer) {
            Some(other) if other == name => end = at + 1,
            None if layer.parameters().is_empty() => {}
            Some(_) | None => break,
        }
    }
    end + usize::from(matches!(layers.get(end), Some(Layer::Activation(_))))
}

#[cfg(test)]
mod tests {
    use crate::keys::complete;
    use crate::{Network, family, network};
    use serde_json::json;

    fn net(family_name: &str, set: serde_json::Value) -> Network {
        let mut keys = complete(family(family_name).unwrap(), set);
        keys.insert("network.family".into(), family_name.into());
        network(&keys, [3, 16, 16], 10).unwrap()
    }

    fn lesioned(family: &str, set: serde_json::Value) -> Vec<(String, u64)> {
        let whole = net(family, set);
        let lesions = whole.lesions();
        let missing = |lesion: &Network| whole.parameter_count() - lesion.parameter_count();
        lesions.into_iter().map(|it| (it.last_layer, missing(&it.network))).collect()
    }

    #[test]
    fn residual_nets_lose_branches_and_plain_nets_the_blocks_that_keep_the_shape() {
        let set = || json!({ "depth": 14, "width": 4 });
        let names: Vec<String> =
            lesioned("residual", set()).into_iter().map(|(name, _)| name).collect();
        let all: Vec<String> = (1..=3)
            .flat_map(|stage| (0..2).map(move |block| format!("layer{stage}.{block}.conv2")))
            .collect();
        assert_eq!(names, all);
        assert_eq!(lesioned("preact", set()).len(), 6);
        // Two convolutions of w × w with γ and β each; the first blocks of the later stages change the shape.
        let size = |width: u64| 2 * (9 * width * width + 2 * width);
        let expected = [
            ("layer1.0.conv2", size(4)),
            ("layer1.1.conv2", size(4)),
            ("layer2.1.conv2", size(8)),
            ("layer3.1.conv2", size(16)),
        ];
        assert_eq!(lesioned("plain", set()), expected.map(|(name, size)| (name.to_owned(), size)));
        assert_eq!(lesioned("dense", json!({ "depth": 10 })), []);
    }

    #[test]
    fn perceptrons_lose_pairs_of_hidden_layers() {
        let found = lesioned("mlp", json!({ "depth": 4, "width": 7 }));
        assert_eq!(found, [("layer2.fc2".to_owned(), 2 * (49 + 14))]);
        // A classifier or a stem that keeps the shape is no block.
        let found = lesioned("mlp", json!({ "depth": 3, "width": 10 }));
        assert_eq!(found, [("layer2.fc1".to_owned(), 100 + 20)]);
        let stem = lesioned("plain", json!({ "depth": 8, "width": 3 }));
        assert_eq!(stem[0].0, "layer1.0.conv2");
    }
}
