//! The runs that figures and reports are about, chosen by the values of their keys.

use super::Results;
use anyhow::{Result, anyhow, bail, ensure};
use fathom_base::key::nearest;
use fathom_record::{RunCurve, SweepCurves, is_same_value, natural_order};
use std::str::FromStr;

/// The name of the seed among the keys of a [`Selection`].
const SEED: &str = "seed";

/// Conditions on runs: every key has one of the values given for it. As text, `family=plain,lr=0.1,0.3`: a part
/// without `=` is one more value of the key before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Short or full names of keys, each with parts of its values.
    conditions: Vec<(String, Vec<String>)>,
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut conditions: Vec<(String, Vec<String>)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), conditions.last_mut()) {
                (Some((key, value)), _) => {
                    conditions.push((key.trim().to_owned(), vec![value.trim().to_owned()]));
                }
                (None, Some((_, values))) => values.push(part.trim().to_owned()),
                (None, None) => {
                    return Err("expected KEY=VALUE, such as family=plain or lr=0.1,0.3".into());
                }
            }
        }
        Ok(Self { conditions })
    }
}

impl FromIterator<Selection> for Selection {
    /// All conditions together. Those on the same key add to its values.
    fn from_iter<I: IntoIterator<Item = Selection>>(all: I) -> Self {
        Self { conditions: all.into_iter().flat_map(|selection| selection.conditions).collect() }
    }
}

impl Selection {
    /// Whether it chooses all runs.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The values of each key by its name in the runs, as the runs write them.
    fn resolved(&self, curves: &SweepCurves) -> Result<Vec<(String, Vec<String>)>> {
        let mut resolved: Vec<(String, Vec<String>)> = Vec::new();
        for (name, parts) in &self.conditions {
            let axis = if name == SEED { SEED.to_owned() } else { axis(curves, name)? };
            let values = matching(parts, &axis, &values(curves, &axis))?;
            match resolved.iter_mut().find(|(known, _)| *known == axis) {
                Some((_, known)) => known.extend(values),
                None => resolved.push((axis, values)),
            }
        }
        for (_, values) in &mut resolved {
            values.sort_by(|a, b| natural_order(a, b));
            values.dedup();
        }
        Ok(resolved)
    }
}

impl Results {
    /// Keeps the runs that are chosen, and returns the conditions in words, such as `family = plain; lr = 0.1 or
    /// 0.3`, if there are any.
    ///
    /// # Errors
    /// When no run has a key or a value, with those there are, or none has all of them.
    pub fn keep(&mut self, selection: &Selection) -> Result<Option<String>> {
        if selection.is_empty() {
            return Ok(None);
        }
        let conditions = selection.resolved(&self.curves)?;
        let words: Vec<String> = conditions
            .iter()
            .map(|(axis, values)| format!("{axis} = {}", values.join(" or ")))
            .collect();
        let is_chosen = |run: &RunCurve| {
            let has = |(axis, values): &(String, Vec<String>)| {
                value(run, axis).is_some_and(|value| values.contains(&value))
            };
            conditions.iter().all(has)
        };
        self.curves.runs.retain(is_chosen);
        ensure!(!self.curves.runs.is_empty(), "no run has {}", words.join(" and "));
        let runs = &self.curves.runs;
        self.provenance.retain(|id, _| runs.iter().any(|run| run.id == *id));
        Ok(Some(words.join("; ")))
    }
}

/// The name of a key among the axes of runs, from its short or its full name.
///
/// # Errors
/// When runs do not have the key, with those in which they differ.
pub fn axis(curves: &SweepCurves, name: &str) -> Result<String> {
    let axes = curves.axes();
    let is_full = |axis: &&String| {
        curves.runs.iter().any(|run| run.keys.get(*axis).is_some_and(|it| it == name))
    };
    let found = axes.iter().find(|axis| *axis == name).or_else(|| axes.iter().find(is_full));
    found.cloned().ok_or_else(|| {
        let full = curves.runs.iter().flat_map(|run| run.keys.values());
        let meant = nearest(name, axes.iter().chain(full).map(String::as_str));
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        anyhow!("the runs do not differ in {name}, but in {}{hint}", axes.join(", "))
    })
}

/// The name of a key among the axes in which runs differ, from its short or its full name.
///
/// # Errors
/// When runs do not differ in the key, with those in which they do.
pub fn varying_axis(curves: &SweepCurves, name: &str) -> Result<String> {
    let axis = axis(curves, name)?;
    if let [only] = values(curves, &axis).as_slice() {
        let differ = |axis: &String| values(curves, axis).len() > 1;
        let others: Vec<String> = curves.axes().into_iter().filter(differ).collect();
        let others = if others.is_empty() { "no key".to_owned() } else { others.join(", ") };
        bail!("all runs have {axis} = {only}; they differ in {others}");
    }
    Ok(axis)
}

