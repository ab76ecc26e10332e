//! The keys in which the runs of a sweep differ, found by their full or short names.

use crate::Evidence;
use anyhow::{Result, anyhow, bail, ensure};
use fathom_base::key::{nearest, short};
use fathom_base::plain;
use fathom_record::natural_order;
use fathom_spec::Config;
use std::collections::{BTreeMap, BTreeSet};

/// The key of the arm's name in configurations, where arms are compared.
const ARM: &str = "arm";

/// The configurations of a sweep and the values of their keys.
pub(super) struct Keys {
    /// Full name of the compared key.
    pub over: String,
    /// Configurations by run id.
    pub configs: BTreeMap<String, Config>,
    /// Keys that arms set, which may differ where arms are compared.
    pub of_arms: BTreeSet<String>,
    /// Values of each key but the seed, as text in natural order.
    values: BTreeMap<String, Vec<String>>,
}

impl Keys {
    /// The keys of all runs, planned ones included.
    ///
    /// # Errors
    /// When runs do not differ in `over`.
    pub fn of(evidence: &Evidence, over: &str) -> Result<Self> {
        let mut configs = evidence.configs();
        let has_arms = configs.keys().any(|id| evidence.arm(id).is_some());
        if over == ARM {
            for (id, config) in &mut configs {
                config.extend(evidence.arm(id).map(|arm| (ARM.to_owned(), arm.into())));
            }
        }
        let mut keys = Self {
            over: String::new(),
            values: values(configs.values()),
            of_arms: BTreeSet::new(),
            configs,
        };
        if over == ARM && !has_arms {
            bail!("--over arm: the experiment has no arms; its runs differ in {}", keys.list());
        }
        keys.over = keys.varying("--over", over)?;
        if over == ARM {
            keys.of_arms = keys.set_by_arms();
        }
        Ok(keys)
    }

    /// Values of a key by its full name.
    pub fn values(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// The key whose best value is compared: the one that was asked for, or the learning rate where
    /// several were swept.
    ///
    /// # Errors
    /// When runs do not differ in the key that was asked for, or it is the compared one.
    pub fn best(&self, asked: Option<&str>) -> Result<Option<&str>> {
        let found = match asked {
            Some(name) => Some(self.varying("--best", name)?),
            None => Some("training.lr".to_owned()).filter(|rate| self.values(rate).len() > 1),
        };
        if found.as_ref() == Some(&self.over) {
            ensure!(asked.is_none(), "--best {}: it is the compared key", short(&self.over));
            return Ok(None);
        }
        let found = found.and_then(|name| self.values.get_key_value(&name));
        Ok(found.map(|(name, _)| name.as_str()).filter(|name| !self.of_arms.contains(*name)))
    }

    /// Full name of a key in which runs differ.
    fn varying(&self, option: &str, name: &str) -> Result<String> {
        if name == "seed" {
            bail!("{option} seed: seeds are what differences are taken over");
        }
        let known = |key: &&String| key.as_str() == name;
        let mut found: Vec<&String> = self.values.keys().filter(known).collect();
        if found.is_empty() {
            found = self.values.keys().filter(|key| short(key) == name).collect();
        }
        match found[..] {
            [] => {
                let names = self.values.keys().flat_map(|key| [key.as_str(), short(key)]);
                let meant = nearest(name, names).map(|meant| format!("; did you mean {meant}?"));
                let hint = meant.unwrap_or_default();
                Err(anyhow!(
                    "{option}: no run has the key {name}; runs differ in {}{hint}",
                    self.list()
                ))
            }
            [key] => {
                let values = self.values(key);
                ensure!(
                    values.len() > 1,
                    "{option} {name}: it has one value, {}; runs differ in {}",
                    values.join(", "),
                    self.list()
                );
                Ok(key.clone())
            }
            _ => {
                let all: Vec<&str> = found.iter().map(|key| key.as_str()).collect();
                Err(anyhow!("{option} {name}: it may be {}", all.join(" or ")))
            }
        }
    }

    /// Names of the keys in which runs differ.
    fn list(&self) -> String {
        let varying = self.values.iter().filter(|(_, values)| values.len() > 1);
        let mut names: Vec<&str> = varying.map(|(key, _)| short(key)).collect();
        names.sort_by_key(|name| rank(name));
        if names.is_empty() { "no key".into() } else { names.join(", ") }
    }

    /// Keys in which runs differ, but not the runs of any one arm.
    fn set_by_arms(&self) -> BTreeSet<String> {
        let mut arms: BTreeMap<String, Vec<&Config>> = BTreeMap::new();
        for config in self.configs.values() {
            arms.entry(config.get(ARM).map(plain).unwrap_or_default()).or_default().push(config);
        }
        // A key of residual networks alone, say, is not in the plain runs of an arm.
        let same = |runs: &[&Config], key: &str| {
            let mut values = runs.iter().filter_map(|config| config.get(key));
            let first = values.next();
            values.all(|value| Some(value) == first)
        };
        let all: Vec<&Config> = self.configs.values().collect();
        let is_set = |key: &&String| {
            *key != ARM && !same(&all, key) && arms.values().all(|runs| same(runs, key))
        };
        self.values.keys().filter(is_set).cloned().collect()
    }
}

/// Place of a key among others: family and depth first, then by name.
pub(super) fn rank(name: &str) -> (bool, bool, String) {
    let name = short(name);
    (name != "family", name != "depth", name.to_owned())
}

/// Values of each key but the seed, as text in natural order.
fn values<'a>(configs: impl Iterator<Item = &'a Config>) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in configs.flatten().filter(|(key, _)| *key != "seed") {
        all.entry(key.clone()).or_default().push(plain(value));
    }
    for values in all.values_mut() {
        values.sort_by(|a, b| natural_order(a, b));
        values.dedup();
    }
    all
}
