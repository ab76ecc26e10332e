//! Which runs a claim compares, by their configurations.

use super::SpecError;
use super::claim::{Claim, LAYER_METRICS, Relation, Selector};
use super::resolve::{Config, default_of};
use fathom_base::key::{nearest, short};
use fathom_record::metric_columns;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The runs that a claim may be about.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Configurations by run id.
    pub configs: BTreeMap<String, Config>,
    /// The arm that each run belongs to, where the experiment has arms.
    pub arms: BTreeMap<String, String>,
    /// The keys that arms set.
    pub arm_keys: BTreeSet<String>,
    /// Columns of the runs' curves that are not fathom's own, each an extra metric.
    pub extra_columns: BTreeSet<String>,
}

impl Candidates {
    /// Checks that a metric is a column of the curves or a metric of the layers.
    ///
    /// # Errors
    /// When it is none, with the metrics there are and the nearest of them.
    fn check_metric(&self, metric: &str) -> Result<(), String> {
        let mut known: Vec<&str> = metric_columns().chain(LAYER_METRICS).collect();
        known.extend(self.extra_columns.iter().map(String::as_str));
        if known.contains(&metric) {
            return Ok(());
        }
        let meant = nearest(metric, known.iter().copied());
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        Err(format!("metric = \"{metric}\": expected one of {}{hint}", known.join(", ")))
    }
}

/// What a claim compares: the sum of its arms' values, each times its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// One for a bound, two for a comparison, one for each depth of a trend.
    pub arms: Vec<Arm>,
    /// Differences that the claim declares, in words.
    pub declared: Vec<String>,
}

/// One configuration, or where a key is tuned, one for each of its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// What a reader calls it: `plain 44`.
    pub label: String,
    /// Its weight in the sum.
    pub weight: f64,
    /// Its configurations.
    pub choices: Vec<Choice>,
}

/// One configuration over its seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Of the key that is tuned.
    pub value: Option<Value>,
    /// Ids by seed.
    pub runs: BTreeMap<u64, String>,
}

impl Contrast {
    /// Finds the runs of a claim.
    ///
    /// # Errors
    /// When there is no such metric, a selector matches no configuration or several, or the arms
    /// differ in keys that the claim does not name.
    pub fn of(claim: &Claim, candidates: &Candidates) -> Result<Self, SpecError> {
        let finder = Finder { claim, candidates };
        let found = candidates.check_metric(&claim.metric).and_then(|()| finder.find());
        found.map_err(|message| SpecError {
            place: claim.place.clone(),
            message: format!("claim \"{}\": {message}", claim.name),
        })
    }

    /// Ids of all its runs with their seeds.
    pub fn runs(&self) -> impl Iterator<Item = (u64, &String)> {
        let choices = self.arms.iter().flat_map(|arm| &arm.choices);
        choices.flat_map(|choice| choice.runs.iter().map(|(seed, id)| (*seed, id)))
    }
}

struct Finder<'a> {
    claim: &'a Claim,
    candidates: &'a Candidates,
}

/// A configuration but for its seed and what else was taken out, and the runs that share it.
type Group<'a> = (Config, Vec<(&'a String, &'a Config)>);

impl<'a> Finder<'a> {
    fn find(&self) -> Result<Contrast, String> {
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
        if first.0.choices == second.0.choices {
            return Err(format!("{} is compared with itself", first.0.label));
        }
        Ok((vec![first.0, second.0], vec![first.1, second.1]))
    }

    /// The one configuration that a selector names.
    fn arm(&self, selector: &Selector, weight: f64) -> Result<(Arm, Config), String> {
        let tuned = self.claim.tune.as_ref().map(|tune| tune.over.as_str());
        let without = tuned.into_iter().collect();
        let mut groups = self.groups(selector, &without)?;
        let label = label(selector);
        if groups.len() > 1 {
            return Err(several(&label, &groups));
        }
        let (config, runs) = groups.remove(0);
        let choices = choices(&runs, tuned, &label)?;
        Ok((Arm { label, weight, choices }, config))
    }

