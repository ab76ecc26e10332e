//! Names of keys as users write them: short ones, and what is meant by one that does not exist.

use super::file::{all_names, definitions, normalise};
use fathom_base::key::nearest;
use serde_json::Value;
use std::collections::BTreeSet;

/// Names that other programs use for a key, without their section, and what is to be written here.
#[rustfmt::skip]
const OTHER_NAMES: [(&[&str], &str); 24] = [
    (&["epoch", "epochs", "max_epochs", "num_epochs", "n_epochs", "train_epochs"],
        "training.iterations = \"20 epochs\""),
    (&["steps", "max_steps", "num_steps", "updates", "max_iter", "iters", "num_iterations"], "training.iterations"),
    (&["learning_rate", "base_lr", "lr0", "eta", "learningrate"], "training.lr"),
    (&["batch_size", "batchsize", "bs", "train_batch_size", "mini_batch"], "training.batch"),
    (&["optimizer", "optim", "opt"], "training.optimiser"),
    (&["wd", "l2", "weightdecay"], "training.weight_decay"),
    (&["scheduler", "lr_schedule", "lr_scheduler"], "training.schedule = { kind = \"cosine\" }"),
    (&["milestones", "lr_steps", "decay_steps"], "training.schedule.at"),
    (&["gamma", "lr_decay", "decay_rate"], "training.schedule.factor"),
    (&["warmup_steps", "warmup_epochs", "warm_up", "warmup_iterations"],
        "training.warmup = { kind = \"linear\", lr = 0.0, iterations = 100 }"),
    (&["grad_clip", "clip_grad", "max_grad_norm", "gradient_clip_val", "clip"], "training.clip_norm"),
    (&["amp", "dtype", "fp16", "bf16", "mixed_precision", "half"], "training.precision = \"bf16\""),
    (&["early_stopping", "patience"], "training.stop_when = { metric = \"train_err_pct\", below = 10.0 }"),
    (&["layers", "num_layers", "n_layers", "nlayers"], "network.depth"),
    (&["model", "arch", "architecture", "net", "name", "type"], "network.family"),
    (&["bn", "batchnorm", "batch_norm", "normalization", "normalisation", "norm_layer"], "network.norm = \"batch\""),
    (&["act", "nonlinearity"], "network.activation"),
    (&["initialization", "initialisation", "init_method"], "network.init"),
    (&["hidden", "hidden_size", "channels", "filters", "units", "num_filters"], "network.width"),
    (&["dataset", "data_set"], "data.source"),
    (&["val", "val_size", "valid", "holdout", "validation_split"], "data.validation"),
    (&["augmentation", "augmentations", "transforms", "transform"], "data.augment"),
    (&["image_size", "img_size", "resolution", "resize"], "data.size"),
    (&["seeds", "random_seed", "random_state", "manual_seed"], "seed"),
];

/// Flags of `fathom run` that users write as keys.
const FLAGS: [(&[&str], &str); 3] = [
    (&["device", "gpu", "gpus", "cuda", "accelerator"], "--device cuda"),
    (&["workers", "num_workers", "threads"], "--threads"),
    (&["output", "out", "out_dir", "output_dir", "save_dir", "log_dir"], "--out DIR"),
];

/// The keys and values that claims may name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    /// Those of runs that fathom trains.
    Known,
    /// Any, since other programs' results have keys and values of their own. Whether the results have them is checked
    /// where the runs of claims are found.
    OfResults,
}

impl Names {
    /// The full name of a key; a name that no key has stays as it is where it may be that of another program's.
    pub fn key(self, name: &str) -> Result<String, String> {
        match (self, full_name(name)) {
            (Self::OfResults, Err(_)) => Ok(name.to_owned()),
            (Self::Known | Self::OfResults, found) => found,
        }
    }

    /// The value in canonical form; one that is not valid for the key stays as it is where runs may have it.
    pub fn value(self, name: &str, value: Value) -> Result<Value, String> {
        match (self, normalise(name, &value)) {
            (Self::OfResults, Err(_)) => Ok(value),
            (Self::Known | Self::OfResults, found) => found,
        }
    }
}

