//! A fingerprint of the sources that the worker is compiled from, by which `fathom` tells whether a
//! worker belongs to it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The fingerprint of the workspace in `root`: of its manifest and lock file, and of every file of
/// the crates that `fathom-train` depends on, which are found by following the manifests.
///
/// # Errors
/// When a file cannot be read.
pub fn of_worker(root: &Path) -> io::Result<String> {
    let mut files = BTreeSet::from(["Cargo.toml", "Cargo.lock", "src/lib.rs"].map(PathBuf::from));
    files.insert("src/bin/fathom-train.rs".into());
    for folder in worker_crates(root)? {
        collect(root, &folder, &mut files)?;
    }
    // FNV-1a over names and bytes.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let bytes = std::fs::read(root.join(&file))?;
        for byte in file.as_os_str().as_encoded_bytes().iter().chain(&bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(format!("{hash:016x}"))
}

/// The folders of `fathom-train` and of every crate of this workspace that it depends on.
pub fn worker_crates(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec!["train".to_owned()];
    while let Some(name) = open.pop() {
        let folder = Path::new("src").join(&name);
        let manifest = std::fs::read_to_string(root.join(&folder).join("Cargo.toml"))?;
        if found.insert(folder) {
            open.extend(manifest.lines().filter_map(|line| {
                Some(line.strip_prefix("fathom-")?.split(['.', ' ', '=']).next()?.to_owned())
            }));
        }
    }
    Ok(found)
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(folder))? {
        let path = folder.join(entry?.file_name());
        if root.join(&path).is_dir() {
            collect(root, &path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}
