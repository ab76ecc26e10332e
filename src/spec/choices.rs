//! The choices of a training recipe that are made by a word. The values that belong to a choice,
//! such as a momentum, are in [`Settings`](super::Settings).

use fathom_base::choice;

choice! {
    /// Words of `training.optimiser`.
    pub enum OptimiserName {
        /// Stochastic gradient descent with momentum.
        Sgd,
        /// Adam.
        Adam,
        /// Adam with decoupled weight decay.
        Adamw,
        /// Orthogonalised momentum for the weights of hidden layers, SGD for the rest.
        Muon,
        /// RMSprop.
        Rmsprop,
    }
}

choice! {
    /// Words of `evaluate.keep`: the weights that a finished run leaves.
    #[derive(Default)]
    pub enum Keep {
        /// Those after the last update
        #[default]
        Last,
        /// Beside the last ones, those at the lowest validation error
        BestValidation,
    }
}

choice! {
    /// Words of `training.schedule.kind`.
    pub enum ScheduleName {
        /// The learning rate is the same at all updates.
        Constant,
        /// The learning rate falls by a factor at given updates.
        Step,
        /// The learning rate falls to zero along half a cosine.
        Cosine,
    }
}

choice! {
    /// Words of `training.warmup.kind`.
    pub enum WarmupName {
        /// The scheduled rate from the first update.
        None,
        /// A constant rate for the first updates.
        Constant,
        /// A rate that rises linearly to the scheduled one over the first updates.
        Linear,
        /// A constant rate until the running training error falls below a threshold.
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
        /// Subtract the mean and divide by the standard deviation of each channel.
        Channel,
        /// Subtract the mean and divide by the standard deviation of each pixel of each channel.
        PerFeature,
        /// Subtract the mean of each pixel of each channel, without a division.
        PerPixelMean,
        /// Subtract the given mean and divide by the given standard deviation of each channel.
        Given,
        /// No standardisation.
        None,
    }
}

choice! {
    /// Words of `data.augment`.
    pub enum AugmentName {
        /// No augmentation.
        None,
        /// A random crop after zero padding.
        Crop,
        /// A random crop after zero padding, mirrored with probability 1/2.
        CropFlip,
        /// A random window, resized to the network's input, and mirrored with probability 1/2.
        RandomResizedCrop,
    }
}
