//! The runs that a claim compares, found by their configurations.

#![deny(clippy::wildcard_enum_match_arm)]

mod candidates;

pub use candidates::Candidates;

use super::SpecError;
use super::claim::{Claim, Relation, Selector};
use super::epochs::has_value;
use super::resolve::{Config, agree, default_of};
use fathom_base::key::nearest;
use fathom_record::{Seed, seed};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// What a claim compares: the weighted sum of the values of its arms.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// One arm for a bound, two for a comparison, and one for each value of the key of a trend.
    pub arms: Vec<Arm>,
    /// The keys of `also_differs` in which the arms differ, such as `training.lr (0.01, 0.1)`.
    pub declared: Vec<String>,
}

/// One side of a comparison: one configuration, or one for each value of the tuned key.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Name for a reader, such as `plain 44`.
    pub label: String,
    /// Weight in the sum.
    pub weight: f64,
    /// Its configurations, by ascending value of the tuned key.
    pub candidates: Vec<TuneCandidate>,
}

/// One value of the tuned key with the runs that have it.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneCandidate {
    /// The value of the tuned key; `None` for a claim without tuning.
    pub value: Option<Value>,
    /// Run ids by seed.
    pub runs: BTreeMap<Seed, String>,
}

impl Contrast {
    /// Finds the runs of a claim.
    ///
    /// # Errors
    /// If there is no such metric, if a selector matches no configuration or several, or if the arms
    /// differ in a key that the claim does not name.
    pub fn of(claim: &Claim, candidates: &Candidates) -> Result<Self, SpecError> {
        let finder = Finder { claim, candidates };
        let found = candidates.check_measure(&claim.measure).and_then(|()| finder.find());
        found.map_err(|message| SpecError {
            place: claim.place.clone(),
            message: format!("claim \"{}\": {message}", claim.name),
        })
    }

    /// Seeds and ids of all its runs.
    pub fn runs(&self) -> impl Iterator<Item = (Seed, &String)> {
        let candidates = self.arms.iter().flat_map(|arm| &arm.candidates);
        candidates.flat_map(|candidate| candidate.runs.iter().map(|(seed, id)| (*seed, id)))
    }
}

struct Finder<'a> {
    claim: &'a Claim,
    candidates: &'a Candidates,
}

/// Runs that differ in the seed and the tuned key alone.
struct Group<'a> {
    /// Their configuration without these two keys.
    config: Config,
    /// Ids and whole configurations.
    runs: Vec<(&'a String, &'a Config)>,
}

impl<'a> Finder<'a> {
    fn find(&self) -> Result<Contrast, String> {
        self.claim.named_keys().into_iter().try_for_each(|key| self.candidates.check_key(key))?;
        let (arms, configs): (Vec<Arm>, Vec<Config>) = match &self.claim.relation {
            Relation::Higher { higher, lower, .. } => self.two(higher, lower)?,
            Relation::NoWorse { of, than: other, .. } | Relation::Same { of, as_: other, .. } => {
                self.two(of, other)?
            }
            Relation::Bound { of, .. } => {
                let (arm, config) = self.arm(of, 1.0)?;
                (vec![arm], vec![config])
            }
            Relation::Trend { of, over, .. } => self.trend(of, over)?,
        };
        let declared = self.differences(&configs)?;
        Ok(Contrast { arms, declared })
    }

    fn two(&self, plus: &Selector, minus: &Selector) -> Result<(Vec<Arm>, Vec<Config>), String> {
        let (first, second) = (self.arm(plus, 1.0)?, self.arm(minus, -1.0)?);
        if first.0.candidates == second.0.candidates {
            return Err(format!("{} is compared with itself", first.0.label));
        }
        Ok((vec![first.0, second.0], vec![first.1, second.1]))
    }

    /// The one configuration that a selector names.
    fn arm(&self, selector: &Selector, weight: f64) -> Result<(Arm, Config), String> {
        let tuned = self.claim.tune.as_ref().map(|tune| tune.over.as_str());
        let mut groups = self.groups(selector, tuned)?;
        if let Some(key) = tuned {
            groups = joined(groups, key);
        }
        let label = selector.label();
        if groups.len() > 1 {
            return Err(several(&label, &groups));
        }
        let Group { config, runs } = groups.remove(0);
        let candidates = tune_candidates(&runs, tuned, &label)?;
        Ok((Arm { label, weight, candidates }, config))
    }

