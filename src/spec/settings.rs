//! A complete configuration as typed settings for training.

#![deny(clippy::wildcard_enum_match_arm)]

use super::Config;
use super::choices::{Decay, Keep};
use super::keys::LAYER_IMAGES;
use super::stop_when::{StopWhen, Threshold};
use fathom_arch::{InvalidKey, Network};
use fathom_base::choice;
use fathom_data::{Augment, Request, Standardise};
use serde_json::Value;

mod read;

use read::Keys;

/// The settings of a run, except its network.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The data set and its subsets.
    pub data: Request,
    /// Standardisation of pixels.
    pub standardise: Standardise,
    /// Augmentation of training images.
    pub augment: Augment,
    /// The training recipe.
    pub training: Training,
    /// When and on which images the net is evaluated.
    pub evaluate: Evaluate,
    /// Random seed of initial weights, batch order and augmentation.
    pub seed: u64,
}

/// The training recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Number of updates.
    pub iterations: u64,
    /// Number of images per update.
    pub batch: usize,
    /// Update rule.
    pub optimiser: Optimiser,
    /// Base learning rate, before schedule and warm-up.
    pub lr: f64,
    /// Schedule of the learning rate.
    pub schedule: Schedule,
    /// Warm-up of the learning rate.
    pub warmup: Warmup,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
    /// The parameters with weight decay.
    pub decay: Decay,
    /// Largest Euclidean norm of the gradient of all parameters; `None` for no clipping.
    pub clip_norm: Option<f64>,
    /// Number of images per BatchNorm statistic, a divisor of `batch`; `None` for the whole batch.
    pub norm_batch: Option<usize>,
    /// Number format of activations.
    pub precision: Precision,
    /// Growth of the net during training; `None` for constant depth.
    pub grow: Option<Grow>,
    /// Conditions under which the run ends before its last update.
    pub stop_when: StopWhen,
    /// The scale δ of the regression target x + δ·g(x); `None` for classification.
    pub delta: Option<f64>,
}

/// Growth of a net by layers that are initialised as the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grow {
    /// Depth before the net grows.
    pub from: u64,
    /// Number of updates after which it grows to `network.depth`.
    pub at: u64,
}

choice! {
    /// Words of `training.precision`: number format of activations and of the copies of weights in
    /// forward and backward passes. The updated weights, statistics and the loss are f32 throughout.
    #[derive(Default)]
    pub enum Precision {
        /// 24 bits of significand
        #[default]
        F32,
        /// f32 in memory, factors of products rounded to 11 bits; CUDA only
        Tf32,
        /// 8 bits of significand
        Bf16,
    }
}

/// Update rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// v ← momentum·v + g, w ← w − lr·v (with `nesterov`: w ← w − lr·(g + momentum·v)).
    Sgd {
        /// Fraction of the previous velocity that is kept.
        momentum: f64,
        /// Whether the update uses Nesterov momentum.
        nesterov: bool,
    },
    /// Muon: the momentum of matrices is made orthogonal; SGD for the rest.
    Muon {
        /// Momentum of both.
        momentum: f64,
        /// Learning rate of SGD as a multiple of that of the matrices.
        sgd_factor: f64,
    },
    /// Adam (1412.6980) with ε = 10⁻⁸.
    Adam {
        /// Whether weight decay shrinks the parameters instead of entering the gradients (1711.05101).
        is_decay_decoupled: bool,
        /// Decay rate of the first moment.
        beta1: f64,
        /// Decay rate of the second moment.
        beta2: f64,
    },
    /// RMSprop with ε = 10⁻⁸, as in PyTorch.
    RmsProp {
        /// Decay rate of the moving average of squared gradients.
        alpha: f64,
    },
}

/// Schedules of the learning rate.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// The base learning rate throughout.
    Constant,
    /// Multiplied by `factor` after each of these updates.
    Step {
        /// Numbers of updates, ascending.
        at: Vec<u64>,
        /// Factor of the learning rate.
        factor: f64,
    },
    /// Half a cosine from the base learning rate to zero at the last update.
    Cosine,
}

