//! The keys of experiment files except those of the families of networks.

use super::Precision;
use super::choices::{
    AugmentName, Decay, GrowName, Keep, OptimiserName, ScheduleName, StandardiseName, WarmupName,
};
use fathom_arch as arch;
use fathom_base::key::{Condition, Default, Key, Kind, key};
use fathom_data::folder::SHARES;
use fathom_data::{Labels, Source};
use fathom_record::METRIC_COLUMNS;

const ANY: u64 = u64::MAX >> 1;
/// Largest number of images: more than any data set has, and few enough that their bytes can be counted.
const MANY: u64 = 100_000_000;
const POSITIVE: Kind = Kind::Number(0.0, f64::INFINITY);
const FRACTION: Kind = Kind::Number(0.0, 1.0);
/// Decay rates of averages, which are corrected by a division by 1 minus their powers.
const BELOW_ONE: Kind = Kind::Number(0.0, 0.999_999_9);

/// Default of `evaluate.layer_images`: enough for the statistics of a batch, few enough to cost little.
pub(super) const LAYER_IMAGES: u64 = 64;

const ALWAYS: &[Condition] = &[];
const IMAGES: &[Condition] = &[("data.source", &[Source::Images.word()])];
const SHAPES: &[Condition] = &[("data.source", &[Source::Shapes.word()])];
const CIFAR100: &[Condition] = &[("data.source", &[Source::Cifar100.word()])];
const GIVEN: &[Condition] = &[("data.standardise", &[StandardiseName::Given.word()])];
const CROPPED: &[Condition] =
    &[("data.augment", &[AugmentName::Crop.word(), AugmentName::CropFlip.word()])];
const BY_STEPS: &[Condition] = &[("training.schedule.kind", &[ScheduleName::Step.word()])];
const SGD: &[Condition] = &[("training.optimiser", &[OptimiserName::Sgd.word()])];
const MUON: &[Condition] = &[("training.optimiser", &[OptimiserName::Muon.word()])];
const WITH_MOMENTUM: &[Condition] =
    &[("training.optimiser", &[OptimiserName::Sgd.word(), OptimiserName::Muon.word()])];
const ADAM: &[Condition] =
    &[("training.optimiser", &[OptimiserName::Adam.word(), OptimiserName::Adamw.word()])];
const RMSPROP: &[Condition] = &[("training.optimiser", &[OptimiserName::Rmsprop.word()])];
const WARM_FOR: &[Condition] =
    &[("training.warmup.kind", &[WarmupName::Constant.word(), WarmupName::Linear.word()])];
const WARM_UNTIL: &[Condition] = &[("training.warmup.kind", &[WarmupName::UntilError.word()])];
const WARM: &[Condition] = &[(
    "training.warmup.kind",
    &[WarmupName::Constant.word(), WarmupName::Linear.word(), WarmupName::UntilError.word()],
)];
const GROWN: &[Condition] = &[("training.grow.kind", &[GrowName::Identity.word()])];
const THRESHOLD: &[Condition] = &[("training.stop_when.metric", METRIC_COLUMNS)];
const SINGLE: &[Condition] = &[("network.family", &["plain-block", "residual-block"])];
const BATCH_NORM: &[Condition] = arch::BATCH_NORM;

