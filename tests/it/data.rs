//! `fathom data` as a user meets it.

use crate::support::{fail, fathom, succeed, with_experiment};
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
    assert_eq!(csv.lines().count(), 7, "{csv}");
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
    let whole = std::fs::read(folder.path().join("pets/test/cat/0.png")).unwrap();
    std::fs::write(folder.path().join("pets/test/cat/1.png"), &whole[..whole.len() / 2]).unwrap();
    let verify = ["data", "verify", "images", "--path", "pets", "--format", "csv"];
    let output = fathom(folder.path()).args(verify).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().count(), 1 + 2, "{table}");
    assert!(table.contains("dog/broken.jpg,wrong,\"byte 0: this is not a PNG, JPEG"), "{table}");
    assert!(table.contains("cat/1.png,wrong,"), "{table}");
    assert!(table.contains("the file ends here, before the end of the image"), "{table}");
}

/// Keys of an experiment on the images in `pets`.
const PETS: [&str; 6] = [
    "data.source=images",
    "data.path=pets",
    "data.size=8",
    "data.train=4",
    "data.test=2",
    "training.batch=4",
];

fn on_pets<'a>(command: &[&'a str]) -> Vec<&'a str> {
    command.iter().copied().chain(PETS.iter().flat_map(|set| ["--set", *set])).collect()
}

#[test]
#[cfg(feature = "train")]
fn a_damaged_image_is_named_before_a_sweep_starts_and_nothing_is_left() {
    let folder = with_experiment("");
    with_images(folder.path(), 3);
    let path = folder.path().join("pets/train/dog/1.jpg");
    let pixel = |x: u32, y: u32| image::Rgb([(x * y) as u8, (x * 7) as u8, (y * y) as u8]);
    image::RgbImage::from_fn(90, 90, pixel).save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Without its header, the shape of the images is not known either, which the experiment needs.
    for (left, code) in [(whole.len() / 50, 2), (whole.len() / 2, 1), (whole.len() - 7, 1)] {
        std::fs::write(&path, &whole[..left]).unwrap();
        let said = fail(folder.path(), code, &on_pets(&["run", "tiny.toml", "--device", "cpu"]));
        let expected = format!("dog/1.jpg: byte {left}: the file ends here, before the end");
        assert!(said.contains(&expected), "{said}");
        assert!(!folder.path().join("results/tiny").exists());
    }
    // Results that are there already stay.
    let kept = folder.path().join("results/tiny/runs/mine");
    std::fs::create_dir_all(&kept).unwrap();
    fail(folder.path(), 1, &on_pets(&["run", "tiny.toml", "--device", "cpu"]));
    assert!(kept.is_dir());
}

#[test]
#[cfg(feature = "train")]
fn images_are_found_in_the_data_folder_and_a_run_shows_what_was_ignored() {
    let folder = with_experiment("");
    with_images(&folder.path().join("sets"), 3);
    std::fs::write(folder.path().join("sets/pets/train/dog/old.gif"), "GIF89a").unwrap();
    let missing = fail(folder.path(), 2, &on_pets(&["plan", "tiny.toml"]));
    assert!(missing.contains("give the folder that has it with --data-dir"), "{missing}");
    let table = succeed(folder.path(), &on_pets(&["plan", "tiny.toml", "--data-dir", "sets"]));
    assert!(table.contains("tiny") || table.lines().count() > 1, "{table}");
    for more in [&[][..], &["--set", "data.short_side=8", "--out", "stored"]] {
        let run = on_pets(&["run", "tiny.toml", "--device", "cpu", "--data-dir", "sets"]);
        let output = fathom(folder.path()).args(run).args(more).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("note: ignored, since only ") && said.contains(": .gif (1)"),
            "{said}"
        );
    }
    let verify = ["data", "verify", "images", "--path", "pets", "--data-dir", "sets"];
    assert!(succeed(folder.path(), &verify).contains(": .gif (1)"));
}

