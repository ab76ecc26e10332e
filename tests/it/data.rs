//! `fathom data` as a user meets it.

use crate::support::{fail, fathom, succeed};
use std::path::Path;

/// A folder with two classes of `count` training images and one test image each.
fn with_images(folder: &Path, count: u8) {
    for (class, red) in [("cat", 10), ("dog", 200)] {
        for (part, count) in [("train", count), ("test", 1)] {
            let folder = folder.join("pets").join(part).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for number in 0..count {
                let image = image::RgbImage::from_pixel(9, 7, image::Rgb([red, number, 0]));
                image.save(folder.join(format!("{number}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn list_says_how_to_get_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let csv = succeed(folder.path(), &["data", "list", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 6, "{csv}");
    assert!(csv.contains("cifar10,50000,10000,10,fathom data fetch cifar10,\n"), "{csv}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_set_names_the_folders_searched_and_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let errors = fail(folder.path(), 1, &["data", "show", "mnist", "--data-dir", "mine"]);
    let cache = folder.path().join(".cache/fathom");
    assert!(errors.contains(&format!("searched: mine, {}", cache.display())), "{errors}");
    assert!(errors.contains("fathom data fetch mnist"), "{errors}");
}

#[test]
fn a_truncated_file_is_told_before_anything_is_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&set).unwrap();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"] {
        std::fs::write(set.join(format!("{name}.bin")), [0; 3073]).unwrap();
    }
    std::fs::write(set.join("test_batch.bin"), "").unwrap();
    let errors = fail(folder.path(), 1, &["data", "show", "cifar10", "--data-dir", "."]);
    assert!(errors.contains("data_batch_1.bin: byte 3073: the file ends here"), "{errors}");
    let output =
        fathom(folder.path()).args(["data", "verify", "--data-dir", "."]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(table.contains("test_batch.bin: byte 0: the file is empty"), "{table}");
}

#[test]
fn a_folder_of_images_is_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    with_images(folder.path(), 3);
    let table = succeed(folder.path(), &["data", "verify", "images", "--path", "pets"]);
    assert!(table.contains("6 training and 2 test images of 2 classes can be read"), "{table}");
    let out = succeed(folder.path(), &["data", "show", "images", "--path", "pets"]);
    assert_eq!(out, "images.png\n");
    let sheet = image::open(folder.path().join("images.png")).unwrap().into_rgb8();
    assert!(sheet.pixels().any(|pixel| pixel.0 == [200, 2, 0]));

    std::fs::write(folder.path().join("pets/train/dog/broken.jpg"), "no image").unwrap();
    let errors = fail(folder.path(), 1, &["data", "verify", "images", "--path", "pets"]);
    assert!(errors.contains("dog/broken.jpg: byte 0: this is not a PNG, JPEG"), "{errors}");
}

#[test]
fn what_is_no_known_file_cannot_be_imported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("holiday.zip"), "PK").unwrap();
    let errors = fail(folder.path(), 1, &["data", "import", "holiday.zip"]);
    assert!(errors.contains("holiday.zip: byte 0: this is not an IDX file, a .tar.gz"), "{errors}");
    let errors = fail(folder.path(), 2, &["data", "fetch", "cifar11"]);
    assert!(errors.contains("cifar10"), "{errors}");
}

/// `FATHOM_DATA=DIR cargo test -- --ignored` where DIR holds the real sets.
#[test]
#[ignore = "needs CIFAR-10, MNIST and Fashion-MNIST in FATHOM_DATA"]
fn the_real_sets_give_the_bytes_they_always_gave() {
    use fathom::data::{Request, Source, load};
    let (train, test, size, colour, path) = (None, None, None, false, None);
    for (source, train, validation, size, expected) in [
        (Source::Cifar10, train, 0, size, "e8cb16dbcc891b57170259e07505b075"),
        (Source::Cifar10, Some(10_000), 1000, size, "bd0db8ef04eeb550234086cce746f3f0"),
        (Source::Cifar10, train, 5000, Some(16), "43cda8bf0eb80804ac07cabebbeed734"),
        (Source::Mnist, train, 0, size, "41f04f3991b26cea4354c0a920756f41"),
        (Source::FashionMnist, train, 0, Some(14), "de84f5058efe018c1b3c603237892"),
    ] {
        let path = path.clone();
        let request =
            Request { source, train, test, validation, size, colour, path, short_side: None };
        let set = load(&request, None).unwrap();
        assert!(set.sha256.starts_with(expected), "{source:?}: {}", set.sha256);
    }
}
