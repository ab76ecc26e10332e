//! Published nets by name: a family, values of its keys, and the shape of the images and number of
//! classes of the publication.

use super::{Dims, FamilyKeys, family, keys::defaults};

/// Names of keys and their values.
type Keys = &'static [(&'static str, &'static str)];

/// A published net.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Name of the net.
    pub name: &'static str,
    /// Name of its family.
    pub family: &'static str,
    /// Keys with other values than the family's defaults: names without `network.`, and values as on
    /// the command line.
    pub keys: Keys,
    /// Shape of its images.
    pub input: Dims,
    /// Number of classes.
    pub classes: usize,
    /// A sentence that tells nets of similar names apart.
    pub note: Option<&'static str>,
}

const fn cifar(name: &'static str, family: &'static str, keys: Keys) -> Published {
    Published { name, family, keys, input: [3, 32, 32], classes: 10, note: None }
}

const fn imagenet(name: &'static str, family: &'static str, keys: Keys) -> Published {
    Published { name, family, keys, input: [3, 224, 224], classes: 1000, note: None }
}

const fn lenet(name: &'static str, keys: Keys) -> Published {
    Published { name, family: "lenet", keys, input: [1, 28, 28], classes: 10, note: None }
}

const fn textbook(name: &'static str, keys: Keys, note: &'static str) -> Published {
    Published { name, family: "dense", keys, input: [1, 96, 96], classes: 10, note: Some(note) }
}

