use super::*;
use image::{Rgb, RgbImage};

/// Three training images and a test image of each of two classes.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 3), ("test", 1)] {
        for (class, light) in [("dark", 10), ("light", 200)] {
            let place = folder.path().join(part).join(class);
            std::fs::create_dir_all(&place).unwrap();
            for number in 0..count {
                let image = RgbImage::from_pixel(9 + number, 7, Rgb([light, number as u8, 0]));
                image.save(place.join(format!("{number}.png"))).unwrap();
            }
        }
    }
    folder
}

fn images(folder: &tempfile::TempDir) -> ImageFolder {
    ImageFolder { root: folder.path().to_owned(), test_share: None }
}

#[test]
fn a_stored_folder_is_opened_without_reading_its_files_until_one_is_added_or_removed() {
    let (folder, cache) = (folder(), tempfile::tempdir().unwrap());
    let (root, cache) = (folder.path(), cache.path());
    let images = images(&folder);
    let open = || Gallery::open(&images, 7, cache).unwrap();
    let build = || build(&images, 7, cache, &|_, _| {});
    assert!(open().is_none(), "nothing is stored yet");
    let built = build().unwrap();
    let opened = open().unwrap();
    assert_eq!(opened.classes, ["dark", "light"]);
    assert_eq!(opened.labels, [vec![0, 0, 0, 1, 1, 1], vec![0, 1]]);
    assert_eq!(opened.labels, built.labels);
    for at in 0..6 {
        assert_eq!(opened.stores[0].key(at), built.stores[0].key(at));
        let pixels = |store: &Store| store.with_image(at, <[u8]>::to_vec);
        assert_eq!(pixels(&opened.stores[0]), pixels(&built.stores[0]));
        assert_eq!(opened.stores[0].sides(at), Sides { height: 7, width: 9 + at % 3 });
    }
    assert!(Gallery::open(&images, 8, cache).unwrap().is_none(), "another shorter side");

    let file = root.join("train/light/1.png");
    let sound = std::fs::read(&file).unwrap();
    std::fs::write(&file, "no image").unwrap();
    assert!(open().is_some(), "an overwritten file is not noticed");
    let error = build().unwrap_err();
    assert!(format!("{error:#}").contains("light/1.png"), "{error:#}");
    std::fs::write(&file, sound).unwrap();
    build().unwrap();

    std::fs::copy(&file, root.join("train/light/3.png")).unwrap();
    assert!(open().is_none(), "a file was added");
    assert_eq!(build().unwrap().labels[0].len(), 7);
    assert!(open().is_some());
    std::fs::remove_file(root.join("test/dark/0.png")).unwrap();
    assert!(open().is_none(), "a file was removed");
}

#[test]
fn a_gallery_without_one_of_its_shards_is_not_opened() {
    let (folder, cache) = (folder(), tempfile::tempdir().unwrap());
    build(&images(&folder), 7, cache.path(), &|_, _| {}).unwrap();
    let stored = std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
    let stored = stored.into_iter().find(|path| path.is_dir()).unwrap();
    std::fs::remove_file(stored.join("test-00000.shard")).unwrap();
    assert!(Gallery::open(&images(&folder), 7, cache.path()).unwrap().is_none());
}
