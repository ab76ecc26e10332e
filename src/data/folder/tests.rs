use super::*;
use image::RgbImage;
use std::os::unix::fs::symlink;

/// A folder with small images at these paths, and other files with their contents.
fn folder(images: &[&str], files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in images {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::new(2, 2).save(path).unwrap();
    }
    for (name, contents) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    folder
}

fn of(folder: &tempfile::TempDir, test_share: Option<f64>) -> Result<Listing> {
    list(&ImageFolder { root: folder.path().to_owned(), test_share })
}

fn fails(folder: &tempfile::TempDir) -> String {
    format!("{:#}", of(folder, None).unwrap_err())
}

/// The paths within the folder, with their labels.
fn names(folder: &tempfile::TempDir, files: &[LabelledFile]) -> Vec<(String, u16)> {
    let name = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
    files.iter().map(|(path, label)| (name(path), *label)).collect()
}

const TRAIN: [&str; 3] = ["train/cat/1.png", "train/cat/2.bmp", "train/dog/1.ppm"];

fn with_train(images: &[&str], files: &[(&str, &str)]) -> tempfile::TempDir {
    folder(&[&TRAIN[..], images].concat(), files)
}

#[test]
fn a_single_class_and_a_folder_without_classes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = fails(&folder);
    assert!(message.contains("expected in train/CLASS/ and test/CLASS/"), "{message}");
    assert!(message.ends_with("nothing was found there"), "{message}");
    for split in ["train", "test"] {
        std::fs::create_dir_all(folder.path().join(split).join("cat")).unwrap();
    }
    let message = fails(&folder);
    assert!(message.contains("train: need from 2 to 65535 classes"), "{message}");
    assert!(message.ends_with("found 1"), "{message}");
}

#[test]
fn the_test_images_may_be_called_validation_images() {
    for name in ["val", "valid", "validation"] {
        let (cat, dog) = (format!("{name}/cat/3.png"), format!("{name}/dog/3.png"));
        let folder = with_train(&[&cat, &dog], &[]);
        let found = of(&folder, None).unwrap();
        assert_eq!(found.notes, [format!("the images of {name}/ are the test images")]);
        assert_eq!(names(&folder, &found.test), [(cat, 0), (dog, 1)]);
        assert_eq!(found.train.len(), 3);
    }
    let both =
        with_train(&["test/cat/1.png", "test/dog/1.png", "val/cat/1.png", "val/dog/1.png"], &[]);
    let found = of(&both, None).unwrap();
    assert!(found.test[0].0.starts_with(both.path().join("test")) && found.notes.is_empty());
}

#[test]
fn the_layout_of_tiny_imagenet_is_read() {
    let annotations = "val_0.png\tn02\t0\t32\t44\t62\nval_1.png\tn01\t52\t55\t57\t59\n";
    let folder = folder(
        &[
            "train/n01/images/n01_0.png",
            "train/n01/images/n01_1.png",
            "train/n02/images/n02_0.png",
            "val/images/val_0.png",
            "val/images/val_1.png",
            "test/images/test_0.png",
        ],
        &[
            ("train/n01/n01_boxes.txt", ""),
            ("val/val_annotations.txt", annotations),
            ("words.txt", "n01\tgoldfish"),
        ],
    );
    let found = of(&folder, None).unwrap();
    assert_eq!(found.classes, ["n01", "n02"]);
    let file = |name: &str, label| (name.to_owned(), label);
    assert_eq!(
        names(&folder, &found.test),
        [file("val/images/val_1.png", 0), file("val/images/val_0.png", 1)]
    );
    assert_eq!(names(&folder, &found.train)[2], file("train/n02/images/n02_0.png", 1));
    assert!(found.notes[0].starts_with("test/ is not used: images without labels lie there (1)"));
    assert!(found.notes[1].starts_with("the images of val/"));
    assert!(found.notes[2].ends_with("are read: .txt (1)"), "{:?}", found.notes);
}

#[test]
fn loose_images_get_their_labels_from_a_list() {
    let images = ["test/5.png", "test/6.png"];
    for (name, list) in [
        ("test/labels.csv", "id,label\n5,dog\n6,cat\n"),
        ("test.csv", "\u{feff}\"5.png\";\"dog\"\r\n\"6.png\";\"cat\"\r\n"),
        ("test_labels.txt", "test/5.png dog\n\ntest/6.png cat"),
    ] {
        let folder = with_train(
            &images,
            &[(name, list), ("test/README.txt", "All images\n5 in all\nof cats")],
        );
        let found = of(&folder, None).unwrap();
        let expected = [("test/6.png".to_owned(), 0), ("test/5.png".to_owned(), 1)];
        assert_eq!(names(&folder, &found.test), expected, "{name}");
    }
    let wrong = |list: &str| fails(&with_train(&images, &[("test/labels.csv", list)]));
    let unknown = wrong("5.png,dog\n6.png,cow\n");
    assert!(unknown.contains("class `cow`") || unknown.contains("class `cat`"), "{unknown}");
    let three = wrong("5.png,dog\n6.png,cat\n7.png,cat\n");
    assert!(three.contains("labels.csv: line 3: no image `7.png`"), "{three}");
    let twice = wrong("5.png,dog\n6.png,cat\n5.png,cat\n");
    assert!(twice.contains("labels.csv: line 3: `5.png` is on line 1 as well"), "{twice}");
    let one = with_train(
        &["test/5.png", "test/6.png", "test/7.png"],
        &[("test/l.csv", "5,dog\n6,cat\n")],
    );
    assert!(fails(&one).contains("7.png has no line in"), "{}", fails(&one));
    let two =
        with_train(&images, &[("test/a.csv", "5,dog\n6,cat\n"), ("test/b.txt", "5 dog\n6 cat\n")]);
    assert!(fails(&two).contains("both have labels of the images"), "{}", fails(&two));
    let none = fails(&with_train(&images, &[]));
    assert!(none.contains("test: images without labels lie there (2): move each into"), "{none}");
}