/// Warm-ups of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// The scheduled rate from the first update.
    None,
    /// `lr` for the first `iterations` updates.
    Constant {
        /// Learning rate.
        lr: f64,
        /// Number of updates.
        iterations: u64,
    },
    /// Linear from `lr` to the scheduled rate over the first `iterations` updates.
    Linear {
        /// Initial learning rate.
        lr: f64,
        /// Number of updates.
        iterations: u64,
    },
    /// `lr` until the running training error falls below `error_pct` (1512.03385 §4.2, for 110
    /// layers).
    UntilError {
        /// Learning rate.
        lr: f64,
        /// Training error in per cent.
        error_pct: f64,
    },
}

/// When and on which images the net is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluate {
    /// Interval of evaluations.
    pub every: Every,
    /// Number of training images for the training error of the curve.
    pub train_images: usize,
    /// Whether statistics of the layers are written to `layers.csv`.
    pub layers: bool,
    /// Number of training images for the statistics of the layers.
    pub layer_images: usize,
    /// Whether the net is evaluated without each of its blocks at the end.
    pub lesions: bool,
    /// Weights that the run leaves.
    pub keep: Keep,
}

impl Evaluate {
    /// Whether the curve has a row after `step` updates with `images` training images: before the first and after the
    /// last one, and where one is due.
    pub fn is_row_due(&self, step: u64, images: u64, training: &Training) -> bool {
        step == 0
            || step == training.iterations
            || match self.every {
                Every::Steps(every) => step.is_multiple_of(every),
                Every::Epoch => {
                    let epoch =
                        |step: u64| step.saturating_mul(training.batch as u64) / images.max(1);
                    epoch(step) > epoch(step - 1)
                }
            }
    }

    /// Whether layers are measured after `step` updates: after 0, 1, 2, 5, 10, 20, 50, … and after the `last` one.
    pub fn are_layers_due(&self, step: u64, last: u64) -> bool {
        let mut leading = step;
        while leading >= 10 && leading.is_multiple_of(10) {
            leading /= 10;
        }
        self.layers && (step == last || matches!(leading, 0 | 1 | 2 | 5))
    }
}

/// Largest number of updates: even at a microsecond each, these take twelve days.
const MOST_UPDATES: u64 = 1_000_000_000_000;

/// Interval of evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// This number of updates.
    Steps(u64),
    /// At the first update after each pass over the training images.
    Epoch,
}

/// The data set of a complete configuration.
///
/// # Errors
/// When a value has the wrong kind.
pub(super) fn request(config: &Config) -> Result<Request, InvalidKey> {
    Keys(config).request()
}

impl Settings {
    /// The settings of a complete configuration.
    ///
    /// # Errors
    /// If values contradict each other, with the key to change.
    pub fn new(config: &Config) -> Result<Self, InvalidKey> {
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
                layer_images: keys.get("evaluate.layer_images")?,
                lesions: keys.get("evaluate.lesions")?,
                keep: keys.get("evaluate.keep")?,
            },
            seed: keys.get("seed")?,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Refuses values that contradict each other.
    fn check(&self) -> Result<(), InvalidKey> {
        self.check_training()?;
        self.training.stop_when.check(self)?;
        self.check_evaluate()?;
        self.check_data()
    }

    fn check_training(&self) -> Result<(), InvalidKey> {
        let training = &self.training;
        if training.iterations > MOST_UPDATES {
            let message =
                format!("{} updates; expected at most {MOST_UPDATES}", training.iterations);
            return Err(InvalidKey::new("training.iterations", message));
        }
        if let Some(part) = training.norm_batch
            && !training.batch.is_multiple_of(part)
        {
            let message = format!("{part} does not divide training.batch = {}", training.batch);
            return Err(InvalidKey::new("training.norm_batch", message));
        }
        if let Some(Grow { at, .. }) = training.grow
            && at >= training.iterations
        {
            let iterations = training.iterations;
            let message = format!("{at} must be below training.iterations = {iterations}");
            return Err(InvalidKey::new("training.grow.at", message));
        }
        if let Schedule::Step { at, .. } = &training.schedule
            && !at.is_sorted_by(|a, b| a < b)
        {
            return Err(InvalidKey::new("training.schedule.at", "must ascend, such as [400, 600]"));
        }
        if let Some(train) = self.data.train
            && train < training.batch
        {
            let message = format!("{} is more than data.train = {train}", training.batch);
            return Err(InvalidKey::new("training.batch", message));
        }
        Ok(())
    }

