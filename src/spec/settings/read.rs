//! Settings from the values of a configuration.

use super::{Config, Grow, Optimiser, Schedule, StopWhen, Threshold, Training, Warmup};
use crate::choices::{
    AugmentName, GrowName, OptimiserName, ScheduleName, StandardiseName, WarmupName,
};
use fathom_arch::InvalidKey;
use fathom_data::{Augment, Labels, Request, Source, Standardise};
use serde::Deserialize;
use serde_json::Value;

/// Typed access to a configuration.
pub(super) struct Keys<'a>(pub &'a Config);

impl Keys<'_> {
    pub fn get<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<T, InvalidKey> {
        let value = self.0.get(key).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| InvalidKey::new(key, error.to_string()))
    }

    pub fn request(&self) -> Result<Request, InvalidKey> {
        Ok(Request {
            source: self.get::<Source>("data.source")?,
            train: self.get("data.train")?,
            test: self.get("data.test")?,
            validation: self.get("data.validation")?,
            size: self.get("data.size")?,
            colour: self.get::<Option<bool>>("data.colour")?.unwrap_or(true),
            path: self.get("data.path")?,
            short_side: self.get("data.short_side")?,
            test_share: self.get("data.test_share")?,
            labels: self.get::<Option<Labels>>("data.labels")?.unwrap_or_default(),
        })
    }

    pub fn standardise(&self) -> Result<Standardise, InvalidKey> {
        Ok(match self.get("data.standardise")? {
            StandardiseName::Channel => Standardise::Channel,
            StandardiseName::PerFeature => Standardise::PerFeature,
            StandardiseName::PerPixelMean => Standardise::PerPixelMean,
            StandardiseName::Given => {
                Standardise::Given { mean: self.get("data.mean")?, std: self.get("data.std")? }
            }
            StandardiseName::None => Standardise::None,
        })
    }

    pub fn augment(&self) -> Result<Augment, InvalidKey> {
        Ok(match self.get("data.augment")? {
            AugmentName::None => Augment::None,
            AugmentName::Crop => Augment::Crop { pad: self.get("data.pad")?, flip: false },
            AugmentName::CropFlip => Augment::Crop { pad: self.get("data.pad")?, flip: true },
            AugmentName::RandomResizedCrop => Augment::ResizedCrop,
        })
    }

    pub fn training(&self) -> Result<Training, InvalidKey> {
        Ok(Training {
            iterations: self.get("training.iterations")?,
            batch: self.get("training.batch")?,
            optimiser: match self.get("training.optimiser")? {
                OptimiserName::Sgd => Optimiser::Sgd {
                    momentum: self.get("training.momentum")?,
                    nesterov: self.get("training.nesterov")?,
                },
                OptimiserName::Muon => Optimiser::Muon {
                    momentum: self.get("training.momentum")?,
                    sgd_factor: self.get("training.sgd_factor")?,
                },
                name @ (OptimiserName::Adam | OptimiserName::Adamw) => Optimiser::Adam {
                    is_decay_decoupled: name == OptimiserName::Adamw,
                    beta1: self.get("training.beta1")?,
                    beta2: self.get("training.beta2")?,
                },
                OptimiserName::Rmsprop => Optimiser::RmsProp { alpha: self.get("training.alpha")? },
            },
            lr: self.get("training.lr")?,
            schedule: match self.get("training.schedule.kind")? {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Step => Schedule::Step {
                    at: self.get("training.schedule.at")?,
                    factor: self.get("training.schedule.factor")?,
                },
                ScheduleName::Cosine => Schedule::Cosine,
            },
            warmup: self.warmup()?,
            weight_decay: self.get("training.weight_decay")?,
            decay: self.get("training.decay")?,
            clip_norm: Some(self.get("training.clip_norm")?).filter(|norm| *norm > 0.0),
            norm_batch: self.get("training.norm_batch")?,
            precision: self.get("training.precision")?,
            grow: match self.get("training.grow.kind")? {
                GrowName::None => None,
                GrowName::Identity => Some(Grow {
                    from: self.get("training.grow.from")?,
                    at: self.get("training.grow.at")?,
                }),
            },
            stop_when: self.stop_when()?,
            delta: self.get("training.delta")?,
        })
    }

    pub fn stop_when(&self) -> Result<StopWhen, InvalidKey> {
        let metric: Option<String> = self.get("training.stop_when.metric")?;
        let threshold =
            |metric| Ok(Threshold { metric, below: self.get("training.stop_when.below")? });
        Ok(StopWhen {
            below: metric.map(threshold).transpose()?,
            at_chance_for: self.get("training.stop_when.at_chance_for")?,
        })
    }

    pub fn warmup(&self) -> Result<Warmup, InvalidKey> {
        let lr = || self.get("training.warmup.lr");
        let iterations = || self.get("training.warmup.iterations");
        Ok(match self.get("training.warmup.kind")? {
            WarmupName::None => Warmup::None,
            WarmupName::Constant => Warmup::Constant { lr: lr()?, iterations: iterations()? },
            WarmupName::Linear => Warmup::Linear { lr: lr()?, iterations: iterations()? },
            WarmupName::UntilError => {
                Warmup::UntilError { lr: lr()?, error_pct: self.get("training.warmup.error_pct")? }
            }
        })
    }
}