#[test]
fn a_folder_without_a_division_is_divided_by_a_key() {
    let folder = with_experiment("");
    with_images(folder.path(), 10);
    std::fs::remove_dir_all(folder.path().join("pets/test")).unwrap();
    let verify = ["data", "verify", "images", "--path", "pets"];
    let errors = fail(folder.path(), 1, &verify);
    assert!(errors.contains("data.test_share = 0.2 holds a fixed fifth of each class"), "{errors}");
    let table = succeed(folder.path(), &[&verify[..], &["--test-share", "0.2"]].concat());
    assert!(table.contains("16 training and 4 test images of 2 classes"), "{table}");
    let plan = on_pets(&["plan", "tiny.toml", "--set", "data.test_share=0.2"]);
    succeed(folder.path(), &plan);
    let said =
        fail(folder.path(), 2, &on_pets(&["plan", "tiny.toml", "--set", "data.test_share=0.9"]));
    assert!(said.contains("data.test_share") && said.contains("from 0.01 to 0.5"), "{said}");
}

#[test]
fn the_labels_of_cifar_100_are_a_choice() {
    let folder = with_experiment("");
    let plan = |more: &[&str]| {
        let sets = ["plan", "tiny.toml", "--format", "csv", "--set", "data.source=cifar100"];
        succeed(folder.path(), &[&sets[..], more].concat())
    };
    let fine = plan(&["--set", "data.labels=fine"]);
    assert_eq!(fine, plan(&[]), "the default is fine");
    assert_ne!(fine, plan(&["--set", "data.labels=coarse"]));
    let said = fail(folder.path(), 2, &["plan", "tiny.toml", "--set", "data.labels=coarse"]);
    assert!(said.contains("data.labels") && said.contains("cifar100"), "{said}");
}

#[test]
fn verify_without_data_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let output = fathom(folder.path()).args(["data", "verify"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("no data set was found") && said.contains("searched: "), "{said}");
    assert!(said.contains("fathom data fetch cifar10"), "{said}");
}

#[test]
fn what_is_no_known_file_cannot_be_imported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("holiday.zip"), "PK").unwrap();
    let errors = fail(folder.path(), 1, &["data", "import", "holiday.zip"]);
    assert!(errors.contains("holiday.zip: byte 0: this is not an IDX file, a .tar.gz"), "{errors}");
    std::fs::write(folder.path().join("cifar-10-binary.tar.gz"), "<!doctype html>").unwrap();
    let errors = fail(folder.path(), 1, &["data", "import", "cifar-10-binary.tar.gz"]);
    assert!(errors.contains("this is an HTML page"), "{errors}");
    std::fs::create_dir(folder.path().join("photos")).unwrap();
    let errors = fail(folder.path(), 1, &["data", "import", "photos"]);
    assert!(errors.contains("photos: no folder with all files of a known set"), "{errors}");
    for unfetchable in ["cifar11", "shapes", "images"] {
        let errors = fail(folder.path(), 2, &["data", "fetch", unfetchable]);
        let offered = errors.split_once("possible values: ").expect("a list").1;
        assert!(offered.starts_with("cifar10, cifar100, mnist, fashion-mnist, svhn]"), "{errors}");
    }
}

/// `FATHOM_DATA=DIR cargo test -- --ignored` where DIR holds the real sets.
#[test]
#[ignore = "needs CIFAR-10, MNIST and Fashion-MNIST in FATHOM_DATA"]
fn the_real_sets_give_the_bytes_they_always_gave() {
    use fathom::data::{Request, Source, load};
    let (train, size) = (None, None);
    for (source, train, validation, size, expected) in [
        (Source::Cifar10, train, 0, size, "e8cb16dbcc891b57170259e07505b075"),
        (Source::Cifar10, Some(10_000), 1000, size, "bd0db8ef04eeb550234086cce746f3f0"),
        (Source::Cifar10, train, 5000, Some(16), "43cda8bf0eb80804ac07cabebbeed734"),
        (Source::Mnist, train, 0, size, "41f04f3991b26cea4354c0a920756f41"),
        (Source::FashionMnist, train, 0, Some(14), "de84f5058efe018c1b3c603237892"),
    ] {
        let request = Request { train, validation, size, ..Request::all(source, None) };
        let set = load(&request, None).unwrap();
        assert!(set.sha256.starts_with(expected), "{source:?}: {}", set.sha256);
    }
}
