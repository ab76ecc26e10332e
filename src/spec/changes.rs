//! Differences between an experiment and the runs in its results directory, key by key. The id of a
//! run contains a hash of its configuration, so a run that is no longer in the experiment (a removed
//! run) is compared with the present run of the most similar configuration (its partner).

use super::resolve::{Config, default_of};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

/// Configurations by run id.
type Configs = BTreeMap<String, Config>;

/// The differences between the old runs of a results directory and the present runs of an experiment.
/// There are none if every old run is among the present ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Number of old runs that the experiment no longer has.
    pub removed: usize,
    /// Number of old runs.
    pub old: usize,
    /// Each difference with the ids of the removed runs that have it, most frequent first.
    differences: Vec<(Difference, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Difference {
    /// A changed value; `None` where the key has no effect.
    Value { key: String, old: Option<Value>, new: Option<Value> },
    /// A value that is no longer swept over.
    Dropped { key: String, value: Option<Value> },
    /// The same configuration with another id: arms or swept keys were added, renamed or removed.
    Renamed { example: String },
    /// A combination that is no longer run, of values that all still occur.
    LeftOut,
}

/// Number of differences that are printed; further ones are counted.
const SHOWN: usize = 8;

/// The differences between old runs and present ones.
pub fn changes(old: &Configs, new: &Configs) -> Changes {
    changes_among(old, old, new)
}

/// The differences for the old runs that have `begun`. All runs that were planned with them are
/// `recorded`: they distinguish a removed value from a changed one.
pub fn changes_among(begun: &Configs, recorded: &Configs, new: &Configs) -> Changes {
    let known = |id: &String| begun.contains_key(id) || recorded.contains_key(id);
    let values =
        Values { old: values(begun.values().chain(recorded.values())), new: values(new.values()) };
    let mut used = BTreeSet::new();
    let mut differences: Vec<(Difference, Vec<String>)> = Vec::new();
    let removed: Vec<_> = begun.iter().filter(|(id, _)| !new.contains_key(*id)).collect();
    for (id, config) in &removed {
        // The partner is of the same arm if possible. A run that was there before explains nothing
        // unless a value is no longer swept. Among equally similar runs, a new one that is not yet
        // the partner of another removed run comes first.
        let arm = arm(id, config);
        let partner = new.iter().min_by_key(|(other, there)| {
            let (dropped, changed) = values.compare(config, there);
            let count = dropped.len() + changed.len();
            let explains_nothing = known(other) && dropped.is_empty() && count > 0;
            let is_of_another_arm = arm != self::arm(other, there);
            (is_of_another_arm, explains_nothing, count, known(other), used.contains(*other))
        });
        let found = match partner {
            None => vec![Difference::LeftOut],
            Some((other, there)) => {
                used.insert(other.clone());
                values
                    .differences(config, Partner { id: other, config: there, is_old: known(other) })
            }
        };
        for difference in found {
            let same = |(there, _): &&mut (Difference, Vec<String>)| match (there, &difference) {
                (Difference::Renamed { .. }, Difference::Renamed { .. }) => true,
                (there, difference) => there == difference,
            };
            match differences.iter_mut().find(same) {
                Some((_, ids)) => ids.push((*id).clone()),
                None => differences.push((difference, vec![(*id).clone()])),
            }
        }
    }
    differences.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
    Changes { removed: removed.len(), old: begun.len(), differences }
}

/// The values of all keys in old and in present runs, as pairs of name and text.
struct Values {
    old: BTreeSet<(String, String)>,
    new: BTreeSet<(String, String)>,
}

/// The present run that a removed run is compared with.
struct Partner<'a> {
    id: &'a str,
    config: &'a Config,
    /// Whether it was among the old runs.
    is_old: bool,
}

