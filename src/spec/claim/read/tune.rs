//! `tune` of a claim, and the metric by which a key is tuned.

use crate::claim::{Measure, Tune};
use crate::leaves::{keyword, numbers, word};
use crate::names::Names;
use fathom_record::{METRICS, MeasuredOn, Metric, Seed, Unit};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

/// The keys of `tune`.
#[derive(Clone, Copy, Debug, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum TuneKey {
    Over,
    Seeds,
    By,
}

/// The fields of `tune`.
pub(super) struct TuneFields {
    over: String,
    seeds: BTreeSet<Seed>,
    by: Option<String>,
}

impl TuneFields {
    /// How a claim about `measure` is tuned.
    ///
    /// # Errors
    /// When `by` is of another kind than the claim's metric, with the valid ones.
    pub(super) fn resolve(self, measure: &Measure) -> Result<Tune, String> {
        let Self { over, seeds, by } = self;
        let default = match Metric::named(&measure.metric) {
            Some(metric) if metric.measured_on == MeasuredOn::Train => metric.column,
            Some(metric) if metric.unit == Unit::Nats => "validation_loss",
            Some(_) | None => "validation_err_pct",
        };
        let tune = Tune { over, seeds, by: by.unwrap_or_else(|| default.to_owned()) };
        tune.check_kind(measure).map(|()| tune)
    }
}

impl Tune {
    /// Checks that the metric that chooses is of the kind that a claim about `measure` needs. Training metrics of the
    /// tuning seeds are no data of the verdict. Test images are the same for every seed, so only held-out images may
    /// choose for a claim about these.
    ///
    /// # Errors
    /// When it is of another kind, with the valid metrics.
    pub fn check_kind(&self, measure: &Measure) -> Result<(), String> {
        let of = Metric::named(&measure.metric);
        let (valid, why): (&[MeasuredOn], _) = match of.map(|metric| metric.measured_on) {
            Some(MeasuredOn::Train) => (
                &[MeasuredOn::Train],
                "a claim about training images is tuned by a metric of training images",
            ),
            Some(MeasuredOn::Test | MeasuredOn::Validation) => (
                &[MeasuredOn::Validation],
                "tuning must not use the images of the claim, and a claim about test images is \
                 tuned by a metric of validation images",
            ),
            None => {
                (&[MeasuredOn::Validation, MeasuredOn::Train], "tuning must not use test images")
            }
        };
        let allowed = METRICS.iter().filter(|metric| valid.contains(&metric.measured_on));
        let allowed: Vec<&str> = allowed.map(|metric| metric.column).collect();
        if allowed.contains(&self.by.as_str()) {
            return Ok(());
        }
        Err(format!("tune: by = \"{}\": expected {}: {why}", self.by, allowed.join(" or ")))
    }
}

/// The table `[tune]` of an experiment: `by` is a metric of the training or of the validation images of the tuning
/// seeds, by default the training error.
///
/// # Errors
/// When a key is unknown or missing, or `by` is a metric of the test images.
pub fn experiment_tune(value: &Spanned<DeValue<'_>>, names: Names) -> Result<Tune, String> {
    let TuneFields { over, seeds, by } = tune(value, names)?;
    let by = by.unwrap_or_else(|| "train_err_pct".into());
    let valid = METRICS.iter().filter(|metric| metric.measured_on != MeasuredOn::Test);
    let valid: Vec<&str> = valid.map(|metric| metric.column).collect();
    if valid.contains(&by.as_str()) {
        return Ok(Tune { over, seeds, by });
    }
    Err(format!("by = \"{by}\": expected one of {}", valid.join(", ")))
}

/// The full name of a key other than the seed.
pub(super) fn key_but_seed(value: &Spanned<DeValue<'_>>, names: Names) -> Result<String, String> {
    match names.key(&word(value)?)? {
        key if key == "seed" => Err("seed: claims are over all seeds; name another key".into()),
        key => Ok(key),
    }
}

/// `{ over = "training.lr", seeds = [100, 101] }`.
pub(super) fn tune(value: &Spanned<DeValue<'_>>, names: Names) -> Result<TuneFields, String> {
    let form = "expected over = \"training.lr\" and seeds = [100, 101]";
    let table = value.get_ref().as_table().ok_or(form)?;
    let (mut over, mut seeds, mut by) = (None, BTreeSet::new(), None);
    for (key, value) in table {
        match keyword(key.get_ref())? {
            TuneKey::Over => over = Some(key_but_seed(value, names)?),
            TuneKey::Seeds => seeds = numbers(value)?.into_iter().collect(),
            TuneKey::By => by = Some(word(value)?),
        }
    }
    match over {
        Some(over) if !seeds.is_empty() => Ok(TuneFields { over, seeds, by }),
        Some(_) | None => Err(form.into()),
    }
}
