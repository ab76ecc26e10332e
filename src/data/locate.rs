//! Folders in which data sets are searched, and to which they are downloaded.

use super::catalogue::{DataFile, Set};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// The folders that are searched, in this order: `data_dir`, `FATHOM_DATA`, and the cache folder.
pub fn search_folders(data_dir: Option<&Path>) -> Vec<PathBuf> {
    let from_environment = std::env::var_os("FATHOM_DATA").filter(|f| !f.is_empty());
    let given = data_dir.map(Path::to_owned);
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in [given, from_environment.map(PathBuf::from), cache_folder()].into_iter().flatten()
    {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// `$XDG_CACHE_HOME/fathom`, or `~/.cache/fathom`; `None` without a home folder.
pub fn cache_folder() -> Option<PathBuf> {
    // The XDG specification requires that relative paths are ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("fathom"))
}

/// The folder for downloads and imports: the first of the folders that are searched.
///
/// # Errors
/// When no folder is given and there is no home folder.
pub fn target_folder(data_dir: Option<&Path>) -> Result<PathBuf> {
    match search_folders(data_dir).into_iter().next() {
        Some(folder) => Ok(folder),
        None => bail!(
            "there is no folder for data sets: give --data-dir DIR, or set FATHOM_DATA or HOME"
        ),
    }
}

/// Result of the search for a set.
pub enum Found {
    /// This folder has all files.
    Whole(PathBuf),
    /// This folder has some files; those with these names are missing.
    Part(PathBuf, Vec<&'static str>),
    /// No folder has a file of the set.
    Nothing,
}

/// Searches the files of `set`. A folder with all files takes precedence over a folder with some.
pub fn find(set: &'static Set, data_dir: Option<&Path>) -> Found {
    let mut part = None;
    for folder in search_folders(data_dir) {
        // The files may be in the given folder itself.
        let inside = set.folders.iter().map(|name| folder.join(name));
        for candidate in inside.chain([folder.clone()]) {
            let is_missing = |f: &&DataFile| path_of(f, &candidate).is_none();
            let missing: Vec<_> = set.files.iter().filter(is_missing).map(|f| f.name).collect();
            if missing.is_empty() {
                return Found::Whole(candidate);
            }
            if missing.len() < set.files.len() && part.is_none() {
                part = Some((candidate, missing));
            }
        }
    }
    part.map_or(Found::Nothing, |(folder, missing)| Found::Part(folder, missing))
}

/// Path of a file in `folder`: uncompressed if it exists, otherwise gzipped.
pub fn path_of(file: &DataFile, folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(file.name);
    let gzipped = folder.join(format!("{}.gz", file.name));
    if plain.is_file() {
        Some(plain)
    } else {
        (file.is_idx() && gzipped.is_file()).then_some(gzipped)
    }
}

/// The folder with all files of `set`.
///
/// # Errors
/// [`Missing`] if there is none: names the missing files, the folders that were searched, and the commands
/// to get the set.
pub fn locate(set: &'static Set, data_dir: Option<&Path>) -> Result<PathBuf> {
    let what = match find(set, data_dir) {
        Found::Whole(folder) => return Ok(folder),
        Found::Part(folder, missing) => {
            let (folder, missing) = (folder.display(), missing.join(", "));
            format!("{} is incomplete: {missing} missing in {folder}", set.title)
        }
        Found::Nothing => format!("{} was not found", set.title),
    };
    let searched = search_folders(data_dir);
    let searched: Vec<_> = searched.iter().map(|f| f.display().to_string()).collect();
    let files: Vec<_> = set.downloads.iter().map(|d| d.name).collect();
    let searched = if searched.is_empty() {
        "no folder, since there is no home folder".to_owned()
    } else {
        searched.join(", ")
    };
    let message = format!(
        "{what}\n  searched: {searched}\n  to download it:    fathom data fetch {}\n  \
         if you have it:    fathom data import {}\n  \
         if it is unpacked: give its folder with --data-dir or FATHOM_DATA",
        set.name,
        files.join(" ")
    );
    Err(Missing(message).into())
}

/// A data set is missing or incomplete. Other errors concern the contents of its files.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

/// The folder of `images`: `path` itself, or `path` in one of the folders that are searched.
///
/// # Errors
/// When it does not exist; the message names the paths that were tried.
pub fn image_folder(path: &Path, data_dir: Option<&Path>) -> Result<PathBuf> {
    let mut candidates = vec![path.to_owned()];
    if path.is_relative() {
        candidates.extend(search_folders(data_dir).into_iter().map(|folder| folder.join(path)));
    }
    match candidates.iter().find(|folder| folder.is_dir()) {
        Some(folder) => Ok(folder.clone()),
        None => {
            let names: Vec<_> = candidates.iter().map(|f| f.display().to_string()).collect();
            bail!("the folder of images was not found: tried {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_set_names_folders_and_commands() {
        let folder = tempfile::tempdir().unwrap();
        let set = Set::named("cifar10").unwrap();
        let message = locate(set, Some(folder.path())).unwrap_err().to_string();
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
        assert!(message.contains("fathom data fetch cifar10"), "{message}");
        assert!(message.contains("fathom data import cifar-10-binary.tar.gz"), "{message}");
    }

    #[test]
    fn sets_are_found_in_every_layout_and_gaps_are_named() {
        let set = Set::named("mnist").unwrap();
        for (inside, ending) in [("mnist", ".gz"), ("MNIST/raw", ""), ("", "")] {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path().join(inside);
            std::fs::create_dir_all(&at).unwrap();
            for file in &set.files[1..] {
                std::fs::write(at.join(format!("{}{ending}", file.name)), "").unwrap();
            }
            let message = locate(set, Some(folder.path())).unwrap_err().to_string();
            assert!(
                message.contains("incomplete: train-images-idx3-ubyte missing in"),
                "{message}"
            );
            std::fs::write(at.join(set.files[0].name), "").unwrap();
            assert_eq!(
                locate(set, Some(folder.path())).unwrap(),
                at.components().collect::<PathBuf>()
            );
        }
    }
}