/// All published nets.
#[rustfmt::skip]
pub static PUBLISHED: &[Published] = &[
    // 1512.03385 §4.2, option A.
    cifar("plain20", "plain", &[("depth", "20")]),
    cifar("plain32", "plain", &[("depth", "32")]),
    cifar("plain44", "plain", &[("depth", "44")]),
    cifar("plain56", "plain", &[("depth", "56")]),
    cifar("plain110", "plain", &[("depth", "110")]),
    cifar("resnet20", "residual", &[("depth", "20")]),
    cifar("resnet32", "residual", &[("depth", "32")]),
    cifar("resnet44", "residual", &[("depth", "44")]),
    cifar("resnet56", "residual", &[("depth", "56")]),
    cifar("resnet110", "residual", &[("depth", "110")]),
    cifar("resnet1202", "residual", &[("depth", "1202")]),
    // 1603.05027, Table 3.
    cifar("preresnet110", "preact", &[("depth", "110")]),
    cifar("preresnet164", "preact", &[("depth", "164"), ("block", "bottleneck"), ("shortcut", "b"), ("stride_first", "true")]),
    cifar("preresnet1001", "preact", &[("depth", "1001"), ("block", "bottleneck"), ("shortcut", "b"), ("stride_first", "true")]),
    // 1605.07146, Tables 4 and 5: WRN-depth-k.
    cifar("wrn-16-8", "wide", &[("depth", "16"), ("width", "128")]),
    cifar("wrn-16-10", "wide", &[("depth", "16"), ("width", "160")]),
    cifar("wrn-28-10", "wide", &[("depth", "28"), ("width", "160")]),
    cifar("wrn-40-4", "wide", &[("depth", "40"), ("width", "64")]),
    cifar("wrn-40-8", "wide", &[("depth", "40"), ("width", "128")]),
    // 1512.03385, Table 1; the residual nets as in torchvision.
    imagenet("plain18", "plain", &[("depth", "18"), ("stem", "imagenet"), ("width", "64")]),
    imagenet("plain34", "plain", &[("depth", "34"), ("stem", "imagenet"), ("width", "64")]),
    imagenet("resnet18", "residual", &[("depth", "18"), ("stem", "imagenet"), ("width", "64"), ("shortcut", "b")]),
    imagenet("resnet34", "residual", &[("depth", "34"), ("stem", "imagenet"), ("width", "64"), ("shortcut", "b")]),
    imagenet("resnet50", "residual", &[("depth", "50"), ("stem", "imagenet"), ("width", "64"), ("shortcut", "b"), ("block", "bottleneck")]),
    imagenet("resnet101", "residual", &[("depth", "101"), ("stem", "imagenet"), ("width", "64"), ("shortcut", "b"), ("block", "bottleneck")]),
    imagenet("resnet152", "residual", &[("depth", "152"), ("stem", "imagenet"), ("width", "64"), ("shortcut", "b"), ("block", "bottleneck")]),
    // 1608.06993, Tables 2 and 1.
    cifar("densenet-40-12", "dense", &[("depth", "40"), ("growth", "12")]),
    cifar("densenet-100-12", "dense", &[("depth", "100"), ("growth", "12")]),
    cifar("densenet-100-24", "dense", &[("depth", "100"), ("growth", "24")]),
    cifar("densenet-bc-100-12", "dense", &[("depth", "100"), ("growth", "12"), ("bottleneck", "true"), ("compression", "0.5")]),
    cifar("densenet-bc-250-24", "dense", &[("depth", "250"), ("growth", "24"), ("bottleneck", "true"), ("compression", "0.5")]),
    cifar("densenet-bc-190-40", "dense", &[("depth", "190"), ("growth", "40"), ("bottleneck", "true"), ("compression", "0.5")]),
    imagenet("densenet121", "dense", &[("blocks", "6,12,24,16"), ("growth", "32"), ("initial", "64"), ("stem", "imagenet"), ("bottleneck", "true"), ("compression", "0.5"), ("init", "he-fan-in")]),
    imagenet("densenet161", "dense", &[("blocks", "6,12,36,24"), ("growth", "48"), ("initial", "96"), ("stem", "imagenet"), ("bottleneck", "true"), ("compression", "0.5"), ("init", "he-fan-in")]),
    imagenet("densenet169", "dense", &[("blocks", "6,12,32,32"), ("growth", "32"), ("initial", "64"), ("stem", "imagenet"), ("bottleneck", "true"), ("compression", "0.5"), ("init", "he-fan-in")]),
    imagenet("densenet201", "dense", &[("blocks", "6,12,48,32"), ("growth", "32"), ("initial", "64"), ("stem", "imagenet"), ("bottleneck", "true"), ("compression", "0.5"), ("init", "he-fan-in")]),
    // The nets of the editions of Dive into Deep Learning for Fashion-MNIST: four blocks of four layers, images
    // enlarged to 96×96.
    textbook("densenet-textbook", &[("blocks", "4,4,4,4"), ("growth", "32"), ("initial", "64"), ("stem", "imagenet"), ("compression", "0.5")],
        "densenet-textbook is the net of most editions of Dive into Deep Learning, without bottlenecks and dropout; \
         densenet-textbook-tf2 has them"),
    textbook("densenet-textbook-tf2", &[("blocks", "4,4,4,4"), ("growth", "32"), ("initial", "64"), ("stem", "imagenet"), ("compression", "0.5"), ("bottleneck", "true"), ("dropout", "0.5"), ("dropout_after", "conv3x3")],
        "densenet-textbook-tf2 is the net of the TensorFlow 2 edition of the Chinese text of Dive into Deep Learning, \
         5.12, with bottlenecks and dropout after each 3x3 convolution; densenet-textbook has neither"),
    lenet("lenet", &[]),
    lenet("lenet-bn", &[("norm", "batch")]),
];

