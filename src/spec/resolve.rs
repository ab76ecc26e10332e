//! A combination of given values becomes a complete configuration: defaults are filled in, and keys
//! without an effect are dropped.

use super::SpecError;
use super::file::{Given, Values};
use super::keys::KEYS;
use fathom_arch::family;
use fathom_base::key::{Default, Key};
use fathom_record::SCHEMA;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A complete configuration: the value of every key that has an effect, by full name.
pub type Config = BTreeMap<String, Value>;

/// A configuration, and the given keys that have no effect in it.
pub(super) struct ResolvedConfig {
    pub config: Config,
    pub idle: BTreeSet<String>,
}

/// The keys of runs of this family: those of all experiments, then the family's own.
pub(super) fn keys_of(family_name: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(family(family_name).map_or(&[][..], |family| family.keys()))
}

/// Fills in defaults and drops keys without an effect; `file` is for errors.
pub(super) fn resolve(given: &Values, file: &str) -> Result<ResolvedConfig, SpecError> {
    let family_name =
        given.get("network.family").and_then(|given| given.value.as_str()).unwrap_or_default();
    let mut config = Config::new();
    for key in keys_of(family_name) {
        let value = given.get(key.name).map(|given| of_family(key, given, family_name));
        let value = value.transpose()?;
        if let Some(value) = value.or_else(|| key.default.value()) {
            config.insert(key.name.into(), value);
        }
    }
    drop_idle(&mut config, family_name);
    for key in keys_of(family_name) {
        if key.default == Default::Required
            && key.unmet(&config).is_none()
            && !config.contains_key(key.name)
        {
            let wanted_by = key.only_if.iter().find_map(|(name, _)| given.get(*name));
            return Err(SpecError {
                place: wanted_by.map_or_else(|| file.into(), |given| given.place.clone()),
                message: format!("{} is required: {} ({})", key.name, key.kind, key.help),
            });
        }
    }
    let idle = given.keys().filter(|name| !config.contains_key(*name)).cloned().collect();
    Ok(ResolvedConfig { config, idle })
}

/// Drops keys whose conditions do not hold.
fn drop_idle(config: &mut Config, family_name: &str) {
    // The key of a condition may be dropped itself, so this repeats until nothing changes.
    loop {
        let before = config.len();
        for key in keys_of(family_name) {
            if key.unmet(config).is_some() {
                config.remove(key.name);
            }
        }
        if config.len() == before {
            break;
        }
    }
}

/// A configuration of an earlier version, completed by the defaults of the keys that were added
/// since: the default of an added key describes what earlier versions did.
pub fn completed(config: &Config) -> Config {
    let family_name = config.get("network.family").and_then(Value::as_str).unwrap_or_default();
    let mut complete = config.clone();
    for key in keys_of(family_name) {
        if let (false, Some(value)) = (config.contains_key(key.name), key.default.value()) {
            complete.insert(key.name.into(), value);
        }
    }
    drop_idle(&mut complete, family_name);
    complete
}

/// Whether two configurations are equal in every key that both have. A key that only one of them has is without effect in
/// the other.
pub fn agree(a: &Config, b: &Config) -> bool {
    a.iter().all(|(key, value)| b.get(key).is_none_or(|other| other == value))
}

/// The value in canonical form for this key of the family; another family may define the key of the
/// same name differently.
fn of_family(key: &Key, given: &Given, family: &str) -> Result<Value, SpecError> {
    key.kind.normalise(&given.value).ok_or_else(|| SpecError {
        place: given.place.clone(),
        message: format!(
            "{} = {}: expected {} with network.family = \"{family}\"",
            key.name, given.value, key.kind
        ),
    })
}

/// The default of a key for the family of a configuration.
pub(super) fn default_of(config: &Config, name: &str) -> Option<Value> {
    let family_name = config.get("network.family").and_then(Value::as_str).unwrap_or_default();
    keys_of(family_name).find(|key| key.name == name)?.default.value()
}

/// The hash at the end of a run's id: the first 8 hexadecimal digits of the SHA-256 of the schema and
/// every key that is not at its default, so that a key added in a later version keeps old ids.
pub fn fingerprint(config: &Config) -> String {
    let family_name = config.get("network.family").and_then(Value::as_str).unwrap_or_default();
    let defaults: BTreeMap<&str, Value> =
        keys_of(family_name).filter_map(|key| Some((key.name, key.default.value()?))).collect();
    let set: BTreeMap<_, _> =
        config.iter().filter(|(name, value)| defaults.get(name.as_str()) != Some(*value)).collect();
    let text = serde_json::json!({ "schema": SCHEMA, "config": set }).to_string();
    hex::encode(&Sha256::digest(text.as_bytes())[..4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configuration_of_an_earlier_version_gets_the_keys_that_were_added_since() {
        let given = [
            ("data.source", json!("shapes")),
            ("network.family", json!("plain")),
            ("network.depth", json!(8)),
            ("training.iterations", json!(10)),
            ("training.norm_batch", json!(64)),
        ];
        let given =
            given.map(|(name, value)| (name.to_owned(), Given { value, place: "x".into() }));
        let whole = resolve(&given.into(), "x").unwrap().config;
        assert_eq!(completed(&whole), whole);
        let mut old = whole.clone();
        assert!(old.remove("training.grow.kind").is_some());
        assert!(old.remove("evaluate.layers").is_some());
        assert_eq!(completed(&old), whole);
        assert_eq!(fingerprint(&old), fingerprint(&whole));
    }

    #[test]
    fn committed_runs_keep_their_ids() {
        let results = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
        let mut count = 0;
        for entry in std::fs::read_dir(results).unwrap() {
            let directory = fathom_record::SweepDir::new(entry.unwrap().path());
            let Some(resolved) = directory.resolved().unwrap() else { continue };
            for (id, config) in resolved.runs {
                let hash = id.rsplit('-').next().unwrap_or_default();
                assert_eq!(fingerprint(&config), hash, "{}: {id}", directory.root().display());
                count += 1;
            }
        }
        assert!(count > 500, "{count} runs");
    }
}
