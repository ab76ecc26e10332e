//! Pairs of configurations that differ in the compared key alone.

use super::keys::{Keys, rank};
use anyhow::{Result, bail};
use fathom_base::key::short;
use fathom_base::plain;
use fathom_record::{Seed, natural_order, natural_order_of_parts, seed};
use fathom_spec::{Config, TuneCandidate, agree};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Runs that differ in the seed and the swept key alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// Value of the compared key.
    pub value: String,
    /// Name for a reader, such as `plain 44 norm none`.
    pub label: String,
    /// Its runs by ascending value of the swept key.
    pub candidates: Vec<TuneCandidate>,
    /// The configuration without seed, compared key and swept key.
    config: Config,
}

/// A group of the baseline, and one of another value with an equal configuration otherwise.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    baseline: Group,
    other: Group,
    /// Values of [`Pairs::axes`].
    pub axes: Vec<String>,
}

/// All pairs of a sweep.
pub(super) struct Pairs {
    /// The pairs.
    pub pairs: Vec<Pair>,
    /// Short names of the keys in which pairs differ from one another.
    pub axes: Vec<String>,
    /// Labels of what has no partner.
    pub alone: Vec<String>,
    /// Full names of keys that only one side of a pair has, and of those that arms set.
    pub along: BTreeSet<String>,
    /// The reason why there are no pairs, if there are none.
    pub obstacle: String,
}

impl Group {
    /// Whether a configuration is equal to this one in every key that both have. A key that only one of
    /// them has is without effect in the other, which follows from the compared key.
    fn corresponds(&self, other: &Self) -> bool {
        agree(&self.config, &other.config)
    }

    fn has(&self, value: &Option<Value>) -> bool {
        self.candidates.iter().any(|candidate| candidate.value == *value)
    }
}

impl Pair {
    /// The baseline and the other side.
    pub fn sides(&self) -> [&Group; 2] {
        [&self.baseline, &self.other]
    }

    /// The pair for a reader.
    pub fn name(&self) -> String {
        format!("{} − {}", self.other.label, self.baseline.label)
    }

    /// Whether a candidate has the smallest or largest of several numbers that its side tried.
    pub fn is_at_edge(&self, side: usize, candidate: &TuneCandidate) -> bool {
        let all = &self.sides()[side].candidates;
        let ends = [all.first(), all.last()];
        let is_number = candidate.value.as_ref().is_some_and(Value::is_number);
        is_number && all.len() > 1 && ends.contains(&Some(candidate))
    }
}

impl Pairs {
    /// Pairs the configurations of the first of the `values` with those of each other value. `best` is
    /// the full name of the swept key, and `is_asked` says that the user named it.
    ///
    /// # Errors
    /// When keys that follow from the swept one have several values at one of its values.
    pub fn of(keys: &Keys, values: &[String], best: Option<&str>, is_asked: bool) -> Result<Self> {
        let mut groups = groups(keys, best, &BTreeSet::new())?;
        if is_asked {
            let dependent = dependent(&groups);
            if !dependent.is_empty() {
                groups = self::groups(keys, best, &dependent)?;
            }
        }
        let with =
            |value: &str| groups.iter().filter(|group| group.value == value).collect::<Vec<_>>();
        let mut pairs = Vec::new();
        let (mut axes, mut along) = (BTreeMap::new(), keys.of_arms.clone());
        for baseline in with(&values[0]) {
            let others = values[1..].iter().flat_map(|value| with(value));
            for other in others.filter(|other| other.corresponds(baseline)) {
                for (key, value) in baseline.config.iter().chain(&other.config) {
                    axes.entry(key.clone()).or_insert_with(BTreeSet::new).insert(plain(value));
                    let both = [baseline, other].iter().all(|it| it.config.contains_key(key));
                    if !both {
                        along.insert(key.clone());
                    }
                }
                let (baseline, other) = (baseline.clone(), other.clone());
                pairs.push(Pair { baseline, other, axes: Vec::new() });
            }
        }
        let mut varying: Vec<String> =
            axes.into_iter().filter(|(_, v)| v.len() > 1).map(|it| it.0).collect();
        varying.sort_by_key(|key| rank(key));
        for pair in &mut pairs {
            let value = |key| pair.other.config.get(key).or_else(|| pair.baseline.config.get(key));
            pair.axes =
                varying.iter().map(|key| value(key).map(plain).unwrap_or_default()).collect();
        }
        let mut alone = alone(&groups, &pairs, best);
        let lacking = keys.configs.values().filter(|config| !config.contains_key(&keys.over));
        match lacking.count() {
            0 => {}
            1 => alone.push(format!("1 run without the key {}", short(&keys.over))),
            count => alone.push(format!("{count} runs without the key {}", short(&keys.over))),
        }
        let axes = varying.iter().map(|key| short(key).to_owned()).collect();
        let obstacle = match pairs.is_empty() {
            true => obstacle(&groups, &values[0]),
            false => String::new(),
        };
        Ok(Self { pairs, axes, alone, along, obstacle })
    }

    /// Whether any side has several values of the swept key.
    pub fn is_swept(&self) -> bool {
        let mut sides = self.pairs.iter().flat_map(Pair::sides);
        sides.any(|side| side.candidates.len() > 1)
    }

    /// Ids of all runs of the pairs.
    pub fn ids(&self) -> BTreeSet<String> {
        let sides = self.pairs.iter().flat_map(Pair::sides);
        let candidates = sides.flat_map(|side| &side.candidates);
        candidates.flat_map(|candidate| candidate.runs.values().cloned()).collect()
    }

    /// Seeds of all runs of the pairs.
    pub fn seeds(&self) -> BTreeSet<Seed> {
        let sides = self.pairs.iter().flat_map(Pair::sides);
        let candidates = sides.flat_map(|side| &side.candidates);
        candidates.flat_map(|candidate| candidate.runs.keys().copied()).collect()
    }
}