    /// One arm for each value of a key, weighted so that the sum is the rise of the least-squares line
    /// from the least to the greatest value.
    fn trend(&self, of: &Selector, over: &str) -> Result<(Vec<Arm>, Vec<Config>), String> {
        let mut values: Vec<(f64, Value)> = Vec::new();
        for (_, config) in self.matching(of)? {
            let value = config.get(over).cloned().unwrap_or(Value::Null);
            let number = value
                .as_f64()
                .ok_or_else(|| format!("{over} = {value}: a trend needs a numeric key"))?;
            if !values.iter().any(|(_, known)| *known == value) {
                values.push((number, value));
            }
        }
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        if values.len() < 3 {
            let count = values.len();
            return Err(format!(
                "{} has {count} values of {over}: a trend needs at least three; compare two by \
                 higher and lower",
                in_words(&of.label())
            ));
        }
        let weights = slope(&values.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        let pinned = |value: &Value| {
            let mut selector = of.clone();
            selector.keys.insert(over.to_owned(), value.clone());
            selector
        };
        let arms = values.iter().zip(weights);
        let arms = arms.map(|((_, value), weight)| self.arm(&pinned(value), weight));
        Ok(arms.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
    }

    fn matching(&self, selector: &Selector) -> Result<Vec<(&'a String, &'a Config)>, String> {
        let Candidates { configs, arms, .. } = self.candidates;
        let matches = |id: &String, config: &Config| {
            selector.arm.as_ref().is_none_or(|arm| arms.get(id) == Some(arm))
                && selector.keys.iter().all(|(key, value)| has_value(config, key, value))
        };
        let found: Vec<_> = configs.iter().filter(|(id, config)| matches(id, config)).collect();
        if found.is_empty() { Err(self.nothing(selector)) } else { Ok(found) }
    }

    /// Why no run matches: the first value that no run has, or else the combination of values.
    fn nothing(&self, selector: &Selector) -> String {
        let Candidates { configs, arms, .. } = self.candidates;
        let absent = |key: &str, value: String, known: BTreeSet<String>| {
            let mut valid = Vec::from_iter(known);
            valid.sort_by(|a, b| fathom_record::natural_order(a, b));
            (!valid.contains(&value)).then(|| match valid.as_slice() {
                [] if key == "arm" => format!("there is no arm {value}: the runs have no arms"),
                [] => format!("no run has {key}"),
                _ => {
                    let words = valid.iter().map(String::as_str).filter(|it| it.starts_with('"'));
                    let meant =
                        nearest(&value, words).map(|meant| format!("; did you mean {meant}?"));
                    let hint = meant.unwrap_or_default();
                    format!("no run has {key} = {value}; valid: {}{hint}", valid.join(", "))
                }
            })
        };
        let quoted = |name: &String| format!("\"{name}\"");
        let arm = selector.arm.as_ref();
        let arm =
            arm.and_then(|arm| absent("arm", quoted(arm), arms.values().map(quoted).collect()));
        let key = || {
            selector.keys.iter().find_map(|(key, value)| {
                let known = configs.values().filter_map(|config| config.get(key));
                absent(key, value.to_string(), known.map(Value::to_string).collect())
            })
        };
        arm.or_else(key)
            .unwrap_or_else(|| format!("no run has the combination {}", selector.label()))
    }

    /// The runs that a selector matches, grouped by configuration without the seed and the tuned key.
    fn groups(&self, selector: &Selector, tuned: Option<&str>) -> Result<Vec<Group<'a>>, String> {
        let mut groups: Vec<Group> = Vec::new();
        for run in self.matching(selector)? {
            let mut config = run.1.clone();
            config.retain(|key, _| key != "seed" && tuned != Some(key.as_str()));
            match groups.iter_mut().find(|known| known.config == config) {
                Some(group) => group.runs.push(run),
                None => groups.push(Group { config, runs: vec![run] }),
            }
        }
        Ok(groups)
    }

    /// Refuses differences between arms in keys that the claim does not name, and returns those in
    /// keys of `also_differs`.
    fn differences(&self, configs: &[Config]) -> Result<Vec<String>, String> {
        let mut named = self.claim.named_keys();
        if self.claim.names_arms() {
            named.extend(self.candidates.arm_keys.iter().map(String::as_str));
        }
        let keys: BTreeSet<&String> = configs.iter().flat_map(|config| config.keys()).collect();
        let (mut confounders, mut declared) = (Vec::new(), Vec::new());
        for key in keys {
            let mut values: Vec<String> = Vec::new();
            for config in configs {
                // A key that only some families have is no difference while it is at its default.
                let is_implied = match config.get(key) {
                    None => true,
                    Some(value) => {
                        default_of(config, key).as_ref() == Some(value)
                            && configs.iter().any(|other| !other.contains_key(key))
                    }
                };
                let text = config.get(key).map(Value::to_string).unwrap_or_default();
                if !is_implied && !values.contains(&text) {
                    values.push(text);
                }
            }
            let everywhere = configs.iter().all(|config| config.contains_key(key));
            if values.len() < 2 && (everywhere || values.is_empty()) {
                continue;
            }
            let difference = (key, format!("{key} ({})", values.join(", ")));
            if self.claim.also_differs.contains(key) {
                declared.push(difference.1);
            } else if !named.contains(key.as_str()) {
                confounders.push(difference);
            }
        }
        if confounders.is_empty() {
            return Ok(declared);
        }
        let (keys, differences): (Vec<String>, Vec<String>) =
            confounders.into_iter().map(|(key, text)| (format!("\"{key}\""), text)).unzip();
        Err(format!(
            "its arms differ in keys that it does not name: {}; give these keys equal values, or \
             declare the difference: also_differs = [{}]",
            differences.join(", "),
            keys.join(", "),
        ))
    }
}

/// One group instead of several that differ only in keys that follow from the tuned one, as `norm_eps` does from `norm`:
/// each value of the tuned key is in one group alone, and what two groups have is equal. Other groups stay as they are.
fn joined<'a>(groups: Vec<Group<'a>>, tuned: &str) -> Vec<Group<'a>> {
    let is_apart = |a: &Group, b: &Group| {
        let mut runs =
            a.runs.iter().flat_map(|(_, of_a)| b.runs.iter().map(move |(_, of_b)| (of_a, of_b)));
        runs.all(|(of_a, of_b)| of_a.get(tuned) != of_b.get(tuned))
    };
    let rest = |at: usize| &groups[at + 1..];
    let mut pairs =
        groups.iter().enumerate().flat_map(|(at, a)| rest(at).iter().map(move |b| (a, b)));
    if !pairs.all(|(a, b)| agree(&a.config, &b.config) && is_apart(a, b)) {
        return groups;
    }
    let joined = groups.into_iter().reduce(|mut all, next| {
        all.config.retain(|key, _| next.config.contains_key(key));
        all.runs.extend(next.runs);
        all
    });
    Vec::from_iter(joined)
}

