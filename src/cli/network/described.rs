//! A network from its name and its keys.

use super::{KeyFlags, flag};
use crate::Usage;
use fathom_arch::{
    Dims, Family, FamilyKeys, Network, PUBLISHED, Published, defaults, families, family, network,
};
use fathom_base::key::{Default, Key, nearest};

/// The keys of a network, and the images for which it was published.
pub struct Described {
    /// All keys of its family.
    pub keys: FamilyKeys,
    /// Images of a published net.
    pub input: Option<Dims>,
    /// Number of classes of a published net.
    pub classes: Option<usize>,
    /// A sentence that tells a published net from those of similar names.
    pub note: Option<&'static str>,
}

impl Described {
    /// Builds the network for these images and classes.
    ///
    /// # Errors
    /// When keys and images do not go together.
    pub fn build(&self, input: Dims, classes: usize) -> Result<Network, Usage> {
        network(&self.keys, input, classes).map_err(|invalid| {
            let flag = flag(&invalid.key);
            let message = with_flags(&invalid.message);
            Usage(format!("--{}: {message}", flag.trim_start_matches("data-")))
        })
    }

    /// The same densely connected net without transitions, so that all of its blocks have one size;
    /// `None` for a net that has no transitions.
    ///
    /// # Errors
    /// The errors of [`Described::build`].
    pub fn without_transitions(
        &self,
        input: Dims,
        classes: usize,
    ) -> Result<Option<Network>, Usage> {
        let mut keys = self.keys.clone();
        match keys.get_mut("network.transitions") {
            Some(value) if *value == true => *value = false.into(),
            Some(_) | None => return Ok(None),
        }
        Described { keys, ..*self }.build(input, classes).map(Some)
    }
}

impl KeyFlags {
    /// The family or published net of this name, with the values of these flags in place of its own.
    ///
    /// # Errors
    /// When there is no such net, its family lacks a key, or a value is invalid.
    pub fn describe(&self, name: &str) -> Result<Described, Usage> {
        let published = Published::find(name);
        let family_name = published.map_or(name, |published| published.family);
        let family = family(family_name).ok_or_else(|| unknown_network(name))?;
        let mut keys = published.map_or_else(|| defaults(family), Published::keys);
        keys.insert("network.family".into(), family_name.into());
        // A number of blocks replaces a depth, and the other way round.
        for (given, other) in
            [("network.depth", "network.blocks"), ("network.blocks", "network.depth")]
        {
            if self.0.contains_key(given) && !self.0.contains_key(other) {
                keys.remove(other);
            }
        }
        for (key, text) in &self.0 {
            keys.insert((*key).into(), value(family, key, text)?);
        }
        for key in family.keys() {
            if key.default == Default::Required && !keys.contains_key(key.name) {
                let (flag, kind, help) = (flag(key.name), key.kind, key.help);
                return Err(Usage(format!("--{flag} must be given: {kind} ({help})")));
            }
        }
        Ok(Described {
            keys,
            input: published.map(|published| published.input),
            classes: published.map(|published| published.classes),
            note: published.and_then(|published| published.note),
        })
    }
}

/// A message with flags instead of keys: `--blocks` for `network.blocks`.
fn with_flags(message: &str) -> String {
    let mut keys = super::keys();
    // The longest first, since names of keys begin with those of others.
    keys.sort_by_key(|key| std::cmp::Reverse(key.name.len()));
    keys.iter().fold(message.to_owned(), |message, key| {
        message.replace(key.name, &format!("--{}", flag(key.name)))
    })
}

/// The value of a family's key from its text.
fn value(family: &dyn Family, name: &str, text: &str) -> Result<serde_json::Value, Usage> {
    let flags = |keys: &[Key]| -> Vec<String> {
        keys.iter().map(|key| format!("--{}", flag(key.name))).collect()
    };
    let key = family.keys().iter().find(|key| key.name == name).ok_or_else(|| {
        let known = flags(family.keys()).join(", ");
        Usage(format!("{} has no --{}; it has {known}", family.name(), flag(name)))
    })?;
    key.kind
        .parse(text)
        .ok_or_else(|| Usage(format!("--{} {text}: expected {}", flag(name), key.kind)))
}

fn unknown_network(name: &str) -> Usage {
    let known: Vec<&str> = families().map(|family| family.name()).collect();
    let published: Vec<&str> = PUBLISHED.iter().map(|published| published.name).collect();
    let meant = nearest(name, known.iter().chain(&published).copied())
        .map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
    Usage(format!(
        "there is no network \"{name}\"{meant}; families: {}; published nets: {}",
        known.join(", "),
        published.join(", ")
    ))
}
