//! The keys of every experiment but those of the network's family.

use super::Precision;
use super::choices::{
    AugmentName, Decay, GrowName, OptimiserName, ScheduleName, StandardiseName, WarmupName,
};
use fathom_arch as arch;
use fathom_base::key::{Condition, Default, Key, Kind, key};
use fathom_data::Source;

const ANY: u64 = u64::MAX >> 1;
const POSITIVE: Kind = Kind::Number(0.0, f64::INFINITY);
const FRACTION: Kind = Kind::Number(0.0, 1.0);

const ALWAYS: &[Condition] = &[];
const IMAGES: &[Condition] = &[("data.source", &[Source::Images.word()])];
const SHAPES: &[Condition] = &[("data.source", &[Source::Shapes.word()])];
const GIVEN: &[Condition] = &[("data.standardise", &[StandardiseName::Given.word()])];
const CROPPED: &[Condition] =
    &[("data.augment", &[AugmentName::Crop.word(), AugmentName::CropFlip.word()])];
const BY_STEPS: &[Condition] = &[("training.schedule.kind", &[ScheduleName::Step.word()])];
const SGD: &[Condition] = &[("training.optimiser", &[OptimiserName::Sgd.word()])];
const ADAM: &[Condition] = &[("training.optimiser", &[OptimiserName::Adam.word()])];
const RMSPROP: &[Condition] = &[("training.optimiser", &[OptimiserName::Rmsprop.word()])];
const WARM_FOR: &[Condition] =
    &[("training.warmup.kind", &[WarmupName::Constant.word(), WarmupName::Linear.word()])];
const WARM_UNTIL: &[Condition] = &[("training.warmup.kind", &[WarmupName::UntilError.word()])];
const WARM: &[Condition] = &[(
    "training.warmup.kind",
    &[WarmupName::Constant.word(), WarmupName::Linear.word(), WarmupName::UntilError.word()],
)];
const GROWN: &[Condition] = &[("training.grow.kind", &[GrowName::Identity.word()])];
const SINGLE: &[Condition] = &[("network.family", &["plain-block", "residual-block"])];
const BATCH_NORM: &[Condition] = arch::BATCH_NORM;

