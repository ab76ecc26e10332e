//! A resolved configuration, typed for the worker.

#![deny(clippy::wildcard_enum_match_arm)]

use super::Config;
use super::choices::{
    AugmentName, Decay, GrowName, OptimiserName, ScheduleName, StandardiseName, WarmupName,
};
use fathom_base::choice;
use fathom_data::{Augment, Request, Source, Standardise};
use serde::Deserialize;
use serde_json::Value;

/// What a run needs to know besides its network.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which images.
    pub data: Request,
    /// What is subtracted from pixels and divided by.
    pub standardise: Standardise,
    /// What happens to training images.
    pub augment: Augment,
    /// The recipe.
    pub training: Training,
    /// When errors are measured, and on what.
    pub evaluate: Evaluate,
    /// Of weights, order and augmentation.
    pub seed: u64,
}

/// The recipe of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Updates.
    pub iterations: u64,
    /// Images of one update.
    pub batch: usize,
    /// Rule of the update.
    pub optimiser: Optimiser,
    /// Learning rate before schedule and warm-up.
    pub lr: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// How it starts.
    pub warmup: Warmup,
    /// Times the parameter, added to its gradient.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub decay: Decay,
    /// Images over which BatchNorm's statistics are taken.
    pub norm_batch: Option<usize>,
    /// Numbers of activations.
    pub precision: Precision,
    /// Whether the net grows on the way.
    pub grow: Option<Grow>,
    /// δ, where the net is to give x + δ·g(x) of an image x instead of classes.
    pub delta: Option<f64>,
}

/// A net that begins with fewer layers and grows by layers that are the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grow {
    /// Layers before.
    pub from: u64,
    /// Updates after which it grows.
    pub at: u64,
}

choice! {
    /// Words of `training.precision`: numbers of activations and of the copies of weights that they
    /// meet. The weights that are updated, statistics, and the loss are f32 throughout.
    #[derive(Default)]
    pub enum Precision {
        /// 24 bits
        #[default]
        F32,
        /// f32 in memory; factors of products are rounded to 11 bits. CUDA only
        Tf32,
        /// 8 bits
        Bf16,
    }
}

/// Rules of the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// v ← momentum·v + g, w ← w − lr·v (with `nesterov`: w ← w − lr·(g + momentum·v)).
    Sgd {
        /// Share of the old velocity.
        momentum: f64,
        /// Nesterov's variant.
        nesterov: bool,
    },
    /// Adam (1412.6980) with ε = 10⁻⁸.
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
    },
    /// RMSprop with ε = 10⁻⁸, as in PyTorch.
    RmsProp {
        /// Decay of the second moment.
        alpha: f64,
    },
}

/// How the learning rate falls.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Multiplied by `factor` after each of these updates.
    Step {
        /// Updates, ascending.
        at: Vec<u64>,
        /// What it is multiplied by.
        factor: f64,
    },
    /// Half a cosine down to zero at the last update.
    Cosine,
}

/// How the learning rate starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// As scheduled.
    None,
    /// At `lr` for so many updates.
    Constant {
        /// Rate.
        lr: f64,
        /// Updates.
        iterations: u64,
    },
    /// From `lr` in a straight line to the scheduled rate.
    Linear {
        /// First rate.
        lr: f64,
        /// Updates.
        iterations: u64,
    },
    /// At `lr` until the running training error falls below `error_pct`, as 1512.03385 §4.2 does
    /// for 110 layers.
    UntilError {
        /// Rate.
        lr: f64,
        /// Per cent.
        error_pct: f64,
    },
}

/// When errors are measured, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluate {
    /// How often.
    pub every: Every,
    /// Training images of the curve's training error.
    pub train_images: usize,
    /// Whether what happens in each layer is looked at.
    pub layers: bool,
}

/// How often errors are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many updates.
    Steps(u64),
    /// At the first update after each pass over the training images.
    Epoch,
}

/// Key and message of what does not go together.
type Fault = (String, String);

