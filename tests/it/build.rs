//! The fingerprint of the sources by which `fathom` refuses a worker of another build.

use crate::support::copy_folder;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[path = "../../src/build/fingerprint.rs"]
mod fingerprint;

use fingerprint::{of_worker, worker_crates};

/// Copies the manifests and sources of the workspace.
pub fn copy_sources(to: &Path) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["Cargo.toml", "Cargo.lock"] {
        std::fs::copy(home.join(name), to.join(name)).expect("writable");
    }
    for folder in ["src", "examples/own-network"] {
        copy_folder(&home.join(folder), &to.join(folder));
    }
}

/// Folders below `src` of the workspace's crates that the worker is compiled from, as cargo resolves
/// them.
fn crates_by_cargo() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "fathom-train", "--edges", "normal,build", "--prefix", "none"])
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let names = text.lines().filter_map(|line| line.strip_prefix("fathom-")?.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_fingerprint_covers_every_crate_of_the_worker_and_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    copy_sources(root);
    let before = of_worker(root).expect("readable");
    assert_eq!(of_worker(root).expect("readable"), before);
    // Whether a change of this file changes the fingerprint; the file is restored.
    let is_covered = |file: &str| {
        let path = root.join(file);
        let text = std::fs::read(&path).expect(file);
        std::fs::write(&path, [&text[..], b"\n"].concat()).expect("writable");
        let after = of_worker(root).expect("readable");
        std::fs::write(&path, text).expect("writable");
        after != before
    };
    let worker = crates_by_cargo();
    assert!(worker.contains("train") && worker.contains("base"), "{worker:?}");
    let mut others = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("src")).expect("sources") {
        let path = entry.expect("readable").path();
        if !path.join("Cargo.toml").is_file() {
            continue;
        }
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        let is_of_worker = worker.contains(&name);
        for file in ["lib.rs", "Cargo.toml"] {
            let file = format!("src/{name}/{file}");
            assert_eq!(is_covered(&file), is_of_worker, "{file}");
        }
        if !is_of_worker {
            others.insert(name);
        }
    }
    for name in ["cli", "plot", "report"] {
        assert!(others.contains(name), "{name}: {others:?}");
    }
    for file in ["Cargo.toml", "Cargo.lock", "src/bin/fathom-train.rs", "src/train/build.rs"] {
        assert!(is_covered(file), "{file}");
    }
    assert!(!is_covered("src/bin/fathom.rs"));
    let found = worker_crates(root).expect("readable");
    let expected: BTreeSet<_> = worker.iter().map(|name| Path::new("src").join(name)).collect();
    assert_eq!(found, expected);
}