/// The runs of an arm by their values of the tuned key, ascending.
pub(super) fn tune_candidates(
    runs: &[(&String, &Config)],
    tuned: Option<&str>,
    label: &str,
) -> Result<Vec<TuneCandidate>, String> {
    let mut candidates: Vec<TuneCandidate> = Vec::new();
    for (id, config) in runs {
        let value = tuned.and_then(|key| config.get(key)).cloned();
        let seed = seed(config).unwrap_or_default();
        let known = candidates.iter().position(|candidate| candidate.value == value);
        let place = known.unwrap_or_else(|| {
            candidates.push(TuneCandidate { value, runs: BTreeMap::new() });
            candidates.len() - 1
        });
        if candidates[place].runs.insert(seed, (*id).clone()).is_some() {
            return Err(format!("{label} has two runs with seed {seed}"));
        }
    }
    let number = |candidate: &TuneCandidate| candidate.value.as_ref().and_then(Value::as_f64);
    candidates.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
    Ok(candidates)
}

/// Weights by which the values at `xs` sum up to the rise of their least-squares line from the first
/// to the last x.
fn slope(xs: &[f64]) -> Vec<f64> {
    let mean = xs.iter().sum::<f64>() / xs.len() as f64;
    let squares: f64 = xs.iter().map(|x| (x - mean).powi(2)).sum();
    let range = xs[xs.len() - 1] - xs[0];
    xs.iter().map(|x| range * (x - mean) / squares).collect()
}

/// The label of a selector in an error.
fn in_words(label: &str) -> &str {
    if label.is_empty() { "an empty selector" } else { label }
}

/// The error for a selector that matches several configurations: the keys in which these differ.
fn several(label: &str, groups: &[Group]) -> String {
    let keys: BTreeSet<&String> = groups.iter().flat_map(|group| group.config.keys()).collect();
    let value = |group: &Group, key: &String| group.config.get(key).cloned();
    let differs = |key: &&String| groups.iter().any(|g| value(g, key) != value(&groups[0], key));
    let differing: Vec<&str> = keys.into_iter().filter(differs).map(String::as_str).collect();
    let count = groups.len();
    let label = in_words(label);
    format!("{label} matches {count} configurations, which differ in {}", differing.join(", "))
}

#[cfg(test)]
mod tests;
