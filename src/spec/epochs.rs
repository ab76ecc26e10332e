//! Numbers of updates that are given in epochs.

use super::resolve::{Config, keys_of};
use super::settings;
use fathom_arch::InvalidKey;
use fathom_base::key::{Kind, epochs};
use serde_json::Value;

/// Replaces epochs by updates: `20 epochs` becomes the number of batches that process the training images 20 times,
/// rounded. Configurations have updates only, so that equal runs have equal ids.
///
/// # Errors
/// When the number of training images is not known, with the key in epochs.
pub(super) fn epochs_in_updates(config: &mut Config) -> Result<(), InvalidKey> {
    let family_name =
        config.get("network.family").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut images = None;
    for key in keys_of(&family_name) {
        let Some(value) = config.get(key.name) else { continue };
        let mut convert = |value: &Value| -> Result<Value, InvalidKey> {
            let Some(epochs) = value.as_str().and_then(epochs) else { return Ok(value.clone()) };
            let images = match images {
                Some(images) => images,
                None => *images.insert(train_images(config).map_err(|error| {
                    InvalidKey::new(
                        key.name,
                        format!("{value}: {error:#}; give a number of updates"),
                    )
                })?),
            };
            Ok(updates(epochs, images, config))
        };
        let converted = match (key.kind, value) {
            (Kind::Updates(_), value) => convert(value)?,
            (Kind::UpdatesList, Value::Array(items)) => {
                items.iter().map(convert).collect::<Result<_, _>>()?
            }
            (_, value) => value.clone(),
        };
        config.insert(key.name.into(), converted);
    }
    Ok(())
}

/// Whether a configuration has this value of a key. A value in epochs is that of as many updates, and 1 is 1.0, which
/// other programs may write either way.
pub(super) fn has_value(config: &Config, key: &str, value: &Value) -> bool {
    let Some(own) = config.get(key) else { return false };
    let in_updates = || {
        let epochs = epochs(value.as_str()?)?;
        Some(updates(epochs, train_images(config).ok()?, config))
    };
    let is_equal = || own.as_f64().is_some_and(|own| value.as_f64() == Some(own));
    own == value || is_equal() || own.is_number() && in_updates().as_ref() == Some(own)
}

/// The number of batches that process `images` training images `epochs` times, rounded.
fn updates(epochs: f64, images: usize, config: &Config) -> Value {
    let batch = config.get("training.batch").and_then(Value::as_u64).unwrap_or(1);
    ((epochs * images as f64 / batch as f64).round().max(1.0) as u64).into()
}

fn train_images(config: &Config) -> anyhow::Result<usize> {
    fathom_data::train_images(&settings::request(config)?)
}

#[cfg(test)]
mod tests {
    use crate::Experiment;
    use std::path::Path;

    const TEXT: &str = r#"
name = "t"
data = { source = "cifar10", validation = 5000 }
network = { family = "plain", depth = 8 }
training = { iterations = "2 epochs", batch = 100, schedule = { kind = "step", at = ["1 epoch", "1.5 epochs"] } }
evaluate = { every = "0.5 epochs" }
"#;

    fn ids(text: &str, sets: &[&str]) -> Result<Vec<String>, String> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let experiment = Experiment::parse(Path::new("t.toml"), text, &sets);
        let experiment = experiment.map_err(|error| error.to_string())?;
        Ok(experiment.runs.into_iter().map(|run| run.id).collect())
    }

    #[test]
    fn epochs_give_the_runs_of_as_many_updates() {
        let in_updates = TEXT
            .replace("\"2 epochs\"", "900")
            .replace("[\"1 epoch\", \"1.5 epochs\"]", "[450, 675]")
            .replace("\"0.5 epochs\"", "225");
        assert_ne!(in_updates, TEXT);
        assert_eq!(ids(TEXT, &[]), ids(&in_updates, &[]));
        let longer = ids(TEXT, &["training.iterations=4 epochs"]);
        assert_eq!(longer, ids(&in_updates, &["training.iterations=1_800"]));
        // Each batch size has its own number of updates.
        let swept = ids(TEXT, &["training.batch=[50, 90]"]).expect("two runs");
        assert_eq!(swept.len(), 2);
        let of_90 = in_updates.replace("batch = 100", "batch = 90").replace("900", "1000");
        let of_90 = of_90.replace("[450, 675]", "[500, 750]").replace("225", "250");
        let hash = |id: &str| id.rsplit('-').next().map(str::to_owned);
        assert_eq!(hash(&swept[1]), hash(&ids(&of_90, &[]).expect("a run")[0]));
    }

    #[test]
    fn claims_select_runs_by_epochs() {
        let claim = |more: &str, of: &str| {
            let sets = ["training.iterations=[\"2 epochs\", 700]", "seed=[0, 1]"];
            ids(
                &format!(
                    "{TEXT}[[claim]]\nname = \"c\"\nat_most = 1\nof = {{ \"training.iterations\" = {of} }}\n{more}"
                ),
                &sets,
            )
        };
        assert_eq!(claim("step = \"0.5 epochs\"", "\"2 epochs\"").expect("found").len(), 4);
        assert_eq!(claim("", "900").expect("found").len(), 4);
        let error = claim("", "\"3 epochs\"").expect_err("refused");
        let expected = "no run has training.iterations = \"3 epochs\"; valid: 700, 900";
        assert!(error.contains(expected), "{error}");
        let error = claim("step = \"half an epoch\"", "900").expect_err("refused");
        let expected =
            "step: expected a number of updates, from 0, or a text such as \"20 epochs\"";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_number_of_epochs_is_refused_with_its_line() {
        let error = ids(&TEXT.replace("2 epochs", "two epochs"), &[]).expect_err("refused");
        let expected = "t.toml:5: training.iterations = \"two epochs\": expected a whole number of at least 1, or a \
                        text such as \"20 epochs\"";
        assert!(error.contains(expected), "{error}");
        let folder =
            TEXT.replace("source = \"cifar10\"", "source = \"images\", path = \"/absent\"");
        let error = ids(&folder, &[]).expect_err("refused");
        assert!(error.contains("/absent"), "{error}");
    }
}