impl Settings {
    /// Types a resolved configuration.
    ///
    /// # Errors
    /// Values that do not go together, with the key to blame.
    pub fn new(config: &Config) -> Result<Self, Fault> {
        let keys = Keys(config);
        let settings = Self {
            data: keys.request()?,
            standardise: keys.standardise()?,
            augment: keys.augment()?,
            training: keys.training()?,
            evaluate: Evaluate {
                every: match keys.get::<Value>("evaluate.every")?.as_u64() {
                    Some(steps) => Every::Steps(steps),
                    None => Every::Epoch,
                },
                train_images: keys.get("evaluate.train_images")?,
                layers: keys.get("evaluate.layers")?,
            },
            seed: keys.get("seed")?,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Fault> {
        let fault = |key: &str, message: String| Err((key.to_owned(), message));
        let training = &self.training;
        if let Some(part) = training.norm_batch
            && !training.batch.is_multiple_of(part)
        {
            return fault(
                "training.norm_batch",
                format!("{part} does not divide training.batch = {}", training.batch),
            );
        }
        if let Some(Grow { at, .. }) = training.grow
            && at >= training.iterations
        {
            let iterations = training.iterations;
            return fault(
                "training.grow.at",
                format!("{at} must be below training.iterations = {iterations}"),
            );
        }
        if let Schedule::Step { at, .. } = &training.schedule
            && !at.is_sorted_by(|a, b| a < b)
        {
            return fault("training.schedule.at", "must ascend".into());
        }
        if let Some(train) = self.data.train
            && train < training.batch
        {
            return fault(
                "training.batch",
                format!("{} is more than data.train = {train}", training.batch),
            );
        }
        match (self.data.short_side, self.data.size) {
            (Some(_), None) => {
                return fault("data.short_side", "needs data.size: what a net sees".into());
            }
            (Some(short), Some(size)) if short < size => {
                return fault(
                    "data.short_side",
                    format!("{short} is less than data.size = {size}"),
                );
            }
            (None, _) if self.augment == Augment::ResizedCrop => {
                let message = "random-resized-crop needs data.source = \"images\" and \
                               data.short_side, such as 256 for data.size = 224";
                return fault("data.augment", message.into());
            }
            _ => {}
        }
        if let Standardise::Given { mean, std } = &self.standardise {
            if mean.len() != std.len() {
                return fault(
                    "data.std",
                    format!("has {} values, data.mean has {}", std.len(), mean.len()),
                );
            }
            if std.iter().any(|std| *std <= 0.0) {
                return fault("data.std", "must be above zero".into());
            }
        }
        Ok(())
    }
}

struct Keys<'a>(&'a Config);

impl Keys<'_> {
    fn get<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<T, Fault> {
        let value = self.0.get(key).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| (key.to_owned(), error.to_string()))
    }

    fn request(&self) -> Result<Request, Fault> {
        Ok(Request {
            source: self.get::<Source>("data.source")?,
            train: self.get("data.train")?,
            test: self.get("data.test")?,
            validation: self.get("data.validation")?,
            size: self.get("data.size")?,
            colour: self.get::<Option<bool>>("data.colour")?.unwrap_or(true),
            path: self.get("data.path")?,
            short_side: self.get("data.short_side")?,
        })
    }

    fn standardise(&self) -> Result<Standardise, Fault> {
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

    fn augment(&self) -> Result<Augment, Fault> {
        Ok(match self.get("data.augment")? {
            AugmentName::None => Augment::None,
            AugmentName::Crop => Augment::Crop { pad: self.get("data.pad")?, flip: false },
            AugmentName::CropFlip => Augment::Crop { pad: self.get("data.pad")?, flip: true },
            AugmentName::RandomResizedCrop => Augment::ResizedCrop,
        })
    }

    fn training(&self) -> Result<Training, Fault> {
        Ok(Training {
            iterations: self.get("training.iterations")?,
            batch: self.get("training.batch")?,
            optimiser: match self.get("training.optimiser")? {
                OptimiserName::Sgd => Optimiser::Sgd {
                    momentum: self.get("training.momentum")?,
                    nesterov: self.get("training.nesterov")?,
                },
                OptimiserName::Adam => Optimiser::Adam {
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
            norm_batch: self.get("training.norm_batch")?,
            precision: self.get("training.precision")?,
            grow: match self.get("training.grow.kind")? {
                GrowName::None => None,
                GrowName::Identity => Some(Grow {
                    from: self.get("training.grow.from")?,
                    at: self.get("training.grow.at")?,
                }),
            },
            delta: self.get("training.delta")?,
        })
    }

    fn warmup(&self) -> Result<Warmup, Fault> {
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