impl Values {
    /// The keys in which a removed run differs from a present one: first those whose value is no
    /// longer swept over (it no longer occurs, and the partner's value occurred before), then the
    /// others.
    fn compare<'a>(
        &self,
        removed: &'a Config,
        partner: &'a Config,
    ) -> (Vec<&'a String>, Vec<&'a String>) {
        let has = |values: &BTreeSet<(String, String)>, key: &str, config: &Config| {
            values.contains(&(key.to_owned(), written(config.get(key))))
        };
        differing(removed, partner)
            .into_iter()
            .partition(|key| !has(&self.new, key, removed) && has(&self.old, key, partner))
    }

    /// The differences between a removed run and its partner.
    fn differences(&self, removed: &Config, partner: Partner) -> Vec<Difference> {
        let (dropped, changed) = self.compare(removed, partner.config);
        if dropped.is_empty() && changed.is_empty() {
            return vec![Difference::Renamed { example: partner.id.to_owned() }];
        }
        // Keys of one family alone follow from the change of the family.
        let is_shared =
            |key: &&String| removed.contains_key(*key) && partner.config.contains_key(*key);
        let any_is_shared = dropped.iter().any(is_shared);
        let mut found: Vec<Difference> = dropped
            .into_iter()
            .filter(|key| !any_is_shared || is_shared(key))
            .map(|key| Difference::Dropped { key: key.clone(), value: removed.get(key).cloned() })
            .collect();
        if !partner.is_old {
            found.extend(changed.into_iter().map(|key| Difference::Value {
                key: key.clone(),
                old: removed.get(key).cloned(),
                new: partner.config.get(key).cloned(),
            }));
        } else if found.is_empty() {
            found.push(Difference::LeftOut);
        }
        found
    }
}

/// The arm of a run: the part of its id before family and depth.
fn arm<'a>(id: &'a str, config: &Config) -> &'a str {
    let [family, depth] = ["network.family", "network.depth"].map(|key| written(config.get(key)));
    id.split_once(&format!("{family}-{depth}-")).map_or("", |(arm, _)| arm)
}

/// Keys in which two configurations differ. A key that is at its default in one of them and absent
/// from the other is no difference: it was added by a later version, or with another key.
fn differing<'a>(a: &'a Config, b: &'a Config) -> Vec<&'a String> {
    let is_default =
        |config: &Config, key: &str| default_of(config, key) == config.get(key).cloned();
    let only = |here: &'a Config, there: &'a Config| {
        here.keys().filter(move |key| !there.contains_key(*key) && !is_default(here, key))
    };
    let both = a.iter().filter(|(key, value)| b.get(*key).is_some_and(|other| other != *value));
    let mut keys: Vec<&String> = both.map(|(key, _)| key).collect();
    keys.extend(only(a, b).chain(only(b, a)));
    keys.sort();
    keys
}

/// Every value of every key as text, including `absent`.
fn values<'a>(configs: impl Iterator<Item = &'a Config> + Clone) -> BTreeSet<(String, String)> {
    let keys: BTreeSet<&String> = configs.clone().flat_map(BTreeMap::keys).collect();
    let of = |config: &'a Config| {
        keys.iter().map(move |key| ((*key).clone(), written(config.get(*key)))).collect::<Vec<_>>()
    };
    configs.flat_map(of).collect()
}

fn written(value: Option<&Value>) -> String {
    match value {
        None => "absent".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

impl Changes {
    /// Whether every old run is among the present ones.
    pub fn is_empty(&self) -> bool {
        self.removed == 0
    }

    /// `24 runs` for all old runs, or else `8 of 24 runs, such as ID`.
    fn count(&self, ids: &[String]) -> String {
        match ids {
            [_] if self.old == 1 => "1 run".into(),
            _ if ids.len() == self.old => format!("{} runs", ids.len()),
            [id] => format!("1 of {} runs, {id}", self.old),
            _ => format!("{} of {} runs, such as {}", ids.len(), self.old, ids[0]),
        }
    }
}

/// One line for each difference.
impl Display for Changes {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (place, (difference, ids)) in self.differences.iter().enumerate() {
            if place == SHOWN {
                let more = self.differences.len() - SHOWN;
                return writeln!(f, "… and {more} more differences");
            }
            match difference {
                Difference::Value { key, old, new } => {
                    write!(f, "{key}: {} -> {}", written(old.as_ref()), written(new.as_ref()))?;
                }
                Difference::Dropped { key, value } => {
                    write!(f, "{key}: {} no longer swept", written(value.as_ref()))?;
                }
                Difference::Renamed { example } => {
                    let old = &ids[0];
                    write!(f, "new id, because arms or swept keys changed: {old} -> {example}")?;
                }
                Difference::LeftOut => write!(f, "combination no longer run")?,
            }
            writeln!(f, " ({})", self.count(ids))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
