//! What became of an experiment since its results were begun, key by key. Runs are named by a hash
//! of their configuration, so every old run that is no longer there is held against the present
//! one that agrees with it in most keys.

use super::resolve::{Config, default_of};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

/// Configurations by run id.
type Configs = BTreeMap<String, Config>;

/// How the runs of an experiment differ from those of old. None do where the present ones are all
/// of the old ones and perhaps more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// How many old runs the experiment does not have any more.
    pub strangers: usize,
    /// How many old runs there are.
    pub old: usize,
    /// Every difference with the strangers that show it, those of most runs first.
    differences: Vec<(Difference, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Difference {
    /// Another value; none where the key does nothing.
    Value { key: String, old: Option<Value>, new: Option<Value> },
    /// A value that was taken out of an axis.
    Dropped { key: String, value: Option<Value> },
    /// The same configuration under another name: arms or axes were added, renamed or removed.
    Renamed { example: String },
    /// A combination of values that are all still there.
    LeftOut,
}

/// More differences than these are counted only: it is another experiment then.
const SHOWN: usize = 8;

/// Differences between the runs of old and the present ones.
pub fn changes(old: &Configs, new: &Configs) -> Changes {
    changes_among(old, old, new)
}

/// The same for the runs of old that have `begun`; `recorded` are those that were planned with
/// them, which tell a value that was removed from one that was changed.
pub fn changes_among(begun: &Configs, recorded: &Configs, new: &Configs) -> Changes {
    let known = |id: &String| begun.contains_key(id) || recorded.contains_key(id);
    let values =
        Values { old: values(begun.values().chain(recorded.values())), new: values(new.values()) };
    let mut used = BTreeSet::new();
    let mut differences: Vec<(Difference, Vec<String>)> = Vec::new();
    let strangers: Vec<_> = begun.iter().filter(|(id, _)| !new.contains_key(*id)).collect();
    for (id, config) in &strangers {
        // One of the same arm if any. A run that is no news stands only for one that fell out
        // beside it. Among equals rather one that is new, and that no other stranger has.
        let arm = arm(id, config);
        let partner = new.iter().min_by_key(|(other, there)| {
            let (dropped, changed) = values.compare(config, there);
            let count = dropped.len() + changed.len();
            let says_nothing = known(other) && dropped.is_empty() && count > 0;
            let is_astray = arm != self::arm(other, there);
            (is_astray, says_nothing, count, known(other), used.contains(*other))
        });
        let found = match partner {
            None => vec![Difference::LeftOut],
            Some((other, there)) => {
                used.insert(other.clone());
                values.differences(config, (other, there), known(other))
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
    Changes { strangers: strangers.len(), old: begun.len(), differences }
}

/// The values that keys had and have, as text.
struct Values {
    old: BTreeSet<(String, String)>,
    new: BTreeSet<(String, String)>,
}

impl Values {
    /// The keys that tell a stranger from a partner. First those whose value is gone from the file
    /// while what stands against it was there before: it was taken out of an axis. Then the rest.
    fn compare<'a>(
        &self,
        stranger: &'a Config,
        partner: &'a Config,
    ) -> (Vec<&'a String>, Vec<&'a String>) {
        let has = |values: &BTreeSet<(String, String)>, key: &str, config: &Config| {
            values.contains(&(key.to_owned(), written(config.get(key))))
        };
        differing(stranger, partner)
            .into_iter()
            .partition(|key| !has(&self.new, key, stranger) && has(&self.old, key, partner))
    }

    /// What tells a stranger from its partner.
    fn differences(
        &self,
        stranger: &Config,
        (id, partner): (&String, &Config),
        partner_is_old: bool,
    ) -> Vec<Difference> {
        let (dropped, changed) = self.compare(stranger, partner);
        if dropped.is_empty() && changed.is_empty() {
            return vec![Difference::Renamed { example: id.clone() }];
        }
        // A family takes its own keys with it; they need no telling.
        let leads = |key: &&String| stranger.contains_key(*key) && partner.contains_key(*key);
        let any_leads = dropped.iter().any(leads);
        let mut found: Vec<Difference> = dropped
            .into_iter()
            .filter(|key| !any_leads || leads(key))
            .map(|key| Difference::Dropped { key: key.clone(), value: stranger.get(key).cloned() })
            .collect();
        if !partner_is_old {
            found.extend(changed.into_iter().map(|key| Difference::Value {
                key: key.clone(),
                old: stranger.get(key).cloned(),
                new: partner.get(key).cloned(),
            }));
        } else if found.is_empty() {
            found.push(Difference::LeftOut);
        }
        found
    }
}

/// What stands in an id before family and depth: the arm, which is no key.
fn arm<'a>(id: &'a str, config: &Config) -> &'a str {
    let [family, depth] = ["network.family", "network.depth"].map(|key| written(config.get(key)));
    id.split_once(&format!("{family}-{depth}-")).map_or("", |(arm, _)| arm)
}

/// Keys in which two configurations differ. One that is at its default on the one side and absent
/// on the other makes no difference: it came with a later version, or with another key.
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

/// Every value of every key, as text; of absent ones too.
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
        self.strangers == 0
    }

    /// `24 runs`, or `8 of 24 runs, such as …` where it is not all of them.
    fn count(&self, ids: &[String]) -> String {
        match ids {
            [_] if self.old == 1 => "1 run".into(),
            _ if ids.len() == self.old => format!("{} runs", ids.len()),
            [id] => format!("1 of {} runs, {id}", self.old),
            _ => format!("{} of {} runs, such as {}", ids.len(), self.old, ids[0]),
        }
    }
}

/// A line for every difference, and nothing when there is none.
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
                    write!(f, "another name, as arms or swept keys changed: {old} -> {example}")?;
                }
                Difference::LeftOut => write!(f, "no longer among the combinations")?,
            }
            writeln!(f, " ({})", self.count(ids))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