    /// One arm for each value of a key, weighted so that the sum is the rise of the least-squares line
    /// from the least to the greatest value.
    fn trend(&self, of: &Selector, over: &str) -> Result<(Vec<Arm>, Vec<Config>), String> {
        let mut values: Vec<(f64, Value)> = Vec::new();
        for (_, config) in self.matching(of)? {
            let value = config.get(over).cloned().unwrap_or(Value::Null);
            let number = value
                .as_f64()
                .ok_or_else(|| format!("{over} = {value}: a trend is over numbers"))?;
            if !values.iter().any(|(_, known)| *known == value) {
                values.push((number, value));
            }
        }
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        if values.len() < 3 {
            let count = values.len();
            return Err(format!(
                "{} has {count} of {over}: a trend needs three; two are a comparison (higher, lower)",
                label(of)
            ));
        }
        let weights = slope(&values.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        let pinned = |value: &Value| {
            let mut selector = of.clone();
            selector.insert(over.to_owned(), value.clone());
            selector
        };
        let arms = values.iter().zip(weights);
        let arms = arms.map(|((_, value), weight)| self.arm(&pinned(value), weight));
        Ok(arms.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
    }

    fn matching(&self, selector: &Selector) -> Result<Vec<(&'a String, &'a Config)>, String> {
        let Candidates { configs, arms, .. } = self.candidates;
        let matches = |id: &String, config: &Config| {
            selector.iter().all(|(key, value)| match key.as_str() {
                "arm" => arms.get(id).map(String::as_str) == value.as_str(),
                key => config.get(key) == Some(value),
            })
        };
        let found: Vec<_> = configs.iter().filter(|(id, config)| matches(id, config)).collect();
        if found.is_empty() { Err(self.nothing(selector)) } else { Ok(found) }
    }

    /// Why no run matches: the first key of which no run has the value, or their combination.
    fn nothing(&self, selector: &Selector) -> String {
        let Candidates { configs, arms, .. } = self.candidates;
        for (key, value) in selector {
            let known: BTreeSet<String> = match key.as_str() {
                "arm" => arms.values().map(|name| format!("\"{name}\"")).collect(),
                key => configs.values().filter_map(|c| c.get(key)).map(Value::to_string).collect(),
            };
            if !known.contains(&value.to_string()) {
                let mut known: Vec<String> = known.into_iter().collect();
                known.sort_by(|a, b| fathom_record::natural_order(a, b));
                return match known.len() {
                    0 => format!("no run has {key}"),
                    _ => format!("no run has {key} = {value}; there is {}", known.join(", ")),
                };
            }
        }
        format!("no run has all of {}", label(selector))
    }

    /// The runs that a selector matches, gathered by configuration without these keys and the seed.
    fn groups(
        &self,
        selector: &Selector,
        without: &BTreeSet<&str>,
    ) -> Result<Vec<Group<'a>>, String> {
        let mut groups: Vec<Group> = Vec::new();
        for (id, config) in self.matching(selector)? {
            let mut rest = config.clone();
            rest.retain(|key, _| key != "seed" && !without.contains(key.as_str()));
            match groups.iter_mut().find(|(known, _)| *known == rest) {
                Some((_, runs)) => runs.push((id, config)),
                None => groups.push((rest, vec![(id, config)])),
            }
        }
        Ok(groups)
    }

    /// Refuses differences between arms that the claim does not name; returns those it declares.
    fn differences(&self, configs: &[Config]) -> Result<Vec<String>, String> {
        let mut named = self.claim.named();
        if named.contains("arm") {
            named.extend(self.candidates.arm_keys.iter().map(String::as_str));
        }
        let keys: BTreeSet<&String> = configs.iter().flat_map(|config| config.keys()).collect();
        let (mut confounders, mut declared) = (Vec::new(), Vec::new());
        for key in keys {
            let mut values: Vec<String> = Vec::new();
            for config in configs {
                // What only one family has comes with the family, while it is as by default.
                let comes_along = match config.get(key) {
                    None => true,
                    Some(value) => {
                        default_of(config, key).as_ref() == Some(value)
                            && configs.iter().any(|other| !other.contains_key(key))
                    }
                };
                let text = config.get(key).map(Value::to_string).unwrap_or_default();
                if !comes_along && !values.contains(&text) {
                    values.push(text);
                }
            }
            let everywhere = configs.iter().all(|config| config.contains_key(key));
            if values.len() < 2 && (everywhere || values.is_empty()) {
                continue;
            }
            let told = format!("{} ({})", key, values.join(", "));
            if self.claim.also_differs.contains(key) {
                declared.push(told);
            } else if !named.contains(key.as_str()) {
                confounders.push(told);
            }
        }
        if confounders.is_empty() {
            return Ok(declared);
        }
        Err(format!(
            "its arms differ in what it does not name: {}; make them equal, or say also_differs = [{}]",
            confounders.join(", "),
            confounders
                .iter()
                .filter_map(|told| told.split(' ').next())
                .map(|key| format!("\"{key}\""))
                .collect::<Vec<_>>()
                .join(", "),
        ))
    }
}

/// A configuration for each value of the tuned key, or just one.
fn choices(
    runs: &[(&String, &Config)],
    tuned: Option<&str>,
    label: &str,
) -> Result<Vec<Choice>, String> {
    let mut choices: Vec<Choice> = Vec::new();
    for (id, config) in runs {
        let value = tuned.and_then(|key| config.get(key)).cloned();
        let seed = config.get("seed").and_then(Value::as_u64).unwrap_or_default();
        let choice = match choices.iter_mut().find(|choice| choice.value == value) {
            Some(choice) => choice,
            None => {
                choices.push(Choice { value, runs: BTreeMap::new() });
                choices.last_mut().ok_or("no choice")?
            }
        };
        if choice.runs.insert(seed, (*id).clone()).is_some() {
            return Err(format!("{label} has two runs of seed {seed}"));
        }
    }
    let number = |choice: &Choice| choice.value.as_ref().and_then(Value::as_f64);
    choices.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(std::cmp::Ordering::Equal));
    Ok(choices)
}

