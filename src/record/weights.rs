//! Files of weights in safetensors format, with torchvision's names of tensors.

use super::weight_names::{Rename, renamed, suggested};
use anyhow::{Context, Result, bail, ensure};
use fathom_arch::{COUNTER, Network};
use fathom_base::write_atomically;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The values of a tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

impl Values {
    /// The bytes of the values, little-endian.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// Tensors by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// Parameters and moving averages, without `num_batches_tracked`.
    pub tensors: BTreeMap<String, Values>,
}

/// Prefix of the names of a checkpoint's tensors that do not belong to the net.
pub(super) const OWN: &str = "fathom.";

/// Largest number of names in a list of an error: a net of another depth has hundreds.
const MOST_NAMES: usize = 8;

impl Weights {
    /// Reads a file. Values of other floating-point types become f32; `num_batches_tracked` is left out. Names
    /// become torchvision's, see [`Rename`].
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or holds a tensor that is not of a floating-point type.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_renamed(path, &[])
    }

    /// Like [`Weights::read`], with names replaced by `renames`.
    ///
    /// # Errors
    /// Those of [`Weights::read`], and when a renaming applies to no tensor or gives two the same name.
    pub fn read_renamed(path: &Path, renames: &[Rename]) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes).with_context(|| {
            format!(
                "{} is not a safetensors file or is damaged (scripts/convert_weights.py converts \
                 PyTorch's files)",
                path.display()
            )
        })?;
        let is_weight = |name: &str| !is_counter(name) && !name.starts_with(OWN);
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter().filter(|(name, _)| is_weight(name)) {
            let values = floats(&view).with_context(|| {
                format!("{}: {name} holds {:?}, expected floats", path.display(), view.dtype())
            })?;
            tensors.insert(name.to_owned(), Values { shape: view.shape().into(), values });
        }
        let tensors = renamed(tensors, renames).with_context(|| path.display().to_string())?;
        Ok(Self { tensors })
    }

    /// Writes a file atomically. `batches` becomes `num_batches_tracked` of every batch normalisation.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, network: &Network, batches: u64) -> Result<()> {
        write_atomically(path, &self.encode(network, batches, HashMap::new())?)
    }

    /// The bytes of a file with these entries of metadata.
    pub(super) fn encode(
        &self,
        network: &Network,
        batches: u64,
        mut metadata: HashMap<String, String>,
    ) -> Result<Vec<u8>> {
        let counter = (batches as i64).to_le_bytes();
        let mut bytes = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            bytes.insert(name.clone(), (Dtype::F32, tensor.shape.clone(), tensor.bytes()));
        }
        for name in network.counters() {
            bytes.insert(name, (Dtype::I64, Vec::new(), counter.to_vec()));
        }
        let views = bytes.iter().map(|(name, (kind, shape, bytes))| {
            Ok((name, TensorView::new(*kind, shape.clone(), bytes)?))
        });
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        // The entry that PyTorch's own files have.
        metadata.insert("format".into(), "pt".into());
        Ok(serialize(views, Some(metadata))?)
    }

    /// Checks that these are exactly the tensors of a net.
    ///
    /// # Errors
    /// When they are not, with the missing, unexpected and misshapen tensors.
    pub fn fit(&self, network: &Network) -> Result<()> {
        let expected: BTreeMap<String, Vec<usize>> = network.state().into_iter().collect();
        let (mut missing, mut misshapen) = (BTreeMap::new(), Vec::new());
        for (name, shape) in &expected {
            match self.tensors.get(name) {
                None => drop(missing.insert(name.as_str(), shape.as_slice())),
                Some(found) if found.shape != *shape => {
                    misshapen.push(format!("{name} {:?} instead of {shape:?}", found.shape));
                }
                Some(_) => {}
            }
        }
        let found =
            self.tensors.iter().map(|(name, found)| (name.as_str(), found.shape.as_slice()));
        let unexpected = found.filter(|(name, _)| !expected.contains_key(*name)).collect();
        let names =
            |tensors: &BTreeMap<&str, &[usize]>| tensors.keys().map(ToString::to_string).collect();
        let kinds: [(&str, Vec<String>); 3] = [
            ("missing", names(&missing)),
            ("unexpected", names(&unexpected)),
            ("misshapen", misshapen),
        ];
        let faults: Vec<String> = kinds
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{} {kind}: {}", names.len(), listed(names)))
            .collect();
        let renames = suggested(&missing, &unexpected);
        let flags: String = renames.iter().map(|rename| format!(" --rename {rename}")).collect();
        let hint = if flags.is_empty() { flags } else { format!("; try{flags}") };
        ensure!(faults.is_empty(), "the weights do not fit the net: {}{hint}", faults.join("; "));
        Ok(())
    }
}

