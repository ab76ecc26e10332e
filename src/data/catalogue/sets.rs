//! The sets of the catalogue.

use super::{Content, DataFile, Download, Format, Set, Version};
use crate::Source;
use crate::catalogue_names::{CIFAR10, CIFAR100, DIGITS, FASHION};
use crate::cifar::Record;

const fn cifar(name: &'static str, train: bool, count: usize, md5: &'static str) -> DataFile {
    DataFile { name, train, format: Format::Cifar(Record::One), count, md5, unzipped_md5: None }
}

const fn cifar100(name: &'static str, train: bool, count: usize, md5: &'static str) -> DataFile {
    DataFile { format: Format::Cifar(Record::CoarseFine), ..cifar(name, train, count, md5) }
}

/// A file of the Python version of CIFAR-10.
const fn pickle(name: &'static str, train: bool, count: usize, md5: &'static str) -> DataFile {
    DataFile { format: Format::Pickle(Record::One), ..cifar(name, train, count, md5) }
}

/// A file of the Python version of CIFAR-100.
const fn pickle100(name: &'static str, train: bool, count: usize, md5: &'static str) -> DataFile {
    DataFile { format: Format::Pickle(Record::CoarseFine), ..cifar100(name, train, count, md5) }
}

const fn mat(name: &'static str, train: bool, count: usize, md5: &'static str) -> DataFile {
    DataFile { name, train, format: Format::Mat, count, md5, unzipped_md5: None }
}

const fn idx(at: usize, md5: &'static str, unzipped: &'static str) -> DataFile {
    let (name, train, format, count) = IDX_FILES[at];
    DataFile { name, train, format, count, md5, unzipped_md5: Some(unzipped) }
}

/// The files of MNIST and of the sets with the same format.
const IDX_FILES: [(&str, bool, Format, usize); 4] = [
    ("train-images-idx3-ubyte", true, Format::IdxImages, 60_000),
    ("train-labels-idx1-ubyte", true, Format::IdxLabels, 60_000),
    ("t10k-images-idx3-ubyte", false, Format::IdxImages, 10_000),
    ("t10k-labels-idx1-ubyte", false, Format::IdxLabels, 10_000),
];

const fn gzipped(name: &'static str, size: u64, md5: &'static str) -> Download {
    Download { name, size: Some(size), md5, sha256: None }
}