    /// Refuses batches over which a batch normalisation of the network would take mean and variance of one value.
    pub(super) fn check_statistics(&self, network: &Network) -> Result<(), InvalidKey> {
        let Evaluate { layers, layer_images, train_images, .. } = self.evaluate;
        let used = [
            ("training.batch", self.training.batch),
            // Statistics are recomputed over these images too.
            ("evaluate.train_images", train_images),
            ("evaluate.layer_images", if layers { layer_images } else { LAYER_IMAGES as usize }),
        ];
        for (key, images) in used {
            if let Some(name) = network.normalisation_of_one_value(images) {
                let message = format!(
                    "{images} is too few for BatchNorm: {name} would take mean and variance over one value, so that \
                     its output does not depend on its input; give 2 or more"
                );
                return Err(InvalidKey::new(key, message));
            }
        }
        Ok(())
    }

    /// Refuses a standardisation that does not have one value for each channel of the images.
    pub(super) fn check_channels(&self, channels: usize) -> Result<(), InvalidKey> {
        let Standardise::Given { mean, std } = &self.standardise else { return Ok(()) };
        let given = [("data.mean", mean.len()), ("data.std", std.len())];
        match given.into_iter().find(|(_, count)| *count != channels) {
            None => Ok(()),
            Some((key, count)) => {
                let are = match channels {
                    1 => "grey: give one value".to_owned(),
                    _ => format!("of {channels} channels: give {channels} values"),
                };
                let values = if count == 1 { "value" } else { "values" };
                let message = format!("{count} {values}, but the images are {are}");
                Err(InvalidKey::new(key, message))
            }
        }
    }

    fn check_evaluate(&self) -> Result<(), InvalidKey> {
        let Evaluate { layers, layer_images, lesions, keep, .. } = self.evaluate;
        let idle = [
            ("evaluate.layer_images", layer_images as u64 != LAYER_IMAGES),
            ("evaluate.lesions", lesions),
        ];
        if let Some((key, _)) = idle.iter().find(|(_, is_set)| *is_set && !layers) {
            let message = "has no effect without evaluate.layers = true";
            return Err(InvalidKey::new(key, message));
        }
        if keep == Keep::BestValidation {
            let why = if self.data.validation == 0 {
                "needs validation images: set data.validation, such as 5000"
            } else if self.training.grow.is_some() {
                "does not go with training.grow: the best weights may be those of the shallower net"
            } else {
                return Ok(());
            };
            return Err(InvalidKey::new("evaluate.keep", format!("\"{keep}\" {why}")));
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), InvalidKey> {
        match (self.data.short_side, self.data.size) {
            (Some(_), None) => {
                let message = "needs data.size, the side of the crops that a net sees";
                return Err(InvalidKey::new("data.short_side", message));
            }
            (Some(short), Some(size)) if short < size => {
                let message = format!("{short} is less than data.size = {size}");
                return Err(InvalidKey::new("data.short_side", message));
            }
            (None, _) if self.augment == Augment::ResizedCrop => {
                let message = "random-resized-crop needs data.source = \"images\" and \
                               data.short_side, such as 256 for data.size = 224";
                return Err(InvalidKey::new("data.augment", message));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
        if let Standardise::Given { std, .. } = &self.standardise
            && std.iter().any(|std| *std <= 0.0)
        {
            return Err(InvalidKey::new("data.std", "must be above zero for every channel"));
        }
        Ok(())
    }
}