/// The full name of a key: `depth` is short for `network.depth` if no other key ends in `.depth`, and `lr` for
/// `training.lr`, since `training.warmup.lr` is a key of a table further in.
///
/// # Errors
/// When there is no such key, or several.
pub fn full_name(name: &str) -> Result<String, String> {
    if definitions(name).next().is_some() {
        return Ok(name.into());
    }
    let mut matches: Vec<&str> = all_names()
        .filter(|full| full.strip_suffix(name).is_some_and(|p| p.ends_with('.')))
        .collect();
    let nesting = |full: &str| full.matches('.').count();
    let least = matches.iter().map(|full| nesting(full)).min();
    matches.retain(|full| Some(nesting(full)) == least);
    matches.sort_unstable();
    matches.dedup();
    match matches.as_slice() {
        [one] => Ok((*one).into()),
        [] => Err(unknown_key(name)),
        several => Err(format!("{name} is ambiguous: {}", several.join(" or "))),
    }
}

/// The message for a key that does not exist.
pub(super) fn unknown_key(name: &str) -> String {
    let keys = keys_below(name);
    if !keys.is_empty() {
        let (short, first) = (last(name), keys[0]);
        return format!(
            "{name} is a table: {short} = {{ {first} = … }}; its keys are {}, which --set and [sweep] name one by one: \
             {name}.{first}",
            keys.join(", ")
        );
    }
    let meant = |meant: &str| format!("unknown key {name}; did you mean {meant}?");
    let wanted = last(name).to_lowercase().replace('-', "_");
    let other = |(names, _): &&(&[&str], &str)| names.contains(&wanted.as_str());
    if let Some((_, written)) = OTHER_NAMES.iter().find(other) {
        return meant(written);
    }
    if let Some(known) = all_names().find(|known| *known == wanted || last(known) == wanted) {
        return meant(known);
    }
    if let Some((_, flag)) = FLAGS.iter().find(other) {
        return format!("unknown key {name}; it is a flag of the command: fathom run … {flag}");
    }
    let by_end = || {
        let end = nearest(&wanted, all_names().map(last))?;
        all_names().find(|known| last(known) == end)
    };
    match nearest(name, all_names()).or_else(by_end) {
        Some(known) => meant(known),
        None => {
            let section = name.split_once('.').map_or("", |(section, _)| section);
            let valid = match keys_below(section) {
                keys if keys.is_empty() => sections(),
                keys => keys,
            };
            format!("unknown key {name} (valid: {})", valid.join(", "))
        }
    }
}

/// The last part of a dotted name.
fn last(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// The keys of a section or table, without its name.
fn keys_below(section: &str) -> Vec<&'static str> {
    let below = |name: &'static str| name.strip_prefix(section)?.strip_prefix('.');
    let mut known = BTreeSet::new();
    all_names().filter_map(below).filter(|name| known.insert(*name)).collect()
}

/// The sections, and keys that are in none.
fn sections() -> Vec<&'static str> {
    let mut known = BTreeSet::new();
    let section = |name: &'static str| name.split('.').next().unwrap_or(name);
    all_names().map(section).filter(|name| known.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_that_of_the_key_that_is_nested_least() {
        assert_eq!(full_name("lr").as_deref(), Ok("training.lr"));
        assert_eq!(full_name("iterations").as_deref(), Ok("training.iterations"));
        assert_eq!(full_name("warmup.lr").as_deref(), Ok("training.warmup.lr"));
        assert!(full_name("kind").unwrap_err().starts_with("kind is ambiguous: "));
    }

    #[test]
    fn what_is_meant_is_found_by_end_by_other_names_and_by_similarity() {
        for (name, said) in [
            ("lr", "did you mean training.lr?"),
            ("network.lr", "did you mean training.lr?"),
            ("training.learning_rate", "did you mean training.lr?"),
            ("training.Batch-Size", "did you mean training.batch?"),
            ("epochs", "did you mean training.iterations = \"20 epochs\"?"),
            ("training.bach", "did you mean training.batch?"),
            ("iteratoins", "did you mean training.iterations?"),
            ("device", "fathom run … --device cuda"),
            (
                "training.schedule",
                "is a table: schedule = { kind = … }; its keys are kind, at, factor, which --set and [sweep] name one",
            ),
            ("network.layers", "did you mean network.depth?"),
            ("seeds", "did you mean seed?"),
            ("data.qqqqqq", "(valid: source, train, "),
            ("qqqqqqqq", "(valid: data, network, training, evaluate, seed)"),
        ] {
            let message = unknown_key(name);
            assert!(message.contains(said), "{name}: {message}");
        }
    }

    #[test]
    fn every_suggestion_is_a_key_and_every_other_name_is_none() {
        let is_known = |name: &str| all_names().any(|known| known == name);
        for (names, written) in OTHER_NAMES {
            let key = written.split(" = ").next().expect("a key");
            assert!(is_known(key) || !keys_below(key).is_empty(), "{key}");
            for name in names {
                assert!(!is_known(name), "{name} is a key");
            }
        }
    }
}
