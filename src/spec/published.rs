//! Published values that claims can name as bounds, each with the metric of the same definition.

/// A value from a paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedValue {
    /// Name in experiment files: net and images, such as `resnet-20/test`.
    pub name: &'static str,
    /// The value: per cent for errors, else a factor.
    pub value: f64,
    /// The metric with the same definition, or the closest one.
    pub metric: &'static str,
    /// Paper, table or figure, and recipe.
    pub source: &'static str,
}

/// Final test error.
const TEST: &str = "test_err_pct";
/// Training error over the batches as trained on, which the papers plot.
const RUNNING: &str = "train_err_running_pct";

const fn value(
    name: &'static str,
    value: f64,
    metric: &'static str,
    source: &'static str,
) -> PublishedValue {
    PublishedValue { name, value, metric, source }
}

const TABLE_6: &str = "1512.03385, Table 6: CIFAR-10 with augmentation, 64,000 iterations";
const FIG_6: &str = "1512.03385, Fig. 6, read off the curves: uncertain by about 0.05 for the test \
                     error of shallow nets, by more for training errors, which are noisy";
const TABLE_2: &str = "1608.06993, Table 2: CIFAR-10 with augmentation, 300 epochs";
const PREACT: &str = "1603.05027, Table 3: CIFAR-10 with augmentation, median of five";
const MEAN_FIELD: &str = "1902.08129: gradient norms grow by a factor of sqrt(pi/(pi-1)) per layer \
                          in wide untrained nets with BatchNorm and ReLU";

/// All published values.
pub static PUBLISHED_VALUES: &[PublishedValue] = &[
    value("resnet-20/test", 8.75, TEST, TABLE_6),
    value("resnet-32/test", 7.51, TEST, TABLE_6),
    value("resnet-44/test", 7.17, TEST, TABLE_6),
    value("resnet-56/test", 6.97, TEST, TABLE_6),
    value("resnet-110/test", 6.61, TEST, "1512.03385, Table 6: the mean of five; their best 6.43"),
    value("plain-20/test", 9.67, TEST, FIG_6),
    value("plain-32/test", 10.11, TEST, FIG_6),
    value("plain-44/test", 11.36, TEST, FIG_6),
    value("plain-56/test", 13.29, TEST, FIG_6),
    value("plain-20/train", 1.37, RUNNING, FIG_6),
    value("plain-32/train", 1.38, RUNNING, FIG_6),
    value("plain-44/train", 2.6, RUNNING, FIG_6),
    value("plain-56/train", 5.64, RUNNING, FIG_6),
    value("plain-110/test", 60.0, TEST, "1512.03385, caption of Fig. 6: higher than 60%"),
    value("resnet-20/train", 0.58, RUNNING, FIG_6),
    value("resnet-32/train", 0.27, RUNNING, FIG_6),
    value("resnet-44/train", 0.18, RUNNING, FIG_6),
    value("preact-110/test", 6.37, TEST, PREACT),
    value("preact-164/test", 5.46, TEST, PREACT),
    value("densenet-40-12/test", 5.24, TEST, TABLE_2),
    value("densenet-100-12/test", 4.10, TEST, TABLE_2),
    value("densenet-bc-100-12/test", 4.51, TEST, TABLE_2),
    // √(π/(π−1)).
    value("batchnorm-relu/gradient-growth", 1.2112, "gradient_growth", MEAN_FIELD),
];

/// The published value of this name.
///
/// # Errors
/// For an unknown name, with the most similar one, or all of them.
pub(super) fn published_value(name: &str) -> Result<&'static PublishedValue, String> {
    PUBLISHED_VALUES.iter().find(|one| one.name == name).ok_or_else(|| {
        let names = PUBLISHED_VALUES.iter().map(|one| one.name);
        match fathom_base::key::nearest(name, names.clone()) {
            Some(near) => format!("no published value {name}; did you mean {near}?"),
            None => {
                let known: Vec<&str> = names.collect();
                format!("no published value {name}; valid: {}", known.join(", "))
            }
        }
    })
}
