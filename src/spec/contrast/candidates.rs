//! The runs that claims select from, and what they can be measured by.

use crate::claim::{LayerMetric, Measure, When};
use crate::file::definitions;
use crate::names::unknown_key;
use crate::resolve::Config;
use fathom_base::key::{nearest, short};
use fathom_record::{layer_metrics, metric_columns};
use std::collections::{BTreeMap, BTreeSet};

/// The runs that claims select from.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Configurations by run id.
    pub configs: BTreeMap<String, Config>,
    /// Names of arms by run id; empty for an experiment without arms.
    pub arms: BTreeMap<String, String>,
    /// Full names of the keys that `[[arm]]` tables set.
    pub arm_keys: BTreeSet<String>,
    /// Columns of the runs' curves that are not fathom's own, each an extra metric.
    pub extra_columns: BTreeSet<String>,
}

impl Candidates {
    /// Checks that runs can have a key that a claim names: one of fathom's, or one that runs of other programs have.
    ///
    /// # Errors
    /// When they cannot, with the most similar key.
    pub(super) fn check_key(&self, key: &str) -> Result<(), String> {
        if definitions(key).next().is_some()
            || self.configs.values().any(|config| config.contains_key(key))
        {
            return Ok(());
        }
        let known: BTreeSet<&str> =
            self.configs.values().flat_map(|config| config.keys().map(String::as_str)).collect();
        let ending = known.iter().find(|it| it.rsplit('.').next() == Some(key)).copied();
        let names = || known.iter().flat_map(|known| [*known, short(known)]);
        Err(match ending.or_else(|| nearest(key, names())) {
            Some(meant) => format!("unknown key {key}; did you mean {meant}?"),
            None => unknown_key(key),
        })
    }

    /// Checks that runs can have what a claim measures.
    ///
    /// # Errors
    /// When they cannot, with the metrics there are and the nearest of them.
    pub(super) fn check_measure(&self, measure: &Measure) -> Result<(), String> {
        let metric = measure.metric.as_str();
        let of_layers: Vec<&str> = layer_metrics().collect();
        let is_of_layers = of_layers.contains(&metric);
        match (&measure.layers, measure.when) {
            (None, When::FirstBelow(_)) if is_of_layers || LayerMetric::named(metric).is_some() => {
                return Err(format!("updates_to: {metric} is no metric of the curves"));
            }
            (None, _) if is_of_layers => {
                return Err(format!(
                    "metric = \"{metric}\" has a value for each layer: add layer = 1, the position \
                     or the name of a layer, or over_layers = \"mean\", \"min\" or \"max\""
                ));
            }
            (Some(_), _) if !is_of_layers => {
                return Err(format!(
                    "metric = \"{metric}\": with layer or over_layers expected one of {}",
                    of_layers.join(", ")
                ));
            }
            (Some(_), _) => return Ok(()),
            (None, When::FirstBelow(_) | When::Step(_) | When::Epochs(_) | When::Last) => {}
        }
        let mut known: Vec<&str> =
            metric_columns().chain(LayerMetric::WORDS.iter().copied()).collect();
        known.extend(self.extra_columns.iter().map(String::as_str));
        if known.contains(&metric) {
            return Ok(());
        }
        let meant = nearest(metric, known.iter().copied().chain(of_layers));
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        Err(format!("metric = \"{metric}\": expected one of {}{hint}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::File;
    use crate::names::Names;
    use crate::{Claims, Contrast};
    use std::path::Path;

    /// The runs of other programs: two families, and a key of their own.
    fn of_another_program() -> Candidates {
        let mut candidates = Candidates::default();
        for (family, width) in [("vgg", 1.0), ("vgg", 2.0), ("alex", 1.0)] {
            for seed in [0, 1] {
                let id = format!("{family}-{width}-s{seed}");
                let config = [
                    ("network.family".to_owned(), family.into()),
                    ("model.mykey".to_owned(), (width * 3.0).into()),
                    // Written as a whole number, which fathom's key is not.
                    ("training.lr".to_owned(), (width as u64).into()),
                    ("seed".to_owned(), seed.into()),
                ];
                candidates.arms.insert(id.clone(), format!("arm of {family}"));
                candidates.configs.insert(id, config.into());
            }
        }
        candidates
    }

    #[test]
    fn claims_about_results_name_what_other_programs_have_and_plans_do_not() {
        let found = |claim: &str| {
            let text = format!("name = \"t\"\n[[claim]]\nname = \"c\"\n{claim}");
            assert!(
                File::parse(Path::new("t.toml"), &text, Names::Known).is_err()
                    || claim.contains("arm =")
            );
            let claims =
                Claims::parse(Path::new("t.toml"), &text).map_err(|error| error.to_string())?;
            let found = Contrast::of(&claims.claims[0], &of_another_program());
            found.map(|found| found.arms.len()).map_err(|error| error.to_string())
        };
        let other = "lower = { family = \"alex\" }";
        let own = |selector: &str| {
            format!("higher = {{ {selector} }}\n{other}\nalso_differs = [\"model.mykey\", \"lr\"]")
        };
        assert_eq!(found(&own("family = \"vgg\", \"model.mykey\" = 3")), Ok(2));
        assert_eq!(found(&own("family = \"vgg\", lr = 1")), Ok(2));
        assert_eq!(found(&own("arm = \"arm of vgg\", model = { mykey = 3.0 }")), Ok(2));
        let tuned = format!(
            "{}\ntune = {{ over = \"model.mykey\", seeds = [0] }}",
            own("family = \"vgg\", lr = 1")
        );
        assert_eq!(found(&tuned), Ok(2));
        for (claim, expected) in [
            (
                own("family = \"vg\""),
                "no run has network.family = \"vg\"; valid: \"alex\", \"vgg\"; did you mean \"vgg\"?",
            ),
            (own("mykey = 3"), "unknown key mykey; did you mean model.mykey?"),
            (own("\"model.mykye\" = 3"), "unknown key model.mykye; did you mean model.mykey?"),
            (own("famly = \"vgg\""), "unknown key famly; did you mean family?"),
            (own("qqqqqqqq = 3"), "unknown key qqqqqqqq (valid: "),
            (
                "of = { family = \"vgg\" }\nrises_with = \"mykey\"".to_owned(),
                "unknown key mykey; did you mean model.mykey?",
            ),
            (
                "of = { arm = \"arm of vg\", family = \"vgg\" }\nat_most = 1".to_owned(),
                "valid: \"arm of alex\", \"arm of vgg\"; did you mean \"arm of vgg\"?",
            ),
        ] {
            let error = found(&claim).unwrap_err();
            assert!(
                error.starts_with("t.toml:3: claim \"c\": ") && error.contains(expected),
                "{error}"
            );
        }
    }
}
