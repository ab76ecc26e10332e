//! Names that other programs give to weights, and what torchvision calls them.

use super::weights::Values;
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Prefixes of data parallelism and of compiled nets.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "model."];

/// Parts of names in widely used nets for CIFAR-10, and torchvision's.
const PARTS: [(&str, &str); 2] = [("linear", "fc"), ("shortcut", "downsample")];

/// Replaces the beginning of names, whole parts only: `head=fc` renames `head.weight` to `fc.weight`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// The beginning that is replaced.
    pub from: String,
    /// What replaces it.
    pub to: String,
}

impl FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => {
                Ok(Self { from: from.into(), to: to.into() })
            }
            Some(_) | None => Err("expected OLD=NEW, such as head=fc".into()),
        }
    }
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

impl Rename {
    fn apply(&self, name: &str) -> Option<String> {
        let rest = name.strip_prefix(&self.from)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{}{rest}", self.to))
    }
}

/// Gives tensors torchvision's names: the first of `renames` that applies, else without wrappers and with
/// torchvision's words for parts.
///
/// # Errors
/// When two tensors would have the same name.
pub(super) fn renamed(
    tensors: BTreeMap<String, Values>,
    renames: &[Rename],
) -> Result<BTreeMap<String, Values>> {
    let (mut sources, mut found, mut used) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for (name, values) in tensors {
        let known = torchvision_name(&name);
        let replace = |(at, rename): (usize, &Rename)| Some((at, rename.apply(&known)?));
        let to = match renames.iter().enumerate().find_map(replace) {
            Some((at, replaced)) => {
                used.insert(at);
                replaced
            }
            None => known,
        };
        if let Some(other) = sources.insert(to.clone(), name.clone()) {
            bail!("{other} and {name} would both be called {to}");
        }
        found.insert(to, values);
    }
    for (at, rename) in renames.iter().enumerate() {
        let from = &rename.from;
        ensure!(
            used.contains(&at),
            "--rename {rename}: no tensor has a name that begins with {from}"
        );
    }
    Ok(found)
}

fn torchvision_name(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest;
    }
    let part =
        |part| PARTS.into_iter().find(|(own, _)| *own == part).map_or(part, |(_, known)| known);
    name.split('.').map(part).collect::<Vec<&str>>().join(".")
}

/// The renaming that would give missing tensors what they need: an unexpected name and a missing one below which the
/// same tensors of the same shapes are, if there is only one such pair for either.
pub(super) fn suggested(
    missing: &BTreeMap<&str, &[usize]>,
    unexpected: &BTreeMap<&str, &[usize]>,
) -> Vec<Rename> {
    let (wanted, found) = (groups(missing), groups(unexpected));
    let pair = |(from, tensors): (&&str, &Group)| {
        let is_alike = |(_, other): &(&&str, &Group)| *other == tensors;
        let mut fits = wanted.iter().filter(is_alike);
        let (to, _) = fits.next()?;
        let is_only = fits.next().is_none() && found.iter().filter(is_alike).count() == 1;
        is_only.then(|| Rename { from: (*from).into(), to: (*to).into() })
    };
    found.iter().filter_map(pair).collect()
}

/// Last parts of names with shapes.
type Group<'a> = BTreeSet<(&'a str, &'a [usize])>;

/// Tensors by the beginning of their names.
fn groups<'a>(tensors: &BTreeMap<&'a str, &'a [usize]>) -> BTreeMap<&'a str, Group<'a>> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (name, shape) in tensors {
        if let Some((beginning, last)) = name.rsplit_once('.') {
            groups.entry(beginning).or_default().insert((last, shape));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_wrapped_nets_and_of_nets_for_cifar_become_torchvision_s() {
        for (name, known) in [
            ("module.conv1.weight", "conv1.weight"),
            ("_orig_mod.module.fc.bias", "fc.bias"),
            ("module.linear.weight", "fc.weight"),
            ("layer2.0.shortcut.0.weight", "layer2.0.downsample.0.weight"),
            ("layer2.0.shortcut.1.running_var", "layer2.0.downsample.1.running_var"),
            ("layer2.0.conv1.weight", "layer2.0.conv1.weight"),
            ("linearity.weight", "linearity.weight"),
        ] {
            assert_eq!(torchvision_name(name), known);
        }
    }

    #[test]
    fn tensors_are_not_merged_and_renames_must_apply() {
        let tensors = |names: &[&str]| -> BTreeMap<String, Values> {
            names.iter().map(|name| ((*name).to_owned(), Values::default())).collect()
        };
        let error = renamed(tensors(&["fc.bias", "linear.bias"]), &[]).unwrap_err().to_string();
        assert_eq!(error, "fc.bias and linear.bias would both be called fc.bias");
        let rename: Rename = "head=fc".parse().unwrap();
        let found =
            renamed(tensors(&["head.bias", "header.bias"]), std::slice::from_ref(&rename)).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["fc.bias", "header.bias"]);
        for names in [["x.bias"], ["fc.bias"]] {
            let error = renamed(tensors(&names), std::slice::from_ref(&rename)).unwrap_err();
            let expected = "--rename head=fc: no tensor has a name that begins with head";
            assert_eq!(error.to_string(), expected);
        }
        assert!("head".parse::<Rename>().is_err() && "=fc".parse::<Rename>().is_err());
    }
}
