use super::*;
use image::{DynamicImage, GrayImage, RgbImage};

fn save(root: &Path, name: &str, image: impl Into<DynamicImage>) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

fn colour(width: u32, height: u32, value: u8) -> RgbImage {
    RgbImage::from_pixel(width, height, image::Rgb([value, 10, 200]))
}

/// Two classes, three training images and one test image each, 6×4 pixels.
fn sample() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (class, base) in [("bee", 0), ("ant", 100)] {
        for number in 0..3 {
            let name = format!("train/{class}/{number}.png");
            save(folder.path(), &name, colour(6, 4, base + number));
        }
        save(folder.path(), &format!("test/{class}/one.png"), colour(6, 4, base + 50));
    }
    folder
}

fn images(root: &Path) -> ImageFolder {
    ImageFolder { root: root.to_owned(), test_share: None }
}

fn read(root: &Path, size: Option<usize>, cache: Option<&Path>) -> Result<FullDataset> {
    super::read(&images(root), size, cache)
}

fn fails(root: &Path, size: Option<usize>) -> String {
    format!("{:#}", read(root, size, None).err().unwrap())
}

#[test]
fn a_folder_is_read_with_its_classes_in_alphabetical_order() {
    let folder = sample();
    std::fs::write(folder.path().join("train/ant/notes.txt"), "mine").unwrap();
    std::fs::write(folder.path().join("train/ant/.hidden.png"), "").unwrap();
    let whole = read(folder.path(), None, None).unwrap();
    assert_eq!(whole.classes, ["ant", "bee"]);
    assert_eq!(whole.train.images.labels, [0, 0, 0, 1, 1, 1]);
    assert_eq!(whole.train.images.shape, Shape { channels: 3, height: 4, width: 6 });
    assert_eq!(whole.train.images.image(1)[0], 101);
    assert_eq!(whole.train.images.image(1)[24], 10);
    assert!(whole.notes[0].ends_with("of classes are read: .txt (1)"), "{:?}", whole.notes);
    let small = read(folder.path(), Some(2), None).unwrap();
    assert_eq!(
        small.test.images.image(0),
        [150, 150, 150, 150, 10, 10, 10, 10, 200, 200, 200, 200]
    );
    assert_eq!(small.train.keys, whole.train.keys);
}

#[test]
fn grey_stays_grey_only_if_all_are() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["train/a/1.png", "train/b/1.jpg", "test/a/1.png", "test/b/1.png"] {
        save(folder.path(), name, GrayImage::from_pixel(5, 5, image::Luma([77])));
    }
    let whole = read(folder.path(), None, None).unwrap();
    assert_eq!(
        folder::describe(&images(folder.path()), None).unwrap(),
        (whole.train.images.shape, 2)
    );
    assert_eq!(whole.train.images.shape.channels, 1);
    assert_eq!(whole.train.images.image(0), [77; 25]);
    save(folder.path(), "test/b/2.png", colour(5, 5, 0));
    assert_eq!(read(folder.path(), None, None).unwrap().train.images.shape.channels, 3);
}

#[test]
fn what_is_wrong_is_named() {
    let folder = sample();
    let root = folder.path();
    save(root, "train/bee/wide.png", colour(7, 4, 0));
    assert!(fails(root, None).contains("wide.png has 7×4 pixels, but"), "{}", fails(root, None));
    std::fs::remove_file(root.join("train/bee/wide.png")).unwrap();

    std::fs::write(root.join("test/bee/two.png"), "no image at all").unwrap();
    assert!(
        fails(root, None).contains("two.png: byte 0: this is not a PNG"),
        "{}",
        fails(root, None)
    );
    let whole = std::fs::read(root.join("test/bee/one.png")).unwrap();
    std::fs::write(root.join("test/bee/two.png"), &whole[..whole.len() - 20]).unwrap();
    assert!(
        fails(root, Some(2)).contains("two.png: byte 113: the file ends here"),
        "{}",
        fails(root, Some(2))
    );
    std::fs::write(root.join("test/bee/two.png"), "").unwrap();
    assert!(fails(root, Some(2)).contains("two.png: byte 0: the file is empty"));
    std::fs::remove_file(root.join("test/bee/two.png")).unwrap();

    std::fs::create_dir(root.join("train/cat")).unwrap();
    assert!(fails(root, None).contains("train has no images in "));
    std::fs::create_dir(root.join("test/cat")).unwrap();
    assert!(fails(root, None).contains("train/cat has no images"), "{}", fails(root, None));
    std::fs::remove_dir_all(root.join("test")).unwrap();
    assert!(fails(root, None).contains("cannot read the folder"));
    assert!(fails(root, None).contains("data.test_share = 0.2 holds a fixed fifth"));
}

