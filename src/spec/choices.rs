//! The choices of a training recipe that are made by a word. The values that belong to a choice,
//! such as a momentum, are in [`Settings`](super::Settings).

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
    /// Words of `training.decay`: the parameters with weight decay.
    pub enum Decay {
        /// All parameters, including biases and those of normalisation.
        All,
        /// Weights of convolutions and fully connected layers only.
        Weights,
    }
}

choice! {
    /// Words of `training.grow.kind`.
    pub enum GrowName {
        /// Constant depth.
        None,
        /// The net gets additional layers that are initialised as the identity.
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
        /// [`Augment::Crop`](fathom_data::Augment::Crop) without mirroring.
        Crop,
        /// [`Augment::Crop`](fathom_data::Augment::Crop), mirrored with probability 1/2.
        CropFlip,
        /// [`Augment::ResizedCrop`](fathom_data::Augment::ResizedCrop).
        RandomResizedCrop,
    }
}