impl Published {
    /// The published net of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PUBLISHED.iter().find(|published| published.name == name)
    }

    /// Complete keys of the net, `network.family` included.
    ///
    /// # Panics
    /// When [`PUBLISHED`] has a key or a value that the family does not have; a test rules this out.
    pub fn keys(&self) -> FamilyKeys {
        let family = family(self.family).expect("a family of this crate");
        let mut keys = defaults(family);
        keys.insert("network.family".into(), self.family.into());
        for (name, text) in self.keys {
            let full = format!("network.{name}");
            let key = family.keys().iter().find(|key| key.name == full);
            let value = key.and_then(|key| key.kind.parse(text)).expect("a value of the key");
            keys.insert(full, value);
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network;

    /// Parameters and multiply-adds: the papers', torchvision's, or by arithmetic from them.
    #[rustfmt::skip]
    const SIZES: &[(&str, u64, u64)] = &[
        ("plain20", 269_722, 40_551_040),
        ("plain32", 464_154, 68_862_592),
        ("plain44", 658_586, 97_174_144),
        ("plain56", 853_018, 125_485_696),
        ("plain110", 1_727_962, 252_887_680),
        ("resnet20", 269_722, 40_551_040),
        ("resnet32", 464_154, 68_862_592),
        ("resnet44", 658_586, 97_174_144),
        ("resnet56", 853_018, 125_485_696),
        ("resnet110", 1_727_962, 252_887_680),
        ("resnet1202", 19_421_274, 2_829_238_912),
        ("lenet", 61_706, 416_520),
        ("lenet-bn", 62_158, 416_520),
    ];

    /// Parameters of wide nets as the common implementations have them, by name and number of classes.
    const WIDE: &[(&str, usize, u64)] = &[
        ("wrn-16-8", 10, 10_961_370),
        ("wrn-16-10", 10, 17_116_634),
        ("wrn-28-10", 10, 36_479_194),
        ("wrn-28-10", 100, 36_536_884),
        ("wrn-40-4", 10, 8_949_210),
        ("wrn-40-8", 10, 35_748_314),
    ];

    /// Parameters, and multiply-adds in units as rounded where they were published; those of plain nets are
    /// the residual ones' less the projections.
    #[rustfmt::skip]
    const ROUNDED: &[(&str, u64, f64, f64)] = &[
        ("plain18", 11_515_688, 1.795, 1e9),
        ("plain34", 21_623_848, 3.644, 1e9),
        ("resnet18", 11_689_512, 1.814, 1e9),
        ("resnet34", 21_797_672, 3.664, 1e9),
        ("resnet50", 25_557_032, 4.089, 1e9),
        ("resnet101", 44_549_160, 7.801, 1e9),
        ("resnet152", 60_192_808, 11.514, 1e9),
        ("densenet121", 7_978_856, 2.834, 1e9),
        ("densenet161", 28_681_000, 7.728, 1e9),
        ("densenet169", 14_149_480, 3.360, 1e9),
        ("densenet201", 20_013_928, 4.291, 1e9),
        ("densenet-40-12", 1_019_722, 264.8, 1e6),
        ("densenet-100-12", 6_979_642, 1_769.5, 1e6),
        ("densenet-100-24", 27_249_082, 6_889.3, 1e6),
        ("densenet-bc-100-12", 769_162, 287.9, 1e6),
        ("densenet-bc-250-24", 15_324_406, 5_418.8, 1e6),
        ("densenet-bc-190-40", 25_624_430, 9_301.9, 1e6),
    ];

    fn audit(name: &str) -> crate::Audit {
        let published = Published::find(name).unwrap();
        network(&published.keys(), published.input, published.classes).unwrap().audit()
    }

    #[test]
    fn every_name_gives_a_net() {
        for (place, published) in PUBLISHED.iter().enumerate() {
            assert!(audit(published.name).parameters > 0, "{}", published.name);
            assert!(PUBLISHED[..place].iter().all(|other| other.name != published.name));
            let is_tested = WIDE.iter().any(|(name, ..)| *name == published.name);
            assert_eq!(is_tested, published.family == "wide", "{}", published.name);
        }
    }

    #[test]
    fn parameters_and_macs_are_those_published() {
        for (name, parameters, macs) in SIZES {
            let audit = audit(name);
            assert_eq!((audit.parameters, audit.macs), (*parameters, *macs), "{name}");
        }
        for (name, classes, parameters) in WIDE {
            let published = Published::find(name).unwrap();
            let net = network(&published.keys(), published.input, *classes).unwrap();
            assert_eq!(net.parameter_count(), *parameters, "{name}");
        }
        for (name, parameters, macs, unit) in ROUNDED {
            let audit = audit(name);
            assert_eq!(audit.parameters, *parameters, "{name}");
            let digits = if *unit == 1e9 { 1e3 } else { 1e1 };
            let rounded = (audit.macs as f64 / unit * digits).round() / digits;
            assert_eq!(rounded, *macs, "{name}: {}", audit.macs);
        }
    }
}