/// The keys of all experiments. A key at its default does not enter the id of a run, so a default
/// never changes within a schema.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("data.source", Kind::Choice(Source::WORDS),
        Default::Required, ALWAYS,
        "data set: generated figures (shapes), an official data set, or a folder of image files (images)"),
    key("data.train", Kind::Count(1, MANY), Default::Absent, ALWAYS,
        "number of training images, a fixed class-balanced subset; when not set, all that are not held out \
         (shapes: 10000)"),
    key("data.test", Kind::Count(1, MANY), Default::Absent, ALWAYS,
        "number of test images, a fixed class-balanced subset; when not set, all (shapes: 2000)"),
    key("data.validation", Kind::Count(0, MANY), Default::Count(0), ALWAYS,
        "number of images held out of the training set for validation; 0 for none"),
    key("data.size", Kind::Count(8, 4096), Default::Absent, ALWAYS,
        "height and width in pixels to which images are resized; when not set, their own size (shapes: 16)"),
    key("data.colour", Kind::Flag, Default::Flag(true), SHAPES,
        "true for RGB figures (3 channels), false for greyscale (1 channel)"),
    key("data.path", Kind::Text, Default::Required, IMAGES,
        "folder that holds train/CLASS/ and test/CLASS/ (or val/CLASS/) with PNG, JPEG, WebP, BMP or PNM files, in \
         the current folder or where data sets are searched"),
    key("data.test_share", Kind::Number(SHARES.0, SHARES.1), Default::Absent, IMAGES,
        "for a folder without test images: share of the images of each class that are held out as test images, \
         chosen by a hash of the files' names, the same for every seed and on every machine; when not set, such a \
         folder is refused"),
    key("data.labels", Kind::Choice(Labels::WORDS), Default::Word(Labels::Fine.word()), CIFAR100,
        "labels of CIFAR-100; fine: 100 classes; coarse: 20 superclasses of five classes each"),
    key("data.short_side", Kind::Count(8, 8192), Default::Absent, IMAGES,
        "shorter side in pixels of the decoded images that are cached on disk, from which training and evaluation \
         take crops of data.size: for folders larger than memory; when not set, images are held in memory"),
    key("data.augment", Kind::Choice(AugmentName::WORDS), Default::Word(AugmentName::None.word()), ALWAYS,
        "random change of training images; crop: a crop after zero padding by data.pad; crop-flip: the same, \
         mirrored with probability 1/2; random-resized-crop: torchvision's, mirrored too (needs data.short_side)"),
    key("data.pad", Kind::Count(1, 4096), Default::Count(4), CROPPED,
        "zero padding in pixels on each side before the random crop, applied after standardisation"),
    key("data.standardise", Kind::Choice(StandardiseName::WORDS),
        Default::Word(StandardiseName::Channel.word()), ALWAYS,
        "mean and standard deviation by which pixels in 0..1 are standardised; channel: of each channel over the \
         training images; per-feature: of each pixel of each channel; per-pixel-mean: the mean of each pixel of \
         each channel, without division (1512.03385, section 4.2); given: data.mean and data.std"),
    key("data.mean", Kind::Numbers, Default::Required, GIVEN, "mean of each channel, for pixels in 0..1"),
    key("data.std", Kind::Numbers, Default::Required, GIVEN,
        "standard deviation of each channel, for pixels in 0..1"),

    key("network.family", Kind::Text, Default::Required, ALWAYS,
        "family of networks, which has further network.* keys of its own"),

    key("training.iterations", Kind::Updates(&[]), Default::Required, ALWAYS,
        "total number of optimiser updates; \"20 epochs\" stands for as many as process so many times the training images, \
         here and in all keys that are numbers of updates"),
    key("training.batch", Kind::Count(1, MANY), Default::Count(128), ALWAYS,
        "batch size: number of images per update"),
    key("training.optimiser", Kind::Choice(OptimiserName::WORDS), Default::Word(OptimiserName::Sgd.word()), ALWAYS,
        "update rule: SGD with momentum, Adam (1412.6980), Adam with decoupled weight decay (1711.05101) or RMSprop, as \
         defined in PyTorch with eps = 1e-8; muon (Jordan 2024): the Nesterov momentum of each convolution or fully \
         connected layer except the last, as a matrix, made orthogonal by five Newton-Schulz steps, times \
         sqrt(max(1, rows / columns)), and SGD for all other parameters"),
    key("training.lr", POSITIVE, Default::Number(0.1), ALWAYS, "base learning rate, before schedule and warm-up"),
    key("training.momentum", FRACTION, Default::Number(0.9), WITH_MOMENTUM, "momentum of SGD and Muon"),
    key("training.nesterov", Kind::Flag, Default::Flag(false), SGD, "whether SGD uses Nesterov momentum"),
    key("training.beta1", BELOW_ONE, Default::Number(0.9), ADAM, "decay rate of Adam's first moment"),
    key("training.beta2", BELOW_ONE, Default::Number(0.999), ADAM, "decay rate of Adam's second moment"),
    key("training.sgd_factor", POSITIVE, Default::Number(1.0), MUON,
        "learning rate of SGD for the parameters that Muon leaves to it, as a multiple of training.lr"),
    key("training.alpha", FRACTION, Default::Number(0.99), RMSPROP,
        "decay rate of RMSprop's moving average of squared gradients"),
    key("training.weight_decay", POSITIVE, Default::Number(1e-4), ALWAYS,
        "weight decay: this times the parameter is added to its gradient (L2 regularisation); adamw, and muon for its \
         matrices, multiply the parameter by 1 - lr * weight_decay instead"),
    key("training.clip_norm", POSITIVE, Default::Number(0.0), ALWAYS,
        "largest Euclidean norm of the gradient of all parameters together; a larger gradient is multiplied by \
         clip_norm / (norm + 1e-6) before weight decay is added (1211.5063, as in PyTorch); 0 for no clipping"),
    key("training.decay", Kind::Choice(Decay::WORDS), Default::Word(Decay::All.word()), ALWAYS,
        "parameters with weight decay; all: every parameter, as in fb.resnet.torch; weights: weights of \
         convolutions and fully connected layers, not biases and normalisation parameters"),
    key("training.precision", Kind::Choice(Precision::WORDS), Default::Word(Precision::F32.word()), ALWAYS,
        "number format of activations and of the weights' copies in forward and backward passes; the updated \
         weights are f32 throughout; tf32: f32 with products rounded to 11 bits, CUDA only"),
    key("training.schedule.kind", Kind::Choice(ScheduleName::WORDS), Default::Word(ScheduleName::Constant.word()), ALWAYS,
        "learning-rate schedule; step: multiplied by training.schedule.factor at training.schedule.at; cosine: half \
         a cosine from training.lr to 0 at the last update"),
    key("training.schedule.at", Kind::UpdatesList, Default::Required, BY_STEPS,
        "numbers of updates after which the learning rate is multiplied, ascending"),
    key("training.schedule.factor", POSITIVE, Default::Number(0.1), BY_STEPS,
        "factor by which the learning rate is multiplied at each step"),
    key("training.warmup.kind", Kind::Choice(WarmupName::WORDS),
        Default::Word(WarmupName::None.word()), ALWAYS,
        "learning-rate warm-up; constant: at training.warmup.lr; linear: from training.warmup.lr to the scheduled \
         rate; until-error: at training.warmup.lr until the running training error falls below \
         training.warmup.error_pct (1512.03385, section 4.2)"),
    key("training.warmup.iterations", Kind::Updates(&[]), Default::Required, WARM_FOR,
        "number of warm-up updates"),
    key("training.warmup.lr", POSITIVE, Default::Number(0.01), WARM,
        "learning rate during warm-up (linear: at its start)"),
    key("training.warmup.error_pct", Kind::Number(0.0, 100.0), Default::Number(80.0), WARM_UNTIL,
        "training error in per cent, averaged over the last 50 batches, below which warm-up ends"),
    key("training.grow.kind", Kind::Choice(GrowName::WORDS), Default::Word(GrowName::None.word()), ALWAYS,
        "whether the depth grows during training; identity: a plain net starts with training.grow.from layers and \
         gets identity layers up to network.depth after training.grow.at updates (1512.03385, section 1)"),
    key("training.grow.from", Kind::Count(1, 100_000), Default::Required, GROWN,
        "depth of the net before it grows, in layers with weights"),
    key("training.grow.at", Kind::Updates(&[]), Default::Required, GROWN,
        "number of updates after which the net grows; below training.iterations"),
    key("training.stop_when.metric", Kind::Choice(METRIC_COLUMNS), Default::Absent, ALWAYS,
        "metric of the curve that ends the run at the first evaluation at which it is below \
         training.stop_when.below (train_err_fresh_pct cannot, as it is measured at the end); when not set, no metric \
         does"),
    key("training.stop_when.below", POSITIVE, Default::Required, THRESHOLD,
        "value of training.stop_when.metric below which the run ends"),
    key("training.stop_when.at_chance_for", Kind::Updates(&[]), Default::Absent, ALWAYS,
        "number of updates over which train_err_pct was at chance level at every evaluation, after which the run \
         ends; when not set, such a run goes on"),
    key("training.delta", Kind::Number(0.0, 1e6), Default::Required, SINGLE,
        "scale delta of the regression target x + delta*g(x), where x is the input image and g a fixed random \
         block"),
    key("training.norm_batch", Kind::Count(2, MANY), Default::Absent, BATCH_NORM,
        "number of images per BatchNorm statistic, a divisor of training.batch (the papers: 64 of 128, one half on \
         each of two GPUs); when not set, the whole batch"),

    key("evaluate.every", Kind::Updates(&["epoch"]), Default::Word("epoch"), ALWAYS,
        "number of updates between evaluations; epoch: an evaluation at the first update after each pass over the \
         training images"),
    key("evaluate.train_images", Kind::Count(1, MANY), Default::Count(10_000), ALWAYS,
        "number of training images for the training error of the curve, a fixed class-balanced subset; the last \
         evaluation uses all"),
    key("evaluate.layers", Kind::Flag, Default::Flag(false), ALWAYS,
        "whether statistics of each layer's responses and gradients are written to layers.csv, after 0, 1, 2, 5, \
         10, 20, 50, ... updates and the last one"),
    key("evaluate.layer_images", Kind::Count(2, MANY), Default::Count(LAYER_IMAGES), ALWAYS,
        "number of training images for layers.csv, a fixed class-balanced subset that passes through the net as one \
         batch; the larger it is, the better it is as the reference of mean_gap and variance_gap, and the more \
         memory it takes; needs evaluate.layers = true"),
    key("evaluate.lesions", Kind::Flag, Default::Flag(false), ALWAYS,
        "whether the rise of the test error without each block is written to layers.csv after the last update \
         (1605.06431); needs evaluate.layers = true"),

    key("evaluate.keep", Kind::Choice(Keep::WORDS), Default::Word(Keep::Last.word()), ALWAYS,
        "weights that a finished run leaves in its folder; last: those after the last update, in \
         checkpoint.safetensors; best-validation: beside them those of the evaluation with the lowest validation \
         error, in best-validation.safetensors (needs data.validation)"),

    key("seed", Kind::Count(0, ANY), Default::Count(0), ALWAYS,
        "random seed of initial weights, batch order and augmentation"),
];
