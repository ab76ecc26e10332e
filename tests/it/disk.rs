//! Disks that fill, directories that refuse, data that vanishes: the run stops with its cause, what
//! was there stays valid, and once that is mended the same command goes on.

use crate::support::{fail, fathom, skip, succeed, with_experiment};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Curves without their clocks by run.
fn curves(results: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(results.join("runs")).expect("results");
    let curve = |run: &Path| {
        let text = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
        let rows = text.lines().map(|line| line.rsplit_once(',').expect("columns").0);
        rows.collect::<Vec<_>>().join("\n")
    };
    entries
        .map(|entry| entry.expect("readable").path())
        .map(|run| (run.file_name().expect("a name").to_string_lossy().into_owned(), curve(&run)))
        .collect()
}

/// Whether this machine lets a test mount a small file system of its own.
fn can_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skip("this machine does not let a test mount a file system (unshare, mount)");
    }
    can
}

#[test]
fn a_disk_that_fills_stops_the_sweep_with_its_cause_and_room_lets_it_go_on() {
    if !can_mount() {
        return;
    }
    let folder = with_experiment("[sweep]\nseed = [0, 1]\n");
    let program = fathom(folder.path());
    let program = program.get_program().to_string_lossy().into_owned();
    let sets = "--set training.iterations=40 --set network.width=24 --set evaluate.every=10";
    let run = format!("{program} run tiny.toml --device cpu --jobs 1 --checkpoint 5 {sets}");
    let undisturbed = format!("{run} --out alone");
    // A checkpoint of this net has some 1.4 MB: two fit, and a third does not.
    let script = format!(
        "set -e; mkdir small; mount -t tmpfs -o size=3300k tmpfs small
         {undisturbed} >/dev/null 2>&1
         set +e; {run} --out small/out >told 2>&1; echo $? >code; set -e
         mount -o remount,size=64m small
         {run} --out small/out >told-then 2>&1
         cp -r small/out out"
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "bash", "-c", &script])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("OMP_NUM_THREADS", "1")
        .output()
        .expect("unshare starts");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let told = format!("{}\n{}", read("told"), read("told-then"));
    assert!(output.status.success(), "{}\n{told}", String::from_utf8_lossy(&output.stderr));
    assert_ne!(read("code").trim(), "0", "{told}");
    assert!(read("told").contains("No space left on device"), "{told}");
    assert!(read("told-then").contains("resumes from step"), "{told}");
    assert_eq!(curves(&folder.path().join("out")), curves(&folder.path().join("alone")));
}

#[test]
fn a_disk_without_room_keeps_nothing_of_a_command_that_failed() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = fathom(folder.path());
    let program = program.get_program().to_string_lossy().into_owned();
    std::fs::write(folder.path().join("log.csv"), "step,test_err_pct\n0,90\n9,80\n").expect("room");
    // Of three pages the file of zeros takes all that the folders leave.
    let script = format!(
        "mkdir small; mount -t tmpfs -o size=12k tmpfs small
         dd if=/dev/zero of=small/zeros bs=4k 2>/dev/null
         try() {{
           {program} new x1 --out small/x1.toml; echo $?
           {program} import log.csv --out small/imp --set depth=8 --set seed=0; echo $?
         }}
         try >full 2>&1; ls -A small >left
         rm small/zeros; mount -o remount,size=1m small
         try >then 2>&1"
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "bash", "-c", &script])
        .current_dir(folder.path())
        .output()
        .expect("unshare starts");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        read("full").matches("No space left on device").count(),
        2,
        "{}{told}",
        read("full")
    );
    assert_eq!(read("left"), "zeros\n");
    let codes: Vec<String> =
        read("then").lines().filter(|line| line.len() == 1).map(str::to_owned).collect();
    assert_eq!(codes, ["0", "0"], "{}", read("then"));
}

#[test]
fn a_path_that_is_no_text_is_refused_before_anything_is_computed() {
    use std::os::unix::ffi::OsStrExt;
    let folder = with_experiment("");
    let place = std::ffi::OsStr::from_bytes(b"b\xffyte");
    for option in ["--out", "--data-dir"] {
        let mut command = fathom(folder.path());
        let output =
            command.args(["run", "tiny.toml", option]).arg(place).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(
            errors.contains(&format!("{option} b\u{fffd}yte: expected a path in UTF-8")),
            "{errors}"
        );
    }
    assert!(!folder.path().join(place).exists());
}

#[test]
fn data_that_vanished_is_named_and_the_sweep_goes_on_when_it_is_back() {
    let folder = with_experiment("");
    let images = folder.path().join("faces");
    for (part, count) in [("train", 20), ("test", 4)] {
        for class in ["a", "b"] {
            let place = images.join(part).join(class);
            std::fs::create_dir_all(&place).expect("writable");
            for number in 0..count {
                let shade = if class == "a" { number * 5 } else { 255 - number * 5 };
                let picture = image::GrayImage::from_pixel(12, 12, image::Luma([shade as u8]));
                picture.save(place.join(format!("{number}.png"))).expect("writable");
            }
        }
    }
    let path = format!("data.path={}", images.display());
    let run = || -> Vec<String> {
        let sets =
            ["data.source=images", &path, "data.train=40", "data.test=8", "training.iterations=12"];
        let mut all = vec!["run", "tiny.toml", "--device", "cpu"];
        all.extend(sets.iter().flat_map(|set| ["--set", set]));
        all.into_iter().map(str::to_owned).collect()
    };
    let arguments = run();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let away = folder.path().join("away");
    std::fs::rename(&images, &away).expect("writable");
    let errors = fail(folder.path(), 2, &arguments);
    assert!(errors.contains("faces"), "{errors}");
    std::fs::rename(&away, &images).expect("writable");
    succeed(folder.path(), &arguments);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_before_anything_is_computed() {
    let folder = with_experiment("");
    // Root may write anywhere but here.
    let errors = fail(folder.path(), 1, &["run", "tiny.toml", "--out", "/proc/fathom"]);
    assert!(errors.contains("/proc/fathom"), "{errors}");
    assert!(!errors.contains("step 0"), "{errors}");
    std::fs::write(folder.path().join("taken"), "a file").expect("writable");
    let errors = fail(folder.path(), 1, &["run", "tiny.toml", "--out", "taken"]);
    assert!(errors.contains("taken"), "{errors}");
}

#[test]
fn no_part_that_trains_or_supervises_reads_the_clock_on_the_wall() {
    // A clock that jumps can then do no harm: time is measured on the monotonic one alone.
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec!["sweep", "train", "record", "bin", "spec"]
        .into_iter()
        .map(|room| home.join(room))
        .collect::<Vec<_>>();
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            for clock in ["SystemTime", "UNIX_EPOCH", ".modified()", "CLOCK_REALTIME"] {
                assert!(!text.contains(clock), "{} reads {clock}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}
