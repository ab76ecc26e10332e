//! Images of any sides, decoded once into files, of which nets see parts.

use crate::session::{job, outcome, resumed, session};
use crate::support::{fail, succeed, with_experiment};
use fathom::protocol::STOPPED;
use fathom::record::{RunDir, State};
use fathom::spec::Experiment;
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};

/// Training images of each of the two classes: more than fit into one file of decoded images.
const MANY: u32 = 300;

/// Dark images of one class and bright ones of the other, each with sides of its own.
pub fn with_images(folder: &Path) {
    for (part, count) in [("train", MANY), ("test", 20)] {
        for (class, light) in [("dark", 0), ("bright", 120)] {
            let place = folder.join("pets").join(part).join(class);
            std::fs::create_dir_all(&place).expect("writable");
            for index in 0..count {
                let (width, height) = (20 + index % 37, 20 + index * 7 % 31);
                let pixel = |x: u32, y: u32| {
                    Rgb([
                        light + (x * 5 % 100) as u8,
                        light + (y * 9 % 100) as u8,
                        (index % 256) as u8,
                    ])
                };
                let ending = if index % 3 == 0 { "jpg" } else { "png" };
                let path = place.join(format!("{index}.{ending}"));
                RgbImage::from_fn(width, height, pixel).save(path).expect("writable");
            }
        }
    }
}

const SETS: [&str; 9] = [
    "data.source=images",
    "data.path=pets",
    "data.size=16",
    "data.short_side=18",
    "data.augment=random-resized-crop",
    "data.train=500",
    "data.test=40",
    "training.iterations=12",
    "evaluate.every=2",
];

fn with_sets<'a>(command: &[&'a str]) -> Vec<&'a str> {
    command.iter().copied().chain(SETS.iter().flat_map(|set| ["--set", *set])).collect()
}

/// Files of decoded images below a folder.
fn shards(cache: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(shards(&path));
        } else if path.extension().is_some_and(|ending| ending == "shard") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_net_learns_from_parts_of_images_and_a_run_that_was_stopped_ends_with_the_same_bytes() {
    let folder = with_experiment("");
    with_images(folder.path());
    // Paths count from where the worker starts, which here is not the folder.
    let absolute = format!("data.path={}", folder.path().join("pets").display());
    let sets = SETS.map(|set| set.replace("data.path=pets", &absolute));
    let run =
        Experiment::load(&folder.path().join("tiny.toml"), &sets).expect("fine").runs.remove(0);
    let whole = job(&run, &folder.path().join("whole"), 1);
    std::fs::create_dir_all(&whole.directory).expect("writable");
    assert_eq!(session(&whole, usize::MAX, 0).0, Some(0));
    let status = RunDir::new(&whole.directory).status().expect("a status");
    assert_eq!(status.state, State::Done, "{}", status.message);

    let stopped = job(&run, &folder.path().join("stopped"), 1);
    std::fs::create_dir_all(&stopped.directory).expect("writable");
    assert_eq!(session(&stopped, 3, libc::SIGTERM).0, Some(i32::from(STOPPED)));
    let (code, told) = session(&stopped, usize::MAX, 0);
    assert_eq!(code, Some(0));
    assert!(resumed(&told).is_some_and(|step| step > 0 && step < 12), "{told:?}");
    assert_eq!(outcome(&whole), outcome(&stopped));
    let curve = RunDir::new(&whole.directory).curve().expect("a curve");
    let errors: Vec<f64> = curve.iter().filter_map(|row| row.test_err_pct).collect();
    assert!(errors[0] > 20.0 && errors.iter().any(|error| *error < 10.0), "{errors:?}");
}

#[test]
fn decoding_that_was_interrupted_is_gone_on_with_and_a_damaged_file_is_made_again() {
    let folder = with_experiment("");
    with_images(folder.path());
    let cache = folder.path().join(".cache");
    // One of the first 512, which make a file; the test images are decoded after all of them.
    let broken = folder.path().join("pets/train/dark/99.jpg");
    let sound = std::fs::read(&broken).expect("readable");
    std::fs::write(&broken, &sound[..100]).expect("writable");
    let said = fail(folder.path(), 1, &with_sets(&["run", "tiny.toml", "--device", "cpu"]));
    assert!(
        said.contains("99.jpg: byte 100: the file ends here, before the end of the image"),
        "{said}"
    );
    let first = shards(&cache);
    assert_eq!(first.len(), 1, "what was decoded before is kept: {first:?}");
    let made = |path: &Path| path.metadata().expect("there").modified().expect("a time");
    let before = made(&first[0]);
    std::fs::write(&broken, &sound).expect("writable");
    // The folder's key has the files' times, so this is another folder.
    succeed(folder.path(), &with_sets(&["run", "tiny.toml", "--device", "cpu"]));
    let all = shards(&cache);
    assert_eq!(all.len(), 1 + 3, "{all:?}");
    assert_eq!(made(&first[0]), before);
    let table = succeed(folder.path(), &["status", "results/tiny", "--format", "csv"]);
    assert!(table.contains(",done,12,"), "{table}");

    let ours: Vec<&PathBuf> = all.iter().filter(|path| !first.contains(path)).collect();
    let bytes = std::fs::read(ours[1]).expect("readable");
    std::fs::write(ours[1], &bytes[..bytes.len() / 2]).expect("writable");
    let times: Vec<_> = ours.iter().map(|path| made(path)).collect();
    succeed(folder.path(), &with_sets(&["run", "tiny.toml", "--device", "cpu", "--out", "again"]));
    assert_eq!(std::fs::read(ours[1]).expect("readable"), bytes);
    assert_eq!((made(ours[0]), made(ours[2])), (times[0], times[2]), "the others are left alone");
    let curve = |out: &str| crate::support::outcomes(&folder.path().join(out));
    assert_eq!(curve("results/tiny"), curve("again"));
}

#[test]
fn what_does_not_go_together_is_refused_before_a_file_is_opened() {
    let folder = with_experiment("");
    let refused = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        fail(folder.path(), 2, &["plan", "tiny.toml"].into_iter().chain(sets).collect::<Vec<_>>())
    };
    let said = refused(&["data.augment=random-resized-crop"]);
    assert!(
        said.contains("random-resized-crop needs data.source = \"images\" and data.short_side"),
        "{said}"
    );
    let images = ["data.source=images", "data.path=pets", "data.size=16", "data.short_side=12"];
    let said = refused(&images);
    assert!(said.contains("data.short_side: 12 is less than data.size = 16"), "{said}");
}

#[test]
fn the_experiment_on_imagenet_runs_on_a_small_folder_of_images() {
    let folder = with_experiment("");
    with_images(folder.path());
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let path = experiments.join("imagenet-plain-vs-residual.toml");
    let path = path.to_str().expect("text");
    let said = fail(folder.path(), 2, &["plan", path]);
    assert!(said.contains("imagenet"), "{said}");
    let sets = ["data.path=pets", "data.size=32", "data.short_side=36", "training.batch=32"];
    let sets = sets.iter().flat_map(|set| ["--set", *set]);
    let command = ["run", path, "--smoke", "--device", "cpu"];
    let table = succeed(folder.path(), &command.into_iter().chain(sets).collect::<Vec<_>>());
    assert_eq!(table.lines().count(), 1 + 4, "{table}");
}
