//! The choices of a recipe that are made by a word. What goes with a word (a momentum, a factor) is
//! in [`Settings`](super::Settings).

use fathom_base::choice;

choice! {
    /// Words of `training.optimiser`.
    pub enum OptimiserName {
        /// [`Optimiser::Sgd`](super::Optimiser::Sgd).
        Sgd,
        /// [`Optimiser::Adam`](super::Optimiser::Adam).
        Adam,
        /// [`Optimiser::RmsProp`](super::Optimiser::RmsProp).
        Rmsprop,
    }
}

choice! {
    /// Words of `training.schedule.kind`.
    pub enum ScheduleName {
        /// [`Schedule::Constant`](super::Schedule::Constant).
        Constant,
        /// [`Schedule::Step`](super::Schedule::Step).
        Step,
        /// [`Schedule::Cosine`](super::Schedule::Cosine).
        Cosine,
    }
}

choice! {
    /// Words of `training.warmup.kind`.
    pub enum WarmupName {
        /// [`Warmup::None`](super::Warmup::None).
        None,
        /// [`Warmup::Constant`](super::Warmup::Constant).
        Constant,
        /// [`Warmup::Linear`](super::Warmup::Linear).
        Linear,
        /// [`Warmup::UntilError`](super::Warmup::UntilError).
        UntilError,
    }
}

choice! {
    /// Words of `training.decay`: which parameters decay.
    pub enum Decay {
        /// All parameters, those of normalisation and biases too.
        All,
        /// Weights of convolutions and fully connected layers.
        Weights,
    }
}

choice! {
    /// Words of `training.grow.kind`.
    pub enum GrowName {
        /// The net keeps its depth.
        None,
        /// The net grows by layers that are the identity.
        Identity,
    }
}

choice! {
    /// Words of `data.standardise`.
    pub enum StandardiseName {
        /// [`Standardise::Channel`](fathom_data::Standardise::Channel).
        Channel,
        /// [`Standardise::PerFeature`](fathom_data::Standardise::PerFeature).
        PerFeature,
        /// [`Standardise::PerPixelMean`](fathom_data::Standardise::PerPixelMean).
        PerPixelMean,
        /// [`Standardise::Given`](fathom_data::Standardise::Given).
        Given,
        /// [`Standardise::None`](fathom_data::Standardise::None).
        None,
    }
}

choice! {
    /// Words of `data.augment`.
    pub enum AugmentName {
        /// [`Augment::None`](fathom_data::Augment::None).
        None,
        /// [`Augment::Crop`](fathom_data::Augment::Crop).
        Crop,
        /// [`Augment::Crop`](fathom_data::Augment::Crop) with half of the images mirrored.
        CropFlip,
        /// [`Augment::ResizedCrop`](fathom_data::Augment::ResizedCrop).
        RandomResizedCrop,
    }
}
