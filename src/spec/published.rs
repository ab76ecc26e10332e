//! Published values that claims may be held against, each with its own definition of the error.

/// A value from a paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// What an experiment calls it.
    pub name: &'static str,
    /// Per cent, or a factor.
    pub value: f64,
    /// The column that is defined alike, or comes nearest.
    pub metric: &'static str,
    /// Where it stands, and how it was read.
    pub source: &'static str,
}

/// Error of the last step on CIFAR-10's test images.
const TEST: &str = "test_err_pct";
/// Error over the batches as trained on: what the papers plot.
const RUNNING: &str = "train_err_running_pct";

const fn value(
    name: &'static str,
    value: f64,
    metric: &'static str,
    source: &'static str,
) -> Published {
    Published { name, value, metric, source }
}

const TABLE_6: &str = "1512.03385, Table 6: CIFAR-10 with augmentation, 64,000 iterations";
const FIG_6: &str = "1512.03385, Fig. 6, read off the curves: about 0.05 for the test error of \
                     shallow nets, more for training errors, which are noisy";
const TABLE_2: &str = "1608.06993, Table 2: CIFAR-10 with augmentation, 300 epochs";
const PREACT: &str = "1603.05027, Table 3: CIFAR-10 with augmentation, median of five";
const MEAN_FIELD: &str = "1902.08129: norms of gradients grow by the root of pi/(pi-1) per layer in \
                          wide untrained nets with BatchNorm and ReLU";

/// All that are known.
pub const PUBLISHED: &[Published] = &[
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

/// A published value by name.
///
/// # Errors
/// When there is none of this name: the nearest ones.
pub fn published(name: &str) -> Result<&'static Published, String> {
    PUBLISHED.iter().find(|one| one.name == name).ok_or_else(|| {
        let names = PUBLISHED.iter().map(|one| one.name);
        match fathom_base::key::nearest(name, names.clone()) {
            Some(near) => format!("no published value {name}; did you mean {near}?"),
            None => {
                let known: Vec<&str> = names.collect();
                format!("no published value {name}; known: {}", known.join(", "))
            }
        }
    })
}