/// The value of an axis, or the seed.
fn value(run: &RunCurve, axis: &str) -> Option<String> {
    if axis == SEED { Some(run.seed.to_string()) } else { run.axes.get(axis).cloned() }
}

/// All values of an axis in natural order.
fn values(curves: &SweepCurves, axis: &str) -> Vec<String> {
    let mut values: Vec<String> = curves.runs.iter().filter_map(|run| value(run, axis)).collect();
    values.sort_by(|a, b| natural_order(a, b));
    values.dedup();
    values
}

/// The known values that parts name. Names of arms and lists have commas, so that several parts may be one value.
fn matching(parts: &[String], axis: &str, known: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = parts;
    while let [first, ..] = rest {
        let longest = (1..=rest.len()).rev().find_map(|count| {
            Some((count, known.iter().find(|value| is_same(value, &rest[..count]))?))
        });
        let Some((count, value)) = longest else {
            bail!("no run has {axis} = {first}; valid: {}", known.join(", "))
        };
        found.push(value.clone());
        rest = &rest[count..];
    }
    Ok(found)
}

/// Whether parts are a value, as text without spaces after commas or as a number.
fn is_same(value: &str, parts: &[String]) -> bool {
    value.split(',').map(str::trim).eq(parts.iter().map(String::as_str))
        || matches!(parts, [part] if is_same_value(value, part))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{run, sweep};
    use super::*;
    use fathom_record::State;

    /// The runs that are kept and the words, or the error.
    fn kept(texts: &[&str]) -> Result<(usize, String), String> {
        let mut curves = sweep();
        for run in &mut curves.runs {
            run.keys.insert("family".into(), "network.family".into());
        }
        let mut arm = run("dense", "8", 0, State::Done, &[]);
        arm.axes.insert("arm".into(), "wide, with norm".into());
        arm.axes.insert("lr".into(), "0.1".into());
        curves.runs.push(arm);
        let parse = |text: &&str| text.parse::<Selection>();
        let selection: Selection = texts.iter().map(parse).collect::<Result<_, _>>()?;
        let mut results = Results::from(curves);
        let words = results.keep(&selection).map_err(|error| error.to_string())?;
        Ok((results.curves.runs.len(), words.unwrap_or_default()))
    }

    #[test]
    fn a_run_is_kept_if_each_key_has_one_of_its_values() {
        let plain = |count| Ok((count, "family = plain".to_owned()));
        assert_eq!(kept(&[]), Ok((13, String::new())));
        assert_eq!(kept(&["family=plain"]), plain(6));
        assert_eq!(kept(&["network.family=plain"]), plain(6), "by its full name");
        let (count, words) = kept(&["family=residual,depth=8", "depth=44"]).unwrap();
        assert_eq!((count, words.as_str()), (6, "family = residual; depth = 8 or 44"));
        assert_eq!(kept(&["depth=8,44", "seed=1"]).unwrap().0, 4);
        assert_eq!(kept(&["lr=1e-1"]).unwrap(), (1, "lr = 0.1".into()), "as a number");
        assert_eq!(kept(&["arm=wide, with norm,depth=8"]).unwrap().0, 1, "a comma in a value");
    }

    #[test]
    fn keys_values_and_combinations_that_no_run_has_are_refused_with_those_there_are() {
        let refused = |text: &str| kept(&[text]).unwrap_err();
        let message = refused("famly=plain");
        assert!(
            message.contains(
                "do not differ in famly, but in arm, family, depth, lr; did you mean family?"
            ),
            "{message}"
        );
        assert_eq!(refused("depth=8,20"), "no run has depth = 20; valid: 8, 44");
        assert_eq!(refused("seed=7"), "no run has seed = 7; valid: 0, 1, 2");
        assert_eq!(refused("family=plain,lr=0.1"), "no run has family = plain and lr = 0.1");
        assert!(refused("plain").starts_with("expected KEY=VALUE"));
    }

    #[test]
    fn a_key_that_distinguishes_runs_has_several_values() {
        let curves = SweepCurves {
            runs: vec![
                run("plain", "8", 0, State::Done, &[]),
                run("plain", "44", 0, State::Done, &[]),
            ],
        };
        assert_eq!(varying_axis(&curves, "depth").unwrap(), "depth");
        let message = varying_axis(&curves, "family").unwrap_err().to_string();
        assert_eq!(message, "all runs have family = plain; they differ in depth");
    }
}