/// All sets with official files.
pub static SETS: [Set; 5] = [
    Set {
        source: Source::Cifar10,
        name: "cifar10",
        title: "CIFAR-10",
        versions: &[
            Version {
                folders: &["cifar-10-batches-bin"],
                files: &[
                    cifar("data_batch_1.bin", true, 10_000, "5dd7e06a14cb22eb9f671a540d1b7c25"),
                    cifar("data_batch_2.bin", true, 10_000, "5ea93a67294ea407fff1d09f752e9692"),
                    cifar("data_batch_3.bin", true, 10_000, "942cd6a4bcdd0dd3c604fbe906cb4421"),
                    cifar("data_batch_4.bin", true, 10_000, "ae636b3ba5c66a11e91e8cb52e771fcb"),
                    cifar("data_batch_5.bin", true, 10_000, "53f37980c15c3d472c316c40844f3f0d"),
                    cifar("test_batch.bin", false, 10_000, "803d5f7f4d78ea53de84dbe85f74fb6d"),
                ],
                archive: Some("cifar-10-binary.tar.gz"),
            },
            Version {
                folders: &["cifar-10-batches-py"],
                files: &[
                    pickle("data_batch_1", true, 10_000, "c99cafc152244af753f735de768cd75f"),
                    pickle("data_batch_2", true, 10_000, "d4bba439e000b95fd0a9bffe97cbabec"),
                    pickle("data_batch_3", true, 10_000, "54ebc095f3ab1f0389bbae665268c751"),
                    pickle("data_batch_4", true, 10_000, "634d18415352ddfa80567beed471001a"),
                    pickle("data_batch_5", true, 10_000, "482c414d41f54cd18b22e5b47cb7c3cb"),
                    pickle("test_batch", false, 10_000, "40351d587109b95175f43aff81a1287e"),
                ],
                archive: Some("cifar-10-python.tar.gz"),
            },
        ],
        classes: &CIFAR10,
        downloads: &[Download {
            name: "cifar-10-binary.tar.gz",
            size: Some(170_052_171),
            md5: "c32a1d4ab5d03f1284b67883e8d87530",
            sha256: Some("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        }],
        bases: &["https://www.cs.toronto.edu/~kriz/"],
        content: Some(Content {
            sums: [0x4d74_f1d4_199a_8e18, 0x7678_de7b_3371_6d02],
            sha256: [
                "3551c73cd506cc5043b0d4760865ea8b10423095eb20a3fc387e9d294330aec3",
                "f69eb9cc839ce4a2d704b04584d9ae3a6a7c5c85d7cbf13c932d54530f57f4ee",
            ],
        }),
    },
    Set {
        source: Source::Cifar100,
        name: "cifar100",
        title: "CIFAR-100",
        versions: &[
            Version {
                folders: &["cifar-100-binary"],
                files: &[
                    cifar100("train.bin", true, 50_000, "6172c7755cfe09b2fe270c85cebc1b15"),
                    cifar100("test.bin", false, 10_000, "4499cfba6c016c1be1438163640a0898"),
                ],
                archive: Some("cifar-100-binary.tar.gz"),
            },
            Version {
                folders: &["cifar-100-python"],
                files: &[
                    pickle100("train", true, 50_000, "16019d7e3df5f24257cddd939b257f8d"),
                    pickle100("test", false, 10_000, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
                ],
                archive: Some("cifar-100-python.tar.gz"),
            },
        ],
        classes: &CIFAR100,
        downloads: &[Download {
            name: "cifar-100-binary.tar.gz",
            size: None,
            md5: "03b5dce01913d631647c71ecec9e9cb8",
            sha256: None,
        }],
        bases: &["https://www.cs.toronto.edu/~kriz/"],
        content: None,
    },
    Set {
        source: Source::Mnist,
        name: "mnist",
        title: "MNIST",
        versions: &[Version {
            folders: &["mnist", "MNIST/raw", "MNIST"],
            files: &[
                idx(0, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
                idx(1, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
                idx(2, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
                idx(3, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
            ],
            archive: None,
        }],
        classes: &DIGITS,
        downloads: &[
            gzipped(TRAIN_IMAGES_GZ, 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            gzipped(TRAIN_LABELS_GZ, 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            gzipped(TEST_IMAGES_GZ, 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            gzipped(TEST_LABELS_GZ, 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ],
        bases: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
        content: Some(Content {
            sums: [0x9e8a_53e2_5638_3d6f, 0xbe79_9321_59d9_b620],
            sha256: [
                "814f320f4445388a3177908f73c65e3fa606105558102669c71f53a1609ee001",
                "b7a6b82ba9296f1556a0724585f9ee69aff0836c0a16b18a550f51ec9775e219",
            ],
        }),
    },
    Set {
        source: Source::FashionMnist,
        name: "fashion-mnist",
        title: "Fashion-MNIST",
        versions: &[Version {
            folders: &["fashion-mnist", "FashionMNIST/raw", "FashionMNIST"],
            files: &[
                idx(0, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
                idx(1, "25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
                idx(2, "bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
                idx(3, "bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
            ],
            archive: None,
        }],
        classes: &FASHION,
        downloads: &[
            gzipped(TRAIN_IMAGES_GZ, 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            gzipped(TRAIN_LABELS_GZ, 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            gzipped(TEST_IMAGES_GZ, 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            gzipped(TEST_LABELS_GZ, 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        ],
        bases: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        content: Some(Content {
            sums: [0x8073_4bff_7a23_81bf, 0x1968_e403_6a9e_02dd],
            sha256: [
                "0780007172c99a7acaf806e0a8c16c165657a944ee0fd22f2c962ca1510f2bea",
                "e63e1ec3d0b54094187ed4e7b7de61b9096dcf586a2a63da0c1174a026fa749d",
            ],
        }),
    },
    Set {
        source: Source::Svhn,
        name: "svhn",
        title: "SVHN",
        versions: &[Version {
            folders: &["svhn", "SVHN"],
            files: &[
                mat(TRAIN_MAT, true, 73_257, TRAIN_MAT_MD5),
                mat(TEST_MAT, false, 26_032, TEST_MAT_MD5),
            ],
            archive: None,
        }],
        classes: &DIGITS,
        downloads: &[
            Download { name: TRAIN_MAT, size: None, md5: TRAIN_MAT_MD5, sha256: None },
            Download { name: TEST_MAT, size: None, md5: TEST_MAT_MD5, sha256: None },
        ],
        bases: &["http://ufldl.stanford.edu/housenumbers/"],
        content: None,
    },
];

const TRAIN_MAT: &str = "train_32x32.mat";
const TEST_MAT: &str = "test_32x32.mat";
const TRAIN_MAT_MD5: &str = "e26dedcc434d2e4c54c9b2d4a06d8373";
const TEST_MAT_MD5: &str = "eb5a983be6a315427106f1b164d9cef3";
const TRAIN_IMAGES_GZ: &str = "train-images-idx3-ubyte.gz";
const TRAIN_LABELS_GZ: &str = "train-labels-idx1-ubyte.gz";
const TEST_IMAGES_GZ: &str = "t10k-images-idx3-ubyte.gz";
const TEST_LABELS_GZ: &str = "t10k-labels-idx1-ubyte.gz";