/// The shards below a cache folder.
fn shards(cache: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_store_is_used_until_a_file_changes_and_written_again_when_damaged() {
    let (folder, cache) = (sample(), tempfile::tempdir().unwrap());
    let read = || read(folder.path(), Some(3), Some(cache.path())).unwrap();
    let fresh = read();
    let same = |other: &FullDataset| {
        assert_eq!(other.classes, fresh.classes);
        for (other, fresh) in [(&other.train, &fresh.train), (&other.test, &fresh.test)] {
            assert_eq!(other.images.pixels, fresh.images.pixels);
            assert_eq!((&other.images.labels, &other.keys), (&fresh.images.labels, &fresh.keys));
        }
    };
    let paths = shards(cache.path());
    assert_eq!(paths.len(), 2);
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let before: Vec<u64> = paths.iter().map(|path| inode(path)).collect();
    same(&read());
    assert_eq!(paths.iter().map(|path| inode(path)).collect::<Vec<_>>(), before, "not used");

    // The test of shards damages every byte.
    for path in &paths {
        let sound = std::fs::read(path).unwrap();
        for at in [0, 20, 40, sound.len() - 1] {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x40;
            for damaged in [&damaged[..], &sound[..at]] {
                std::fs::write(path, damaged).unwrap();
                same(&read());
                assert_eq!(std::fs::read(path).unwrap(), sound, "byte {at}");
            }
        }
    }

    save(folder.path(), "train/ant/0.png", colour(6, 4, 9));
    save(folder.path(), "train/ant/9.png", colour(6, 4, 9));
    assert_eq!(read().train.images.len(), 7);
    assert_eq!(shards(cache.path()).len(), 4);
}

#[test]
fn grey_images_are_stored_with_one_channel() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, light) in [("train/a/1", 7), ("train/b/1", 90), ("test/a/1", 5), ("test/b/1", 6)] {
        let image = GrayImage::from_pixel(5, 4, image::Luma([light]));
        save(folder.path(), &format!("{name}.png"), image);
    }
    for _ in 0..2 {
        let whole = read(folder.path(), None, Some(cache.path())).unwrap();
        assert_eq!(whole.train.images.shape, Shape { channels: 1, height: 4, width: 5 });
        assert_eq!(whole.train.images.pixels, [[7; 20], [90; 20]].concat());
    }
}

#[test]
fn a_store_that_cannot_be_written_is_a_note() {
    let (folder, cache) = (sample(), tempfile::tempdir().unwrap());
    let file = cache.path().join("file");
    std::fs::write(&file, "").unwrap();
    let whole = read(folder.path(), Some(3), Some(&file)).unwrap();
    assert_eq!(whole.train.images.len(), 6);
    assert!(whole.notes[0].contains("could not be stored"), "{:?}", whole.notes);
    // A folder in place of a shard.
    read(folder.path(), Some(3), Some(cache.path())).unwrap();
    let store = std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
    let store = store.into_iter().find(|path| path.is_dir()).unwrap();
    std::fs::remove_file(store.join("train-00000.shard")).unwrap();
    std::fs::create_dir(store.join("train-00000.shard")).unwrap();
    let whole = read(folder.path(), Some(3), Some(cache.path())).unwrap();
    assert_eq!(whole.train.images.len(), 6);
    assert!(whole.notes[0].contains("cannot write"), "{:?}", whole.notes);
}