#[test]
fn both_parts_may_have_lists() {
    let list = "1,a\n2,b\n3,a\n";
    let folder = folder(
        &["train/1.png", "train/2.png", "train/3.png", "test/1.png", "test/2.png", "test/3.png"],
        &[("trainLabels.csv", list), ("testLabels.csv", list)],
    );
    let found = of(&folder, None).unwrap();
    assert_eq!(
        (found.classes, found.train.len(), found.test.len()),
        (vec!["a".into(), "b".into()], 3, 3)
    );
}

#[test]
fn a_share_is_held_out_of_a_folder_that_is_not_divided() {
    let images: Vec<String> =
        (0..30).map(|at| format!("{}/{at}.png", ["cat", "dog", "owl"][at % 3])).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let flat = folder(&images, &[]);
    let message = fails(&flat);
    assert!(message.contains("found the folders cat, dog, owl"), "{message}");
    assert!(message.contains("data.test_share = 0.2 holds a fixed fifth"), "{message}");
    let found = of(&flat, Some(0.2)).unwrap();
    assert_eq!((found.train.len(), found.test.len()), (24, 6));
    assert!(found.notes[0].starts_with("data.test_share = 0.2: this share"), "{:?}", found.notes);
    let both: std::collections::BTreeSet<_> = found.train.iter().chain(&found.test).collect();
    assert_eq!(both.len(), 30);
    for label in 0..3 {
        assert_eq!(found.test.iter().filter(|(_, of)| *of == label).count(), 2);
    }
    // The same files elsewhere, and inside train/.
    let again = of(&folder(&images, &[]), Some(0.2)).unwrap();
    let base = |files: &[LabelledFile]| {
        files.iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(base(&again.test), base(&found.test));
    let larger = of(&flat, Some(0.4)).unwrap();
    assert!(base(&found.test).iter().all(|name| base(&larger.test).contains(name)));

    for share in [0.0, 0.9, f64::NAN] {
        let message = of(&flat, Some(share)).unwrap_err().to_string();
        assert!(message.contains("must be from 0.01 to 0.5"), "{message}");
    }

    let only_train = with_train(&["train/dog/2.png"], &[]);
    let found = of(&only_train, Some(0.3)).unwrap();
    assert_eq!((found.train.len(), found.test.len()), (2, 2));
    let divided = with_train(&["test/cat/1.png", "test/dog/1.png"], &[]);
    let message = of(&divided, Some(0.2)).unwrap_err().to_string();
    assert!(message.contains("data.test_share is for a folder without test images"), "{message}");
    let message = of(&with_train(&[], &[]), Some(0.2)).unwrap_err().to_string();
    assert!(message.contains("class `dog` has 1 image"), "{message}");
}

#[test]
fn what_operating_systems_leave_is_no_class() {
    let folder = folder(
        &[
            "pets/train/cat/1.png",
            "pets/train/dog/1.png",
            "pets/test/cat/1.png",
            "pets/test/dog/1.png",
        ],
        &[
            ("__MACOSX/pets/train/cat/._1.png", ""),
            ("pets/train/__MACOSX/._1.png", ""),
            ("pets/train/.DS_Store", ""),
            ("pets/train/cat/.DS_Store", ""),
            ("pets/train/cat/Thumbs.db", ""),
            ("pets/train/cat/__MACOSX/1.png", ""),
        ],
    );
    let found = of(&folder, None).unwrap();
    assert_eq!((found.classes.len(), found.train.len(), found.notes), (2, 2, vec![]));
}

#[test]
fn what_is_ignored_is_counted_by_its_kind() {
    let folder = with_train(
        &["test/cat/1.png", "test/dog/1.png", "train/loose.png"],
        &[
            ("train/cat/a.gif", ""),
            ("train/dog/b.GIF", ""),
            ("test/dog/README", ""),
            ("test/dog/more/c.txt", ""),
        ],
    );
    let notes = of(&folder, None).unwrap().notes;
    let counts = notes[0].rsplit(": ").next().unwrap();
    assert_eq!(
        counts,
        ".gif (2), folders (1), images outside of classes (1), without an extension (1)"
    );
}

#[test]
fn links_that_lead_nowhere_are_named() {
    for link in ["train/cat/3.png", "train/cow", "test"] {
        let folder = with_train(
            if link == "test" { &[] } else { &["test/cat/1.png", "test/dog/1.png"] },
            &[],
        );
        symlink("/gone/far", folder.path().join(link)).unwrap();
        let message = fails(&folder);
        assert!(
            message.contains(&format!("{link} is a link to /gone/far, which does not exist")),
            "{message}"
        );
    }
    let folder = with_train(&["elsewhere/cat/1.png", "elsewhere/dog/1.png"], &[]);
    symlink("elsewhere", folder.path().join("test")).unwrap();
    assert_eq!(of(&folder, None).unwrap().test.len(), 2);
}