/// Weights whose sum over values is the rise of the least-squares line from the first to the last x.
fn slope(xs: &[f64]) -> Vec<f64> {
    let mean = xs.iter().sum::<f64>() / xs.len() as f64;
    let squares: f64 = xs.iter().map(|x| (x - mean).powi(2)).sum();
    let range = xs[xs.len() - 1] - xs[0];
    xs.iter().map(|x| range * (x - mean) / squares).collect()
}

/// `plain 44 lr=0.1`: family and depth bare and first.
fn label(selector: &Selector) -> String {
    let is_named = ["arm", "network.family"].iter().any(|key| selector.contains_key(*key));
    let mut parts: Vec<(usize, String)> = selector
        .iter()
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match key.as_str() {
                "arm" => (0, text),
                "network.family" => (1, text),
                "network.depth" if is_named => (2, text),
                key => (3, format!("{}={text}", short(key))),
            }
        })
        .collect();
    parts.sort();
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

/// Which keys a selector should name besides.
fn several(label: &str, groups: &[Group]) -> String {
    let keys: BTreeSet<&String> = groups.iter().flat_map(|(config, _)| config.keys()).collect();
    let differs =
        |key: &&&String| groups.iter().any(|(c, _)| c.get(**key) != groups[0].0.get(**key));
    let differing: Vec<String> = keys.iter().filter(differs).map(|key| (*key).clone()).collect();
    let count = groups.len();
    format!("{label} matches {count} configurations, which differ in {}", differing.join(", "))
}

#[cfg(test)]
mod tests;