/// Whether a tensor is the counter of a batch normalisation.
pub(super) fn is_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some(COUNTER)
}

/// The first names of a list, with the number of the others.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(MOST_NAMES);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// The values of a floating-point tensor as f32.
///
/// # Errors
/// When the tensor has another type, which is the message.
pub(super) fn floats(view: &TensorView) -> Result<Vec<f32>> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F16 => each(bytes, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => each(bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
        other => bail!("{other:?}"),
    })
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_arch::Published;

    fn resnet20() -> Network {
        let published = Published::find("resnet20").unwrap();
        fathom_arch::network(&published.keys(), published.input, published.classes).unwrap()
    }

    fn weights(network: &Network) -> Weights {
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let n: usize = shape.iter().product();
            let values = (0..n).map(|i| i as f32 / 7.0).collect();
            (name, Values { shape, values })
        };
        Weights { tensors: network.state().into_iter().map(tensor).collect() }
    }

    #[test]
    fn what_is_written_is_read_and_has_torchvision_s_names() {
        let (folder, network) = (tempfile::tempdir().unwrap(), resnet20());
        let (path, weights) = (folder.path().join("w.safetensors"), weights(&network));
        weights.write(&path, &network, 64_000).unwrap();
        assert_eq!(Weights::read(&path).unwrap(), weights);
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let counter = file.tensor("layer1.0.bn2.num_batches_tracked").unwrap();
        assert_eq!((counter.dtype(), counter.data()), (Dtype::I64, &64_000i64.to_le_bytes()[..]));
        assert_eq!(file.tensor("layer3.2.conv1.weight").unwrap().shape(), [64, 64, 3, 3]);
        assert_eq!(file.tensor("fc.bias").unwrap().shape(), [10]);
        weights.fit(&network).unwrap();
    }

    #[test]
    fn one_error_lists_everything_that_does_not_fit() {
        let network = resnet20();
        let mut weights = weights(&network);
        let bias = weights.tensors.remove("fc.bias").unwrap();
        weights.tensors.insert("head.bias".into(), bias);
        weights.tensors.get_mut("conv1.weight").unwrap().shape = vec![16, 1, 3, 3];
        let message = weights.fit(&network).unwrap_err().to_string();
        assert_eq!(
            message,
            "the weights do not fit the net: 1 missing: fc.bias; 1 unexpected: head.bias; \
             1 misshapen: conv1.weight [16, 1, 3, 3] instead of [16, 3, 3, 3]; try --rename head=fc"
        );
        let none = Weights::default().fit(&network).unwrap_err().to_string();
        assert!(none.contains("97 missing") && none.contains("and 89 more"), "{none}");
    }

    #[test]
    fn halves_and_doubles_are_read_and_other_files_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let write = |kind, bytes: &[u8]| {
            let view = TensorView::new(kind, vec![1], bytes).unwrap();
            std::fs::write(&path, serialize([("x", view)], None).unwrap()).unwrap();
            Weights::read(&path)
        };
        let value = |weights: Result<Weights>| weights.unwrap().tensors["x"].values[0];
        assert_eq!(value(write(Dtype::F64, &0.5f64.to_le_bytes())), 0.5);
        assert_eq!(value(write(Dtype::F16, &half::f16::from_f32(0.5).to_le_bytes())), 0.5);
        assert_eq!(value(write(Dtype::BF16, &half::bf16::from_f32(0.5).to_le_bytes())), 0.5);
        let message = format!("{:#}", write(Dtype::I32, &1i32.to_le_bytes()).unwrap_err());
        assert!(message.contains("x holds I32"), "{message}");
        std::fs::write(&path, b"PK\x03\x04 a zip").unwrap();
        let message = format!("{:#}", Weights::read(&path).unwrap_err());
        assert!(message.contains("convert_weights.py"), "{message}");
    }
}
