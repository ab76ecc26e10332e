//! The combinations of the values that an experiment file gives: arms, swept values, and overrides.

use super::SpecError;
use super::file::{File, Given, Values};
use super::resolve::default_of;
use serde_json::Value;
use std::collections::BTreeMap;

/// The values of every combination, with the name of its arm.
pub(super) struct Combinations {
    pub all: Vec<(Option<String>, Values)>,
    /// Remarks for the user: overrides without an effect.
    pub remarks: Vec<String>,
}

/// All combinations of arms and swept values, with overrides applied.
///
/// # Errors
/// When an arm sets a key that is swept, which would take its place; and when an override matches no combination, unless
/// `--set` may have taken these away: then that is a remark.
pub(super) fn combinations(file: &File, is_whole: bool) -> Result<Combinations, SpecError> {
    let mut all = over_arms(file)?;
    for (name, (values, place)) in &file.sweep {
        let with = |(arm, given): (Option<String>, Values)| {
            values.iter().map(move |value| {
                let mut given = given.clone();
                given.insert(name.clone(), Given { value: value.clone(), place: place.clone() });
                (arm.clone(), given)
            })
        };
        all = all.into_iter().flat_map(with).collect();
    }
    let mut remarks = Vec::new();
    for over in &file.overrides {
        let matching = all.iter_mut().filter(|(_, given)| {
            over.when.iter().all(|(name, wanted)| value(given, name) == Some(wanted.value.clone()))
        });
        let mut count = 0;
        for (_, given) in matching {
            given.extend(over.set.clone());
            count += 1;
        }
        let wanted = over.when.iter().next().filter(|_| count == 0);
        if let Some((_, Given { place, .. })) = wanted {
            let message = "[[override]]: no combination has the values of when";
            if is_whole {
                return Err(SpecError { place: place.clone(), message: message.into() });
            }
            remarks.push(format!("{place}: {message}"));
        }
    }
    Ok(Combinations { all, remarks })
}

/// The values of each arm; those of the file where there are no arms.
fn over_arms(file: &File) -> Result<Vec<(Option<String>, Values)>, SpecError> {
    if file.arms.is_empty() {
        return Ok(vec![(None, file.base.clone())]);
    }
    let over = |(arm, values): &(String, Values)| {
        if let Some((key, given)) = values.iter().find(|(key, _)| file.sweep.contains_key(*key)) {
            let message = format!(
                "{key} is also in [sweep], whose values would take the place of this one; give it in one of both"
            );
            return Err(SpecError { place: given.place.clone(), message });
        }
        let mut merged = file.base.clone();
        merged.extend(values.clone());
        Ok((Some(arm.clone()), merged))
    };
    file.arms.iter().map(over).collect()
}

/// The value of a key in a combination: the given one, or the default of its family.
fn value(given: &Values, name: &str) -> Option<Value> {
    let family = || Some(("network.family".to_owned(), given.get("network.family")?.value.clone()));
    let default = || default_of(&BTreeMap::from_iter(family()), name);
    given.get(name).map(|given| given.value.clone()).or_else(default)
}

#[cfg(test)]
mod tests {
    use crate::Experiment;
    use std::path::Path;

    const TEXT: &str = r#"
name = "t"
data = { source = "shapes" }
network = { family = "plain" }
training = { iterations = 3 }
sweep = { "network.depth" = [8, 14] }
"#;

    /// The values of a key in all runs, with the remarks.
    fn values(more: &str, sets: &[&str], key: &str) -> Result<(String, Vec<String>), String> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let experiment = Experiment::parse(Path::new("t.toml"), &format!("{TEXT}{more}"), &sets);
        let experiment = experiment.map_err(|error| error.to_string())?;
        let values: Vec<String> = experiment.runs.iter().map(|run| run.text(key)).collect();
        Ok((values.join(" "), experiment.remarks))
    }

    #[test]
    fn overrides_match_given_values_and_defaults_or_are_refused() {
        let over = |when: &str| {
            let more =
                format!("[[override]]\nwhen = {{ {when} }}\nset = {{ \"training.batch\" = 7 }}\n");
            values(&more, &[], "training.batch").map(|(values, _)| values)
        };
        assert_eq!(over("depth = 14").as_deref(), Ok("128 7"));
        assert_eq!(over("norm = \"batch\"").as_deref(), Ok("7 7"), "the default");
        let error = over("depth = 15").unwrap_err();
        assert_eq!(error, "t.toml:8: [[override]]: no combination has the values of when");
        assert!(over("norm = \"none\"").is_err());
    }

    #[test]
    fn values_of_set_replace_those_of_overrides_and_arms() {
        let more = "[[override]]\nwhen = { depth = 14 }\nset = { \"training.iterations\" = 7 }\n";
        let iterations = |sets: &[&str]| values(more, sets, "training.iterations").expect("valid");
        assert_eq!(iterations(&[]).0, "3 7");
        assert_eq!(iterations(&["training.iterations=5"]).0, "5 5");
        assert_eq!(iterations(&["training.iterations=[5, 6]"]).0, "5 6 5 6");
        let (found, remarks) = iterations(&["network.depth=8"]);
        assert_eq!(found, "3");
        assert!(remarks[0].contains("no combination has the values of when"), "{remarks:?}");
        let arm = "[[arm]]\nname = \"a\"\n\"network.width\" = 4\n";
        let widths = values(arm, &["network.width=[8, 16]"], "network.width").expect("valid");
        assert_eq!(widths.0, "8 16 8 16");
    }

    #[test]
    fn a_key_of_an_arm_is_not_swept() {
        let arm = "[[arm]]\nname = \"a\"\n\"network.depth\" = 20\n";
        let error = values(arm, &[], "network.depth").unwrap_err();
        assert!(error.starts_with("t.toml:9: network.depth is also in [sweep]"), "{error}");
    }
}