/// Names, kinds, defaults. A key that is at its default does not enter a run's id, so a default
/// never changes within a schema.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("data.source", Kind::Choice(Source::WORDS),
        Default::Required, ALWAYS, "the data set"),
    key("data.train", Kind::Count(1, ANY), Default::Absent, ALWAYS,
        "training images, a fixed class-balanced choice; all when absent"),
    key("data.test", Kind::Count(1, ANY), Default::Absent, ALWAYS,
        "test images, likewise"),
    key("data.validation", Kind::Count(0, ANY), Default::Count(0), ALWAYS,
        "images held out of the training set"),
    key("data.size", Kind::Count(8, 4096), Default::Absent, ALWAYS,
        "rows and columns to which images are resized; as they are when absent"),
    key("data.colour", Kind::Flag, Default::Flag(true), SHAPES,
        "whether shapes are drawn in colour"),
    key("data.path", Kind::Text, Default::Required, IMAGES,
        "folder with train/CLASS/ and test/CLASS/"),
    key("data.short_side", Kind::Count(8, 8192), Default::Absent, IMAGES,
        "keep images decoded in files, shorter side resized to this; nets see crops of data.size"),
    key("data.augment", Kind::Choice(AugmentName::WORDS), Default::Word(AugmentName::None.word()), ALWAYS,
        "random crops of the padded image, and mirrored; or parts of it, resized (with data.short_side)"),
    key("data.pad", Kind::Count(1, 4096), Default::Count(4), CROPPED,
        "pixels of zero (after standardising) on every side before a crop"),
    key("data.standardise", Kind::Choice(StandardiseName::WORDS),
        Default::Word(StandardiseName::Channel.word()), ALWAYS,
        "what is subtracted and divided by, measured on the training images; none: pixels/255"),
    key("data.mean", Kind::Numbers, Default::Required, GIVEN, "mean per channel, pixels in 0..1"),
    key("data.std", Kind::Numbers, Default::Required, GIVEN, "deviation per channel, pixels in 0..1"),

    key("network.family", Kind::Text, Default::Required, ALWAYS, "family of networks"),

    key("training.iterations", Kind::Count(1, ANY), Default::Required, ALWAYS, "updates"),
    key("training.batch", Kind::Count(1, ANY), Default::Count(128), ALWAYS, "images of one update"),
    key("training.optimiser", Kind::Choice(OptimiserName::WORDS), Default::Word(OptimiserName::Sgd.word()), ALWAYS,
        "rule of the update"),
    key("training.lr", POSITIVE, Default::Number(0.1), ALWAYS, "learning rate before schedule and warm-up"),
    key("training.momentum", FRACTION, Default::Number(0.9), SGD, "momentum of SGD"),
    key("training.nesterov", Kind::Flag, Default::Flag(false), SGD, "Nesterov's variant of momentum"),
    key("training.beta1", FRACTION, Default::Number(0.9), ADAM, "decay of Adam's first moment"),
    key("training.beta2", FRACTION, Default::Number(0.999), ADAM, "decay of Adam's second moment"),
    key("training.alpha", FRACTION, Default::Number(0.99), RMSPROP, "decay of RMSprop's second moment"),
    key("training.weight_decay", POSITIVE, Default::Number(1e-4), ALWAYS,
        "times the parameter, added to its gradient"),
    key("training.decay", Kind::Choice(Decay::WORDS), Default::Word(Decay::All.word()), ALWAYS,
        "which parameters decay: all of them (as in fb.resnet.torch), or not biases and normalisation's"),
    key("training.precision", Kind::Choice(Precision::WORDS), Default::Word(Precision::F32.word()), ALWAYS,
        "numbers of activations and of the weights' copies that they meet; weights themselves are f32"),
    key("training.schedule.kind", Kind::Choice(ScheduleName::WORDS), Default::Word(ScheduleName::Constant.word()), ALWAYS,
        "how the learning rate falls"),
    key("training.schedule.at", Kind::Counts, Default::Required, BY_STEPS, "updates after which it is multiplied"),
    key("training.schedule.factor", POSITIVE, Default::Number(0.1), BY_STEPS, "by what it is multiplied"),
    key("training.warmup.kind", Kind::Choice(WarmupName::WORDS),
        Default::Word(WarmupName::None.word()), ALWAYS, "a lower rate at the start"),
    key("training.warmup.iterations", Kind::Count(1, ANY), Default::Required, WARM_FOR, "updates of warm-up"),
    key("training.warmup.lr", POSITIVE, Default::Number(0.01), WARM,
        "rate of warm-up, or where a linear one starts"),
    key("training.warmup.error_pct", Kind::Number(0.0, 100.0), Default::Number(80.0), WARM_UNTIL,
        "running training error at which warm-up ends"),
    key("training.grow.kind", Kind::Choice(GrowName::WORDS), Default::Word(GrowName::None.word()), ALWAYS,
        "whether the net begins with fewer layers and grows by layers that are the identity"),
    key("training.grow.from", Kind::Count(1, ANY), Default::Required, GROWN,
        "depth before it grows"),
    key("training.grow.at", Kind::Count(1, ANY), Default::Required, GROWN,
        "updates after which it grows to network.depth"),
    key("training.delta", Kind::Number(0.0, 1e6), Default::Required, SINGLE,
        "the block is to give x + delta*g(x) of an image x, where g is a fixed random block"),
    key("training.norm_batch", Kind::Count(2, ANY), Default::Absent, BATCH_NORM,
        "images over which BatchNorm's statistics are taken (the papers' 64 of 128); the batch when absent"),

    key("evaluate.every", Kind::CountOr(&["epoch"]), Default::Word("epoch"), ALWAYS,
        "updates between evaluations"),
    key("evaluate.train_images", Kind::Count(1, ANY), Default::Count(10_000), ALWAYS,
        "fixed, class-balanced choice for the curve's training error; all at the end"),
    key("evaluate.layers", Kind::Flag, Default::Flag(false), ALWAYS,
        "whether what happens in each layer is looked at, at 0, 1, 2, 5, 10, … updates: layers.csv"),

    key("seed", Kind::Count(0, ANY), Default::Count(0), ALWAYS,
        "of initial weights, order and augmentation"),
];