/// Keys that follow from the swept one, as `norm_eps` does from `norm`: only one of two groups has them that are equal
/// otherwise, and have no value of the swept key in common.
fn dependent(groups: &[Group]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, a) in groups.iter().enumerate() {
        let is_other = |b: &&Group| {
            a.value == b.value
                && a.corresponds(b)
                && !a.candidates.iter().any(|it| b.has(&it.value))
        };
        for b in groups[at + 1..].iter().filter(is_other) {
            let keys = a.config.keys().chain(b.config.keys());
            let is_in_one =
                |key: &&String| !(a.config.contains_key(*key) && b.config.contains_key(*key));
            found.extend(keys.filter(is_in_one).cloned());
        }
    }
    found
}

/// All groups, in the order of their labels; runs of a group may differ in the `dependent` keys.
///
/// # Errors
/// When runs of one group, seed and value of the swept key differ in a dependent key.
fn groups(keys: &Keys, best: Option<&str>, dependent: &BTreeSet<String>) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for (id, whole) in &keys.configs {
        let Some(value) = whole.get(&keys.over).map(plain) else { continue };
        let mut config = whole.clone();
        let is_apart = |key: &str| {
            key == "seed"
                || key == keys.over
                || best == Some(key)
                || keys.of_arms.contains(key)
                || dependent.contains(key)
        };
        config.retain(|key, _| !is_apart(key));
        let known = groups.iter().position(|it| it.value == value && it.config == config);
        let place = known.unwrap_or_else(|| {
            let label = label(keys, &config, &value);
            groups.push(Group { value, label, candidates: Vec::new(), config });
            groups.len() - 1
        });
        let rate = best.and_then(|key| whole.get(key)).cloned();
        let seed = seed(whole).unwrap_or_default();
        let Group { candidates, label, .. } = &mut groups[place];
        match candidates.iter_mut().find(|candidate| candidate.value == rate) {
            Some(candidate) => {
                let earlier = candidate.runs.insert(seed, id.clone());
                let earlier = earlier.and_then(|earlier| keys.configs.get(&earlier));
                let differs = |key: &&String| {
                    earlier.is_some_and(|earlier| earlier.get(*key) != whole.get(*key))
                };
                if let (Some(key), Some(best)) = (dependent.iter().find(differs), best) {
                    let (best, key) = (short(best), short(key));
                    let rate = rate.as_ref().map(plain).unwrap_or_default();
                    bail!(
                        "--best {best}: at {best} {rate} the runs of {label} also differ in {key}, which not all \
                         values of {best} have"
                    );
                }
            }
            None => {
                candidates.push(TuneCandidate { value: rate, runs: [(seed, id.clone())].into() })
            }
        }
    }
    let text = |candidate: &TuneCandidate| candidate.value.as_ref().map(plain).unwrap_or_default();
    for group in &mut groups {
        group.candidates.sort_by(|a, b| natural_order(&text(a), &text(b)));
    }
    groups.sort_by(|a, b| natural_order_of_parts(&a.label, &b.label, ' '));
    Ok(groups)
}

/// A configuration by the keys in which runs differ, such as `plain 44 norm none`.
fn label(keys: &Keys, config: &Config, value: &str) -> String {
    let mut varying: Vec<&String> =
        config.keys().filter(|key| keys.values(key).len() > 1).collect();
    varying.sort_by_key(|key| rank(key));
    let part = |key: &String| match key.as_str() {
        "network.family" | "network.depth" => plain(&config[key]),
        _ => format!("{} {}", short(key), plain(&config[key])),
    };
    let parts = varying.into_iter().map(part);
    let parts = parts.chain([match short(&keys.over) {
        "arm" | "family" => value.to_owned(),
        name => format!("{name} {value}"),
    }]);
    parts.collect::<Vec<_>>().join(" ")
}

/// The keys in which the most similar configurations differ, in a sentence.
fn obstacle(groups: &[Group], baseline: &str) -> String {
    let (these, others): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| group.value == baseline);
    let differing = |(a, b): (&Group, &Group)| -> Vec<String> {
        let both = a
            .config
            .iter()
            .filter(|(key, value)| b.config.get(*key).is_some_and(|other| other != *value));
        both.map(|(key, _)| short(key).to_owned()).collect()
    };
    let all = these.iter().flat_map(|a| others.iter().map(|b| differing((a, b))));
    let keys = all.min_by_key(Vec::len).unwrap_or_default();
    format!(
        "no configurations differ in it alone; the most similar ones also differ in {}",
        keys.join(", ")
    )
}

/// Labels of groups without a partner, and of groups whose partners lack some values of the swept key.
fn alone(groups: &[Group], pairs: &[Pair], best: Option<&str>) -> Vec<String> {
    let mut alone = Vec::new();
    for group in groups {
        let partners: Vec<&Group> = pairs
            .iter()
            .map(Pair::sides)
            .filter(|sides| sides.contains(&group))
            .flatten()
            .filter(|side| *side != group)
            .collect();
        let lacks =
            |candidate: &&TuneCandidate| !partners.iter().any(|it| it.has(&candidate.value));
        let lacking: Vec<&TuneCandidate> = group.candidates.iter().filter(lacks).collect();
        let text =
            |candidate: &&TuneCandidate| candidate.value.as_ref().map(plain).unwrap_or_default();
        if partners.is_empty() {
            alone.push(group.label.clone());
        } else if let (Some(key), false) = (best, lacking.is_empty()) {
            let values: Vec<String> = lacking.iter().map(text).collect();
            alone.push(format!("{} at {} {}", group.label, short(key), values.join(", ")));
        }
    }
    alone
}
